"""How the whole site goes, for who runs it: the reads behind the control room and ``/metrics``.

Whatever the number of rows, each read is bounded: a span of time or a number of rows, by an index, or the counts on the
missions.  None looks at all items, attempts or events (a test reads the query plans).
"""

from __future__ import annotations

import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, OuterRef, QuerySet, Subquery, Sum
from django.utils import timezone
from django.utils.functional import Promise

from missions import failures
from missions.maintenance.spend_rollup import Instant, Spend, spend_since
from missions.models import (
    Attempt,
    AttemptStatus,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
    OutputStatus,
    Tally,
)
from providers.adapters.errors import Remedy
from providers.models import ProviderAccount
from workers.heartbeat import SILENT_AFTER
from workers.models import WorkerCluster

THROUGHPUT_MINUTES = 60
FAILURES_SPAN = timedelta(hours=24)
DURATIONS_SEEN = 100  # the latest successes of a model
MODELS_SHOWN = 8
CAUSES_SHOWN = 8
MISSIONS_PER_CAUSE = 20
DOUBTS_SHOWN = 5
SPEND_DAYS = (1, 7, 30)
MISSED_FOR = timedelta(days=7)  # a host that has not been heard since will not come back
SUBMISSIONS_SPAN = timedelta(minutes=5)
SUBMISSIONS_SEEN = 1000
RESULT_OF: dict[str, str] = {
    AttemptStatus.REFUSED: "refused",
    AttemptStatus.UNCONFIRMED: "unconfirmed",
    AttemptStatus.VOID: "withdrawn",
}


# --- Work ---


def counts_by_model() -> dict[str, Counter[str]]:
    """Items per status, by model, the model with the latest change first: the missions' own counts added up."""
    sums: dict[str, Any] = {status: Sum(f"{status}_count") for status in ItemStatus.values}
    missions: QuerySet[Mission, Any] = Mission.objects.order_by().values("model")
    models = missions.annotate(latest=Max("updated_at"), **sums).order_by("-latest")
    return {row["model"]: Counter({status: row[status] for status in ItemStatus.values}) for row in models}


@dataclass(frozen=True, slots=True)
class Waiting:
    """The item that has been waiting for a slot for longest, and since when it could have been taken up."""

    mission_id: int
    mission_name: str
    index: int
    since: datetime
    seconds: float


def oldest_waiting(*, now: datetime) -> Waiting | None:
    """Among the missions that run; what is paused or planned for later waits for something else."""
    due = MissionItem.objects.filter(mission=OuterRef("pk"), status=ItemStatus.PENDING, available_at__lte=now)
    first = due.order_by("available_at", "index")
    missions = Mission.objects.filter(
        status__in=[MissionStatus.QUEUED, MissionStatus.RUNNING], pending_count__gt=0, delete_requested_at=None
    )
    since = Subquery(first.values("available_at")[:1])
    chosen = missions.annotate(since=since, place=Subquery(first.values("index")[:1])).filter(since__isnull=False)
    found = chosen.order_by("since", "pk").values_list("pk", "name", "place", "since").first()
    return Waiting(*found, (now - found[-1]).total_seconds()) if found else None


@dataclass(frozen=True, slots=True)
class Minute:
    """Tasks that ended within a minute: ``at`` is when it began."""

    at: datetime
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """The last hour, minute by minute, and how its attempts ended."""

    minutes: list[Minute]
    ends: Counter[str]

    @property
    def success_percent(self) -> float | None:
        return None if self.success_rate is None else 100 * self.success_rate

    @property
    def success_rate(self) -> float | None:
        """Successes among the tasks that the provider took and that ended, from 0 to 1; None when none did."""
        succeeded = self.ends[AttemptStatus.SUCCEEDED]
        ended = succeeded + self.ends[AttemptStatus.FAILED]
        return succeeded / ended if ended else None


def throughput(*, now: datetime) -> Throughput:
    """In one statement."""
    last = now.astimezone(UTC).replace(second=0, microsecond=0)
    begins = [last - timedelta(minutes=back) for back in reversed(range(THROUGHPUT_MINUTES))]
    ended = Attempt.objects.filter(ended_at__gte=begins[0]).order_by()
    rows = ended.values_list(Instant("ended_at", to="minute"), "status").annotate(count=Count("*"))
    found = {(datetime.fromisoformat(minute + "Z"), status): count for minute, status, count in rows}
    ends = Counter[str]()
    for (_minute, status), count in found.items():
        ends[status] += count
    minutes = [
        Minute(at, found.get((at, AttemptStatus.SUCCEEDED), 0), found.get((at, AttemptStatus.FAILED), 0))
        for at in begins
    ]
    return Throughput(minutes, ends)


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the latest ``count`` successes of a model took, in seconds from being accepted to their end."""

    model: str
    count: int
    p50: float
    p95: float


def durations(models: Iterable[str]) -> list[Durations]:
    """Of each model that has succeeded, in one statement."""
    parts = [_latest_successes(model) for model in models]
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for model, accepted_at, ended_at in parts[0].union(*parts[1:], all=True) if parts else ():
        seconds[model].append((ended_at - accepted_at).total_seconds())
    return [
        Durations(model, len(taken), percentile(taken, 0.5), percentile(taken, 0.95))
        for model, taken in seconds.items()
    ]


def _latest_successes(model: str) -> QuerySet[Attempt, tuple[Any, ...]]:
    """Written so that it can be part of a union: SQLite takes no limit there, but one within a condition."""
    succeeded = Attempt.objects.filter(model=model, status=AttemptStatus.SUCCEEDED, accepted_at__isnull=False)
    latest = succeeded.order_by("-ended_at").values("pk")[:DURATIONS_SEEN]
    return Attempt.objects.filter(pk__in=latest).order_by().values_list("model", "accepted_at", "ended_at")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of ``values`` that at least ``share`` of them do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


# --- Money ---


def spend(*, now: datetime) -> list[Spend]:
    """What was charged in each span of SPEND_DAYS."""
    return spend_since(spend_starts(now=now), now=now)


def spend_starts(*, now: datetime) -> dict[str, datetime]:
    """When each span of SPEND_DAYS begins: a midnight where the reader is.  Today is a day of each."""
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return {f"days_{days}": _midnight(today, days - 1) for days in SPEND_DAYS}


def _midnight(today: datetime, days_before: int) -> datetime:
    """Days are taken off the local date, because one may have 23 or 25 hours."""
    return (today.replace(tzinfo=None) - timedelta(days=days_before)).replace(tzinfo=today.tzinfo).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Stake:
    """Money that may be lost, in one currency.  ``unpriced_count`` items have no price that is known."""

    currency: str
    amount: Decimal
    unpriced_count: int


# --- What failed ---


@dataclass(frozen=True, slots=True)
class Share:
    """What a mission has of a cause: ``recent_count`` items within the span, ``count`` at all, which a retry would send again.

    ``estimate`` is about what that costs; None if unknown.
    """

    mission: Mission
    recent_count: int
    count: int
    estimate: Decimal | None

    @property
    def can_retry(self) -> bool:
        return self.mission.status != MissionStatus.CANCELLED and self.mission.delete_requested_at is None


@dataclass(frozen=True, slots=True)
class Cause:
    """Items that failed lately for one reason, with the missions that have most of them.

    ``message`` is that of one item; ``recent_count`` counts those of all missions.
    """

    error_code: str
    message: str
    advice: Promise
    is_promising: bool
    recent_count: int
    shares: list[Share]

    @property
    def retried(self) -> list[Share]:
        return [share for share in self.shares if share.can_retry]

    @property
    def retry_count(self) -> int:
        return sum(share.count for share in self.retried)

    @property
    def estimate(self) -> Decimal | None:
        """About what it costs to send all of ``retried`` again; None when that cannot be said in one sum."""
        estimates = [share.estimate for share in self.retried]
        is_one = len({share.mission.currency for share in self.retried}) == 1
        return sum((e for e in estimates if e is not None), Decimal(0)) if is_one and None not in estimates else None


def causes(*, now: datetime) -> list[Cause]:
    """Why items failed within the last day, the most frequent cause first, in four statements."""
    failed = MissionItem.objects.filter(status=ItemStatus.FAILED, ended_at__isnull=False).order_by()
    recent = failed.filter(ended_at__gte=now - FAILURES_SPAN).values_list("error_code", "mission")
    found: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for code, mission_id, count, sample in recent.annotate(Count("pk"), Min("pk")):
        found[code].append((count, mission_id, sample))
    largest = sorted(found, key=lambda code: -sum(count for count, _, _ in found[code]))[:CAUSES_SHOWN]
    parts = {code: sorted(found[code], reverse=True) for code in largest}
    shown = {code: parts[code][:MISSIONS_PER_CAUSE] for code in parts}
    missions = Mission.objects.defer("params", "metadata").in_bulk({pk for of in shown.values() for _, pk, _ in of})
    now_failed = failed.filter(mission__in=missions, error_code__in=shown).values_list("mission", "error_code")
    counts = {(pk, code): count for pk, code, count in now_failed.annotate(Count("pk"))}
    samples = MissionItem.objects.filter(pk__in=[of[0][2] for of in shown.values()])
    messages = dict(samples.values_list("error_code", "error_message"))
    return [
        _cause(
            code,
            messages.get(code, ""),
            sum(count for count, _, _ in parts[code]),
            [(missions[pk], recent, counts.get((pk, code), 0)) for recent, pk, _ in shown[code] if pk in missions],
        )
        for code in largest
    ]


def _cause(code: str, message: str, recent_count: int, shares: Iterable[tuple[Mission, int, int]]) -> Cause:
    priced = [Share(mission, recent, count, failures.estimate(mission, count)) for mission, recent, count in shares]
    remedies = {failures.remedy_of(share.mission, code) for share in priced}
    remedy = remedies.pop() if len(remedies) == 1 else Remedy.ONE_MORE_TRY
    return Cause(code, message, failures.ADVICE[remedy], remedy is not Remedy.NONE, recent_count, priced)


# --- What is in doubt ---


@dataclass(frozen=True, slots=True)
class Inbox:
    """Attempts that wait for a person: the oldest, how many there are, and the money that may have been paid for nothing."""

    count: int
    stakes: list[Stake]
    oldest: list[Attempt]


def inbox() -> Inbox:
    """In three statements."""
    doubtful = Mission.objects.filter(unconfirmed_count__gt=0, delete_requested_at=None)
    missions = list(doubtful.only("currency", "estimated_cost", "total_count", "unconfirmed_count"))
    if not missions:
        return Inbox(0, [], [])
    accounts = list(ProviderAccount.objects.values_list("pk", flat=True))
    attempts = Attempt.objects.filter(account__in=accounts, status=AttemptStatus.UNCONFIRMED)
    attempts = attempts.filter(item__mission__delete_requested_at=None).defer("raw", "request")
    oldest = attempts.select_related("item__mission", "account").order_by("sending_at", "pk")[:DOUBTS_SHOWN]
    return Inbox(sum(mission.unconfirmed_count for mission in missions), _stakes(missions), list(oldest))


def _stakes(missions: Iterable[Mission]) -> list[Stake]:
    amounts: defaultdict[str, Decimal] = defaultdict(Decimal)
    unpriced = Counter[str]()
    for mission in missions:
        price = failures.estimate(mission, mission.unconfirmed_count)
        amounts[mission.currency] += price or 0
        unpriced[mission.currency] += mission.unconfirmed_count if price is None else 0
    return [Stake(currency, amount, unpriced[currency]) for currency, amount in sorted(amounts.items())]


# --- Machines ---


@dataclass(frozen=True, slots=True)
class Heart:
    """A worker cluster that was heard within a week and has not said that it stopped, and how long ago it was heard."""

    cluster: WorkerCluster
    silent_seconds: float

    @property
    def is_alive(self) -> bool:
        return self.silent_seconds < SILENT_AFTER.total_seconds()


def hearts(*, now: datetime) -> list[Heart]:
    clusters = WorkerCluster.objects.filter(stopped_at=None, beat_at__gt=now - MISSED_FOR)
    return [Heart(cluster, (now - cluster.beat_at).total_seconds()) for cluster in clusters]


@dataclass(frozen=True, slots=True)
class Storage:
    """The result files, as they were when they were last counted, and the room on the disk of DATA_DIR now, in bytes."""

    file_count: int
    file_bytes: int
    counted_at: datetime | None
    free_bytes: int
    total_bytes: int


def storage() -> Storage:
    kept = Tally.objects.first() or Tally()
    disk = shutil.disk_usage(settings.DATA_DIR)
    return Storage(kept.file_count, kept.file_bytes, kept.files_counted_at, disk.free, disk.total)


@dataclass(frozen=True, slots=True)
class Archive:
    """Results that are paid and not yet here: how many, for how long one has been due, when the first address ends."""

    pending_count: int
    lag_seconds: float
    expires_at: datetime | None


def archive(*, now: datetime) -> Archive:
    pending = Output.objects.filter(status=OutputStatus.PENDING).order_by()
    found = pending.aggregate(n=Count("pk"), due=Min("next_try_at"), expires=Min("expires_at"))
    return Archive(found["n"], _seconds_late(found["due"], now), found["expires"])


def poll_lags(*, now: datetime) -> dict[int, float]:
    """For how many seconds the running attempt that should have been asked about first has been waiting, by account."""
    accounts = list(ProviderAccount.objects.values_list("pk", flat=True))
    running = Attempt.objects.filter(account__in=accounts, status=AttemptStatus.RUNNING).order_by()
    due = dict(running.values_list("account").annotate(Min("next_poll_at")))
    return {pk: _seconds_late(due.get(pk), now) for pk in accounts}


def _seconds_late(due: datetime | None, now: datetime) -> float:
    return max((now - due).total_seconds(), 0.0) if due else 0.0


# --- The provider ---


@dataclass(frozen=True, slots=True)
class Submissions:
    """What came of the latest submissions of an account, and how long the provider took to accept one, in seconds.

    ``results``: counts by class (accepted, refused, unconfirmed, withdrawn) and the provider's code.
    """

    results: Counter[tuple[str, str]]
    latencies: list[float]


def submissions(*, now: datetime) -> dict[str, Submissions]:
    """By account name: those of the last SUBMISSIONS_SPAN, but no more than the latest SUBMISSIONS_SEEN of all together."""
    last = Attempt.objects.aggregate(last=Max("pk"))["last"] or 0
    latest = (
        Attempt.objects.filter(pk__gt=last - SUBMISSIONS_SEEN)
        .order_by()
        .values_list("account__name", "status", "error_code", "sending_at", "accepted_at", "created_at")
    )
    names = ProviderAccount.objects.order_by("name").values_list("name", flat=True)
    found = {name: Submissions(Counter(), []) for name in names}
    for name, status, code, sending_at, accepted_at, created_at in latest:
        if created_at < now - SUBMISSIONS_SPAN or status in (AttemptStatus.PREPARED, AttemptStatus.SENDING):
            continue
        result = "accepted" if accepted_at else RESULT_OF.get(status, "accepted")
        found[name].results[result, "" if result == "accepted" else code] += 1
        if accepted_at and sending_at:
            found[name].latencies.append((accepted_at - sending_at).total_seconds())
    return found
