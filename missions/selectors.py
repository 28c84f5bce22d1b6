"""Composed reads with more than one user."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef

from missions.models import Attempt, AttemptStatus, ItemStatus, Mission, MissionItem, MissionStatus, ProviderAccount
from missions.polling import Duration, Expectation, learn

WORKER_DIED = "worker_died"  # the error code of an attempt whose worker died while it was sending
LONGEST_HOLD = timedelta(minutes=5)
DURATIONS_KEPT = 40
UNSEEN_LOW = 0.8  # never seen running: it ended before the first question, nobody knows how long before
EXPECTATION_TTL_SECONDS = 2.0
IGNORANCE_TTL_SECONDS = 0.25

_expectations: dict[str, tuple[float, Expectation | None]] = {}


def slots_in_use(account: ProviderAccount, *, now: datetime, limit: int) -> int:
    """Tasks of an account that are, or may be, in flight.

    An unconfirmed attempt counts for as long as its task could still run at the provider.  That also keeps a failing provider
    from turning a whole mission unconfirmed.  But those that our own crash left in doubt take half of ``limit`` at most, so that
    work goes on after it: should the provider run them all, it refuses what is too much, for free.
    """
    live = Attempt.objects.filter(account=account)
    certain = live.filter(status__in=[AttemptStatus.PREPARED, AttemptStatus.SENDING, AttemptStatus.RUNNING]).count()
    unconfirmed = live.filter(status=AttemptStatus.UNCONFIRMED, sending_at__gt=now - LONGEST_HOLD)
    held = [
        code
        for model, sent, code in unconfirmed.values_list("model", "sending_at", "error_code")
        if sent and sent > now - _hold(model)
    ]
    crashed = held.count(WORKER_DIED)
    return certain + len(held) - crashed + min(crashed, limit // 2)


def _hold(model: str) -> timedelta:
    """How long a task of unknown fate is taken to run: as long as most of its model do, and half as long again."""
    expected = expectation(model)
    return LONGEST_HOLD if expected is None else min(timedelta(seconds=expected.last * 1.5 + 5), LONGEST_HOLD)


def dispatchable_missions(account: ProviderAccount, *, now: datetime, limit: int) -> Sequence[Mission]:
    """Missions with an item that the account may take up now: the most urgent first, then the least served."""
    due = MissionItem.objects.filter(mission=OuterRef("pk"), status=ItemStatus.PENDING, available_at__lte=now)
    return list(
        Mission.objects.filter(
            Exists(due),
            provider=account.provider,
            status__in=[MissionStatus.QUEUED, MissionStatus.RUNNING],
            pending_count__gt=0,
        )
        .only("pk", "task_type", "priority", "submitting_count", "processing_count", "pending_count")
        .order_by("-priority", F("submitting_count") + F("processing_count"), "pk")[:limit]
    )


def due_counts(missions: Sequence[Mission], *, now: datetime, limit: int) -> dict[int, int]:
    """How many items of each mission may be taken up now, counted up to ``limit``."""
    if len(missions) == 1:
        return {missions[0].pk: limit}  # nobody to share with: the claim itself finds out
    due = MissionItem.objects.filter(status=ItemStatus.PENDING, available_at__lte=now)
    return {mission.pk: due.filter(mission=mission)[:limit].count() for mission in missions}


def expectation(model: str) -> Expectation | None:
    """When a model's tasks end, learned from its latest successes.  Kept for a moment per process."""
    kept_until, known = _expectations.get(model, (0.0, None))
    if time.monotonic() < kept_until:
        return known
    learned = learn(recent_durations(model))
    lifetime = IGNORANCE_TTL_SECONDS if learned is None else EXPECTATION_TTL_SECONDS
    _expectations[model] = (time.monotonic() + lifetime, learned)
    return learned


def recent_durations(model: str) -> list[Duration]:
    """How long a model's latest successes took, as far as our questions could tell."""
    rows = Attempt.objects.filter(model=model, status=AttemptStatus.SUCCEEDED, accepted_at__isnull=False)
    times = rows.order_by("-ended_at").values_list("accepted_at", "running_seen_at", "ended_at")[:DURATIONS_KEPT]
    return [
        Duration(
            low=(seen - accepted).total_seconds() if seen else (ended - accepted).total_seconds() * UNSEEN_LOW,
            high=(ended - accepted).total_seconds(),
        )
        for accepted, seen, ended in times
        if accepted is not None and ended is not None
    ]
