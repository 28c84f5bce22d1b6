"""Are the counts on the missions true?  Compared with the items themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from missions.models import COST_UNREPORTED, LIVE_ATTEMPTS, Attempt, ItemStatus, Mission
from missions.selectors import MILLIONTH

SUMS = ("cost", "reserved_cost")
COUNTS = ("total_count", *(f"{status.value}_count" for status in ItemStatus))


@dataclass(frozen=True, slots=True)
class Difference:
    """A number on a mission that its items contradict."""

    mission_id: int
    name: str
    stored: int | Decimal
    true: int | Decimal

    def __str__(self) -> str:
        return f"mission {self.mission_id}: {self.name} is {self.stored}, but its items say {self.true}"


def true_counts(missions: QuerySet[Mission] | None = None) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """For each mission what it says and what its items say: counts per status, in total, the cost, and what is reserved.

    One statement, so that both sides are of one moment even while workers are busy; one row in memory at a time.
    """
    chosen = Mission.objects.all() if missions is None else missions
    totals = {
        "true_total_count": Count("items"),
        "true_cost": Sum("items__cost", default=Decimal(0)),
        **{f"true_{status}_count": Count("items", filter=Q(items__status=status)) for status in ItemStatus.values},
    }
    stored = {f"stored_{name}": F(name) for name in (*COUNTS, *SUMS)}
    rows = (
        chosen.order_by("pk")
        .annotate(**stored, true_reserved_cost=_reserved())
        .values("pk", *stored, "true_reserved_cost")
    )
    rows = rows.annotate(**totals)
    for row in rows.iterator(chunk_size=500):
        yield _side(row, "stored"), _side(row, "true")


def _side(row: dict[str, Any], side: str) -> dict[str, Any]:
    numbers = {name: row[f"{side}_{name}"] for name in COUNTS}
    return {"pk": row["pk"], **numbers, **{name: row[f"{side}_{name}"].quantize(MILLIONTH) for name in SUMS}}


def _reserved() -> Coalesce:
    """The expected price of all attempts of a mission that may still be charged."""
    is_open = Q(status__in=LIVE_ATTEMPTS) | COST_UNREPORTED
    attempts = Attempt.objects.filter(is_open, item__mission=OuterRef("pk")).order_by().values("item__mission")
    field = Attempt._meta.get_field("expected_cost")
    sum_ = Subquery(attempts.annotate(sum=Sum("expected_cost")).values("sum"), output_field=field)
    return Coalesce(sum_, Value(Decimal(0)), output_field=field)


def differences(missions: QuerySet[Mission] | None = None) -> Iterator[Difference]:
    """Every number that is not true, mission by mission."""
    for stored, true in true_counts(missions):
        for name, number in stored.items():
            if number != true[name]:
                yield Difference(true["pk"], name, number, true[name])


def mend(mission_id: int) -> list[Difference]:
    """Write the true numbers on a mission, under its lock.  Returns what was wrong."""
    with transaction.atomic():
        Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        wrong = list(differences(Mission.objects.filter(pk=mission_id)))
        if wrong:
            truth = {difference.name: difference.true for difference in wrong}
            Mission.objects.filter(pk=mission_id).update(**truth, updated_at=timezone.now())
        return wrong
