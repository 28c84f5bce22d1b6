"""Faults and their timing.

A provider fault is armed at the simulator for its next few requests.  A machine fault is done to
real processes, the disk or the database, and undone after a moment if it lasts.  ``settles_in`` is
the number of seconds after which its effects are over at worst, once calm has returned; a campaign
draws only faults for which there is time left.
"""

from __future__ import annotations

import contextlib
import random
import resource
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psutil
import requests
from django.conf import settings
from django.db import DatabaseError, connection, connections

from tests.postgres_server import PostgresServer
from tests.process_fixtures import Cluster, Stage

QUICK = 8.0  # a person's look, a retry of what was refused once, or a new group of workers
START_TRIES = 10
BREEZE_SECONDS = 6.0
FULL_DISK_BYTES = 512
EVER = 86400

# Names of docs/simulator.md → settles_in.  No ``paid_*`` fault answers "not accepted" after an
# acceptance: nothing can be done against a provider that lies about money.
PROVIDER: dict[str, float] = {
    **dict.fromkeys(
        ["submit_drop", "submit_malformed", "submit_no_id", "submit_500", "submit_503", "submit_1501"], QUICK
    ),
    **dict.fromkeys(["submit_416", "submit_1002"], QUICK),  # the account is paused until a person resumes it
    **dict.fromkeys(["submit_429", "submit_1003", "submit_421", "submit_415"], 30.0),
    **dict.fromkeys(["submit_1010", "submit_1011"], 45.0),
    **dict.fromkeys(["paid_drop", "paid_malformed", "paid_no_id", "paid_500", "paid_502", "paid_504"], QUICK),
    **dict.fromkeys(["paid_slow", "paid_code_500", "paid_1005", "paid_1012"], QUICK),
    **dict.fromkeys(["submit_hang", "paid_hang", "paid_half"], 90.0),
    **dict.fromkeys(["query_drop", "query_slow", "query_malformed", "query_500", "query_429"], QUICK),
    **dict.fromkeys(["query_1003", "query_1011", "query_code_500"], QUICK),
    **dict.fromkeys(["query_hang", "query_half"], 30.0),
    **dict.fromkeys(["upload_drop", "upload_slow", "upload_malformed", "upload_500", "upload_1003"], 30.0),
    **dict.fromkeys(["task_cancel", "task_never", "task_empty", "task_1015", "task_1501", "task_1012"], QUICK),
    "task_vanish": 90.0,  # not believed for a minute
    **dict.fromkeys(["file_drop", "file_slow", "file_html", "file_short", "file_zip", "file_403", "file_500"], 20.0),
    **dict.fromkeys(["file_hang", "file_half"], 60.0),
    **dict.fromkeys(["webhook_lost", "webhook_double", "webhook_late"], QUICK),
    **dict.fromkeys(["account_500", "account_drop", "account_malformed"], QUICK),
}


@dataclass
class Scene:
    """The targets of faults.  ``server`` is None when the database is not ours to restart."""

    stage: Stage
    cluster: Cluster
    dice: random.Random
    server: PostgresServer | None
    seconds: float
    injected: Counter[str] = field(default_factory=Counter)
    had_trouble: bool = False  # with disk or database
    had_crash: bool = False
    errors: list[str] = field(default_factory=list)
    _armed: Counter[str] = field(default_factory=Counter)
    _undoing: list[threading.Timer] = field(default_factory=list)
    _turning: threading.Lock = field(default_factory=threading.Lock)  # of the simulator's options

    def storm(self, until: float) -> None:
        """Inject faults of provider and machine at random until a ``time.monotonic`` moment.

        The provider's go on for a while: workers that were just killed have met none of them.
        """
        with ThreadPoolExecutor(1) as threads:
            provider = threads.submit(self._upset_provider, until + BREEZE_SECONDS, random.Random(self.dice.random()))
            while time.monotonic() < until:
                time.sleep(self.dice.uniform(0.5, 4.0))
                self._look_after_workers()
                self._strike(*self.dice.choice(self._possible()))
            provider.result()

    def calm(self) -> None:
        """Undo what lasts, disarm what is armed, start what was killed."""
        for timer in self._undoing:
            timer.join()
        self._disarm()
        self.stage.simulator.set(url_seconds=EVER)
        self._look_after_workers()

    def _look_after_workers(self) -> None:
        """Check that no supervisor ended by itself."""
        process = self.cluster.process
        if process and process.poll() is not None:
            self.errors.append(f"The supervisor ended by itself, with code {process.returncode}.")
            self.cluster.kill()
            start_again(self.cluster)

    # --- The provider's ---

    def _upset_provider(self, until: float, dice: random.Random) -> None:
        chosen = [name for name, settles_in in PROVIDER.items() if settles_in <= self.seconds and self._is_met(name)]
        while time.monotonic() < until:
            time.sleep(dice.uniform(0.05, 0.5))
            with contextlib.suppress(requests.ConnectionError), self._turning:  # it is away
                self._arm(dice.choice(chosen), times=dice.randint(1, 5))

    def _is_met(self, name: str) -> bool:
        return self.stage.web is not None or not name.startswith("webhook")

    def _arm(self, name: str, *, times: int) -> None:
        self.stage.simulator.set(**{name: self._left().get(name, 0) + times})
        self._armed[name] += times

    def _left(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self.stage.simulator.options()["faults"]
        return found

    def _disarm(self) -> None:
        """Count the faults that were met, and disarm the others."""
        left = self._left()
        for name, times in self._armed.items():
            self.injected[name] += times - left.get(name, 0)
        self._armed.clear()
        self.stage.simulator.set(**dict.fromkeys(left, 0))

    def lose_provider(self, seconds: float) -> None:
        with self._turning:
            self._disarm()
            self.stage.simulator.kill()
            time.sleep(seconds)
            self.stage.simulator.restart()

    # --- The machine's ---

    def _possible(self) -> list[tuple[str, Callable[[Scene], None]]]:
        possible = {**MACHINE, **(WEB if self.stage.web else {})}
        if connection.vendor == "sqlite":
            possible["database locked"] = lock_database
        elif self.server:
            possible["database restarted"] = restart_database
        return list(possible.items())

    def _strike(self, name: str, do: Callable[[Scene], None]) -> None:
        try:
            do(self)
            self.injected[name] += 1
        except (psutil.NoSuchProcess, DatabaseError):
            connections.close_all()  # it was dead already, or nobody can be found while the database is away

    def later(self, seconds: float, undo: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, undo)
        timer.start()
        self._undoing.append(timer)


def start_again(cluster: Cluster) -> None:
    """As a service manager does: again and again.  Raises RuntimeError when it never comes up."""
    for _ in range(START_TRIES):
        try:
            cluster.start()
            return
        except (RuntimeError, DatabaseError):
            connections.close_all()
            cluster.kill()
            time.sleep(1)
    raise RuntimeError("The workers do not come up any more.")


def _workers(cluster: Cluster) -> list[psutil.Process]:
    """Return the sentinel's children: workers, monitor, pusher."""
    return [worker for sentinel in _sentinels(cluster) for worker in sentinel.children()]


def _sentinels(cluster: Cluster) -> list[psutil.Process]:
    return psutil.Process(cluster.pid).children()


def kill_worker(scene: Scene) -> None:
    scene.had_crash = True
    if found := _workers(scene.cluster):
        scene.dice.choice(found).kill()


def freeze_worker(scene: Scene) -> None:
    """Freeze a worker for a while, as on a machine that swaps."""
    scene.had_crash = True
    if found := _workers(scene.cluster):
        worker = scene.dice.choice(found)
        worker.suspend()
        scene.later(scene.dice.uniform(1, 8), lambda: _if_alive(worker.resume))


def kill_sentinel(scene: Scene) -> None:
    scene.had_crash = True
    for sentinel in _sentinels(scene.cluster):
        sentinel.kill()


def kill_supervisor(scene: Scene) -> None:
    scene.had_crash = True
    scene.cluster.kill_supervisor()
    time.sleep(scene.dice.uniform(0, 2))
    start_again(scene.cluster)


def kill_group(scene: Scene) -> None:
    scene.had_crash = True
    scene.cluster.kill()
    time.sleep(scene.dice.uniform(0, 2))
    start_again(scene.cluster)


def restart_workers(scene: Scene) -> None:
    """Stop with SIGTERM as for an upgrade, then with SIGKILL: the database may be unavailable."""
    scene.had_crash = True  # what hangs on the wire is given up
    try:
        scene.cluster.stop()
    except subprocess.TimeoutExpired:
        scene.cluster.kill()
    start_again(scene.cluster)


def restart_simulator(scene: Scene) -> None:
    """Take the provider away for a moment."""
    scene.lose_provider(scene.dice.uniform(0, 1))


def fill_disk(scene: Scene) -> None:
    """Limit the file size of the workers' processes, like a full disk; root is not needed.

    With SQLite that is the database's disk, too.
    """
    scene.had_trouble = True
    _limit_files(scene.cluster, FULL_DISK_BYTES)
    scene.later(scene.dice.uniform(1, 5), lambda: _limit_files(scene.cluster, resource.RLIM_INFINITY))


def _limit_files(cluster: Cluster, size: int) -> None:
    for process in cluster.members():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def expire_files(scene: Scene) -> None:
    """Let URLs of results expire at once, for a while."""
    scene.stage.simulator.set(url_seconds=0)
    scene.later(scene.dice.uniform(1, 5), lambda: _if_alive(lambda: scene.stage.simulator.set(url_seconds=EVER)))


def lock_database(scene: Scene) -> None:
    """Hold the write lock from another process, sometimes for longer than the busy timeout."""
    scene.had_trouble = True
    writer = sqlite3.connect(settings.DATABASES["default"]["NAME"], check_same_thread=False, isolation_level=None)
    writer.execute("PRAGMA busy_timeout = 5000")
    try:
        writer.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:  # it is locked already
        writer.close()
        return
    longest = 35 if scene.seconds > 120 and scene.dice.random() < 0.2 else 6
    scene.later(scene.dice.uniform(1, longest), writer.close)


def restart_database(scene: Scene) -> None:
    assert scene.server is not None
    scene.had_trouble = True
    scene.server.restart()
    connections.close_all()


def kill_web(scene: Scene) -> None:
    assert scene.stage.web is not None
    scene.stage.web.kill()
    time.sleep(scene.dice.uniform(0, 1))
    scene.stage.web.start()


def _if_alive(act: Callable[[], object]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, OSError):
        act()


MACHINE: dict[str, Callable[[Scene], None]] = {
    "worker killed": kill_worker,
    "worker frozen": freeze_worker,
    "sentinel killed": kill_sentinel,
    "supervisor killed": kill_supervisor,
    "all workers killed": kill_group,
    "workers restarted": restart_workers,
    "provider away": restart_simulator,
    "disk full": fill_disk,
    "results expired": expire_files,
}
WEB = {"web killed": kill_web}
