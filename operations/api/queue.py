"""``/queue/status``: the load of the provider accounts."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from core.money import amount_text
from missions import account_load
from missions.account_load import AccountQueue

router = Router(tags=["Catalogue"])


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


@router.get("/status", response=QueueOut, summary="Show the load of the accounts")
def show_queue(request: HttpRequest) -> account_load.QueueStatus:
    """Anybody who may submit may see why items wait: limits, counts, and why an account is paused.

    Keys, URLs and the owners of other items are not shown here; operators see them in the admin.
    `balance` is as last read at the provider, null if it is unknown or the operator hides it. Two
    accounts may share one wallet: do not add their balances up.
    """
    assert isinstance(request.user, User)
    return account_load.queue_status(request.user, now=timezone.now())
