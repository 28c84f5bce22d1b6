"""Correction of due times when the machine's clock is set back.

Due times were computed from the old clock; after it is set back an hour, nothing would run for an
hour. (After it is set forward things are due too early, which costs some needless polls.)
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from workers import hooks, queue
from workers.models import WorkerCluster

CLOCK_TOLERANCE = timedelta(seconds=5)  # clocks of several machines always differ a little


def move_due_times_back(by: timedelta) -> None:
    """Move every due time that still lies ahead back by ``by``.

    Safe to call twice: things only become due sooner.
    """
    now = timezone.now()
    groups = [(WorkerCluster.objects.all(), ["beat_at"])]
    groups += [group for hook in hooks.all_hooks() for group in hook.due_times()]
    for rows, columns in groups:
        for column in columns:
            rows.filter(**{f"{column}__gt": now}).update(**{column: F(column) - by})
    queue.bring_forward(by)
