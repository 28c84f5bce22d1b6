"""A sandbox: a command with its own simulator, database and files.

Settings are read once, when a process starts. So the command restarts itself with other settings:
another data folder and database, a key that works nowhere, and the URL of the simulator that it
will start. Other providers lose their addresses and keys. Whatever ``.env`` says, the user's own
database and keys cannot be reached, and no mission can run partly here and partly there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from devtools.local_stack import simulator_environment
from devtools.simulators.runninghub.process import SimulatorProcess
from providers.adapters.registry import PROVIDERS
from providers.catalog.task_types import TaskType
from workers import heartbeat

MARK = "RUNNINGHUB_BATCH_SANDBOX"
PORT_FILE = "simulator.port"


class SandboxBusy(RuntimeError):
    """Another command is using the sandbox."""


def is_inside() -> bool:
    """Return True if this process runs in a sandbox."""
    return os.environ.get(MARK) == str(settings.DATA_DIR)


def enter(folder: Path, **environment: str) -> NoReturn:
    """Restart this command in the sandbox of ``folder``, with more settings in ``environment``.

    It gets every setting that could lead out of the sandbox, or change the output.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    local = "127.0.0.1,localhost"
    proxies = {
        name: f"{os.environ[name]},{local}" if os.environ.get(name) else local for name in ("NO_PROXY", "no_proxy")
    }
    addresses_and_keys = {
        kind.environment[name]: ""
        for kind in PROVIDERS.values()
        for name in ("base_url", "api_key")
        if name in kind.environment
    }
    inside = {
        **os.environ,
        MARK: str(folder),
        "DJANGO_SETTINGS_MODULE": "runninghub_batch.settings",
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "SECRET_KEY": "a-sandbox-has-no-secrets",
        "STORAGE_URL": "",
        "PUBLIC_BASE_URL": "",
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "text",
        **{f"DEFAULT_MODEL_{task_type.name}": "" for task_type in TaskType},
        **addresses_and_keys,
        **simulator_environment(f"http://127.0.0.1:{_choose_port(folder)}"),
        **proxies,
        **environment,
    }
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], inside)  # noqa: S606  the same command


def _choose_port(folder: Path) -> int:
    """Return the port of the last run, which URLs of pending results contain, or a free one."""
    note = folder / PORT_FILE
    last = note.read_text() if note.is_file() else ""
    for port in (int(last) if last.isdecimal() else 0, 0):
        with contextlib.suppress(OSError, OverflowError), socket.create_server(("127.0.0.1", port)) as listener:
            free_port: int = listener.getsockname()[1]
            note.write_text(str(free_port))
            return free_port
    raise RuntimeError("No port is free on this machine.")


@contextlib.contextmanager
def opened(*, is_fresh: bool, **options: Any) -> Iterator[SimulatorProcess]:
    """Migrate the database and run the simulator with ``options``, for one command at a time.

    ``is_fresh`` deletes the data of earlier commands. Raises SandboxBusy, or RuntimeError when the
    simulator does not start.
    """
    folder = Path(settings.DATA_DIR)
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxBusy(f"Another command is using {folder}. Wait until it has ended.") from None
        heartbeat.end_leftovers()
        if is_fresh:
            connections.close_all()
            shutil.rmtree(folder)
            folder.mkdir()
        call_command("migrate", verbosity=0, interactive=False)
        port = urlsplit(settings.RUNNINGHUB_BASE_URL).port or 0
        # Ctrl-C is blocked in the simulator: it has to answer until the workers have stopped.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = SimulatorProcess(port=port, state=folder / "simulator.sqlite3", **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with process as simulator:
            yield simulator
