"""Stored sums of spending, so that no page adds up a million rows.

``HourlySpend`` repeats the charges of ended attempts, per hour and mission, up to
``Tally.counted_to``; later ones are read from the attempts themselves. A worker adds to it every
minute. The last hour is always counted again, so that an end recorded late, after a long wait for a
lock, is not missed. These rows can be deleted without loss. The spending of deleted missions is in
no attempt any more, but in ``RemovedSpending`` (see ``missions.purge``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import CharField, Count, F, Func, Q, QuerySet, Sum

from missions.models import (
    COST_UNREPORTED,
    Attempt,
    AttemptStatus,
    HourlySpend,
    Output,
    OutputStatus,
    RemovedSpending,
    Tally,
)

HOUR = timedelta(hours=1)
LATENESS = timedelta(seconds=30)  # an end is recorded some time after it happened
FIRST_SPAN = timedelta(days=32)  # covered by the first count
FILES_EVERY = timedelta(minutes=10)
READ_TRIES = 5  # while the sums change


class Instant(Func):
    """A time in UTC as text, to the hour (``2026-11-24 14``) or the minute (``2026-11-24 14:05``).

    Django's own truncation calls Python for every row on SQLite.
    """

    output_field = CharField()
    forms = {"hour": (13, "YYYY-MM-DD HH24"), "minute": (16, "YYYY-MM-DD HH24:MI")}

    def __init__(self, moment: str, *, to: str) -> None:
        super().__init__(F(moment))
        self.to = to

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        template = f"SUBSTR(%(expressions)s, 1, {self.forms[self.to][0]})"
        return self.as_sql(compiler, connection, template=template)

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        template = f"TO_CHAR(%(expressions)s AT TIME ZONE 'UTC', '{self.forms[self.to][1]}')"
        return self.as_sql(compiler, connection, template=template)


# --- Counting ---


def count(now: datetime) -> None:
    """Bring the stored sums up to ``now``.

    Of two calls at the same time, only one has an effect.
    """
    tally = Tally.objects.get_or_create(pk=1)[0]
    _count_spend(tally, now - LATENESS)
    if tally.files_counted_at is None or tally.files_counted_at < now - FILES_EVERY:
        _count_files(now)


def _count_spend(tally: Tally, until: datetime) -> None:
    """Replace the stored sums since the last hour.

    The rows are read first, without a transaction. The sums are written only if nobody else has
    counted meanwhile, and no attempt that was read has been deleted.
    """
    since = hour_of(tally.counted_to or until - FIRST_SPAN) - HOUR
    by_hour = _charges(since, until).values("item__mission", hour=Instant("ended_at", to="hour"))
    rows = [
        HourlySpend(
            mission_id=row["item__mission"],
            hour=datetime.fromisoformat(row["hour"] + ":00Z"),
            cost=row["charged"] or Decimal(0),
            unreported_count=row["unreported"],
        )
        for row in by_hour.annotate(charged=Sum("cost"), unreported=Count("pk", filter=COST_UNREPORTED))
    ]
    unchanged = Tally.objects.filter(pk=tally.pk, counted_to=tally.counted_to, removal_count=tally.removal_count)
    with transaction.atomic():
        if unchanged.update(counted_to=until):
            HourlySpend.objects.filter(hour__gte=since).delete()
            HourlySpend.objects.bulk_create(rows, batch_size=1000)


def _count_files(now: datetime) -> None:
    stored = Output.objects.filter(status=OutputStatus.STORED).aggregate(n=Count("pk"), size=Sum("size_bytes"))
    Tally.objects.update(file_count=stored["n"], file_bytes=stored["size"] or 0, files_counted_at=now)


# --- Reading ---


@dataclass(frozen=True, slots=True)
class Spend:
    """The charges of one model in one person's missions, for each requested window, in one
    currency.

    ``unreported_counts``: successes whose cost the provider has not reported.
    """

    model: str
    owner_id: int
    owner_name: str
    currency: str
    amounts: dict[str, Decimal]
    unreported_counts: dict[str, int]


def spend_since(starts: Mapping[str, datetime], *, now: datetime, owner_id: int | None = None) -> list[Spend]:
    """Return the charges of attempts that ended since each of ``starts``, by currency, the highest
    first: of all people, or of the missions of one.

    Five statements, however many attempts there are; one more for each start that is not on the
    hour.
    """
    for _try in range(READ_TRIES):
        edition = _edition()
        spends = _spend_since(starts, now=now, counted_to=edition[0] or min(starts.values()), owner_id=owner_id)
        if _edition() == edition:
            break  # else rows moved between two statements: money may be missing, or counted twice
    return spends


def _edition() -> tuple[datetime | None, int]:
    """Return a value that changes whenever money moves from one of the tables to another."""
    return Tally.objects.values_list("counted_to", "removal_count").first() or (None, 0)


def _spend_since(
    starts: Mapping[str, datetime], *, now: datetime, counted_to: datetime, owner_id: int | None
) -> list[Spend]:
    whole = {name: hour_of(start - timedelta(microseconds=1)) + HOUR for name, start in starts.items()}
    by_hour = {name: Q(hour__gte=hour) for name, hour in whole.items()}
    by_end = {name: Q(ended_at__gte=start) for name, start in starts.items()}
    removed = RemovedSpending.objects.filter(ended_at__gte=min(starts.values()), ended_at__lt=now)
    rows: list[tuple[QuerySet[Any], str, Mapping[str, Q]]] = [
        (HourlySpend.objects.filter(hour__gte=min(whole.values())), "mission__", by_hour),
        (_charges(max(counted_to, min(starts.values())), now), "item__mission__", by_end),
        (removed, "", by_end),
    ]
    for name, start in starts.items():
        if start < (end := min(whole[name], counted_to)):
            rows.append((_charges(start, end), "item__mission__", {name: by_end[name]}))
    if owner_id is not None:
        rows = [(part.filter(**{f"{mission}owner": owner_id}), mission, windows) for part, mission, windows in rows]
    parts = [_sums(part, mission, windows) for part, mission, windows in rows]
    return _added(parts, starts)


def _sums(rows: QuerySet[Any], mission: str, windows: Mapping[str, Q]) -> QuerySet[Any, dict[str, Any]]:
    """Group by model, owner and currency: ``cost_NAME`` and ``unreported_NAME`` for each window.

    ``mission`` is the lookup prefix from a row to its mission: "item__mission__".
    """
    cost = "amount" if rows.model is RemovedSpending else "cost"
    is_one = rows.model is Attempt
    sums: dict[str, Any] = {}
    for name, window in windows.items():
        sums[f"cost_{name}"] = Sum(cost, filter=window)
        sums[f"unreported_{name}"] = (
            Count("pk", filter=window & COST_UNREPORTED) if is_one else Sum("unreported_count", filter=window)
        )
    named = {
        "of_model": F(f"{mission}model"),
        "of_owner": F(f"{mission}owner"),
        "owner_name": F(f"{mission}owner__username"),
        "of_currency": F(f"{mission}currency"),
    }
    groups: QuerySet[Any, dict[str, Any]] = rows.order_by().values(**named).annotate(**sums)
    return groups


def _added(parts: Iterable[Iterable[Mapping[str, Any]]], names: Collection[str]) -> list[Spend]:
    """Merge the parts, by currency, the highest amount first."""
    spends: dict[tuple[Any, ...], Spend] = {}
    for row in (row for part in parts for row in part):
        key = (row["of_model"], row["of_owner"], row["owner_name"], row["of_currency"])
        spend = spends.setdefault(key, Spend(*key, dict.fromkeys(names, Decimal(0)), dict.fromkeys(names, 0)))
        for name in names:
            spend.amounts[name] += row.get(f"cost_{name}") or 0
            spend.unreported_counts[name] += row.get(f"unreported_{name}") or 0
    return sorted(spends.values(), key=lambda spend: (spend.currency, -max(spend.amounts.values())))


def _charges(since: datetime, until: datetime) -> QuerySet[Attempt]:
    """Return attempts that ended in a span and were charged, or succeeded and may have been
    charged.
    """
    ended = Attempt.objects.filter(ended_at__gte=since, ended_at__lt=until)
    return ended.filter(Q(cost__isnull=False) | Q(status=AttemptStatus.SUCCEEDED)).order_by()


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour that contains ``moment``, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
