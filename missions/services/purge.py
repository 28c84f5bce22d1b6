"""Remove a deleted mission: files first, then rows, part by part. Its spending is kept."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Greatest, TruncHour, TruncMinute
from django.utils import timezone

from missions import lifecycle
from missions.models import (
    COST_UNREPORTED,
    Attempt,
    HourlySpend,
    Mission,
    MissionItem,
    OutputUse,
    RemovedSpending,
    Tally,
)
from missions.results import download

BATCH = 2000  # items that are removed in one transaction: others can write in between
PAUSE_SECONDS = 0.1  # between two parts, so that others get their turn
QUARTER_MINUTES = 15  # days begin at a quarter of an hour, in every time zone


def purge_mission(mission_id: int) -> bool:
    """Remove a mission that is marked for removal and has nothing in flight.

    Return True if there was one. Files are removed first, so that no file is left without a row.
    """
    mission = _removable(mission_id).first()
    if mission is None:
        return False
    Tally.objects.get_or_create(pk=1)
    lifecycle.abandon_outputs(mission_id)
    download.remove_files(mission)
    while purge_part(mission_id):
        time.sleep(PAUSE_SECONDS)
    return True


def purge_part(mission_id: int) -> bool:
    """Remove some of a mission's items, and with the last of them the mission.

    Return True if more are left.

    The tally's row is locked first, as in all code that adds up money, because money moves between
    rows here.
    """
    with transaction.atomic():
        Tally.objects.update(removal_count=F("removal_count") + 1)
        mission = _removable(mission_id).select_for_update().first()
        if mission is None:
            return False  # somebody else has removed it
        ids = list(mission.items.order_by("index").values_list("pk", flat=True)[:BATCH])
        _keep_spending(mission, ids)
        MissionItem.objects.filter(pk__in=ids).delete()
        if len(ids) == BATCH:
            return True
        if mission.reserved_cost:  # may still be charged
            RemovedSpending.objects.create(
                owner_id=mission.owner_id,
                day=timezone.now().astimezone(UTC).date(),
                amount=mission.reserved_cost,
                model=mission.model,
                currency=mission.currency,
            )
        mission.delete()
        return False


def _removable(mission_id: int) -> QuerySet[Mission]:
    """Select the mission if it can be removed.

    It cannot while it has something in flight or another open mission needs one of its results.
    """
    needed = OutputUse.objects.filter(output__item__mission=OuterRef("pk"), mission__status__in=lifecycle.OPEN)
    return Mission.objects.filter(
        pk=mission_id, delete_requested_at__isnull=False, submitting_count=0, processing_count=0
    ).exclude(Exists(needed.exclude(mission=OuterRef("pk"))))


def _keep_spending(mission: Mission, item_ids: Sequence[int]) -> None:
    """Move the charges of items to rows of RemovedSpending, one per quarter of an hour.

    The quarter is the one in which the attempts ended. The charges are subtracted from the
    mission's cost and, as far as they are counted there, from its hourly spend.
    """
    sums = {"charged": Sum("cost"), "unreported": Count("pk", filter=COST_UNREPORTED)}
    charged = Attempt.objects.filter(Q(cost__gt=0) | COST_UNREPORTED, item__in=item_ids).order_by()
    costs: defaultdict[datetime, Decimal] = defaultdict(Decimal)
    unreported: defaultdict[datetime, int] = defaultdict(int)
    for minute, cost, count in charged.values_list(TruncMinute("ended_at", tzinfo=UTC)).annotate(**sums):
        quarter = minute.replace(minute=minute.minute - minute.minute % QUARTER_MINUTES)
        costs[quarter] += cost or 0
        unreported[quarter] += count
    RemovedSpending.objects.bulk_create(
        RemovedSpending(
            owner_id=mission.owner_id,
            day=quarter.date(),
            amount=cost,
            model=mission.model,
            currency=mission.currency,
            ended_at=quarter,
            unreported_count=unreported[quarter],
        )
        for quarter, cost in costs.items()
    )
    Mission.objects.filter(pk=mission.pk).update(cost=F("cost") - sum(costs.values()))
    counted = charged.filter(ended_at__lt=Tally.objects.values("counted_to")[:1])
    for hour, cost, count in counted.values_list(TruncHour("ended_at", tzinfo=UTC)).annotate(**sums):
        HourlySpend.objects.filter(mission=mission, hour=hour).update(
            cost=Greatest(F("cost") - (cost or 0), Decimal(0)),
            unreported_count=Greatest(F("unreported_count") - count, 0),
        )
