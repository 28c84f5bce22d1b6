"""Moves of items that start from their mission: claim, retry after a failure, make again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from billing.budget import Budget
from core.db import bulk
from core.money import MILLIONTH
from missions import charges, reasons
from missions.lifecycle.missions import pause_locked
from missions.lifecycle.moves import (
    BATCH,
    NO_ERROR,
    RUNNABLE,
    lock_mission,
    lose_race_unless,
    move_many,
    move_mission,
    reopen,
)
from missions.models import Attempt, ItemEvent, ItemStatus, Mission, MissionItem, MissionStatus
from providers import catalog
from providers.models import ProviderAccount

_PRICE_FIELDS = ("owner", "provider", "task_type", "params", "cost", "reserved_cost", "spending_limit")


def claim(
    mission_id: int, account: ProviderAccount, *, limit: int, now: datetime, budget: Budget | None = None
) -> list[int]:
    """Move pending → submitting for up to ``limit`` due items, each with a new prepared attempt.

    Must run in the transaction that holds the account's row lock and, with ``budget``, the lock on
    the owner's spending limit. Return the ids of the new attempts in batch order: as many as the
    limits afford, none when the mission was stopped meanwhile, and none that waits for a release.
    Under a limit few are taken until the first charge of the model is known (``policy.charges``).
    When the limits afford none, and nothing in flight can change that, the mission is paused.
    """
    mission = lock_mission(mission_id, *_PRICE_FIELDS)
    if mission.status not in RUNNABLE:
        return []
    due = mission.items.filter(status=ItemStatus.PENDING, available_at__lte=now)
    if mission.held_count:  # new versions of the first rows are no rows of their own
        due = due.filter(Q(index__lte=mission.run_first) | Q(first_index__isnull=False))
    due = due.order_by("available_at", "index")
    items = list(due.select_for_update(skip_locked=True, no_key=True)[:limit])
    if not items:
        return []
    model = catalog.model_of(mission)
    list_prices = [model.price(mission.params | item.params) for item in items]
    if model.currency != mission.currency:  # the catalogue has changed: amounts of two currencies are never added
        list_prices = [None if price else price for price in list_prices]
    budgets = [limits for limits in (mission_budget(mission), budget) if limits]
    prices = list_prices
    if any(list_prices):
        factor = charges.factor(mission) or Decimal(1)
        prices = [price and (price * factor).quantize(MILLIONTH) for price in list_prices]
        probes = charges.probes_left(mission) if budgets else None
        if probes is not None:
            items, list_prices, prices = items[:probes], list_prices[:probes], prices[:probes]
        if not items:
            return []
    affordable = min((limits.affordable(prices, mission.currency) for limits in budgets), default=len(items))
    if not affordable:
        for limits in budgets:
            if limits.is_exhausted(prices[0], mission.currency):
                pause_locked(mission, reason=limits.exhausted_reason(prices[0], mission.currency))
                break
        return []
    items, prices, list_prices = items[:affordable], prices[:affordable], list_prices[:affordable]
    for limits in budgets:
        limits.reserve(prices)
    move_many(
        mission,
        mission.items.filter(pk__in=[item.pk for item in items]),
        ItemStatus.PENDING,
        ItemStatus.SUBMITTING,
        changes={"account": account, "submission_count": F("submission_count") + 1},
        reserved=sum((price or Decimal(0) for price in prices), Decimal(0)),
    )
    attempts = Attempt.objects.bulk_create(
        Attempt(
            item=item,
            number=item.submission_count + 1,
            account=account,
            key_fingerprint=account.key_fingerprint,
            model=mission.model,
            currency=mission.currency,
            expected_cost=price,
            list_price=list_price,
            created_at=now,
        )
        for item, price, list_price in zip(items, prices, list_prices, strict=True)
    )
    if mission.status == MissionStatus.QUEUED:
        move_mission(mission, MissionStatus.RUNNING, started_at=mission.started_at or now)
    return [attempt.pk for attempt in attempts]


def mission_budget(mission: Mission) -> Budget | None:
    """Return what the mission's own limit leaves; None without one."""
    if mission.spending_limit is None:
        return None
    return Budget(
        mission.spending_limit, mission.cost, mission.reserved_cost, mission.in_flight_count, mission.currency
    )


def retry_failed(
    mission_id: int,
    items: QuerySet[MissionItem],
    *,
    actor: str,
    reason: str = "",
    params: Mapping[str, Any] | None = None,
) -> int:
    """Move failed → pending, for those of ``items`` that failed. Return how many.

    ``params`` replace the items' own parameters. Raises LostRace when the mission was cancelled or
    is being deleted.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        lose_race_unless(mission.status != MissionStatus.CANCELLED and mission.delete_requested_at is None)
        items = items.filter(mission_id=mission_id, status=ItemStatus.FAILED)
        changes: dict[str, Any] = {
            "available_at": timezone.now(),
            "retry_count": F("retry_count") + 1,
            "refusal_count": 0,
            "attempt_limit": F("attempt_count") + mission.max_attempts,
            "edited_at": None,
            "ended_at": None,
            **NO_ERROR,
        }
        if params is not None:
            changes["params"] = dict(params)
        count = move_many(
            mission, items, ItemStatus.FAILED, ItemStatus.PENDING, actor=actor, reason=reason, changes=changes
        )
        if count:
            Mission.objects.filter(pk=mission_id).update(failure_streak=0)
            reopen(mission, actor=actor)
        return count


def add_versions(
    mission_id: int,
    versions: Sequence[tuple[MissionItem, Mapping[str, Any]]],
    *,
    actor: str,
    estimate: Decimal | None,
) -> list[int]:
    """Add pending items to the end of a batch, each a new version of a completed one.

    ``versions`` holds the items and the parameters of their new versions, in this order;
    ``estimate`` is the price of all of them. Nothing of the completed items changes. The mission's
    counts and estimate grow, and it goes back to work. Return the indexes of the new items. Raises
    LostRace when the mission was cancelled, is being deleted, or has no such completed items.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id, "estimated_cost")
        lose_race_unless(mission.status != MissionStatus.CANCELLED and mission.delete_requested_at is None)
        completed: set[int] = set()
        latest: dict[int, int] = {}
        for part in bulk.batches(versions, BATCH):
            rows = mission.items.filter(status=ItemStatus.COMPLETED, index__in=[item.index for item, _params in part])
            completed.update(rows.values_list("index", flat=True))
            latest |= latest_versions(mission, [item.place for item, _params in part])
        lose_race_unless(all(item.index in completed for item, _params in versions))
        start = (mission.items.aggregate(last=Max("index"))["last"] or 0) + 1
        items = bulk.Table(MissionItem, "index", "first_index", "version", "custom_id", "params", "origin", "file_name")
        for index, (item, params) in enumerate(versions, start=start):
            latest[item.place] += 1
            stack = index, item.place, latest[item.place], item.custom_id
            items.add(*stack, json.dumps(dict(params)), item.origin and json.dumps(item.origin), item.file_name)
        now = timezone.now()
        limit = mission.max_attempts
        items.write(mission_id=mission_id, is_chosen=False, attempt_limit=limit, available_at=now, created_at=now)
        added = mission.items.filter(index__gte=start).order_by("index")
        events = bulk.Table(ItemEvent, "item_id", "reason", "reason_params")
        for pk, place, version in added.values_list("pk", "first_index", "version"):
            reason = reasons.MADE_AGAIN(place=place, version=version)
            events.add(pk, str(reason), json.dumps(reason.params))
        code = reasons.MADE_AGAIN.code
        events.write(mission_id=mission_id, to_status=ItemStatus.PENDING, actor=actor, reason_code=code, at=now)
        count = len(versions)
        Mission.objects.filter(pk=mission_id).update(
            total_count=F("total_count") + count,
            pending_count=F("pending_count") + count,
            estimated_cost=None if estimate is None else F("estimated_cost") + estimate,
            failure_streak=0,
            updated_at=now,
        )
        mission.pending_count += count
        reopen(mission, actor=actor)
        return list(range(start, start + count))


def latest_versions(mission: Mission, places: Sequence[int]) -> dict[int, int]:
    """Return the highest version of each row that begins at one of ``places``."""
    later = mission.items.filter(first_index__in=places).order_by().values_list("first_index")
    return dict.fromkeys(places, 1) | dict(later.annotate(Max("version")))


def choose_version(mission_id: int, index: int) -> None:
    """Let a person's choice decide which version of a row galleries and downloads contain.

    Raises LostRace when the item is not completed.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        item = mission.items.filter(index=index, status=ItemStatus.COMPLETED).first()
        lose_race_unless(item is not None)
        assert item is not None
        stack = versions_of(mission, item)
        stack.exclude(pk=item.pk).update(is_chosen=False, chosen_at=None)
        stack.filter(pk=item.pk).update(is_chosen=True, chosen_at=timezone.now())


def choose_completed(mission: Mission, items: Sequence[MissionItem]) -> None:
    """Choose versions that have just completed, unless a person has chosen or a newer one is there.

    The mission is locked.
    """
    for item in items:
        if item.first_index is None:
            continue
        stack = versions_of(mission, item)
        current = stack.filter(is_chosen=True).only("version", "chosen_at").first()
        if current and (current.chosen_at or current.version > item.version):
            continue
        stack.filter(is_chosen=True).update(is_chosen=False)
        stack.filter(pk=item.pk).update(is_chosen=True)


def versions_of(mission: Mission, item: MissionItem) -> QuerySet[MissionItem]:
    """Return all versions of an item's row."""
    return mission.items.filter(Q(index=item.place) | Q(first_index=item.place))
