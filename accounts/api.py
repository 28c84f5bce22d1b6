"""``/me``: the caller, and the caller's tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Path, Query, Router, Status

from accounts import services
from accounts.models import ApiToken
from accounts.schemas import MAX_ID, MeOut, NewTokenOut, Paging, TokenIn, TokenOut, TokenPage
from core.api.idempotency import Claim

router = Router(tags=["Account"])
TokenId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.get("", response=MeOut, summary="Who am I?")
def me(request: HttpRequest) -> MeOut:
    user = _caller(request)
    token = _shown(request)
    return MeOut(
        id=user.pk,
        username=user.get_username(),
        is_staff=user.is_staff,
        token=TokenOut.from_orm(token) if token else None,
    )


@router.get("/tokens", response=TokenPage, summary="List my tokens, the newest first")
def list_tokens(request: HttpRequest, paging: Query[Paging]) -> dict[str, Any]:
    tokens = ApiToken.objects.filter(user=_caller(request))
    first = (paging.page - 1) * paging.page_size
    return {
        "items": tokens[first : first + paging.page_size],
        "total": tokens.count(),
        "page": paging.page,
        "page_size": paging.page_size,
    }


@router.post("/tokens", response={201: NewTokenOut}, summary="Make a token; its secret is shown only now")
def create_token(request: HttpRequest, wanted: TokenIn) -> Status[NewTokenOut]:
    """A token that is made with another one ends with that at the latest."""
    claim: Claim | None = request.idempotency  # type: ignore[attr-defined]
    days = wanted.expires_in_days
    with transaction.atomic():
        token, secret = services.create_own_token(
            user=_caller(request),
            name=wanted.name,
            expires_at=timezone.now() + timedelta(days=days) if days else None,
            made_with=_shown(request),
        )
        made = TokenOut.from_orm(token).dict()
        if claim:
            claim.remember(201, NewTokenOut(**made, token=None))  # the secret is kept nowhere
    return Status(201, NewTokenOut(**made, token=secret))


@router.delete("/tokens/{token_id}", response=TokenOut, summary="Revoke a token of mine, for good")
def revoke_token(request: HttpRequest, token_id: TokenId) -> ApiToken:
    token = get_object_or_404(ApiToken, pk=token_id, user=_caller(request))
    services.revoke_token(token=token)
    token.refresh_from_db()
    return token


def _caller(request: HttpRequest) -> User:
    return cast(User, request.user)


def _shown(request: HttpRequest) -> ApiToken | None:
    """The token that the request was made with; None in a session."""
    auth = request.auth  # type: ignore[attr-defined]
    return auth if isinstance(auth, ApiToken) else None
