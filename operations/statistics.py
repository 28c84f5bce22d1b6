"""Statistics of the whole site: the queries behind the control room and ``/metrics``.

Each query is bounded, however many rows there are: by a time span or a number of rows that an index
covers, or by the counts on the missions. None reads all items, attempts or events (a test reads the
query plans).
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
    LIVE_ATTEMPTS,
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
SUCCESSES_READ = 100  # the latest of a model
MODELS_SHOWN = 8
CAUSES_SHOWN = 8
MISSIONS_PER_CAUSE = 20
UNCONFIRMED_SHOWN = 5
SPEND_DAYS = (1, 7, 30)
FORGOTTEN_AFTER = timedelta(days=7)  # a host that is silent for longer will not come back
SUBMISSIONS_SPAN = timedelta(minutes=5)
SUBMISSIONS_READ = 1000
RESULT_OF: dict[str, str] = {
    AttemptStatus.REFUSED: "refused",
    AttemptStatus.UNCONFIRMED: "unconfirmed",
    AttemptStatus.VOID: "withdrawn",
}
RESULTS = ("accepted", *RESULT_OF.values())
ENDED = tuple(status for status in AttemptStatus if status not in LIVE_ATTEMPTS)


# --- Work ---


def counts_by_model() -> dict[str, Counter[str]]:
    """Return items per status by model, from the counts on missions; latest change first."""
    sums: dict[str, Any] = {status: Sum(f"{status}_count") for status in ItemStatus.values}
    missions: QuerySet[Mission, Any] = Mission.objects.order_by().values("model")
    models = missions.annotate(latest=Max("updated_at"), **sums).order_by("-latest")
    return {row["model"]: Counter({status: row[status] for status in ItemStatus.values}) for row in models}


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pending item that is due for the longest time."""

    mission_id: int
    mission_name: str
    index: int
    since: datetime
    seconds: float


def oldest_waiting(*, now: datetime) -> Waiting | None:
    """Return the pending item of a queued or running mission that is due for the longest time.

    Items of paused and scheduled missions do not wait for a slot.
    """
    due = MissionItem.objects.filter(mission=OuterRef("pk"), status=ItemStatus.PENDING, available_at__lte=now)
    first = due.order_by("available_at", "index")
    missions = Mission.objects.filter(
        status__in=[MissionStatus.QUEUED, MissionStatus.RUNNING], pending_count__gt=0, delete_requested_at=None
    )
    since = Subquery(first.values("available_at")[:1])
    waiting = missions.annotate(since=since, place=Subquery(first.values("index")[:1])).filter(since__isnull=False)
    row = waiting.order_by("since", "pk").values_list("pk", "name", "place", "since").first()
    return Waiting(*row, (now - row[-1]).total_seconds()) if row else None


@dataclass(frozen=True, slots=True)
class Minute:
    """Tasks that ended within one minute, which begins at ``at``."""

    at: datetime
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """Tasks that ended in each minute of the last hour, and its attempts by final status."""

    minutes: list[Minute]
    ends: Counter[str]

    @property
    def success_percent(self) -> float | None:
        return None if self.success_rate is None else 100 * self.success_rate

    @property
    def success_rate(self) -> float | None:
        """The share of successes among the accepted tasks that ended, 0 to 1; None without any."""
        succeeded = self.ends[AttemptStatus.SUCCEEDED]
        ended = succeeded + self.ends[AttemptStatus.FAILED]
        return succeeded / ended if ended else None


def throughput(*, now: datetime) -> Throughput:
    """Read the last hour, in one statement."""
    last = now.astimezone(UTC).replace(second=0, microsecond=0)
    begins = [last - timedelta(minutes=back) for back in reversed(range(THROUGHPUT_MINUTES))]
    ended = Attempt.objects.filter(ended_at__gte=begins[0]).order_by()
    rows = ended.values_list(Instant("ended_at", to="minute"), "status").annotate(count=Count("*"))
    counts = {(datetime.fromisoformat(minute + "Z"), status): count for minute, status, count in rows}
    ends = Counter[str]()
    for (_minute, status), count in counts.items():
        ends[status] += count
    minutes = [
        Minute(at, counts.get((at, AttemptStatus.SUCCEEDED), 0), counts.get((at, AttemptStatus.FAILED), 0))
        for at in begins
    ]
    return Throughput(minutes, ends)


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds from acceptance to the end, for the latest ``count`` successes of a model."""

    model: str
    count: int
    p50: float
    p95: float


def durations(models: Iterable[str]) -> list[Durations]:
    """Return the durations of each model that has successes, in one statement.

    The limit is inside a condition: SQLite takes no limit in a part of a union.
    """
    parts: list[QuerySet[Attempt, tuple[Any, ...]]] = []
    for model in models:
        succeeded = Attempt.objects.filter(model=model, status=AttemptStatus.SUCCEEDED, accepted_at__isnull=False)
        latest = succeeded.order_by("-ended_at").values("pk")[:SUCCESSES_READ]
        rows = Attempt.objects.filter(pk__in=latest).order_by()
        parts.append(rows.values_list("model", "accepted_at", "ended_at"))
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for model, accepted_at, ended_at in parts[0].union(*parts[1:], all=True) if parts else ():
        seconds[model].append((ended_at - accepted_at).total_seconds())
    return [
        Durations(model, len(values), percentile(values, 0.5), percentile(values, 0.95))
        for model, values in seconds.items()
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of ``values`` that at least ``share`` (0–1) of them do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


# --- Money ---


def spend(*, now: datetime) -> list[Spend]:
    """Return the charges in each span of SPEND_DAYS, by model, owner and currency."""
    return spend_since(spend_starts(now=now), now=now)


def spend_starts(*, now: datetime) -> dict[str, datetime]:
    """Return the start of each span of SPEND_DAYS: a midnight in the current time zone.

    Each span includes today. Days are subtracted from the local date, because a day may have 23 or
    25 hours.
    """
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)

    def midnight(days_before: int) -> datetime:
        local = today.replace(tzinfo=None) - timedelta(days=days_before)
        return local.replace(tzinfo=today.tzinfo).astimezone(UTC)

    return {f"days_{days}": midnight(days - 1) for days in SPEND_DAYS}


@dataclass(frozen=True, slots=True)
class AmountAtRisk:
    """Money that may be lost, in one currency. The price of ``unpriced_count`` items is unknown."""

    currency: str
    amount: Decimal
    unpriced_count: int


# --- Failures ---


@dataclass(frozen=True, slots=True)
class MissionFailures:
    """The failures of one mission with one error code.

    ``recent_count``: within FAILURES_SPAN. ``count``: all, which a retry would submit again;
    ``estimate``: the estimated price of that, None if unknown.
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
    """Recent failures with one error code, and the missions that have most of them.

    ``message`` is the message of one item; ``recent_count`` counts those of all missions.
    """

    error_code: str
    message: str
    advice: Promise
    is_promising: bool
    recent_count: int
    missions: list[MissionFailures]

    @property
    def retryable(self) -> list[MissionFailures]:
        return [part for part in self.missions if part.can_retry]

    @property
    def retry_count(self) -> int:
        return sum(part.count for part in self.retryable)

    @property
    def estimate(self) -> Decimal | None:
        """The estimated price of retrying all of them; None if unknown or in several currencies."""
        amounts = [part.estimate for part in self.retryable if part.estimate is not None]
        currencies = {part.mission.currency for part in self.retryable}
        if len(currencies) != 1 or len(amounts) < len(self.retryable):
            return None
        return sum(amounts, Decimal(0))


def causes(*, now: datetime) -> list[Cause]:
    """Return the failures of the last day by error code, the most frequent first.

    This takes four statements.
    """
    failed = MissionItem.objects.filter(status=ItemStatus.FAILED, ended_at__isnull=False).order_by()
    recent = failed.filter(ended_at__gte=now - FAILURES_SPAN).values_list("error_code", "mission")
    groups: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)  # code: (count, mission, a sample item)
    for code, mission_id, count, sample in recent.annotate(Count("pk"), Min("pk")):
        groups[code].append((count, mission_id, sample))
    totals = {code: sum(count for count, _, _ in group) for code, group in groups.items()}
    codes = sorted(groups, key=lambda code: -totals[code])[:CAUSES_SHOWN]
    shown = {code: sorted(groups[code], reverse=True)[:MISSIONS_PER_CAUSE] for code in codes}
    missions = Mission.objects.defer("params", "metadata").in_bulk(
        {pk for group in shown.values() for _, pk, _ in group}
    )
    now_failed = failed.filter(mission__in=missions, error_code__in=shown).values_list("mission", "error_code")
    counts = {(pk, code): count for pk, code, count in now_failed.annotate(Count("pk"))}
    samples = MissionItem.objects.filter(pk__in=[group[0][2] for group in shown.values()])
    messages = {item.error_code: item.error_display for item in samples.defer("params")}
    causes = []
    for code in codes:
        parts = []
        for recent_count, pk, _ in shown[code]:
            if mission := missions.get(pk):
                count = counts.get((pk, code), 0)
                parts.append(MissionFailures(mission, recent_count, count, failures.estimate(mission, count)))
        remedies = {failures.remedy_of(part.mission, code) for part in parts}
        remedy = remedies.pop() if len(remedies) == 1 else Remedy.ONE_MORE_TRY
        is_promising = remedy is not Remedy.NONE
        message = messages.get(code, "")
        causes.append(Cause(code, message, failures.ADVICE[remedy], is_promising, totals[code], parts))
    return causes


# --- Unconfirmed attempts ---


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Attempts that wait for a person.

    ``count`` is their number, ``oldest`` some of them, ``at_risk`` the money that may be lost.
    """

    count: int
    at_risk: list[AmountAtRisk]
    oldest: list[Attempt]


def unconfirmed() -> Unconfirmed:
    """Read the unconfirmed attempts, in three statements."""
    affected = Mission.objects.filter(unconfirmed_count__gt=0, delete_requested_at=None)
    missions = list(affected.only("currency", "estimated_cost", "total_count", "unconfirmed_count"))
    if not missions:
        return Unconfirmed(0, [], [])
    accounts = list(ProviderAccount.objects.values_list("pk", flat=True))
    attempts = Attempt.objects.filter(account__in=accounts, status=AttemptStatus.UNCONFIRMED)
    attempts = attempts.filter(item__mission__delete_requested_at=None).defer("raw", "request")
    oldest = attempts.select_related("item__mission", "account").order_by("sending_at", "pk")[:UNCONFIRMED_SHOWN]
    amounts: defaultdict[str, Decimal] = defaultdict(Decimal)
    unpriced = Counter[str]()
    for mission in missions:
        price = failures.estimate(mission, mission.unconfirmed_count)
        amounts[mission.currency] += price or 0
        unpriced[mission.currency] += mission.unconfirmed_count if price is None else 0
    at_risk = [AmountAtRisk(currency, amount, unpriced[currency]) for currency, amount in sorted(amounts.items())]
    return Unconfirmed(sum(mission.unconfirmed_count for mission in missions), at_risk, list(oldest))


# --- Machines ---


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A worker cluster that has not stopped, and the seconds since its last heartbeat."""

    cluster: WorkerCluster
    silent_seconds: float

    @property
    def is_alive(self) -> bool:
        return self.silent_seconds < SILENT_AFTER.total_seconds()


def clusters(*, now: datetime) -> list[ClusterState]:
    """Return the clusters that have not stopped and had a heartbeat within FORGOTTEN_AFTER."""
    rows = WorkerCluster.objects.filter(stopped_at=None, beat_at__gt=now - FORGOTTEN_AFTER)
    return [ClusterState(cluster, (now - cluster.beat_at).total_seconds()) for cluster in rows]


@dataclass(frozen=True, slots=True)
class Storage:
    """The result files as last counted, and the present space on the disk of DATA_DIR."""

    file_count: int
    file_bytes: int
    counted_at: datetime | None
    free_bytes: int
    total_bytes: int


def storage() -> Storage:
    tally = Tally.objects.first() or Tally()
    disk = shutil.disk_usage(settings.DATA_DIR)
    return Storage(tally.file_count, tally.file_bytes, tally.files_counted_at, disk.free, disk.total)


@dataclass(frozen=True, slots=True)
class DownloadBacklog:
    """Paid results that are not stored yet.

    ``lag_seconds`` is the delay of the most overdue one; ``expires_at`` the first end of a URL.
    """

    pending_count: int
    lag_seconds: float
    expires_at: datetime | None


def download_backlog(*, now: datetime) -> DownloadBacklog:
    pending = Output.objects.filter(status=OutputStatus.PENDING).order_by()
    row = pending.aggregate(n=Count("pk"), due=Min("next_try_at"), expires=Min("expires_at"))
    return DownloadBacklog(row["n"], _seconds_late(row["due"], now), row["expires"])


def poll_lags(*, now: datetime) -> dict[int, float]:
    """Return the delay of the most overdue poll in seconds, by account id."""
    accounts = list(ProviderAccount.objects.values_list("pk", flat=True))
    running = Attempt.objects.filter(account__in=accounts, status=AttemptStatus.RUNNING).order_by()
    due = dict(running.values_list("account").annotate(Min("next_poll_at")))
    return {pk: _seconds_late(due.get(pk), now) for pk in accounts}


def _seconds_late(due: datetime | None, now: datetime) -> float:
    return max((now - due).total_seconds(), 0.0) if due else 0.0


# --- The provider ---


@dataclass(frozen=True, slots=True)
class Submissions:
    """The results of an account's latest submissions, and the seconds until each was accepted.

    ``results``: counts by class (accepted, refused, unconfirmed, withdrawn) and the provider's
    code.
    """

    results: Counter[tuple[str, str]]
    latencies: list[float]


def submissions(*, now: datetime) -> dict[str, Submissions]:
    """Return the submissions of the last SUBMISSIONS_SPAN by account name.

    At most the latest SUBMISSIONS_READ of all accounts are read.
    """
    last = Attempt.objects.aggregate(last=Max("pk"))["last"] or 0
    latest = (
        Attempt.objects.filter(pk__gt=last - SUBMISSIONS_READ)
        .order_by()
        .values_list("account__name", "status", "error_code", "sending_at", "accepted_at", "created_at")
    )
    names = ProviderAccount.objects.order_by("name").values_list("name", flat=True)
    by_account = {name: Submissions(Counter(), []) for name in names}
    for name, status, code, sending_at, accepted_at, created_at in latest:
        if created_at < now - SUBMISSIONS_SPAN or status in (AttemptStatus.PREPARED, AttemptStatus.SENDING):
            continue
        result = "accepted" if accepted_at else RESULT_OF.get(status, "accepted")
        by_account[name].results[result, "" if result == "accepted" else code] += 1
        if accepted_at and sending_at:
            by_account[name].latencies.append((accepted_at - sending_at).total_seconds())
    return by_account
