"""Free slots, and who gets them.  The account's row lock makes the cap hold over all workers of all clusters."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from billing.budget import Budget
from billing.models import SpendingLimit
from core.db import bulk
from missions import failures, lifecycle, selectors
from missions.models import Attempt, AttemptStatus, Mission
from providers.catalog.task_types import TaskType
from providers.models import ProviderAccount
from workers import queue

SUBMIT_BATCH = 8  # POSTs that one worker has on the wire at once
WITH_FILES = (TaskType.IMAGE_TO_IMAGE, TaskType.IMAGE_TO_VIDEO)


def dispatch(account_id: int) -> int:
    """Fill an account's free slots by waking workers.  Returns how many items were taken up."""
    with transaction.atomic():
        batches = take_up(account_id)
        queue.send_many("submit", batches)
    return sum(len(batch) for batch in batches)


def take_up(account_id: int) -> list[tuple[int, ...]]:
    """Give an account's free slots to items, and return their attempts in batches as they are to be sent.

    The most urgent missions come first, and among equals the one that has the fewest in flight.  The account's row lock, held
    until the transaction ends, makes the cap hold over all workers of all clusters.

    Accounts pull: each takes what it has room for, so work spreads by free slots, and what one cannot take is left to the
    others.  An attempt stays with its account for life, unconfirmed ones too: their task, and the files handed over for it, are
    known nowhere else.  A pending item has none: no attempt of it lives, so nothing can be paid twice, and an account that is
    stopped does not hold it back (docs/decisions/0008-several-accounts.md).
    """
    now = timezone.now()
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account_id)
    if account.paused_at or account.is_draining or not account.is_enabled:
        return []
    limit = selectors.slot_limit(account, now=now)
    free = limit - selectors.slots_in_use(account, now=now, limit=limit)
    if free <= 0:
        return []
    missions = selectors.dispatchable_missions(account, now=now, limit=free)
    mission_of = {mission.pk: mission for mission in missions}
    budgets = _purses(missions, now)
    due = selectors.due_counts(missions, now=now, limit=free)
    shares = _share(
        missions, {mission.pk: _affordable(mission, budgets, due[mission.pk]) for mission in missions}, free
    )
    batches: list[tuple[int, ...]] = []
    for mission_id in sorted(shares):  # in one order everywhere, so that two accounts cannot deadlock
        mission = mission_of[mission_id]
        budget = budgets.get(mission.owner_id)
        attempt_ids = lifecycle.claim(mission_id, account, limit=shares[mission_id], now=now, budget=budget)
        batches += bulk.batches(attempt_ids, 1 if _needs_files(mission) else SUBMIT_BATCH)
    return batches


def _purses(missions: Sequence[Mission], now: datetime) -> dict[int, Budget]:
    """What the spending limits of the missions' owners leave, by owner; those rows are locked until the transaction ends."""
    owners = {mission.owner_id for mission in missions if hasattr(mission.owner, "spending_limit")}
    if not owners:
        return {}
    limits = SpendingLimit.objects.select_for_update(no_key=True).filter(user__in=owners).order_by("pk")
    return {limit.user_id: selectors.budget_of(limit, now=now) for limit in limits}


def _affordable(mission: Mission, budgets: Mapping[int, Budget], due: int) -> int:
    """About how many of ``due`` items the spending limits afford, so that slots are not dealt to who cannot use them.

    The claim knows exactly, and pauses a mission that cannot go on: so with nothing in flight it gets a slot to find out.
    """
    limits = [budget for budget in (lifecycle.mission_budget(mission), budgets.get(mission.owner_id)) if budget]
    price = failures.estimate(mission, 1) if limits else None
    if price:
        due = min([due, *(max(int(budget.left / price), 0 if budget.in_flight else 1) for budget in limits)])
    return due


def _needs_files(mission: Mission) -> bool:
    """Handing files over takes time, so such items do not wait for one another."""
    return mission.task_type in WITH_FILES


def _share(missions: Sequence[Mission], due: Mapping[int, int], free: int) -> dict[int, int]:
    """Deal ``free`` slots, one at a time, to the mission that holds the fewest; a lower priority gets what is left."""
    shares: Counter[int] = Counter()
    for priority in sorted({mission.priority for mission in missions}, reverse=True):
        peers = [(mission.in_flight_count, mission.pk) for mission in missions if mission.priority == priority]
        heapq.heapify(peers)
        while free and peers:
            held, mission_id = heapq.heappop(peers)
            if shares[mission_id] < due[mission_id]:
                shares[mission_id] += 1
                free -= 1
                heapq.heappush(peers, (held + 1, mission_id))
    return dict(shares)


def slow_down(account_id: int) -> None:
    """The provider takes no more: go on from as many tasks as it is running now."""
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING).count()
    ProviderAccount.objects.filter(pk=account_id).update(soft_limit=max(running, 1), soft_limit_at=timezone.now())
