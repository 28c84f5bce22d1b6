"""Log records that are rewritten or left out."""

from __future__ import annotations

import logging
import mmap
import struct
import time

from django.core.signing import BadSignature
from django.db import InterfaceError, OperationalError

OUTAGE_SECONDS = 60.0
_STATE = struct.Struct("dq")  # until when outages are only counted (monotonic), and how many were
_outages = mmap.mmap(-1, _STATE.size)  # shared by the processes that are forked after the import


class OneLine(logging.Filter):
    """A warning without its traceback, for what may happen at any time."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = record.exc_text = None
        return True


class OnlyExceptions(logging.Filter):
    """Exceptions only: a 503 or 507 that the program means to send is in the access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(record.exc_info)


class QueueEvents(logging.Filter):
    """Plain words for what django-q reports of its messages and processes.

    A message that was signed with an earlier SECRET_KEY is discarded; the rows that it was about
    wake a worker again. The process that fetches messages ends whenever the database does not
    answer, which has a line of its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if isinstance(record.exc_info, tuple) and isinstance(record.exc_info[1], BadSignature):
            text = "A message was signed with another SECRET_KEY and is discarded; nothing is lost."
        elif text.startswith("reincarnated pusher"):
            if _is_outage():
                return False
            text = "The process that fetches messages ended and was replaced; nothing is lost."
        elif text.startswith("reincarnated worker"):
            cause = "took too long" if "timeout" in text else "ended unexpectedly"
            text = (
                f"A worker process {cause} and was replaced. Its work is taken up again; "
                "an item that it was sending becomes unconfirmed."
            )
        else:
            return True
        OneLine().filter(record)
        record.msg, record.args = text, ()
        return True


class DatabaseOutages(logging.Filter):
    """One line a minute while the database does not answer or is locked, without a traceback.

    Every tick of every worker fails then. Nothing is lost: each is tried again.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        cause = _outage(record)
        if not cause:
            return True
        until, count = _STATE.unpack_from(_outages)
        now = time.monotonic()
        if now < until <= now + OUTAGE_SECONDS:
            _STATE.pack_into(_outages, 0, until, count + 1)
            return False
        _STATE.pack_into(_outages, 0, now + OUTAGE_SECONDS, 0)
        before = f" ({count} more errors like this before)" if count else ""
        record.msg = f"The database does not answer, and everything is tried again: {cause}{before}"
        record.args = ()
        record.exc_info = record.exc_text = None
        return True


def _is_outage() -> bool:
    """Return True if the last line about an outage is at most a minute and a half old."""
    until, _count = _STATE.unpack_from(_outages)
    return bool(0 <= time.monotonic() - (until - OUTAGE_SECONDS) < 1.5 * OUTAGE_SECONDS)


def _outage(record: logging.LogRecord) -> str:
    """Return what the database says, if a record is about an outage of it; else ""."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    while error is not None:
        if isinstance(error, OperationalError | InterfaceError):
            return str(error).strip().partition("\n")[0]
        error = error.__cause__ or error.__context__
    if record.name == "django-q" and "Traceback" in (text := record.getMessage()):
        kind, _, message = text.strip().splitlines()[-1].partition(": ")
        if kind in ("django.db.utils.OperationalError", "django.db.utils.InterfaceError"):
            return message
    return ""
