"""What became of missions, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.db.models import QuerySet

from missions import failures
from missions.models import Attempt, AttemptStatus, ItemStatus, Mission, MissionItem, Output, OutputStatus

SHOWN_INDEXES = 5
UNCONFIRMED_ADVICE = (
    "They were sent and no answer came, so they may have been paid and are not sent again by a machine. "
    "Look for them in the provider's task list, then resolve each one in the application."
)


def money(amount: Decimal | None, currency: str) -> str:
    """``Decimal("1.200000")`` → ``"1.20 CNY"``"""
    if amount is None:
        return "not known"
    exact = amount.normalize()
    places = max(2, -int(exact.as_tuple().exponent))
    return f"{exact:.{places}f} {currency}"


def duration(seconds: float) -> str:
    """``83.2`` → ``"1 min 23 s"``"""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def lines(mission: Mission) -> Iterator[str]:
    """Counts per status, what went wrong by cause, and what it cost."""
    counts = [f"{count} {status}" for status, count in mission.counts.items() if count]
    yield f"{mission.total_count} items: {', '.join(counts)}"
    yield f"cost: {money(mission.cost, mission.currency)} (estimated: {money(mission.estimated_cost, mission.currency)})"
    yield from _failures(mission)
    if mission.unconfirmed_count:
        where = _where(MissionItem.objects.filter(mission=mission, status=ItemStatus.UNCONFIRMED))
        yield f"unconfirmed, {where}: {UNCONFIRMED_ADVICE}"
    yield from _retries(mission)
    for output in lost_files(mission).select_related("item")[:SHOWN_INDEXES]:
        yield f"a file of item {output.item.index} is lost: {output.error_message}"


def lost_files(mission: Mission) -> QuerySet[Output]:
    """Results that were paid and could not be fetched in time."""
    return Output.objects.filter(item__mission=mission, status=OutputStatus.LOST)


def _failures(mission: Mission) -> Iterator[str]:
    """One line per cause.  The messages of the engine say what happened, whether it was paid, and what to do."""
    failed = MissionItem.objects.filter(mission=mission, status=ItemStatus.FAILED)
    for group in failures.failure_groups(mission):
        same = failed.filter(error_code=group.error_code)
        code = f" ({group.error_code})" if group.error_code else ""
        yield f"{group.count} failed, {_where(same)}: {group.message}{code}"


def _retries(mission: Mission) -> Iterator[str]:
    """What failed first and came well by itself."""
    retried = Attempt.objects.filter(
        item__mission=mission, item__status=ItemStatus.COMPLETED, status=AttemptStatus.FAILED
    ).select_related("item")
    for attempt in retried.order_by("item__index", "number")[:SHOWN_INDEXES]:
        message = f"{attempt.error_message} ({attempt.error_code})"
        yield f"item {attempt.item.index} was tried again by itself and completed; try {attempt.number} said: {message}"


def _where(items: QuerySet[MissionItem]) -> str:
    """``"item 3"`` or ``"items 3, 8, 9 …"``"""
    indexes = list(items.order_by("index").values_list("index", flat=True)[: SHOWN_INDEXES + 1])
    shown = ", ".join(str(index) for index in indexes[:SHOWN_INDEXES])
    more = " …" if len(indexes) > SHOWN_INDEXES else ""
    return f"{'item' if len(indexes) == 1 else 'items'} {shown}{more}"
