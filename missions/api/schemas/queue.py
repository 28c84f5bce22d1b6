"""The load of the provider accounts in responses."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from core.money import amount_text
from missions.account_load import AccountQueue


class AccountOut(Schema):
    """An account.

    ``cap``: its current limit of tasks at a time. ``unconfirmed`` attempts may be running, too.

    A draining account takes no new items. ``pending`` counts items that wait for any account of the
    provider.
    """

    name: str = Field(alias="account.name")
    provider: str = Field(alias="account.provider")
    cap: int
    in_flight: int
    unconfirmed: int
    pending: int
    is_enabled: bool = Field(alias="account.is_enabled")
    is_draining: bool = Field(alias="account.is_draining")
    is_paused: bool
    paused_at: datetime | None = Field(alias="account.paused_at")
    pause_reason: str = Field(alias="account.pause_reason_display")
    pause_reason_code: str | None = Field(alias="account.pause_reason_code")
    balance: str | None = Field(description="As the provider last reported it; null if unknown or not for you.")
    balance_currency: str
    balance_read_at: datetime | None

    @staticmethod
    def resolve_is_paused(queue: AccountQueue) -> bool:
        return queue.account.paused_at is not None

    @staticmethod
    def resolve_balance(queue: AccountQueue) -> str | None:
        return amount_text(queue.account.balance) if queue.shows_balance else None

    @staticmethod
    def resolve_balance_currency(queue: AccountQueue) -> str:
        return queue.account.balance_currency if queue.shows_balance else ""

    @staticmethod
    def resolve_balance_read_at(queue: AccountQueue) -> datetime | None:
        return queue.account.balance_read_at if queue.shows_balance else None


class QueueOut(Schema):
    """``own_…`` counts the caller's own items."""

    accounts: list[AccountOut]
    own_in_flight: int
    own_pending: int
