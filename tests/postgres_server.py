"""A PostgreSQL server of our own, for tests and for the merge gate.

As a program it runs a command on one:

    python -m tests.postgres_server make test ARGS="-m postgresql"

The command finds the database in ``DATABASE_URL``.  ``TEST_DATABASE_URL`` names a server to use
instead; its user must be allowed to create databases.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.ports import free_port

SUPERUSER = "tests"
# Commits survive a crash of the server.  The machine does not crash here, so nothing is synced.
SETTINGS = "-c max_connections=200 -c fsync=off -c full_page_writes=off"


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL, in PATH or where Debian installs it, or ""."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return shutil.which(name) or str(installed[-1] if installed else "")


def missing() -> str:
    """Return what this machine lacks to start a server, or ""."""
    return "" if program("initdb") else "PostgreSQL is not installed: apt install postgresql"


class PostgresServer:
    """A server on a free port of ``host``, started by the constructor, deleted when it stops.

    Raises RuntimeError when PostgreSQL is not installed or does not start.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        if missing():
            raise RuntimeError(missing())
        self.host, self.port = host, port or free_port(host)
        self._home = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._password = secrets.token_hex(16)
        (self._home / "password").write_text(self._password)
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._home, "postgres")
            shutil.chown(self._home / "password", "postgres")
        access = ["-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={self._home}/password"]
        self._run("initdb", "-E", "UTF8", *access)
        if host != "127.0.0.1":
            self._run_as_owner(
                "sh", "-c", f"echo 'host all all {host}/24 scram-sha-256' >> {self._home}/data/pg_hba.conf"
            )
        self.start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}:{self._password}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        options = f"-h {self.host} -p {self.port} -k {self._home} {SETTINGS}"
        self._run("pg_ctl", "-w", "-l", f"{self._home}/log", "-o", options, "start")

    def restart(self) -> None:
        """Crash with every connection open, and start again."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")
        self.start()

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._home)

    def _run(self, name: str, *arguments: str) -> None:
        self._run_as_owner(program(name), "-D", f"{self._home}/data", *arguments)

    def _run_as_owner(self, *command: str) -> None:
        prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        done = subprocess.run([*prefix, *command], cwd="/", text=True, env=environment, **output)  # type: ignore[call-overload]
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main(command: list[str]) -> int:
    """Run ``command`` with ``DATABASE_URL`` set, and return its exit code."""
    database = f"runninghub_batch_{os.getpid()}"
    if url := os.environ.get("TEST_DATABASE_URL"):
        named = urlsplit(url)._replace(path=f"/{database}").geturl()
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": named}).returncode
    with PostgresServer() as server:
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": server.url(database)}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
