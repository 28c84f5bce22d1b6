"""The site of a benchmark: an empty database and data folder, and a web process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / "var" / "bench"


@contextmanager
def scratch_database(server_url: str, folder: Path = STATE) -> Iterator[str]:
    """Yield the URL of an empty database: a SQLite file, or a new database on a server."""
    if not server_url:
        yield f"sqlite:///{folder / 'db.sqlite3'}"
        return
    import psycopg

    def execute(statement: str) -> None:  # on a new connection: the server may have been restarted
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(statement)

    name = f"bench_{os.getpid()}"
    execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{server_url.rsplit('/', 1)[0]}/{name}"
    finally:
        execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def scratch_site(server_url: str, folder: Path = STATE, /, **environment: str) -> Iterator[None]:
    """Set up Django on an empty database and data folder; child processes inherit both."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with scratch_database(server_url, folder) as url:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "runninghub_batch.settings",
            "DATA_DIR": str(folder),
            "DATABASE_URL": url,
            "STORAGE_URL": "",
            "READ_DOT_ENV": "0",
            "SECRET_KEY": "only-for-this-benchmark",
            "RUNNINGHUB_API_KEY": "",
            "PUBLIC_BASE_URL": "",
            "METRICS_TOKEN": "",
            "LOG_LEVEL": "WARNING",
            **environment,
        }
        import django
        from django.db import connections

        django.setup()
        try:
            yield
        finally:
            connections.close_all()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web_process(env: dict[str, str], port: int) -> Iterator[psutil.Process]:
    """Run the web server as ``Procfile`` does; yield its process, the parent of any others."""
    from devtools.local_stack import procfile, procfile_environment

    environment = {**os.environ, **env, **procfile_environment("127.0.0.1", port), "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(["/bin/sh", "-c", procfile()["web"]], env=environment, cwd=ROOT)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=10)
