"""Composed reads with more than one user."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum

from billing.budget import Budget
from billing.models import LIMIT_CURRENCY, SpendingLimit
from core.money import MILLIONTH
from missions.lifecycle import OPEN
from missions.models import (
    LIVE_ATTEMPTS,
    Attempt,
    AttemptStatus,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
    RemovedSpending,
)
from missions.policy.polling import Duration, Expectation, learn
from providers import slots
from providers.models import ProviderAccount, ProviderModel

IN_FLIGHT = (AttemptStatus.PREPARED, AttemptStatus.SENDING, AttemptStatus.RUNNING)
WORKER_DIED = "worker_died"  # the error code of an attempt whose worker died while it was sending
LONGEST_HOLD = timedelta(minutes=5)
DURATIONS_KEPT = 40
UNSEEN_LOW = 0.95  # never seen running: it ended before the first question, nobody knows how long before
EXPECTATION_TTL_SECONDS = 2.0
IGNORANCE_TTL_SECONDS = 0.25
ITEMS_PER_PAGE = 500

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
_expectations: dict[str, tuple[float, Expectation | None]] = {}


def find_missions(
    missions: QuerySet[Mission],
    *,
    ordering: str,
    status: str | None = None,
    task_type: str | None = None,
    search: str = "",
    created_from: datetime | None = None,
    created_to: datetime | None = None,
) -> QuerySet[Mission]:
    """Those of ``missions`` that fit, ``ordering`` first, the newest first where that is equal.

    ``search`` is a part of the name or the description, in any case.  Large columns that no list shows are left out.
    """
    exact = {"status": status, "task_type": task_type, "created_at__gte": created_from, "created_at__lt": created_to}
    missions = missions.filter(**{name: value for name, value in exact.items() if value is not None})
    if words := search.replace("\0", "").strip():
        missions = missions.filter(Q(name__icontains=words) | Q(description__icontains=words))
    return missions.defer("params", "metadata").order_by(ordering, "-pk")


def items_after(
    mission: Mission, after: int, *, limit: int, status: str | None = None, error_code: str | None = None
) -> tuple[list[MissionItem], int | None]:
    """Up to ``limit`` items behind the place ``after``, with their outputs, and the place to go on from: None at the end.

    Places never change, so that walking through sees each item at most once, whatever workers do meanwhile.
    """
    live = Attempt.objects.filter(item=OuterRef("pk"), status__in=LIVE_ATTEMPTS)
    items = mission.items.filter(index__gt=after).order_by("index").annotate(progress=Subquery(live.values("progress")))
    items = items.prefetch_related(Prefetch("outputs", to_attr="loaded_outputs"))  # a list costs less than a manager
    if status is not None:
        items = items.filter(status=status)
    if error_code is not None:
        items = items.filter(error_code=error_code)
    found = list(items[: limit + 1])
    page: list[MissionItem] = [*found[:limit]]
    return page, page[-1].index if len(found) > limit else None


def items_with_outputs(
    mission: Mission, indexes: Sequence[int] | None = None
) -> Iterator[tuple[MissionItem, list[Output]]]:
    """A mission's items in the order of the batch, or those at ``indexes``, each with what came of it.

    Read page by page: no transaction and no cursor stays open, however long the caller takes.  (Not ``prefetch_related``: its
    rows refer to each other in circles, and pages would pile up until they are collected.)
    """
    last = 0
    wanted = mission.items.all() if indexes is None else mission.items.filter(index__in=indexes)
    while page := list(wanted.filter(index__gt=last).order_by("index")[:ITEMS_PER_PAGE]):
        outputs: defaultdict[int, list[Output]] = defaultdict(list)
        for output in Output.objects.filter(item__in=[item.pk for item in page]).order_by("attempt", "index"):
            outputs[output.item_id].append(output)
        for item in page:
            item.mission = mission
            yield item, outputs[item.pk]
        last = page[-1].index


def slots_in_use(account: ProviderAccount, *, now: datetime, limit: int) -> int:
    """Tasks of an account that are, or may be, in flight.

    An unconfirmed attempt counts for as long as its task could still run at the provider.  That also keeps a failing provider
    from turning a whole mission unconfirmed.  But those that our own crash left in doubt take half of ``limit`` at most, so that
    work goes on after it: should the provider run them all, it refuses what is too much, for free.
    """
    live = Attempt.objects.filter(account=account)
    certain = live.filter(status__in=IN_FLIGHT).count()
    unconfirmed = live.filter(status=AttemptStatus.UNCONFIRMED, sending_at__gt=now - LONGEST_HOLD)
    held = [
        code
        for model, sent, code in unconfirmed.order_by().values_list("model", "sending_at", "error_code")
        if sent and sent > now - _hold(model)
    ]
    crashed = held.count(WORKER_DIED)
    return certain + len(held) - crashed + min(crashed, limit // 2)


def _hold(model: str) -> timedelta:
    """How long a task of unknown fate is taken to run: as long as most of its model do, and half as long again."""
    expected = expectation(model)
    return LONGEST_HOLD if expected is None else min(timedelta(seconds=expected.last * 1.5 + 5), LONGEST_HOLD)


def dispatchable_missions(account: ProviderAccount, *, now: datetime, limit: int) -> Sequence[Mission]:
    """Missions with an item that the account may take up now: the most urgent first, then the least served."""
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


def budget_of(limit: SpendingLimit, *, now: datetime) -> Budget:
    """What a person's limit leaves in its period.  To be trusted only while the limit's row is locked.

    A mission's cost and what it reserves are read in one row, so that what ends meanwhile may count twice, but never not at all.
    """
    since = limit.since(now)
    missions = Mission.objects.filter(owner=limit.user_id)
    late = Q() if since is None else Q(created_at__gte=since)
    sums = missions.aggregate(
        charged=Sum("cost", filter=late, default=Decimal(0)),
        expected=Sum("reserved_cost", default=Decimal(0)),
        in_flight=Sum(F("submitting_count") + F("processing_count"), default=0),
    )
    removed = RemovedSpending.objects.filter(owner=limit.user_id)
    charged = sums["charged"]
    if since is not None:
        removed = removed.filter(day__gte=since.date())
        older = missions.filter(Q(ended_at=None) | Q(ended_at__gte=since), created_at__lt=since)
        ended = Attempt.objects.filter(item__mission__in=older, item__cost__gt=0, ended_at__gte=since)
        charged += ended.aggregate(sum=Sum("cost", default=Decimal(0)))["sum"]
    charged += removed.aggregate(sum=Sum("amount", default=Decimal(0)))["sum"]
    charged, expected = (
        charged.quantize(MILLIONTH),
        sums["expected"].quantize(MILLIONTH),
    )  # SQLite adds binary fractions
    return Budget(limit.amount, charged, expected, sums["in_flight"], LIMIT_CURRENCY, is_owners=True)


def due_counts(missions: Sequence[Mission], *, now: datetime, limit: int) -> dict[int, int]:
    """About how many items of each mission may be taken up now: all that are pending, but for those that wait for a later time.

    One statement, however many missions there are, which reads only what waits.  The claim itself finds out exactly.
    """
    if len(missions) == 1:
        return {missions[0].pk: limit}  # nobody to share with
    later = MissionItem.objects.filter(mission__in=missions, status=ItemStatus.PENDING, available_at__gt=now).order_by()
    waiting = dict(later.values_list("mission").annotate(Count("pk")))
    return {mission.pk: mission.pending_count - waiting.get(mission.pk, 0) for mission in missions}


def expectation(model: str) -> Expectation | None:
    """When a model's tasks end, learned from its latest successes.  Kept for a moment per process."""
    kept_until, known = _expectations.get(model, (0.0, None))
    if time.monotonic() < kept_until:
        return known
    learned = learn(recent_durations(model))
    lifetime = IGNORANCE_TTL_SECONDS if learned is None else EXPECTATION_TTL_SECONDS
    _expectations[model] = (time.monotonic() + lifetime, learned)
    return learned


def recent_durations(model: str) -> list[Duration]:
    """How long a model's latest successes took, as far as our questions could tell."""
    rows = Attempt.objects.filter(model=model, status=AttemptStatus.SUCCEEDED, accepted_at__isnull=False)
    times = rows.order_by("-ended_at").values_list("accepted_at", "running_seen_at", "ended_at")[:DURATIONS_KEPT]
    return [
        Duration(
            low=(seen - accepted).total_seconds() if seen else (ended - accepted).total_seconds() * UNSEEN_LOW,
            high=(ended - accepted).total_seconds(),
        )
        for accepted, seen, ended in times
        if accepted is not None and ended is not None
    ]


@dataclass(frozen=True, slots=True)
class AccountQueue:
    """How busy one account is.  ``cap`` is what it may run at once now; ``unconfirmed`` attempts may be running, too."""

    account: ProviderAccount
    cap: int
    in_flight: int
    unconfirmed: int
    pending: int


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Every account, and how much of the work is the caller's own."""

    accounts: list[AccountQueue]
    own_in_flight: int
    own_pending: int


def queue_status(user: AbstractBaseUser, *, now: datetime) -> QueueStatus:
    """Slots and backlog, in four statements however much there is.

    A pending item belongs to no account yet: an account's ``pending`` counts the open missions of its provider.
    """
    own = Mission.objects.filter(owner_id=user.pk).aggregate(
        pending=Sum("pending_count", default=0),
        in_flight=Sum(F("submitting_count") + F("processing_count"), default=0),
    )
    return QueueStatus(accounts=account_queues(now=now), own_in_flight=own["in_flight"], own_pending=own["pending"])


def account_queues(*, now: datetime) -> list[AccountQueue]:
    """How busy every account is, in three statements."""
    accounts = list(ProviderAccount.objects.order_by("pk"))
    live = _live_counts(accounts)
    pending = _pending_counts(accounts)
    return [
        AccountQueue(
            account=account,
            cap=slots.slot_limit(account, now=now),
            in_flight=sum(live[account.pk, status] for status in IN_FLIGHT),
            unconfirmed=live[account.pk, AttemptStatus.UNCONFIRMED],
            pending=pending.get(account.provider, 0),
        )
        for account in accounts
    ]


def _live_counts(accounts: Sequence[ProviderAccount]) -> Counter[tuple[int, str]]:
    live = Attempt.objects.filter(account__in=accounts, status__in=LIVE_ATTEMPTS).order_by()
    rows = live.values_list("account_id", "status").annotate(Count("pk"))
    return Counter({(account_id, status): count for account_id, status, count in rows})


def _pending_counts(accounts: Sequence[ProviderAccount]) -> dict[str, int]:
    """Items that wait, by provider.  A mission that has ended has none."""
    waiting = [MissionStatus.SCHEDULED, MissionStatus.QUEUED, MissionStatus.RUNNING, MissionStatus.PAUSED]
    missions = Mission.objects.filter(provider__in={account.provider for account in accounts}, status__in=waiting)
    return dict(missions.order_by().values_list("provider").annotate(Sum("pending_count")))


def has_open_missions_with(model: ProviderModel) -> bool:
    """Tell if a mission that has not ended may use a model that a person added."""
    missions = Mission.objects.filter(provider=model.provider, model=model.endpoint, status__in=OPEN)
    return (missions if model.is_shared else missions.filter(owner=model.owner_id)).exists()
