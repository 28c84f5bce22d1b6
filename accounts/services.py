"""API tokens: create, authenticate, revoke."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from accounts.models import ApiToken, Scope
from core.errors import DomainError, NotPossible

TOKEN_PREFIX = "rhb_"  # noqa: S105  lets people, and scanners for leaked secrets, recognise a token
PREFIX_LENGTH = 12  # characters that are stored, to tell tokens apart
LAST_USE_INTERVAL = timedelta(minutes=1)
MAX_TOKENS = 100


class InsufficientScope(DomainError):
    """The token lacks the scope that the request needs."""

    status = 403
    error = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        message = _("This token lacks the scope “%s”. Nothing was changed. Create a token that has it.") % scope
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        super().__init__(message, headers={"WWW-Authenticate": challenge})


class TooManyTokens(NotPossible):
    """The person has the maximum number of usable tokens."""


def create_token(
    *,
    user: AbstractBaseUser,
    name: str,
    expires_at: datetime | None = None,
    made_with: ApiToken | None = None,
    scopes: Collection[str] = Scope.values,
) -> tuple[ApiToken, str]:
    """Create a token.

    Return its row and its secret, which is not stored and cannot be shown again.

    ``name`` says what it is for, ``scopes`` what it may do.  Without ``expires_at`` it is valid
    until it is revoked.
    """
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user_id=user.pk,
            name=name,
            digest=_digest(secret),
            prefix=secret[:PREFIX_LENGTH],
            scope_text=" ".join(scope for scope in Scope.values if scope in scopes),
            expires_at=expires_at,
            made_with=made_with,
        )
        actor, owner = f"user:{user.pk}", user.get_username()
        audit.record(Verb.TOKEN_CREATE, token, actor=actor, owner=owner, scopes=token.scopes)
    return token, secret


def create_own_token(
    *,
    user: AbstractBaseUser,
    name: str,
    expires_at: datetime | None,
    made_with: ApiToken | None,
    scopes: Collection[str] | None = None,
) -> tuple[ApiToken, str]:
    """Create a token for the person who asks for it; otherwise as ``create_token``.

    Without ``scopes`` it has those of the token that it is ``made_with``, or all.  It expires with
    that token at the latest and has no scope more, so that a lent or leaked token cannot be turned
    into a lasting or stronger one.  Raises TooManyTokens or InsufficientScope.
    """
    own = Scope.values if made_with is None else made_with.scopes
    if missing := [scope for scope in scopes or () if scope not in own]:
        raise InsufficientScope(missing[0])
    if ApiToken.objects.usable().filter(user_id=user.pk).count() >= MAX_TOKENS:
        raise TooManyTokens(_("You have %d tokens, which is the limit. Revoke one first.") % MAX_TOKENS)
    if made_with is not None and made_with.expires_at is not None:
        expires_at = min(expires_at or made_with.expires_at, made_with.expires_at)
    return create_token(user=user, name=name, expires_at=expires_at, made_with=made_with, scopes=scopes or own)


def authenticate(secret: str) -> ApiToken | None:
    """Return the usable token with this secret, and its user, or None.

    The use is recorded at most once a minute, so that not every request writes a row. It is not
    recorded while the database cannot be written: results can be downloaded from a full disk.
    """
    now = timezone.now()
    token = ApiToken.objects.usable().select_related("user").filter(digest=_digest(secret)).first()
    if token is not None and (token.last_used_at is None or token.last_used_at < now - LAST_USE_INTERVAL):
        is_outdated = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USE_INTERVAL)
        with suppress(DatabaseError), transaction.atomic():
            ApiToken.objects.filter(is_outdated, pk=token.pk).update(last_used_at=now)
    return token


def revoke_token(*, token: ApiToken) -> None:
    """Revoke a token and all that were made with it, for good.

    Tokens revoked earlier keep their time.
    """
    now, ids, count = timezone.now(), [token.pk], 0
    with transaction.atomic():
        while ids:
            count += ApiToken.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=now)
            ids = list(ApiToken.objects.filter(made_with__in=ids).values_list("pk", flat=True))
        if count:
            audit.record(Verb.TOKEN_REVOKE, token, owner=token.user.get_username(), count=count)


def _digest(secret: str) -> str:
    """Return the SHA-256 of a secret.

    A plain hash is enough: the secret is random and cannot be guessed.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
