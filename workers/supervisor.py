"""Supervision of a django-q2 cluster by one parent process.

django-q2 has three gaps that this process closes (docs/decisions/0003-supervised-cluster.md):

    A worker that dies while it holds the queue's lock freezes the whole cluster.
        A canary message travels round the cluster. If it does not come back although a worker is
        idle, the cluster is replaced.
    Workers whose parent died run for ever.
        Every process of the cluster holds the read end of a pipe, the lifeline, whose write end
        only the supervisor has. End of file means that the supervisor is gone.
    A guard that waits for a dead worker's lock replaces no worker.
        Workers are counted. If some are missing for long, the cluster is replaced.

The cluster runs in a process group of its own, so that even a successor can end all of it. What
other apps do when workers start, live and stop is in their ``WorkerHooks``.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import logging
import os
import signal
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
from workers import background, bulkhead, clock_skew, heartbeat, hooks, queue
from workers.models import WorkerCluster
from workers.worker_slots import WorkerSlots

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
SLOW_LOG_SECONDS = 60.0
# Options of glibc's malloc for workers, from mallopt(3), and their values. Threads share one heap
# instead of keeping one each. Large blocks, such as pictures, go back to the system at once: by
# default glibc keeps larger and larger ones after the first was freed.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
MALLOC = {M_ARENA_MAX: 1, M_MMAP_THRESHOLD: 256 * 1024, M_TRIM_THRESHOLD: 512 * 1024}


class Supervisor:
    """The parent of one cluster, which it runs until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        me = psutil.Process()
        self.row = WorkerCluster(host=os.uname().nodename, pid=me.pid, pid_started_at=me.create_time())
        self.slots = WorkerSlots(settings.Q_WORKERS)
        self.child = 0
        self.lifeline = -1
        self.is_stopping = False
        self.canary_sent = 0.0
        self.missing_since: float | None = None
        self.clock = _clock_offset()
        self.slow_logged_at = -SLOW_LOG_SECONDS

    # --- The life of the supervisor ---

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start the cluster and supervise it. Returns when it was stopped and has ended."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        queue.set_cluster_id(self.row.pk)
        self._wait_for_migrations()
        if self.is_stopping:
            return
        self._take_over()
        self._start_group()
        try:
            deadline = time.monotonic() + START_LIMIT_SECONDS
            while not self.is_stopping and len(self.slots.workers()) < settings.Q_WORKERS:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            on_ready()
            self._watch()
        finally:
            self._end()

    def stop(self) -> None:
        """Make ``run`` end. Safe to call from any thread and from a signal handler."""
        self.is_stopping = True

    def _wait_for_migrations(self) -> None:
        """Touch nothing while the database is older than this program.

        ``migrate`` may be run on another host.
        """
        is_logged = False
        while not self.is_stopping and (missing := pending_migrations.missing_migrations()):
            if not is_logged:
                log.warning("%s The workers wait for that.", pending_migrations.tell(missing))
                is_logged = True
            time.sleep(BEAT_SECONDS)

    def _take_over(self) -> None:
        """End what a killed predecessor on this host left behind, and register this cluster."""
        for cluster in WorkerCluster.objects.filter(host=self.row.host, stopped_at=None):
            if heartbeat.supervisor_of(cluster) is None:
                _end_group(cluster.group_id, born_after=cluster.started_at.timestamp())
                WorkerCluster.objects.filter(pk=cluster.pk).update(stopped_at=timezone.now())
        last_beat = WorkerCluster.objects.filter(host=self.row.host).aggregate(latest=Max("beat_at"))["latest"]
        if last_beat:
            _correct_due_times(last_beat - timezone.now())
        self.row.save(force_insert=True)
        for hook in hooks.all_hooks():
            hook.on_start(is_alone=self._is_alone())

    def _is_alone(self) -> bool:
        others = WorkerCluster.objects.filter(stopped_at=None).exclude(pk=self.row.pk)
        return not any(heartbeat.is_alive(cluster) for cluster in others)

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
        """Write the heartbeat: every field, because an earlier write may have been lost."""
        clock = _clock_offset()
        _correct_due_times(timedelta(seconds=self.clock - clock))
        self.clock = clock
        workers = self.slots.workers()
        WorkerCluster.objects.filter(pk=self.row.pk).update(
            beat_at=timezone.now(),
            worker_count=len(workers),
            slow_work=self._slow_work(),
            group_id=self.child,
            pid_started_at=psutil.Process().create_time(),  # the kernel computes it from the clock as it is now
        )
        for hook in hooks.all_hooks():
            hook.on_beat()
        if reason := self._failure(workers):
            self._restart(reason)

    def _slow_work(self) -> list[dict[str, int | str]]:
        """Return where workers wait long for a provider, and log it once a minute."""
        slow = bulkhead.slow_waits(self.slots.waits(), places=self.slots.places, now=time.monotonic())
        if slow and time.monotonic() - self.slow_logged_at > SLOW_LOG_SECONDS:
            self.slow_logged_at = time.monotonic()
            for wait in slow:
                log.warning(
                    "%s of %s workers wait for a slow provider (account %s, %s), the longest for %s s.",
                    wait.workers,
                    self.slots.places,
                    wait.account_id,
                    wait.kind,
                    wait.seconds,
                )
        return [dataclasses.asdict(wait) for wait in slow]

    def _end(self) -> None:
        self._end_child()
        queue.drop_own_messages()
        for hook in hooks.all_hooks():
            hook.on_stop(is_alone=self._is_alone())
        WorkerCluster.objects.filter(pk=self.row.pk).update(stopped_at=timezone.now(), worker_count=0, slow_work=[])

    # --- Its cluster ---

    def _start_group(self) -> None:
        queue.load_all()
        for hook in hooks.all_hooks():
            hook.warm_up()
        connections.close_all()  # a connection must not be shared with a forked process
        read_end, write_end = os.pipe()
        gc.freeze()  # what is loaded by now stays shared between all workers
        with contextlib.suppress(OSError, AttributeError):  # without glibc
            for option, value in MALLOC.items():
                ctypes.CDLL(None).mallopt(option, value)
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
        """Lead, in the child, a new process group, and run django-q2's sentinel in it."""

        def on_start(stop: Any) -> None:
            """Stop at the end of the lifeline, and make every process that is forked do so too."""
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the supervisor is stopped, which ends the lifeline
            _watch_lifeline(lifeline, stop.set)
            os.register_at_fork(after_in_child=lambda: _watch_lifeline(lifeline, self._leave))

        code = 1
        try:
            with contextlib.suppress(PermissionError):
                os.setpgid(0, 0)
            queue.on_worker_start(self._become_worker)
            queue.on_task(self.slots.busy, self.slots.idle)
            queue.on_result(self.slots.note_result)
            queue.run_cluster(cluster_id=self.row.pk, on_start=on_start)
            code = 0
        except Exception:
            log.exception("The worker cluster failed.")
        finally:
            os._exit(code)

    def _become_worker(self) -> int:
        place = self.slots.take_place()
        bulkhead.use(self.slots)
        if place < queue.CORE_WORKERS:
            with contextlib.suppress(DatabaseError):
                for hook in hooks.all_hooks():
                    hook.warm_up()
        return place

    def _leave(self) -> None:
        """End this process after the sentinel had time to stop it, and after its work."""
        background.request_stop()
        deadline = time.monotonic() + ORPHAN_LIMIT_SECONDS
        time.sleep(ORPHAN_GRACE_SECONDS)
        while self.slots.is_busy and time.monotonic() < deadline:
            time.sleep(0.1)
        os._exit(0)

    def _restart(self, reason: str) -> None:
        log.error("The worker cluster is replaced: %s.", reason)
        self._end_child()
        if self.is_stopping:  # stopped while the old cluster ended
            return
        queue.drop_own_messages()
        WorkerCluster.objects.filter(pk=self.row.pk).update(restart_count=F("restart_count") + 1)
        self._start_group()
        for hook in hooks.all_hooks():
            hook.on_restart()

    def _end_child(self) -> None:
        """Close the lifeline, wait, and kill what is left after STOP_SECONDS."""
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

    def _failure(self, workers: list[float]) -> str:
        """Return the reason to replace the cluster, or "". Sends the next canary when it is due."""
        now = time.monotonic()
        if len(workers) < settings.Q_WORKERS:
            self.missing_since = self.missing_since or now
            limit = MISSING_WORKERS_LIMIT_SECONDS if workers else START_LIMIT_SECONDS
            if now - self.missing_since > limit:
                return f"only {len(workers)} of {settings.Q_WORKERS} workers are left"
        else:
            self.missing_since = None
        is_out = self.canary_sent > self.slots.last_result
        if is_out and now - self.canary_sent > CANARY_LIMIT_SECONDS and WorkerSlots.IDLE in workers:
            return f"no message came through for {CANARY_LIMIT_SECONDS:.0f} seconds"
        if not is_out and workers and now - self.slots.last_result > CANARY_INTERVAL_SECONDS:
            queue.send_canary()
            self.canary_sent = now
        return ""


def _watch_lifeline(lifeline: int, on_end: Callable[[], None]) -> None:
    """Wait in a thread for the end of the pipe, then call ``on_end``."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        on_end()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _clock_offset() -> float:
    """Return how far the machine's clock is ahead of one that cannot be set."""
    return time.time() - time.monotonic()


def _correct_due_times(by: timedelta) -> None:
    """Move due times back if the clock was set back by more than the tolerance."""
    if by > clock_skew.CLOCK_TOLERANCE:
        log.warning("The clock was set back by %s: due times are moved back too.", by)
        clock_skew.move_due_times_back(by)


def _members(group_id: int | None) -> Iterator[psutil.Process]:
    """Yield the living processes of a group."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group_id and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _end_group(group_id: int | None, *, born_after: float) -> None:
    """Wait for a group that a killed supervisor left, then kill it.

    Processes that began before ``born_after`` (epoch seconds) belong to somebody else.
    """
    deadline = time.monotonic() + STOP_SECONDS
    while members := [process for process in _members(group_id) if process.create_time() > born_after - 1]:
        if time.monotonic() > deadline:
            for process in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            return
        time.sleep(0.1)
