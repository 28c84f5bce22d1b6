"""``/me``: the caller, the caller's limits and what is left of them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from accounts.models import ApiToken
from missions import account_load, selectors
from missions.api.missions import caller
from missions.api.schemas.me import MeOut

router = Router(tags=["Account"])


@router.get("", response=MeOut, summary="Show the caller, with limits and what is left")
def show_me(request: HttpRequest) -> dict[str, Any]:
    """`limits.spending` is null without a spending limit, `limits.requests` without a limit of
    requests. `limits.spent` has a row for each currency of your missions.
    """
    user = caller(request)
    now = timezone.now()
    auth = request.auth  # type: ignore[attr-defined]
    return {
        "id": user.pk,
        "username": user.get_username(),
        "is_staff": user.is_staff,
        "token": auth if isinstance(auth, ApiToken) else None,
        "limits": {
            "spending": selectors.budget_left(user.pk, now=now),
            "spent": selectors.spent_lately(user.pk, now=now),
            "requests": getattr(request, "rate_limit", None),
            "slots": account_load.queue_status(user, now=now),
        },
    }
