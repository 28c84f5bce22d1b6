"""``/me/tokens``: the caller's tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Path, Query, Router, Status

from accounts import services
from accounts.models import ApiToken
from accounts.schemas import NewTokenOut, TokenIn, TokenOut, TokenPage
from core.api.idempotency import Claim
from core.api.ids import RowId
from core.api.openapi import refusals
from core.api.pagination import PAGE_RULES, PageIn, page_of

router = Router(tags=["Account"])


@router.get(
    "/tokens",
    response=TokenPage,
    summary="List my tokens, newest first",
    openapi_extra={"responses": refusals(**PAGE_RULES)},
)
def list_tokens(request: HttpRequest, paging: Query[PageIn]) -> dict[str, Any]:
    return page_of(ApiToken.objects.filter(user=_caller(request)), paging, stable=["created_at"])


@router.post(
    "/tokens",
    response={201: NewTokenOut},
    summary="Create a token; its secret is shown only now",
    openapi_extra={"responses": refusals(name="It is blank.")},
)
def create_token(request: HttpRequest, payload: TokenIn) -> Status[NewTokenOut]:
    """Create a token.

    One created with another token expires with that one at the latest, and has no scope more.
    """
    claim: Claim | None = request.idempotency  # type: ignore[attr-defined]
    days = payload.expires_in_days
    with transaction.atomic():
        token, secret = services.create_own_token(
            user=_caller(request),
            name=payload.name,
            expires_at=timezone.now() + timedelta(days=days) if days else None,
            made_with=_token(request),
            scopes=payload.scopes,
        )
        data = TokenOut.from_orm(token).dict()
        if claim:
            claim.remember(201, NewTokenOut(**data, token=None))  # the secret is not stored
    return Status(201, NewTokenOut(**data, token=secret))


@router.delete("/tokens/{token_id}", response=TokenOut, summary="Revoke a token of mine for good")
def revoke_token(request: HttpRequest, token_id: Path[RowId]) -> ApiToken:
    token = get_object_or_404(ApiToken, pk=token_id, user=_caller(request))
    services.revoke_token(token=token)
    token.refresh_from_db()
    return token


def _caller(request: HttpRequest) -> User:
    return cast(User, request.user)


def _token(request: HttpRequest) -> ApiToken | None:
    """Return the token of the request; None in a session."""
    auth = request.auth  # type: ignore[attr-defined]
    return auth if isinstance(auth, ApiToken) else None
