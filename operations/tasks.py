"""Scheduled tasks and worker hooks of the operators' tools."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.utils import timezone

from core.admin import bulk
from core.storage import disk
from missions.maintenance import spend_rollup
from operations import incidents, retention
from workers import queue
from workers.hooks import WorkerHooks
from workers.models import WorkerCluster

LINE_SECONDS = 60.0

log = logging.getLogger(__name__)


class OperationsHooks(WorkerHooks):
    """Schedule the sums of every minute and the daily clean-up; watch disks and accounts."""

    def __init__(self) -> None:
        self._next_line = 0.0

    def on_start(self, *, is_alone: bool) -> None:
        queue.ensure_schedule("tally")
        queue.ensure_schedule("cleanup", daily=True, is_enabled=retention.is_configured())

    def on_beat(self) -> None:
        free = disk.free_bytes()
        WorkerCluster.objects.filter(pk=queue.cluster_id()).update(free_disk_bytes=free)
        incidents.watch()
        if disk.is_low(free) and time.monotonic() > self._next_line:
            self._next_line = time.monotonic() + LINE_SECONDS
            log.error(
                "Only %d MB are free on the disk of DATA_DIR, less than MIN_FREE_DISK_MB (%d): nothing more is "
                "submitted. Free some space; work then continues by itself.",
                free // disk.MEGABYTE,
                settings.MIN_FREE_DISK_MB,
            )


def cleanup() -> None:
    """Delete the data that the retention settings let expire, and log how much it was."""
    for cleaned in retention.clean(now=timezone.now(), apply=True):
        if cleaned.count:
            log.info("Cleaned up: %d %s, %d bytes.", cleaned.count, cleaned.kind, cleaned.size_bytes)


def tally() -> None:
    """Bring the stored sums of spending up to date, and continue stalled actions on many rows."""
    spend_rollup.count(timezone.now())
    bulk.resend_stalled(timezone.now())


def bulk_step(bulk_id: int) -> None:
    """Do a part of an action on many rows."""
    bulk.run_in_worker(bulk_id)
