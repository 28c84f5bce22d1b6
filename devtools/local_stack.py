"""Worker and web processes, started by the demo, ``run_mission``, benchmarks and tests.

with WorkerProcess({"Q_WORKERS": "8"}) as workers:
    ...
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from django.conf import settings
from django.db import connection
from honcho.environ import parse_procfile

from providers.adapters.base import SIMULATOR_KEY

START_SECONDS = 60.0
STOP_SECONDS = 15.0


def simulator_environment(url: str) -> dict[str, str]:
    """Return the settings that point a process at a simulator."""
    return {
        "RUNNINGHUB_BASE_URL": url,
        "RUNNINGHUB_API_KEY": SIMULATOR_KEY,
        "RESULTS_ALLOWED_HOSTS": url.removeprefix("http://"),
    }


def own_environment() -> dict[str, str]:
    """Return the settings that make another process use this one's database and data folder."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        user = f"{database['USER']}:{database['PASSWORD']}@" if database["USER"] else ""
        port = f":{database['PORT']}" if database["PORT"] else ""
        host = str(database["HOST"]).replace("/", "%2F")
        url = f"postgres://{user}{host}{port}/{database['NAME']}"
    return {
        "DATABASE_URL": url,
        "DATA_DIR": str(settings.DATA_DIR),
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
    }


def procfile() -> dict[str, str]:
    """Return the shell commands of the processes of a site: web, workers, simulator."""
    return dict(parse_procfile((settings.BASE_DIR / "Procfile").read_text()).processes)


def procfile_environment(host: str, port: int) -> dict[str, str]:
    """Return the environment that ``procfile`` commands need: this interpreter and an address."""
    own_python = str(Path(sys.executable).parent)
    return {"PATH": own_python + os.pathsep + os.environ.get("PATH", ""), "HOST": host, "PORT": str(port)}


class WorkerProcess:
    """``manage.py workers`` as a child process."""

    def __init__(self, env: Mapping[str, str] | None = None, *, log: Path | None = None) -> None:
        self.env = {**os.environ, **own_environment(), **(env or {})}
        self.env["DJANGO_SETTINGS_MODULE"] = "runninghub_batch.settings"
        self.log = log
        self.prefix: list[str] = []  # a command that starts ours, such as one that enters a container
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the workers and wait until they are ready. Raises RuntimeError if they are not."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the process without waiting for it."""
        command = [*self.prefix, sys.executable, str(settings.BASE_DIR / "manage.py"), "workers", "--tied"]
        with contextlib.ExitStack() as stack:
            stderr = stack.enter_context(self.log.open("a")) if self.log else None
            self.process = subprocess.Popen(  # noqa: S603
                command,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait for the workers. Raises RuntimeError if they are not ready within START_SECONDS."""
        out = self.process.stdout if self.process else None
        line = out.readline() if out and select.select([out], [], [], START_SECONDS)[0] else ""
        if "workers are running" not in line:
            self.kill()
            raise RuntimeError(f"The workers did not start: {line!r}")

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def members(self) -> list[psutil.Process]:
        """Return the supervisor and all processes of its session, also orphans."""
        members: list[psutil.Process] = []
        for process in psutil.process_iter() if self.pid else ():
            with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(process.pid) == self.pid and process.status() != psutil.STATUS_ZOMBIE:
                    members.append(process)
        return members

    def kill(self) -> None:
        """Kill the supervisor and all processes of its session (SIGKILL)."""
        deadline = time.monotonic() + STOP_SECONDS
        while (members := self.members()) and time.monotonic() < deadline:
            for member in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            psutil.wait_procs(members, timeout=STOP_SECONDS)
        self._reap()

    def stop(self) -> None:
        """Send SIGTERM and wait. Raises subprocess.TimeoutExpired if that does not end it."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        self._reap()

    def _reap(self) -> None:
        if self.process is not None:
            self.process.communicate(timeout=STOP_SECONDS)
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextlib.contextmanager
def own_workers() -> Iterator[WorkerProcess]:
    """Run workers for the time of a block. Raises RuntimeError if they do not start."""
    workers = WorkerProcess(
        {"PYTHONUNBUFFERED": "1"}, log=log_file()
    )  # its line that says "ready" must not be buffered
    try:
        workers.start()
        yield workers
    finally:
        try:
            workers.stop()
        except subprocess.TimeoutExpired:
            workers.kill()


def log_file() -> Path:
    """Return the log file of workers that a command started."""
    return Path(settings.DATA_DIR) / "workers.log"
