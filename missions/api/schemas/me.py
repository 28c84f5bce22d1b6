"""The caller's limits in responses."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from django.conf import settings
from ninja import Field, Schema

from accounts.schemas import CallerOut
from billing.models import Period
from core.api.values import Amount
from core.money import amount_text
from missions.account_load import QueueStatus
from missions.selectors import BudgetLeft


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
