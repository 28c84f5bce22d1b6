"""Removing a mission that is marked for it: files first, then rows, part by part.  What it spent is kept."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Greatest, TruncHour, TruncMinute
from django.utils import timezone

from missions import lifecycle
from missions.models import COST_UNREPORTED, Attempt, HourlySpend, Mission, MissionItem, RemovedSpending, Tally
from missions.results import download

BATCH = 2000  # items that are removed in one transaction: others can write in between
PAUSE_SECONDS = 0.1  # and get their turn
QUARTER_MINUTES = 15  # days begin at a quarter of an hour, in every time zone

_SUMS = {"charged": Sum("cost"), "untold": Count("pk", filter=COST_UNREPORTED)}


def purge_mission(mission_id: int) -> bool:
    """Remove a mission that is marked for removal and has nothing in flight.  Files go first, so that none stays behind.

    Returns whether it was one.
    """
    mission = _removable(mission_id).first()
    if mission is None:
        return False
    Tally.objects.get_or_create(pk=1)
    lifecycle.abandon_outputs(mission_id)
    download.remove_files(mission)
    while _remove_part(mission_id):
        time.sleep(PAUSE_SECONDS)
    return True


def _removable(mission_id: int) -> QuerySet[Mission]:
    return Mission.objects.filter(
        pk=mission_id, delete_requested_at__isnull=False, submitting_count=0, processing_count=0
    )


def _remove_part(mission_id: int) -> bool:
    """Remove some of a mission's items, and with the last of them itself.  Returns whether there are more.

    The tally's row is locked first, as whoever counts does: money moves here from rows that they add up.
    """
    with transaction.atomic():
        Tally.objects.update(removal_count=F("removal_count") + 1)
        mission = _removable(mission_id).select_for_update().first()
        if mission is None:
            return False  # somebody else has removed it
        ids = list(mission.items.order_by("index").values_list("pk", flat=True)[:BATCH])
        is_last = len(ids) < BATCH
        _keep_spending(mission, ids)
        MissionItem.objects.filter(pk__in=ids).delete()
        if is_last:
            _keep_reserved(mission)
            mission.delete()
        return not is_last


def _keep_spending(mission: Mission, item_ids: Sequence[int]) -> None:
    """Move what items were charged from the mission's sums to a row for each quarter of an hour in which attempts ended."""
    charged = Attempt.objects.filter(Q(cost__gt=0) | COST_UNREPORTED, item__in=item_ids).order_by()
    by_minute = charged.values_list(TruncMinute("ended_at", tzinfo=UTC)).annotate(**_SUMS)
    costs: defaultdict[datetime, Decimal] = defaultdict(Decimal)
    untold: defaultdict[datetime, int] = defaultdict(int)
    for minute, cost, untold_count in by_minute:
        quarter = minute.replace(minute=minute.minute - minute.minute % QUARTER_MINUTES)
        costs[quarter] += cost or 0
        untold[quarter] += untold_count
    RemovedSpending.objects.bulk_create(
        RemovedSpending(
            owner_id=mission.owner_id,
            day=quarter.date(),
            amount=cost,
            model=mission.model,
            currency=mission.currency,
            ended_at=quarter,
            untold_count=untold[quarter],
        )
        for quarter, cost in costs.items()
    )
    Mission.objects.filter(pk=mission.pk).update(cost=F("cost") - sum(costs.values()))
    _take_from_hours(mission, charged)


def _take_from_hours(mission: Mission, charged: QuerySet[Attempt]) -> None:
    """Take from the mission's hours what is counted there of these attempts (``operations.spend_rollup``)."""
    counted = charged.filter(ended_at__lt=Tally.objects.values("counted_to")[:1])
    for hour, cost, untold_count in counted.values_list(TruncHour("ended_at", tzinfo=UTC)).annotate(**_SUMS):
        HourlySpend.objects.filter(mission=mission, hour=hour).update(
            cost=Greatest(F("cost") - (cost or 0), Decimal(0)),
            untold_count=Greatest(F("untold_count") - untold_count, 0),
        )


def _keep_reserved(mission: Mission) -> None:
    """Note what may still be charged, when nothing else of the mission is left."""
    if mission.reserved_cost:
        today = timezone.now().astimezone(UTC).date()
        RemovedSpending.objects.create(
            owner_id=mission.owner_id,
            day=today,
            amount=mission.reserved_cost,
            model=mission.model,
            currency=mission.currency,
        )
