"""A PostgreSQL server of the test's own, which listens where machines reach it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.ports import free_port

FAST = "-c max_connections=200 -c fsync=off -c synchronous_commit=off -c full_page_writes=off"


def program(name: str) -> str:
    """The newest one, in PATH or where Debian keeps it, or ""."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return shutil.which(name) or str(installed[-1] if installed else "")


def missing() -> str:
    return "" if program("initdb") and shutil.which("runuser") else "no PostgreSQL: apt install postgresql"


class PostgresServer:
    """Started in the constructor; its data goes when it stops.  PostgreSQL refuses to run as root."""

    def __init__(self, host: str) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._address = f"{host}:{free_port(host)}"
        self._password = secrets.token_hex(16)
        password_file = self._home / "password"
        password_file.write_text(self._password)
        subprocess.run(["chown", "-R", "postgres", self._home], check=True)
        access = [f"--pwfile={password_file}", "-A", "scram-sha-256", "-U", "tests"]
        self._run("initdb", "-D", str(self._data), "-E", "UTF8", *access)
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write(f"host all tests {host}/24 scram-sha-256\n")
        port = self._address.rpartition(":")[2]
        listening = f"-h {host} -p {port} -k {self._home} {FAST}"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self._home / "log"), "-o", listening, "start")

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def url(self, database: str) -> str:
        return f"postgres://tests:{self._password}@{self._address}/{database}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._home)

    def _run(self, name: str, *arguments: str) -> None:
        as_owner = ["runuser", "-u", "postgres", "--", program(name), *arguments]
        subprocess.run(
            as_owner, cwd="/", check=True, stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
