"""Moves of items that start from their mission: claim for an account, retry after a failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from billing.budget import Budget
from core.money import MILLIONTH
from missions import charges
from missions.lifecycle.missions import pause_locked
from missions.lifecycle.moves import NO_ERROR, RUNNABLE, lock_mission, lose_race_unless, move_many, move_mission, reopen
from missions.models import Attempt, ItemStatus, Mission, MissionItem, MissionStatus
from providers import catalog
from providers.models import ProviderAccount

_PRICE_FIELDS = ("owner", "provider", "task_type", "params", "cost", "reserved_cost", "spending_limit")


def claim(
    mission_id: int, account: ProviderAccount, *, limit: int, now: datetime, budget: Budget | None = None
) -> list[int]:
    """Move pending → submitting for up to ``limit`` due items, each with a new prepared attempt.

    Must run in the transaction that holds the account's row lock and, with ``budget``, the lock on
    the owner's spending limit. Return the ids of the new attempts in batch order: as many as the
    limits afford, none when the mission was stopped meanwhile. Under a limit few are taken until
    the first charge of the model is known (``policy.charges``). When the limits afford none, and
    nothing in flight can change that, the mission is paused.
    """
    mission = lock_mission(mission_id, *_PRICE_FIELDS)
    if mission.status not in RUNNABLE:
        return []
    due = mission.items.filter(status=ItemStatus.PENDING, available_at__lte=now).order_by("available_at", "index")
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
