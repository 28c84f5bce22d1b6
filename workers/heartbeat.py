"""Workers for the time that a command runs: those that are there, or its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from devtools.local_stack import WorkerProcess
from missions import execution
from workers.models import WorkerCluster

SILENT_AFTER = timedelta(seconds=30)  # a heart beats every two seconds; a start takes some
STOP_SECONDS = 15


def is_alive() -> bool:
    """Whether workers serve this database: ours, somebody else's, on this host or another."""
    beating = WorkerCluster.objects.filter(stopped_at=None, beat_at__gt=timezone.now() - SILENT_AFTER)
    return any(cluster.host != os.uname().nodename or execution.supervisor_of(cluster) for cluster in beating)


@contextlib.contextmanager
def own_workers() -> Iterator[WorkerProcess]:
    """Start workers, and stop them whatever happens.  Raises RuntimeError when they do not come up."""
    workers = WorkerProcess({"PYTHONUNBUFFERED": "1"}, log=log_file())  # we wait for the line that says they are ready
    try:
        workers.start()
        yield workers
    finally:
        try:
            workers.stop()
        except subprocess.TimeoutExpired:
            workers.kill()


def log_file() -> Path:
    """Where workers that a command started write what they have to say."""
    return Path(settings.DATA_DIR) / "workers.log"


def end_leftovers() -> None:
    """End the workers of this database that a killed command left behind on this machine."""
    with contextlib.suppress(DatabaseError):  # there is no database yet, or a very old one
        for cluster in WorkerCluster.objects.filter(host=os.uname().nodename, stopped_at=None):
            process = execution.supervisor_of(cluster)
            if process is not None:
                _end(process)


def _end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
