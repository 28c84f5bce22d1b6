"""Task ids that the provider has just named, on disk until the database has them.

Many answers may arrive at once, while each has to wait for a lock to be recorded. If the worker is
killed meanwhile, the answers would be lost, and each attempt would be left to a person. So the
thread that gets an answer first appends a line to a file of its worker, which takes no lock. Once
the answers are recorded the file is deleted; the reaper reads the files of dead workers.

The files are on this host. A worker of another host that settles the attempt does not see them, and
the attempt is then unconfirmed.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from django.conf import settings

from missions.models import Attempt
from workers.heartbeat import worker_name

log = logging.getLogger(__name__)


def add(attempt: Attempt, task_id: str) -> None:
    """Note the task of an attempt that this worker has sent. A full disk is logged only."""
    line = json.dumps([attempt.pk, attempt.webhook_token, task_id]) + "\n"
    path = _path(worker_name())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
    except OSError:
        log.warning("The answer about attempt %s could not be noted.", attempt.pk, exc_info=True)


def clear() -> None:
    """Forget the answers of this worker, after they were recorded."""
    _path(worker_name()).unlink(missing_ok=True)


def task_id_of(attempt: Attempt) -> str:
    """Return the task that the attempt's worker had noted, "" if there is none on this host."""
    try:
        lines = _path(attempt.worker).read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        try:
            attempt_id, token, task_id = json.loads(line)
        except ValueError:  # cut off when the disk was full
            continue
        if (attempt_id, token) == (attempt.pk, attempt.webhook_token):
            return str(task_id)
    return ""


def remove() -> None:
    """Remove the files of all workers. None may be alive."""
    for path in _folder().glob("*.answers"):
        path.unlink(missing_ok=True)


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "tmp"


def _path(worker: str) -> Path:
    return _folder() / f"{worker.replace(':', '-') or 'nobody'}.answers"
