"""``/me``: the caller, and the caller's tokens."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja import Router

from accounts.models import ApiToken
from accounts.schemas import MeOut, TokenOut

router = Router(tags=["Account"])


@router.get("", response=MeOut, summary="Who am I?")
def me(request: HttpRequest) -> MeOut:
    user = cast(User, request.user)
    shown = request.auth  # type: ignore[attr-defined]
    token = TokenOut.from_orm(shown) if isinstance(shown, ApiToken) else None
    return MeOut(id=user.pk, username=user.get_username(), is_staff=user.is_staff, token=token)
