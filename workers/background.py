"""Work that a worker does beside its tasks, in threads of its own.

A worker that ends or is recycled waits for it, as it waits for a task. The supervisor kills work
that exceeds its stop limit.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_lock = threading.Lock()
_count = 0
_stop = threading.Event()


def run(work: Callable[[], None], *, name: str) -> None:
    """Do ``work`` in a new thread of this process. An exception is logged."""

    def run_and_count() -> None:
        try:
            work()
        except Exception:
            log.exception("%s was interrupted by an error in this program.", name)
        finally:
            _add(-1)

    _add(1)
    threading.Thread(target=run_and_count, name=name).start()


def count() -> int:
    """Return how many pieces of work run in this process."""
    return _count


def request_stop() -> None:
    """Note that this process will end when its work has ended."""
    _stop.set()


def stop_requested() -> bool:
    """Return True when this process is about to end."""
    return _stop.is_set()


def _add(number: int) -> None:
    global _count
    with _lock:
        _count += number
