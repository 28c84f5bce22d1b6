"""Reports about missions that have ended, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.db.models import QuerySet

from missions import failures
from missions.models import Attempt, AttemptStatus, ItemStatus, Mission, MissionItem, Output, OutputStatus

SHOWN_INDEXES = 5
UNCONFIRMED_ADVICE = (
    "They were sent but not answered, so they may have been paid, and are not submitted again automatically. "
    "Check the provider's task list, then resolve each one in the application."
)


def money(amount: Decimal | None, currency: str) -> str:
    """Return an amount with at least two decimals: ``1.20 CNY``; "unknown" for None.

    Nothing in no currency, which is the price of a free model, is "free".
    """
    if amount is None:
        return "unknown"
    if not currency and not amount:
        return "free"
    exact = amount.normalize()
    places = max(2, -int(exact.as_tuple().exponent))
    return f"{exact:.{places}f} {currency}"


def duration(seconds: float) -> str:
    """Return seconds in words: ``1 min 23 s`` for 83.2."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def lines(mission: Mission) -> Iterator[str]:
    """Yield the counts, the cost, the failures by cause, automatic retries and lost files."""
    counts = [f"{count} {status}" for status, count in mission.counts.items() if count]
    yield f"{mission.total_count} items: {', '.join(counts)}"
    yield f"cost: {money(mission.cost, mission.currency)} (estimated: {money(mission.estimated_cost, mission.currency)})"
    failed = MissionItem.objects.filter(mission=mission, status=ItemStatus.FAILED)
    for group in failures.failure_groups(mission):
        code = f" ({group.error_code})" if group.error_code else ""
        indexes = _indexes(failed.filter(error_code=group.error_code))
        yield f"{group.count} failed, {indexes}: {group.message}{code}"
    if mission.unconfirmed_count:
        indexes = _indexes(MissionItem.objects.filter(mission=mission, status=ItemStatus.UNCONFIRMED))
        yield f"unconfirmed, {indexes}: {UNCONFIRMED_ADVICE}"
    retried = Attempt.objects.filter(
        item__mission=mission, item__status=ItemStatus.COMPLETED, status=AttemptStatus.FAILED
    ).select_related("item")
    for attempt in retried.order_by("item__index", "number")[:SHOWN_INDEXES]:
        message = f"{attempt.error_message} ({attempt.error_code})"
        yield f"item {attempt.item.index} was retried automatically and completed; attempt {attempt.number}: {message}"
    for output in lost_files(mission).select_related("item")[:SHOWN_INDEXES]:
        yield f"a file of item {output.item.index} is lost: {output.error_message}"


def lost_files(mission: Mission) -> QuerySet[Output]:
    """Return paid results that could not be downloaded in time."""
    return Output.objects.filter(item__mission=mission, status=OutputStatus.LOST)


def _indexes(items: QuerySet[MissionItem]) -> str:
    """Return ``item 3`` or ``items 3, 8, 9 …``."""
    indexes = list(items.order_by("index").values_list("index", flat=True)[: SHOWN_INDEXES + 1])
    shown = ", ".join(str(index) for index in indexes[:SHOWN_INDEXES])
    more = " …" if len(indexes) > SHOWN_INDEXES else ""
    return f"{'item' if len(indexes) == 1 else 'items'} {shown}{more}"
