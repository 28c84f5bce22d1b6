"""Compare the counts and sums on missions with their items, and correct them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.money import MILLIONTH
from missions.models import COST_UNREPORTED, LIVE_ATTEMPTS, Attempt, ItemStatus, Mission

SUMS = ("cost", "reserved_cost")
COUNTS = ("total_count", *(f"{status.value}_count" for status in ItemStatus))


@dataclass(frozen=True, slots=True)
class Difference:
    """A number on a mission that differs from the one computed from its items."""

    mission_id: int
    name: str
    stored: int | Decimal
    computed: int | Decimal

    def __str__(self) -> str:
        return f"mission {self.mission_id}: {self.name} is {self.stored}, but should be {self.computed}"


def compared_counts(missions: QuerySet[Mission] | None = None) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield, for each mission, its stored numbers and those computed from its items.

    The numbers are the counts per status, the total, the cost, and the reserved cost. One statement
    reads both sides at the same moment, even while workers are busy; one row is in memory at a
    time.
    """
    missions = Mission.objects.all() if missions is None else missions
    may_be_charged = Q(status__in=LIVE_ATTEMPTS) | COST_UNREPORTED
    attempts = Attempt.objects.filter(may_be_charged, item__mission=OuterRef("pk")).order_by().values("item__mission")
    field = Attempt._meta.get_field("expected_cost")
    reserved = Subquery(attempts.annotate(sum=Sum("expected_cost")).values("sum"), output_field=field)
    stored = {f"stored_{name}": F(name) for name in (*COUNTS, *SUMS)}
    computed = {
        "computed_total_count": Count("items"),
        "computed_cost": Sum("items__cost", default=Decimal(0)),
        **{f"computed_{status}_count": Count("items", filter=Q(items__status=status)) for status in ItemStatus.values},
    }
    rows = missions.order_by("pk").annotate(
        **stored, computed_reserved_cost=Coalesce(reserved, Value(Decimal(0)), output_field=field)
    )
    grouped = rows.values("pk", *stored, "computed_reserved_cost").annotate(**computed)

    def numbers(row: dict[str, Any], side: str) -> dict[str, Any]:
        counts = {name: row[f"{side}_{name}"] for name in COUNTS}
        sums = {name: row[f"{side}_{name}"].quantize(MILLIONTH) for name in SUMS}  # SQLite adds binary fractions
        return {"pk": row["pk"], **counts, **sums}

    for row in grouped.iterator(chunk_size=500):
        yield numbers(row, "stored"), numbers(row, "computed")


def differences(missions: QuerySet[Mission] | None = None) -> Iterator[Difference]:
    """Yield every number that differs, mission by mission."""
    for stored, computed in compared_counts(missions):
        for name, number in stored.items():
            if number != computed[name]:
                yield Difference(computed["pk"], name, number, computed[name])


def correct(mission_id: int) -> list[Difference]:
    """Write the computed numbers to a mission, under its lock. Return what was wrong."""
    with transaction.atomic():
        Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        wrong = list(differences(Mission.objects.filter(pk=mission_id)))
        if wrong:
            numbers = {difference.name: difference.computed for difference in wrong}
            Mission.objects.filter(pk=mission_id).update(**numbers, updated_at=timezone.now())
        return wrong
