"""When the machine's clock is set back.

Everything that waits, waits for a moment, and all of them were planned by the old clock: without this a machine that was an hour
ahead would stand still for an hour once somebody put that right.  (Set forward, everything is merely due too soon, which costs
a question more.)
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone

from missions.models import LIVE_ATTEMPTS, Attempt, ItemStatus, MissionItem, Output, OutputStatus
from providers.models import ProviderAccount
from workers import queue
from workers.models import WorkerCluster

CLOCK_TOLERANCE = timedelta(seconds=5)  # clocks of several machines never agree entirely

# What waits for, or counts from, a moment.  Not a planned start: that is a person's, and means the true clock.
_WAITING: list[tuple[QuerySet[Any], list[str]]] = [
    (MissionItem.objects.filter(status=ItemStatus.PENDING), ["available_at"]),
    (
        Attempt.objects.filter(status__in=LIVE_ATTEMPTS),
        ["created_at", "sending_at", "accepted_at", "running_seen_at", "unanswered_since", "next_poll_at"],
    ),
    (Output.objects.filter(status=OutputStatus.PENDING), ["next_try_at"]),
    (ProviderAccount.objects.all(), ["soft_limit_at", "ticked_at", "reaped_at", "checked_at"]),
    (WorkerCluster.objects.all(), ["beat_at"]),
]


def set_back(by: timedelta) -> None:
    """The clock was set back: move every moment that still lies ahead as far.  To do so twice only makes things due sooner."""
    now = timezone.now()
    for rows, names in _WAITING:
        for name in names:
            rows.filter(**{f"{name}__gt": now}).update(**{name: F(name) - by})
    queue.bring_forward(by)
