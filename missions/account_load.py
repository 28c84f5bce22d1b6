"""The load of provider accounts: slots in use, missions that may get one, and the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Exists, F, OuterRef, Sum

from missions import reasons
from missions.durations import expectation
from missions.models import (
    LIVE_ATTEMPTS,
    Attempt,
    AttemptStatus,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
)
from providers import provider_accounts
from providers.models import ProviderAccount
from providers.slots import slot_limit

IN_FLIGHT = (AttemptStatus.PREPARED, AttemptStatus.SENDING, AttemptStatus.RUNNING)
LONGEST_HOLD = timedelta(minutes=5)

_DISPATCH_FIELDS = (
    "owner__username",
    "task_type",
    "provider",
    "model",
    "priority",
    "total_count",
    "pending_count",
    "submitting_count",
    "processing_count",
    "currency",
    "estimated_cost",
    "cost",
    "reserved_cost",
    "spending_limit",
)


def slots_in_use(account: ProviderAccount, *, now: datetime, limit: int) -> int:
    """Return how many tasks of an account are, or may be, in flight.

    An unconfirmed attempt counts for as long as its task could still run at the provider. That also
    keeps a failing provider from turning a whole mission unconfirmed. The attempts that our own
    crash left unconfirmed take at most half of ``limit``, so that work goes on after it: should the
    provider run them all, it refuses the surplus for free.
    """
    live = Attempt.objects.filter(account=account)
    certain = live.filter(status__in=IN_FLIGHT).count()
    unconfirmed = live.filter(status=AttemptStatus.UNCONFIRMED, sending_at__gt=now - LONGEST_HOLD)
    codes = [
        code
        for model, sending_at, code in unconfirmed.order_by().values_list("model", "sending_at", "error_code")
        if sending_at and sending_at > now - _hold(account.provider, model)
    ]
    crashed = codes.count(reasons.WORKER_DIED.code)
    return certain + len(codes) - crashed + min(crashed, limit // 2)


def _hold(provider: str, endpoint: str) -> timedelta:
    """Return the time for which an unconfirmed task keeps its slot.

    It is 1.5 times as long as most tasks of its model run.
    """
    expected = expectation(provider, endpoint)
    return LONGEST_HOLD if expected is None else min(timedelta(seconds=expected.last * 1.5 + 5), LONGEST_HOLD)


# --- Who may get one ---


def dispatchable_missions(account: ProviderAccount, *, now: datetime, limit: int) -> Sequence[Mission]:
    """Return missions with an item that the account may claim now.

    The most urgent come first, among equals the one with the fewest in flight.
    """
    due = MissionItem.objects.filter(mission=OuterRef("pk"), status=ItemStatus.PENDING, available_at__lte=now)
    return list(
        Mission.objects.filter(
            Exists(due),
            provider=account.provider,
            status__in=[MissionStatus.QUEUED, MissionStatus.RUNNING],
            pending_count__gt=0,
        )
        .select_related("owner__spending_limit")
        .only(*_DISPATCH_FIELDS, "owner__spending_limit__amount")
        .order_by("-priority", F("submitting_count") + F("processing_count"), "pk")[:limit]
    )


def due_counts(missions: Sequence[Mission], *, now: datetime, limit: int) -> dict[int, int]:
    """Return about how many items of each mission may be claimed now; the claim is exact.

    One statement for all missions, which reads only the pending items that wait for a later time.
    """
    if len(missions) == 1:
        return {missions[0].pk: limit}  # nobody to share with
    later = MissionItem.objects.filter(mission__in=missions, status=ItemStatus.PENDING, available_at__gt=now).order_by()
    waiting = dict(later.values_list("mission").annotate(Count("pk")))
    return {mission.pk: mission.pending_count - waiting.get(mission.pk, 0) for mission in missions}


# --- The queue for people ---


@dataclass(frozen=True, slots=True)
class AccountQueue:
    """The load of one account.

    ``cap`` is its limit now; ``unconfirmed`` attempts may be running, too. ``shows_balance``: the
    reader may see its balance.
    """

    account: ProviderAccount
    cap: int
    in_flight: int
    unconfirmed: int
    pending: int
    shows_balance: bool


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The load of all accounts, and the caller's part of it."""

    accounts: list[AccountQueue]
    own_in_flight: int
    own_pending: int


def queue_status(user: AbstractBaseUser | AnonymousUser, *, now: datetime) -> QueueStatus:
    """Return the load of every account and of the user's missions, in four statements."""
    own = Mission.objects.filter(owner_id=user.pk).aggregate(
        pending=Sum("pending_count", default=0),
        in_flight=Sum(F("submitting_count") + F("processing_count"), default=0),
    )
    return QueueStatus(
        accounts=account_queues(now=now, user=user), own_in_flight=own["in_flight"], own_pending=own["pending"]
    )


def account_queues(*, now: datetime, user: AbstractBaseUser | AnonymousUser | None = None) -> list[AccountQueue]:
    """Return the load of every account, in three statements. ``user``: the reader, if any.

    A pending item belongs to no account yet: ``pending`` counts those of the account's provider.
    """
    accounts = list(ProviderAccount.objects.order_by("pk"))
    live = Attempt.objects.filter(account__in=accounts, status__in=LIVE_ATTEMPTS).order_by()
    rows = live.values_list("account_id", "status").annotate(Count("pk"))
    counts = Counter({(account_id, status): count for account_id, status, count in rows})
    open_statuses = [MissionStatus.SCHEDULED, MissionStatus.QUEUED, MissionStatus.RUNNING, MissionStatus.PAUSED]
    missions = Mission.objects.filter(provider__in={account.provider for account in accounts}, status__in=open_statuses)
    pending = dict(missions.order_by().values_list("provider").annotate(Sum("pending_count")))
    return [
        AccountQueue(
            account=account,
            cap=slot_limit(account, now=now),
            in_flight=sum(counts[account.pk, status] for status in IN_FLIGHT),
            unconfirmed=counts[account.pk, AttemptStatus.UNCONFIRMED],
            pending=pending.get(account.provider, 0),
            shows_balance=user is not None
            and account.balance is not None
            and provider_accounts.may_see_balance(user, account),
        )
        for account in accounts
    ]
