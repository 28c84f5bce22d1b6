"""Submits that do the whole work and may take minutes.

Each runs in its own thread, so that the worker process can handle other messages. The thread
keeps no database connection while it waits for the provider. A worker that stops or is recycled
waits for its threads (``workers.background``); one that is killed leaves its attempts *sending*,
like any other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, connection

from missions import lifecycle
from missions.models import Attempt, AttemptStatus, ItemEvent, Mission, MissionStatus
from providers.adapters.base import Updates
from workers import background, queue

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0
TEXT_SECONDS = 0.2
STOP_CHECK_SECONDS = 2.0

_T = TypeVar("_T")
_writing = threading.Lock()


def run(attempt: Attempt, work: Callable[[], None]) -> None:
    """Do an attempt's ``work`` in a thread of this worker; outside of a cluster, at once."""
    if queue.cluster_id():
        background.run(work, name=f"attempt-{attempt.pk}")
    else:
        work()


def write(change: Callable[[], _T]) -> _T:
    """Make a database change.

    Only one thread of a process writes at a time, and it closes its connection afterwards.
    """
    if threading.current_thread() is threading.main_thread():
        return change()
    with _writing:
        try:
            return change()
        finally:
            connection.close()


class AttemptUpdates(Updates):
    """The updates of an attempt: its progress and text, stored at a low rate.

    If the database fails, an update is lost, never the work.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._mission_id = attempt.item.mission_id
        self._pieces: list[str] = []
        self._progress_at = self._text_at = 0.0
        self._stop_checked_at = time.monotonic()
        self._is_stopped = False

    def progress(self, share: float) -> None:
        if time.monotonic() - self._progress_at < PROGRESS_SECONDS:
            return
        self._progress_at = time.monotonic()
        sending = Attempt.objects.filter(pk=self._attempt.pk, status=AttemptStatus.SENDING)
        self._try(lambda: sending.update(progress=min(max(share, 0.0), 1.0)))

    def text(self, delta: str) -> None:
        self._pieces.append(delta)
        if time.monotonic() - self._text_at < TEXT_SECONDS * max(background.count(), 1):
            return
        self._text_at = time.monotonic()
        text, self._pieces = "".join(self._pieces), []
        self._try(lambda: lifecycle.add_text(self._attempt.pk, text))

    def stop_requested(self) -> bool:
        """Return True when the mission was cancelled or deleted."""
        if not self._is_stopped and time.monotonic() - self._stop_checked_at >= STOP_CHECK_SECONDS:
            self._stop_checked_at = time.monotonic()
            cancelled = Mission.objects.filter(pk=self._mission_id, status=MissionStatus.CANCELLED)
            self._is_stopped = bool(self._try(cancelled.exists))
        return self._is_stopped

    def interrupt_requested(self) -> bool:
        return background.stop_requested()

    def _try(self, change: Callable[[], _T]) -> _T | None:
        try:
            return write(change)
        except DatabaseError:
            log.warning("An update of attempt %s could not be stored.", self._attempt.pk, exc_info=True)
            return None


def discard_text(attempt: Attempt) -> None:
    """Delete the events with an attempt's text: its output, if any, holds the whole text."""
    pieces = ItemEvent.objects.filter(item=attempt.item_id, attempt_number=attempt.number)
    pieces.exclude(text="").delete()
