"""Task ids that the provider has just named, on disk until the database has them.

Many answers may arrive at once, and each waits for a lock before it is recorded. If the worker were
killed meanwhile, the answers would be lost, and a person would have to resolve each attempt. So the
thread that gets an answer first appends a line to a file of its worker, which takes no lock. The
line is removed once the answer is recorded. The reaper reads the files of dead workers, and those
of workers that could not record an answer.

The files are on this host. A worker of another host that settles the attempt does not see them, and
the attempt is then unconfirmed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from core.storage import disk
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


def clear(attempts: Iterable[Attempt]) -> None:
    """Forget this worker's answers about ``attempts``, after they were recorded.

    Answers that an earlier batch could not record stay, for the reaper.
    """
    path = _path(worker_name())
    ids = {attempt.pk for attempt in attempts}
    others = [entry for entry in _read(path) if entry[0] not in ids]
    with contextlib.suppress(OSError):  # a line too many does no harm
        if others:
            part = path.with_suffix(".new")
            part.touch(mode=0o600)
            part.write_text("".join(json.dumps(entry) + "\n" for entry in others))
            part.replace(path)
        else:
            path.unlink(missing_ok=True)


def task_id_of(attempt: Attempt) -> str:
    """Return the task that the attempt's worker had noted, "" if there is none on this host."""
    for attempt_id, token, task_id in _read(_path(attempt.worker)):
        if (attempt_id, token) == (attempt.pk, attempt.webhook_token):
            return task_id
    return ""


def remove() -> None:
    """Remove the files of all workers. None may be alive."""
    for path in _folder().glob("*.answers"):
        path.unlink(missing_ok=True)


def _read(path: Path) -> list[tuple[int, str, str]]:
    """Return the entries of a file: attempt, webhook token, task."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):  # cut off when the disk was full
            attempt_id, token, task_id = json.loads(line)
            entries.append((attempt_id, token, task_id))
    return entries


def _folder() -> Path:
    return disk.temporary_folder()


def _path(worker: str) -> Path:
    return _folder() / f"{worker.replace(':', '-') or 'nobody'}.answers"
