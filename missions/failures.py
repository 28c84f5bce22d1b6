"""Failures by cause, and the advice for each."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, QuerySet, Sum
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from missions.models import Attempt, AttemptStatus, ItemStatus, Mission, MissionItem
from providers.adapters.errors import Remedy
from providers.adapters.registry import PROVIDERS

ADVICE: dict[Remedy, Promise] = {
    Remedy.NONE: _("Retrying without changes will fail again. Change the prompt, images or parameters first."),
    Remedy.ONE_MORE_TRY: _("Another try may help. If it fails again, change the prompt or the images."),
    Remedy.TRY_LATER: _("The problem was at the provider. Trying again later usually helps."),
}
# The causes that the engine itself reports.
OWN_CAUSES = {
    "not_prepared": Remedy.NONE,
    "no_result": Remedy.TRY_LATER,
    "cancelled_remotely": Remedy.TRY_LATER,
    "gone": Remedy.TRY_LATER,
    "failed": Remedy.ONE_MORE_TRY,
    "deadline": Remedy.TRY_LATER,
    "unrecordable": Remedy.TRY_LATER,
}


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed items that share a cause.

    ``message``         of the first item; with ``says_free`` it tells that nothing was charged
    ``is_promising``    another try may help although nothing is changed
    ``edited_count``    items whose parameters a person has changed since they failed
    ``accepted_count``  attempts that the provider accepted
    ``cost``            what it charged for them
    ``estimate``        about the price of one more try of each, None if unknown
    """

    error_code: str
    message: str
    says_free: bool
    advice: Promise
    is_promising: bool
    count: int
    edited_count: int
    first_index: int
    accepted_count: int
    cost: Decimal
    estimate: Decimal | None

    @property
    def promising_count(self) -> int:
        """The items of which another try may help."""
        return self.count if self.is_promising else self.edited_count


def failure_groups(mission: Mission) -> list[FailureGroup]:
    """Return a mission's failures by cause, the most frequent first, in two statements."""
    failed = mission.items.filter(status=ItemStatus.FAILED, ended_at__isnull=False)
    sums: dict[str, Any] = {
        "count": Count("pk"),
        "edited": Count("edited_at"),
        "first": Min("index"),
        "accepted": Sum("attempt_count"),
        "charged": Sum("cost"),
    }
    grouped: QuerySet[MissionItem, Any] = failed.order_by().values("error_code").annotate(**sums)
    rows = sorted(grouped, key=lambda row: (-row["count"], row["first"]))
    first = failed.filter(index__in=[row["first"] for row in rows]).defer("params")
    messages = {item.index: item.error_display for item in first}
    hints = {item.index: (item.error_params or {}).get("hint") for item in first}
    return [
        FailureGroup(
            error_code=row["error_code"],
            message=messages.get(row["first"], ""),
            says_free=(hints.get(row["first"]) or {}).get("code", "").endswith(".not_charged"),
            advice=ADVICE[remedy_of(mission, row["error_code"])],
            is_promising=remedy_of(mission, row["error_code"]) is not Remedy.NONE,
            count=row["count"],
            edited_count=row["edited"],
            first_index=row["first"],
            accepted_count=row["accepted"],
            cost=row["charged"],
            estimate=estimate(mission, row["count"]),
        )
        for row in rows
    ]


def estimate(mission: Mission, count: int) -> Decimal | None:
    """Return about the price of one attempt of ``count`` items, by the mission's average."""
    if mission.estimated_cost is None or not mission.total_count:
        return None
    return Decimal(mission.estimated_cost * count / mission.total_count)


def remedy_of(mission: Mission, error_code: str) -> Remedy:
    """Return what may help after an error of this code."""
    own = OWN_CAUSES.get(error_code)
    if own is not None:
        return own
    provider = PROVIDERS.get(mission.provider)
    return Remedy.ONE_MORE_TRY if provider is None else provider.remedy_of(error_code)


def unconfirmed_items(mission: Mission, *, limit: int) -> list[tuple[MissionItem, Attempt | None]]:
    """Return unconfirmed items by index, each with its attempt, in two statements."""
    items = list(mission.items.filter(status=ItemStatus.UNCONFIRMED).order_by("index")[:limit])
    doubtful = Attempt.objects.filter(item__in=[item.pk for item in items], status=AttemptStatus.UNCONFIRMED)
    by_item = {attempt.item_id: attempt for attempt in doubtful.defer("raw", "request")}
    return [(item, by_item.get(item.pk)) for item in items]
