"""The ticks of one account: claim what is due, re-arm, poll."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q
from django.utils import timezone

from missions.execution.poll import POLL_BATCH, POLL_LEASE, claim_polls, count_due, poll
from missions.models import Attempt, AttemptStatus
from providers.models import ProviderAccount
from workers import bulkhead, queue
from workers.bulkhead import Call

TICK_MIN_SECONDS = 0.02
TICK_SHARE = 0.05  # share of the polling floor; polls due within that time are made together
TICK_MAX_SECONDS = 1.0
TICK_AFTER_BURST_SECONDS = 0.1  # the workers just woken do the due polls meanwhile
TICK_STALE = timedelta(seconds=3)
REAP_INTERVAL = timedelta(seconds=2)


def arm(account_id: int) -> None:
    """Start an account's chain of ticks.

    Ticks of an older chain stop, because their number is outdated.
    """
    with transaction.atomic():
        number = (
            ProviderAccount.objects.select_for_update(no_key=True)
            .values_list("tick_number", flat=True)
            .get(pk=account_id)
        )
        ProviderAccount.objects.filter(pk=account_id).update(tick_number=number + 1, ticked_at=timezone.now())
        queue.send("tick", account_id, number + 1)


def arm_stale() -> None:
    """Re-arm every account whose ticks have stopped (a worker died between two of them)."""
    late = Q(ticked_at=None) | Q(ticked_at__lt=timezone.now() - TICK_STALE)
    for account_id in ProviderAccount.objects.filter(late).values_list("pk", flat=True):
        arm(account_id)


def tick(account_id: int, number: int) -> None:
    """Drive one account: claim what is due, send the next tick, then poll what was claimed.

    Ticks overlap: the next one is sent before this one talks to the network, so a slow answer
    delays nothing else. While too many workers wait for this account, nothing is polled.
    """
    now = timezone.now()
    with bulkhead.waiting(Call.QUERY, account_id) as may_poll:
        with transaction.atomic():
            is_mine = ProviderAccount.objects.filter(pk=account_id, tick_number=number).update(
                tick_number=number + 1, ticked_at=now
            )
            if not is_mine:
                return
            attempt_ids = claim_polls(account_id, now) if may_poll else []
            delay = _until_next_tick(account_id, now, claimed_count=len(attempt_ids)) if may_poll else TICK_MAX_SECONDS
            queue.send("tick", account_id, number + 1, delay=delay)
            if len(attempt_ids) == POLL_BATCH:
                queue.send_many("poll_due", [(account_id,)] * math.ceil(count_due(account_id, now) / POLL_BATCH))
            is_time_to_reap = ProviderAccount.objects.filter(
                Q(reaped_at=None) | Q(reaped_at__lt=now - REAP_INTERVAL), pk=account_id
            ).update(reaped_at=now)
            if is_time_to_reap:
                queue.send("reap", account_id)
        if attempt_ids:
            poll(account_id, attempt_ids)


def _until_next_tick(account_id: int, now: datetime, *, claimed_count: int) -> float:
    """Return the seconds until the next tick: when the next poll is due, within bounds."""
    if claimed_count == POLL_BATCH:
        return TICK_AFTER_BURST_SECONDS
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING, unanswered_since=None)
    next_poll = running.aggregate(soonest=Min("next_poll_at"))["soonest"]
    wait = (next_poll - now).total_seconds() if next_poll else TICK_MAX_SECONDS
    # Attempts that are polled now may be due again as soon as the floor allows.
    is_polling = claimed_count or running.filter(next_poll_at__range=(now + POLL_LEASE / 2, now + POLL_LEASE)).exists()
    longest = min(settings.POLL_FLOOR_SECONDS, TICK_MAX_SECONDS) if is_polling else TICK_MAX_SECONDS
    shortest = min(max(settings.POLL_FLOOR_SECONDS * TICK_SHARE, TICK_MIN_SECONDS), TICK_MAX_SECONDS)
    return max(min(wait, longest), shortest)
