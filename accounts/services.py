"""Tokens: made, shown once, recognised, revoked."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import ApiToken
from core.errors import NotPossible

MARK = "rhb_"  # lets a person, and a scanner of leaked secrets, see what it is
SHOWN = 12  # characters kept to tell a token by
LAST_USE_EVERY = timedelta(minutes=1)
MAX_TOKENS = 100


class TooManyTokens(NotPossible):
    """The person has the maximum number of usable tokens."""


def create_token(
    *, user: AbstractBaseUser, name: str, expires_at: datetime | None = None, made_with: ApiToken | None = None
) -> tuple[ApiToken, str]:
    """Make a token.  Returns its row and the secret, which nobody can find out later.

    ``name`` says what it is for; without ``expires_at`` it holds until it is revoked.
    """
    secret = MARK + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user_id=user.pk,
        name=name,
        digest=_digest(secret),
        prefix=secret[:SHOWN],
        expires_at=expires_at,
        made_with=made_with,
    )
    return token, secret


def create_own_token(
    *, user: AbstractBaseUser, name: str, expires_at: datetime | None, made_with: ApiToken | None
) -> tuple[ApiToken, str]:
    """As ``create_token``, for somebody who asks for it and is no operator.

    One that is ``made_with`` another ends with that at the latest: what was lent for a while, or leaked, does not become lasting.
    Raises TooManyTokens.
    """
    if ApiToken.objects.usable().filter(user_id=user.pk).count() >= MAX_TOKENS:
        raise TooManyTokens(_("You have %d tokens, and that is the limit: revoke one first.") % MAX_TOKENS)
    if made_with is not None and made_with.expires_at is not None:
        expires_at = min(expires_at or made_with.expires_at, made_with.expires_at)
    return create_token(user=user, name=name, expires_at=expires_at, made_with=made_with)


def authenticate(secret: str) -> ApiToken | None:
    """The token, with its user, that a secret belongs to; None when it, or its user, may not be used (any more).

    Notes the use, but no more than once a minute: a caller's every request would write a row.
    """
    now = timezone.now()
    token = ApiToken.objects.usable().select_related("user").filter(digest=_digest(secret)).first()
    if token is not None and (token.last_used_at is None or token.last_used_at < now - LAST_USE_EVERY):
        unnoted = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USE_EVERY)
        ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=now)
    return token


def revoke_token(*, token: ApiToken) -> None:
    """End a token, and those that were made with it, for good.  One that has been revoked before keeps its time."""
    now, ids = timezone.now(), [token.pk]
    while ids:
        ApiToken.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=now)
        ids = list(ApiToken.objects.filter(made_with__in=ids).values_list("pk", flat=True))


def _digest(secret: str) -> str:
    """A plain hash is enough: the secret is random, so nobody can guess it from a list."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
