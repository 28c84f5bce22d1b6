"""Shared memory of one cluster: the state of each worker process."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable, Sequence

from workers import background


class WorkerSlots:
    """A cell for each worker: process id, start of its task, and the call that it waits for.

    The supervisor reads the cells, so that it does not take a busy cluster for a frozen one. A new
    worker takes the cell of a dead one. One more cell holds the time of the latest result.
    """

    CELL = struct.Struct("qdqd")
    IDLE = -1.0

    def __init__(self, places: int) -> None:
        self.places = places
        self.mine: int | None = None
        self._memory = mmap.mmap(-1, (places + 1) * self.CELL.size)
        self._lock_file = tempfile.TemporaryFile()  # noqa: SIM115  a record lock ends with its process, however it ends

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        self._lock_file.close()

    def take_place(self) -> int:
        """Take the first free cell for this process, and return its number."""
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            free = (place for place in range(self.places) if not _exists(self._read(place)[0]))
            self.mine = next(free, self.places - 1)
            self.idle()
            return self.mine
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)

    def idle(self) -> None:
        """Note that this worker waits for a task."""
        self._write(self.IDLE)

    def busy(self) -> None:
        """Note that this worker has begun a task."""
        self._write(time.monotonic())

    def begin_wait(self, key: int, may_begin: Callable[[Sequence[tuple[int, float]]], bool]) -> bool:
        """Note that this worker waits for ``key``, if ``may_begin`` allows it beside the others.

        ``may_begin`` gets the key and the start, on the monotonic clock, of each other worker's
        wait. A worker waits for one thing at a time: the latest key counts.
        """
        if self.mine is None:
            return True
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            is_allowed = may_begin(self.waits(without_mine=True))
            if is_allowed:
                self._write(self._read(self.mine)[1], key, time.monotonic())
            return is_allowed
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)

    def end_wait(self) -> None:
        """Note that this worker waits for nothing any more."""
        if self.mine is not None:
            self._write(self._read(self.mine)[1])

    def waits(self, *, without_mine: bool = False) -> list[tuple[int, float]]:
        """Return the key and the start of each living worker's wait."""
        cells = [self._read(place) for place in range(self.places) if not (without_mine and place == self.mine)]
        return [(key, began) for pid, _, key, began in cells if key and _exists(pid)]

    @property
    def is_busy(self) -> bool:
        """True if this process is a worker that runs a task, or work beside its tasks.

        The supervisor does not see the latter: such a worker still takes messages.
        """
        return background.count() > 0 or (self.mine is not None and self._read(self.mine)[1] > 0)

    def note_result(self) -> None:
        """Note, in the monitor, that a result has come back."""
        self.CELL.pack_into(self._memory, self.places * self.CELL.size, 0, time.monotonic(), 0, 0.0)

    @property
    def last_result(self) -> float:
        """Monotonic time of the latest result."""
        return self._read(self.places)[1]

    def workers(self) -> list[float]:
        """Return an entry for each living worker: IDLE, or since when it is busy."""
        cells = (self._read(place) for place in range(self.places))
        return [since for pid, since, _, _ in cells if _exists(pid)]

    def _read(self, place: int) -> tuple[int, float, int, float]:
        return self.CELL.unpack_from(self._memory, place * self.CELL.size)

    def _write(self, since: float, key: int = 0, began: float = 0.0) -> None:
        if self.mine is not None:
            self.CELL.pack_into(self._memory, self.mine * self.CELL.size, os.getpid(), since, key, began)


def _exists(pid: int) -> bool:
    """Return True if a process has this id, also one of another user."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
