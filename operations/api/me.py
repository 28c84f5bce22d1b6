"""``/me``: the caller, the caller's limits and what is left of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from accounts.models import ApiToken
from accounts.schemas import CallerOut
from billing.models import Period
from core.api.values import Amount
from core.money import amount_text
from missions import account_load, selectors
from missions.account_load import QueueStatus
from missions.api.missions import caller
from missions.selectors import BudgetLeft

router = Router(tags=["Account"])


class SpendingLimitOut(Schema):
    """The spending limit and what counts against it in the current period."""

    amount: Amount
    currency: str
    period: Annotated[Period, Field(description="day and month begin at midnight UTC; ever has no end.")]
    charged: Amount
    expected: Annotated[Amount, Field(description="The price of what may still be charged.")]
    left: Amount

    @staticmethod
    def resolve_amount(left: BudgetLeft) -> str | None:
        return amount_text(left.budget.limit)

    @staticmethod
    def resolve_currency(left: BudgetLeft) -> str:
        return left.budget.currency

    @staticmethod
    def resolve_charged(left: BudgetLeft) -> str | None:
        return amount_text(left.budget.charged)

    @staticmethod
    def resolve_expected(left: BudgetLeft) -> str | None:
        return amount_text(left.budget.expected)

    @staticmethod
    def resolve_left(left: BudgetLeft) -> str | None:
        return amount_text(max(left.budget.left, Decimal(0)))


class SpentOut(Schema):
    """The charges for your missions in one currency."""

    currency: str
    today: Annotated[Amount, Field(description="Since midnight UTC.")]
    this_month: Annotated[Amount, Field(description="Since the first of the month, UTC.")]


class RequestLimitOut(Schema):
    """The limit of requests, as the headers ``RateLimit-…`` show it."""

    per_minute: int = Field(alias="limit")
    left: int
    reset_seconds: int = Field(alias="seconds")


class SlotsOut(Schema):
    """Tasks that all people together may have in flight, and your part of them."""

    limit: int
    in_flight: int
    own_in_flight: int
    own_pending: int

    @staticmethod
    def resolve_limit(queue: QueueStatus) -> int:
        return sum(
            account.cap for account in queue.accounts if account.account.is_enabled and not account.account.paused_at
        )

    @staticmethod
    def resolve_in_flight(queue: QueueStatus) -> int:
        return sum(account.in_flight for account in queue.accounts)


class LimitsOut(Schema):
    spending: SpendingLimitOut | None
    spent: list[SpentOut]
    requests: RequestLimitOut | None
    slots: SlotsOut
    mission_max_items: int
    body_max_bytes: int
    upload_max_bytes: int

    @staticmethod
    def resolve_mission_max_items(limits: object) -> int:
        return settings.MISSION_MAX_ITEMS

    @staticmethod
    def resolve_body_max_bytes(limits: object) -> int:
        return settings.API_MAX_BODY_BYTES

    @staticmethod
    def resolve_upload_max_bytes(limits: object) -> int:
        return settings.MEDIA_MAX_BYTES


class MeOut(CallerOut):
    limits: LimitsOut


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
