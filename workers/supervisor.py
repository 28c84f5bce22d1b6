"""One parent that keeps a django-q2 cluster at work.

django-q2 leaves three holes that this process closes (docs/decisions/0003-supervised-cluster.md):

    a worker that dies while it holds the queue's lock freezes the whole cluster
        → a canary travels round the cluster; when it does not come back although a worker is idle, the cluster is replaced
    workers whose parent died go on for ever
        → every process of the cluster holds the read end of a pipe whose write end only the supervisor has: end of file
          means that the supervisor is gone
    a guard that waits for a dead worker's lock replaces nobody
        → workers are counted; when some are missing for long, the cluster is replaced

The cluster runs in a process group of its own, so that all of it can be ended, even by a successor.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import logging
import mmap
import os
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NoReturn

import psutil
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import F, Max
from django.utils import timezone

from core.db import pending_migrations
from missions import execution, services
from missions import tasks as tasks  # loaded here, so that the workers share it
from operations import retention
from providers import provider_accounts
from providers.models import ProviderAccount
from workers import queue
from workers.models import WorkerCluster

log = logging.getLogger(__name__)

LOOP_SECONDS = 0.25
BEAT_SECONDS = 2.0
CANARY_INTERVAL_SECONDS = 5.0
CANARY_LIMIT_SECONDS = 10.0
MISSING_WORKERS_LIMIT_SECONDS = 15.0
START_LIMIT_SECONDS = 20.0
STOP_SECONDS = 8.0  # then the group is killed, so that a stop takes less than ten
ORPHAN_GRACE_SECONDS = 5.0
ORPHAN_LIMIT_SECONDS = 120.0
MALLOC_ARENA_MAX = -8


class WorkerSlots:
    """Shared memory with a place for each worker: its process id, and since when it is at work.

    The supervisor reads it, so that it does not end a busy cluster as frozen.  A place of a dead worker is taken by the next.
    """

    CELL = struct.Struct("qd")
    IDLE = -1.0

    def __init__(self, places: int) -> None:
        self.places = places
        self.mine: int | None = None
        self._memory = mmap.mmap(-1, (places + 1) * self.CELL.size)
        self._lock_file = tempfile.TemporaryFile()  # noqa: SIM115  a record lock ends with its process, however it ends

    def take_place(self) -> int:
        """Take the first free place for this process, and return its number."""
        fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
        try:
            free = (place for place in range(self.places) if not _exists(self._read(place)[0]))
            self.mine = next(free, self.places - 1)
            self.idle()
            return self.mine
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)

    def idle(self) -> None:
        self._write(self.IDLE)

    def busy(self) -> None:
        self._write(time.monotonic())

    @property
    def is_busy(self) -> bool:
        """Whether this process is a worker that is at work."""
        return self.mine is not None and self._read(self.mine)[1] > 0

    def note_result(self) -> None:
        """In the monitor: a message has come all the way round."""
        self.CELL.pack_into(self._memory, self.places * self.CELL.size, 0, time.monotonic())

    @property
    def last_result(self) -> float:
        return self._read(self.places)[1]

    def workers(self) -> list[float]:
        """What each living worker says: IDLE, or since when it is busy."""
        said = (self._read(place) for place in range(self.places))
        return [since for pid, since in said if _exists(pid)]

    def _read(self, place: int) -> tuple[int, float]:
        return self.CELL.unpack_from(self._memory, place * self.CELL.size)

    def _write(self, since: float) -> None:
        if self.mine is not None:
            self.CELL.pack_into(self._memory, self.mine * self.CELL.size, os.getpid(), since)


class Supervisor:
    """Runs one cluster until it is told to stop (SIGTERM or SIGINT)."""

    def __init__(self) -> None:
        me = psutil.Process()
        self.row = WorkerCluster(host=os.uname().nodename, pid=me.pid, pid_started_at=me.create_time())
        self.slots = WorkerSlots(settings.Q_WORKERS)
        self.child = 0
        self.lifeline = -1
        self.is_stopping = False
        self.canary_sent = 0.0
        self.missing_since: float | None = None
        self.clock = _clock()

    # --- The life of the supervisor ---

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start the cluster and watch over it.  Returns when it was told to stop and the cluster has ended."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        queue.set_cluster_id(self.row.pk)
        self._wait_for_migrations()
        if self.is_stopping:
            return
        self._take_over()
        self._start_group()
        try:
            self._wait_for_workers()
            on_ready()
            self._watch()
        finally:
            self._end()

    def stop(self) -> None:
        """Make ``run`` end.  May be called from any thread, or from a signal handler."""
        self.is_stopping = True

    def _wait_for_migrations(self) -> None:
        """A newer program on an older database: nothing is touched before ``migrate`` was run, perhaps on another host."""
        is_told = False
        while not self.is_stopping and (missing := pending_migrations.missing_migrations()):
            if not is_told:
                log.warning("%s The workers wait for that.", pending_migrations.tell(missing))
                is_told = True
            time.sleep(BEAT_SECONDS)

    def _take_over(self) -> None:
        """End what a killed predecessor on this host left, and repair its rows."""
        for cluster in WorkerCluster.objects.filter(host=self.row.host, stopped_at=None):
            if execution.supervisor_of(cluster) is None:
                _end_group(cluster.group_id, born_after=cluster.started_at.timestamp())
                WorkerCluster.objects.filter(pk=cluster.pk).update(stopped_at=timezone.now())
        last_beat = WorkerCluster.objects.filter(host=self.row.host).aggregate(latest=Max("beat_at"))["latest"]
        if last_beat:
            _catch_up(last_beat - timezone.now())
        self.row.save(force_insert=True)
        queue.ensure_schedules()
        queue.schedule_cleanup(is_wanted=retention.is_wanted())
        if provider_accounts.sync_env_key(on_change=services.pause_after_key_change):
            log.warning(
                "The API key or address has changed: missions that had not ended are paused until you resume them."
            )
        if self._is_alone():
            execution.recover()
        for account_id in ProviderAccount.objects.values_list("pk", flat=True):
            execution.arm(account_id)

    def _is_alone(self) -> bool:
        others = WorkerCluster.objects.filter(stopped_at=None).exclude(pk=self.row.pk)
        return not any(_is_alive(cluster) for cluster in others)

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not self.is_stopping and time.monotonic() < deadline and len(self.slots.workers()) < settings.Q_WORKERS:
            time.sleep(0.05)

    def _watch(self) -> None:
        last_beat = 0.0
        while not self.is_stopping:
            time.sleep(LOOP_SECONDS)
            try:
                if self._child_has_ended():
                    self._restart("its parent process ended")
                if time.monotonic() - last_beat > BEAT_SECONDS:
                    last_beat = time.monotonic()
                    self._beat()
            except (DatabaseError, InterfaceError):
                log.exception("The database did not answer the supervisor; trying again.")
                connections.close_all()
                time.sleep(BEAT_SECONDS)

    def _beat(self) -> None:
        """Say that this cluster lives, and how others can see it: all of it, for an earlier word may have been lost."""
        self._check_clock()
        workers = self.slots.workers()
        WorkerCluster.objects.filter(pk=self.row.pk).update(
            beat_at=timezone.now(),
            worker_count=len(workers),
            group_id=self.child,
            pid_started_at=psutil.Process().create_time(),  # which the kernel tells by the clock as it is now
        )
        execution.arm_stale()
        reason = self._trouble(workers)
        if reason:
            self._restart(reason)

    def _end(self) -> None:
        self._end_child()
        queue.drop_own_messages()
        if self._is_alone():
            execution.recover()  # messages died with the workers: what was only prepared must not look as if it were under way
        for account_id in ProviderAccount.objects.values_list("pk", flat=True):
            execution.repair(account_id)
        WorkerCluster.objects.filter(pk=self.row.pk).update(stopped_at=timezone.now(), worker_count=0)

    def _check_clock(self) -> None:
        clock = _clock()
        _catch_up(timedelta(seconds=self.clock - clock))
        self.clock = clock

    # --- Its cluster ---

    def _start_group(self) -> None:
        execution.warm_up()
        connections.close_all()  # a connection must not be shared with a forked process
        read_end, write_end = os.pipe()
        gc.freeze()  # what is loaded by now stays shared between all workers
        _share_heap()
        self.child = os.fork()
        if self.child == 0:
            os.close(write_end)
            self._become_cluster(read_end)
        os.close(read_end)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(self.child, self.child)
        self.lifeline = write_end
        self.canary_sent, self.missing_since = 0.0, None
        WorkerCluster.objects.filter(pk=self.row.pk).update(group_id=self.child)

    def _become_cluster(self, lifeline: int) -> NoReturn:
        """In the child: lead a new process group and run django-q2's sentinel in it."""
        code = 1
        try:
            with contextlib.suppress(PermissionError):
                os.setpgid(0, 0)
            queue.on_worker_start(self._become_worker)
            queue.on_task(self.slots.busy, self.slots.idle)
            queue.on_result(self.slots.note_result)
            queue.run_cluster(cluster_id=self.row.pk, on_start=lambda stop: self._obey(lifeline, stop))
            code = 0
        except Exception:
            log.exception("The worker cluster failed.")
        finally:
            os._exit(code)

    def _obey(self, lifeline: int, stop: Any) -> None:
        """In the sentinel, before it forks: stop at the end of the lifeline, and so does every process that it forks."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever stops us stops the supervisor, which ends the lifeline
        _hold(lifeline, stop.set)
        os.register_at_fork(after_in_child=lambda: _hold(lifeline, self._leave))

    def _become_worker(self) -> int:
        place = self.slots.take_place()
        if place < queue.CORE_WORKERS:
            with contextlib.suppress(DatabaseError):
                execution.warm_up()
        return place

    def _leave(self) -> None:
        """The lifeline has ended and the sentinel is stopping everybody.  Whoever is left after that ends itself."""
        deadline = time.monotonic() + ORPHAN_LIMIT_SECONDS
        time.sleep(ORPHAN_GRACE_SECONDS)
        while self.slots.is_busy and time.monotonic() < deadline:
            time.sleep(0.1)
        os._exit(0)

    def _restart(self, reason: str) -> None:
        log.error("The worker cluster is replaced: %s.", reason)
        self._end_child()
        if self.is_stopping:  # told so while the old one came to its end
            return
        queue.drop_own_messages()
        WorkerCluster.objects.filter(pk=self.row.pk).update(restart_count=F("restart_count") + 1)
        self._start_group()
        for account_id in ProviderAccount.objects.values_list("pk", flat=True):
            execution.arm(account_id)

    def _end_child(self) -> None:
        """End the lifeline, wait, and kill what is left after STOP_SECONDS."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if self._child_has_ended() and not any(_members(self.child)):
                return
            time.sleep(0.1)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child, signal.SIGKILL)
        self._child_has_ended()

    def _child_has_ended(self) -> bool:
        try:
            return os.waitpid(self.child, os.WNOHANG) != (0, 0)
        except ChildProcessError:
            return True

    # --- Is it well? ---

    def _trouble(self, workers: list[float]) -> str:
        """Why the cluster must be replaced, or ""."""
        now = time.monotonic()
        if len(workers) < settings.Q_WORKERS:
            self.missing_since = self.missing_since or now
            limit = MISSING_WORKERS_LIMIT_SECONDS if workers else START_LIMIT_SECONDS
            if now - self.missing_since > limit:
                return f"only {len(workers)} of {settings.Q_WORKERS} workers are left"
        else:
            self.missing_since = None
        return self._canary_trouble(workers, now)

    def _canary_trouble(self, workers: list[float], now: float) -> str:
        is_out = self.canary_sent > self.slots.last_result
        if is_out and now - self.canary_sent > CANARY_LIMIT_SECONDS and WorkerSlots.IDLE in workers:
            return f"no message came through for {CANARY_LIMIT_SECONDS:.0f} seconds"
        if not is_out and workers and now - self.slots.last_result > CANARY_INTERVAL_SECONDS:
            queue.send_canary()
            self.canary_sent = now
        return ""


def _share_heap() -> None:
    """Let the threads of each worker share one heap.  (glibc gives each a heap of its own, which it keeps when the thread ends.)

    M_ARENA_MAX of mallopt(3).  Where there is no glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(MALLOC_ARENA_MAX, 1)


def _hold(lifeline: int, then: Callable[[], None]) -> None:
    """Wait in a thread for the end of the pipe, then act."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        then()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _clock() -> float:
    """By how much the machine's clock is ahead of one that nobody can set."""
    return time.time() - time.monotonic()


def _catch_up(by: timedelta) -> None:
    """The clock is so far behind what it said before."""
    if by > execution.CLOCK_TOLERANCE:
        log.warning("The clock was set back by %s: what waits for a moment is brought forward.", by)
        execution.set_back(by)


def _exists(pid: int) -> bool:
    return pid > 0 and psutil.pid_exists(pid)


def _members(group_id: int | None) -> Iterator[psutil.Process]:
    """The living processes of a group."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group_id and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _end_group(group_id: int | None, *, born_after: float) -> None:
    """End a group that a killed supervisor left.  Processes that began before it are somebody else's."""
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        left = [process for process in _members(group_id) if process.create_time() > born_after - 1]
        if not left:
            return
        if time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            return
        time.sleep(0.1)


def _is_alive(cluster: WorkerCluster) -> bool:
    if cluster.host == os.uname().nodename:
        return execution.supervisor_of(cluster) is not None
    return cluster.beat_at > timezone.now() - execution.CLUSTER_DEAD_AFTER
