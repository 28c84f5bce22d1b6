"""Scheduled tasks and worker hooks of the operators' tools."""

from __future__ import annotations

import logging

from django.utils import timezone

from missions.maintenance import spend_rollup
from operations import retention
from workers import queue
from workers.hooks import WorkerHooks

log = logging.getLogger(__name__)


class OperationsHooks(WorkerHooks):
    """Schedules the sums of every minute, and the daily clean-up where retention is set."""

    def on_start(self, *, is_alone: bool) -> None:
        queue.ensure_schedule("tally")
        queue.ensure_schedule("cleanup", daily=True, is_enabled=retention.is_configured())


def cleanup() -> None:
    """Delete what the retention settings say, and log how much it was."""
    for cleaned in retention.clean(now=timezone.now(), apply=True):
        if cleaned.count:
            log.info("Cleaned up: %d %s, %d bytes.", cleaned.count, cleaned.what, cleaned.size_bytes)


def tally() -> None:
    """Bring the kept sums of spending up to date."""
    spend_rollup.count(timezone.now())
