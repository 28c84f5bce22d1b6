"""Distribution of an account's free slots to waiting items."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from billing.budget import Budget
from billing.models import SpendingLimit
from billing.selectors import budget_of
from core.db import bulk
from core.storage import disk
from missions import account_load, charges, failures, lifecycle
from missions.models import Attempt, AttemptStatus, Mission
from providers import catalog, slots
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from workers import queue

SUBMIT_BATCH = 8  # POSTs that one worker has on the wire at once


def dispatch(account_id: int) -> int:
    """Fill an account's free slots by waking workers. Return how many items were claimed."""
    with transaction.atomic():
        batches = claim_items(account_id)
        queue.send_many("submit", batches)
    return sum(len(batch) for batch in batches)


def claim_items(account_id: int) -> list[tuple[int, ...]]:
    """Give an account's free slots to items, and return their attempts in batches for sending.

    Missions with the highest priority come first, and among equals the one that has the fewest in
    flight. The account's row lock, held until the transaction ends, makes the limit hold over all
    workers of all clusters.

    Nothing is claimed while this host has less free space than MIN_FREE_DISK_MB: results are paid
    for, and providers keep them for a day only.

    Accounts pull: each takes as many items as it has free slots, so work spreads by free slots. An
    attempt stays with its account for ever, even an unconfirmed one: its task and its uploaded
    files exist only there. A pending item has no account: it has no live attempt, so nothing can be
    paid twice, and a stopped account does not delay it (docs/decisions/0008-several-accounts.md).
    """
    now = timezone.now()
    if disk.is_low():
        return []
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account_id)
    if account.paused_at or account.is_draining or not account.is_enabled:
        return []
    limit = slots.slot_limit(account, now=now)
    free = limit - account_load.slots_in_use(account, now=now, limit=limit)
    if free <= 0:
        return []
    missions = account_load.dispatchable_missions(account, now=now, limit=free)
    mission_of = {mission.pk: mission for mission in missions}
    budgets = _owner_budgets(missions, now)
    due = account_load.due_counts(missions, now=now, limit=free)
    shares = _share(
        missions, {mission.pk: _affordable(mission, budgets, due[mission.pk]) for mission in missions}, free
    )
    batches: list[tuple[int, ...]] = []
    for mission_id in sorted(shares):  # in one order everywhere, so that two accounts cannot deadlock
        mission = mission_of[mission_id]
        budget = budgets.get(mission.owner_id)
        attempt_ids = lifecycle.claim(mission_id, account, limit=shares[mission_id], now=now, budget=budget)
        batches += bulk.batches(attempt_ids, 1 if _may_upload(mission, account) else SUBMIT_BATCH)
    return batches


def _owner_budgets(missions: Sequence[Mission], now: datetime) -> dict[int, Budget]:
    """Return what the spending limits of the missions' owners leave, by owner.

    The limits' rows are locked until the transaction ends.
    """
    owners = {mission.owner_id for mission in missions if hasattr(mission.owner, "spending_limit")}
    if not owners:
        return {}
    limits = SpendingLimit.objects.select_for_update(no_key=True).filter(user__in=owners).order_by("pk")
    return {limit.user_id: budget_of(limit, now=now) for limit in limits}


def _affordable(mission: Mission, budgets: Mapping[int, Budget], due: int) -> int:
    """Return about how many of ``due`` items the limits afford, so that no slot stays unused.

    The claim computes the exact number, and pauses a mission that cannot go on. So a mission with
    nothing in flight always gets a slot.
    """
    budgets_of_mission = (lifecycle.mission_budget(mission), budgets.get(mission.owner_id))
    limits = [budget for budget in budgets_of_mission if budget and budget.currency == mission.currency]
    price = failures.estimate(mission, 1) if limits else None
    if price:
        price *= charges.factor(mission) or Decimal(1)
        if (probes := charges.probes_left(mission)) is not None:
            due = min(due, probes)
        due = min([due, *(max(int(budget.left / price), 0 if budget.in_flight else 1) for budget in limits)])
    return due


def _may_upload(mission: Mission, account: ProviderAccount) -> bool:
    """Return True when the mission's items may name files that have to be uploaded.

    That takes time, so such items do not wait for one another.
    """
    if not PROVIDERS[account.provider].capabilities.uploads:
        return False
    model = catalog.model_of(mission)
    return model.is_free_form or any(parameter.is_file for parameter in model.parameters)


def _share(missions: Sequence[Mission], due: Mapping[int, int], free: int) -> dict[int, int]:
    """Give slots one by one to the mission with the fewest in flight, highest priority first."""
    shares: Counter[int] = Counter()
    for priority in sorted({mission.priority for mission in missions}, reverse=True):
        peers = [(mission.in_flight_count, mission.pk) for mission in missions if mission.priority == priority]
        heapq.heapify(peers)
        while free and peers:
            in_flight, mission_id = heapq.heappop(peers)
            if shares[mission_id] < due[mission_id]:
                shares[mission_id] += 1
                free -= 1
                heapq.heappush(peers, (in_flight + 1, mission_id))
    return dict(shares)


def slow_down(account_id: int) -> None:
    """Reduce an account's limit to the tasks that it runs now.

    Called when the provider, or the way to it, takes no more.
    """
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING).count()
    ProviderAccount.objects.filter(pk=account_id).update(soft_limit=max(running, 1), soft_limit_at=timezone.now())
