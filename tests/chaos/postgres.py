"""A PostgreSQL server of the campaign's own, that may fall over at any moment."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

SUPERUSER = "chaos"
# What is committed outlives a crash of the server, as in life; that of the whole machine is not played, so nothing is synced.
SETTINGS = "-c max_connections=200 -c fsync=off -c full_page_writes=off"


class Server:
    """Started in the constructor, on a free port of this machine.  Raises RuntimeError when there is no PostgreSQL."""

    def __init__(self, port: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chaos-postgresql-")
        self._home = Path(self._folder.name)
        self.port = port
        password = secrets.token_hex(16)
        self.url = f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres"
        (self._home / "password").write_text(password)
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._home, "postgres")
            shutil.chown(self._home / "password", "postgres")
        self._run("initdb", "-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", f"--pwfile={self._home}/password")
        self._start()

    def restart(self) -> None:
        """Fall over as in a crash, with every connection, and come back."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")
        self._start()

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")
        self._folder.cleanup()

    def _start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self._home} {SETTINGS}"
        self._run("pg_ctl", "-w", "-l", f"{self._home}/log", "-o", options, "start")

    def _run(self, program: str, *arguments: str) -> None:
        command = [_find(program), "-D", f"{self._home}/data", *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _find(program: str) -> str:
    """The newest one, in PATH or where Debian keeps it."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: path.parts[-3])
    found = shutil.which(program) or (str(kept[-1]) if kept else "")
    if not found:
        raise RuntimeError(f"There is no PostgreSQL on this machine: {program} was not found.")
    return found
