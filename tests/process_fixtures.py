"""Real workers, a simulator and a web server on the test database, and ways to inspect them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.db import connection
from django_q.models import Task

from devtools.local_stack import WorkerProcess, own_environment, procfile, procfile_environment, simulator_environment
from devtools.simulators.runninghub.process import SimulatorProcess
from missions import lifecycle, services
from missions.models import Attempt, AttemptStatus, ItemStatus, Mission, MissionItem, Output, OutputStatus
from tests.factories import check_mission
from tests.ports import free_port, is_listening
from workers.models import WorkerCluster

POLL_FLOOR_SECONDS = "0.1"


class Cluster(WorkerProcess):
    """Worker processes whose group is remembered after their supervisor has died."""

    group_id = 0

    def start(self) -> None:
        super().start()
        self.group_id = self.row.group_id or 0
        deadline = time.monotonic() + 120  # monitor and pusher are started after the workers
        while len(self.children()) < int(self.env["Q_WORKERS"]) + 2 and time.monotonic() < deadline:
            time.sleep(0.05)

    @property
    def row(self) -> WorkerCluster:
        return WorkerCluster.objects.filter(pid=self.pid).latest("started_at")

    @property
    def is_running(self) -> bool:
        return self.process is not None

    def group(self) -> list[psutil.Process]:
        """Return the live processes of the latest known group, the sentinel first."""
        if self.is_running:
            self.group_id = self.row.group_id or self.group_id
        return sorted(_members(self.group_id), key=lambda process: process.pid)

    def sentinel(self) -> psutil.Process:
        return psutil.Process(self.row.group_id)

    def children(self) -> list[psutil.Process]:
        """Return the sentinel's children: workers, monitor and pusher, while none was replaced."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted(self.sentinel().children(), key=lambda process: (process.create_time(), process.pid))
        return []

    def memory(self) -> int:
        """Return the memory (PSS) of the supervisor and all its processes in bytes."""
        return sum(process.memory_full_info().pss for process in self.members())

    def kill_supervisor(self) -> None:
        """``kill -9`` of the supervisor alone, without waiting for those that it leaves."""
        assert self.process is not None
        self.group_id = self.row.group_id or 0
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.process = None

    def end(self) -> None:
        """Leave nothing behind, however the test went."""
        group = self.group()
        if self.is_running:
            self.kill()
        for process in {*group, *_members(self.group_id)}:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


class Stage:
    """A simulator, and whatever else a test starts.  ``close`` ends all of it."""

    def __init__(self, folder: Path, owner: User, **options: Any) -> None:
        self.folder = folder
        self.owner = owner
        small: dict[str, Any] = {
            "image_side": 64,
            "clip_side": 64,
            "clip_seconds": 0.3,
            "webhook_wait": 0.5,
            "task_jitter": 0.1,
        }
        small["price"] = {"image": "0.25"}  # a sum of quarters is exact on SQLite too
        self.simulator = SimulatorProcess(**{**small, **options})
        self.env = simulator_environment(self.simulator.url) | {
            "POLL_FLOOR_SECONDS": POLL_FLOOR_SECONDS,
            "LOG_LEVEL": "WARNING",
            "PUBLIC_BASE_URL": "",
        }
        self.clusters: list[Cluster] = []
        self.web: Web | None = None
        self.figures: dict[str, Any] = {}

    # --- Processes ---

    def start_web(self) -> Web:
        """Start a web server for webhooks, which workers started later name to the simulator."""
        self.web = Web({**self.env}, self.folder / "web.log")
        self.env["PUBLIC_BASE_URL"] = self.web.url
        self.web.start()
        return self.web

    def cluster(self, workers: int = 8, *, cap: int = 50, **env: str) -> Cluster:
        """Worker processes that are not yet started."""
        more = {"Q_WORKERS": str(workers), "RUNNINGHUB_CONCURRENCY": str(cap), **env}
        cluster = Cluster({**self.env, **more}, log=self.folder / f"workers-{len(self.clusters) + 1}.log")
        self.clusters.append(cluster)
        return cluster

    def start_workers(self, workers: int = 8, *, cap: int = 50, **env: str) -> Cluster:
        cluster = self.cluster(workers, cap=cap, **env)
        cluster.start()
        return cluster

    def close(self) -> None:
        for cluster in self.clusters:
            cluster.end()
        if self.web:
            self.web.stop()
        self.simulator.stop()

    def logs(self) -> str:
        return "".join(f"--- {path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.folder.glob("*.log")))

    def note(self, **figures: Any) -> None:
        """Print a measured figure."""
        self.figures |= figures
        print(f"  measured: {figures}")  # noqa: T201

    # --- Missions ---

    def mission(self, items: int, **more: Any) -> Mission:
        fields = {"name": "processes", "task_type": "text_to_image", "params": {"aspectRatio": "1:1"}} | more
        rows = fields.pop("rows", None) or [f"prompt {number:05d}" for number in range(items)]
        return services.submit_mission(owner=self.owner, rows=rows, **fields)

    def wait(self, condition: Callable[[], object], limit: float, *, every: float = 0.1) -> float:
        """Wait until a condition holds and return the seconds it took.  Fails after ``limit``."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < limit, f"not within {limit:g} s: {self.state()}\n{self.logs()}"
            time.sleep(every)
        return time.monotonic() - began

    def finish(self, mission: Mission, limit: float = 60.0) -> Mission:
        """Wait until the mission has ended with every file stored, and check its sums."""
        self.wait(lambda: is_over(mission) and not unstored(mission), limit)
        mission.refresh_from_db()
        check_mission(mission.pk)
        return mission

    def drain(self, mission: Mission, limit: float = 60.0) -> None:
        """Wait until each item has ended or is unconfirmed, with every file stored."""

        def is_drained() -> bool:
            mission.refresh_from_db()
            return not (mission.pending_count + mission.in_flight_count) and not unstored(mission)

        self.wait(is_drained, limit)
        check_mission(mission.pk)

    def resolve_by_hand(self, mission: Mission) -> tuple[int, int]:
        """Resolve unconfirmed items by the provider's records.  Return (attached, never run)."""
        task_of = {task["params"]["prompt"]: task["id"] for task in self.simulator.tasks(limit=100_000)}
        found = never_run = 0
        for item in mission.items.filter(status=ItemStatus.UNCONFIRMED):
            task_id = task_of.get(item.params["prompt"])
            if task_id:
                services.resolve_with_task(item=item, remote_task_id=task_id, actor="user:1")
                found += 1
            else:
                services.resolve_as_not_run(item=item, actor="user:1")
                never_run += 1
        return found, never_run

    # --- What must hold ---

    def check_paid_once(self, mission: Mission) -> None:
        """Each prompt was accepted exactly once, and each completed item has its file on disk."""
        paid = self.simulator.paid()["prompts"]
        prompts = {item.params["prompt"] for item in mission.items.all()}
        assert {prompt: paid.get(prompt, 0) for prompt in prompts} == dict.fromkeys(prompts, 1)
        check_files(mission)

    def check_none_paid_twice(self) -> None:
        paid = self.simulator.paid()["prompts"]
        assert not {prompt: times for prompt, times in paid.items() if times > 1}

    def failures(self) -> list[str]:
        """Return messages that ended in an exception: defects, unless a test expects them."""
        return [str(result).strip() for result in Task.objects.filter(success=False).values_list("result", flat=True)]

    def asked(self) -> int:
        """Return the number of submits and queries since the simulator started."""
        stats = self.simulator.stats()
        return int(stats["submits"]) + int(stats["queries"])

    def state(self) -> dict[str, Any]:
        return {
            "missions": list(Mission.objects.values_list("pk", "status")),
            "counts": [
                {key: value for key, value in mission.counts.items() if value} for mission in Mission.objects.all()
            ],
            "attempts": count_by(Attempt.objects.values_list("status", flat=True)),
            "outputs": count_by(Output.objects.values_list("status", flat=True)),
            "clusters": list(
                WorkerCluster.objects.filter(stopped_at=None).values_list("pid", "worker_count", "restart_count")
            ),
            "failures": self.failures()[:3],
        }


class Web:
    """The web application on a free port, started by the line of ``Procfile`` with one process.

    ``application`` takes the place of the real one.
    """

    APPLICATION = "runninghub_batch.asgi:application"

    def __init__(self, env: dict[str, str], log: Path, application: str = APPLICATION) -> None:
        self.command = f"{procfile()['web']} --application {application}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        address = procfile_environment("127.0.0.1", self.port)
        module = {"DJANGO_SETTINGS_MODULE": "runninghub_batch.settings"}
        self.env = {**os.environ, "WEB_PROCESSES": "1", **own_environment(), **env, **module, **address}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", self.command], env=self.env, cwd=settings.BASE_DIR, stderr=log
            )
        deadline = time.monotonic() + 240
        while not is_listening(self.port):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
        self.kill()


class FirstWork:
    """Measures how long after its creation the simulator is asked for the first time."""

    def __init__(self, stage: Stage) -> None:
        self.seconds: float | None = None
        self._stage = stage
        self._before = stage.asked()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while time.monotonic() < self._began + 60:
            with contextlib.suppress(OSError, ValueError):
                if self._stage.asked() > self._before:
                    self.seconds = time.monotonic() - self._began
                    return
            time.sleep(0.05)

    def wait(self) -> float:
        self._thread.join()
        assert self.seconds is not None, f"no work within a minute: {self._stage.state()}\n{self._stage.logs()}"
        return self.seconds


# --- Looks ---


def is_over(mission: Mission) -> bool:
    mission.refresh_from_db()
    return mission.status in lifecycle.ENDED and not mission.in_flight_count


def unstored(mission: Mission) -> int:
    return Output.objects.filter(item__mission=mission, status=OutputStatus.PENDING).count()


def sending() -> int:
    return Attempt.objects.filter(status=AttemptStatus.SENDING).count()


def check_files(mission: Mission) -> None:
    """Each completed item has one stored file, of the size and kind that its row says."""
    storage = storages["results"]
    completed = mission.items.filter(status=ItemStatus.COMPLETED)
    outputs = Output.objects.filter(item__in=completed)
    assert sorted(outputs.values_list("item_id", flat=True)) == sorted(completed.values_list("pk", flat=True))
    for output in outputs:
        assert output.status == OutputStatus.STORED
        with storage.open(output.file) as file:
            content = file.read()
        assert len(content) == output.size_bytes
        assert content[:4] == b"\x89PNG"


def result_files(mission_id: int) -> list[str]:
    folder = Path(storages["results"].path(f"missions/{mission_id}"))
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def statuses(mission: Mission) -> dict[str, int]:
    return count_by(MissionItem.objects.filter(mission=mission).values_list("status", flat=True))


def count_by(values: Any) -> dict[str, int]:
    listed = list(values)
    return {value: listed.count(value) for value in sorted(set(listed))}


def _members(group_id: int) -> Iterator[psutil.Process]:
    """Yield the live processes of a group."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if group_id and os.getpgid(process.pid) == group_id and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def deadlocks() -> int:
    """Deadlocks that PostgreSQL has ever found in the test database (SQLite: none can be)."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def dice(seed: int) -> random.Random:
    """Random moments that are the same in each run, unless CRASH_SEED says otherwise."""
    return random.Random(int(os.environ.get("CRASH_SEED", seed)))


def number_from_environment(name: str, otherwise: int) -> int:
    return int(os.environ.get(name, otherwise))


LONG = pytest.mark.skipif("CRASH_KILLS" not in os.environ, reason="long: set CRASH_KILLS=20 to run it")


def freeze(process: psutil.Process) -> None:
    process.send_signal(signal.SIGSTOP)
