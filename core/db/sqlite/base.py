"""Django's SQLite backend with short, equal waits for the write lock.

SQLite lets one connection write at a time and has no queue: each of the others sleeps and tries
again, after 1 ms at first and 100 ms after a quarter of a second (``sqliteDefaultBusyCallback`` in
its source).  So the connection that has waited longest tries least often, and with fifty workers
the lock is free while some of them sleep. With sleeps of a few milliseconds the next one gets it at
once. That costs about a thousandth of a processor per waiting connection.
"""

from __future__ import annotations

import random
import sqlite3
import time
from typing import Any

from django.db.backends.sqlite3 import base

SLEEP_SECONDS = 0.004  # on average
BUSY_CODES = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_BUSY_RECOVERY,
)  # another connection writes, or recovers the log of a dead one


class PatientCursor(base.SQLiteCursorWrapper):
    """A cursor that retries a statement while another connection writes.

    It does not retry ``executemany``, which may be half done. Call that in a transaction that holds
    the lock.
    """

    patience: float  # seconds

    def execute(self, *statement: Any) -> Any:
        """Execute a statement.  Raises SQLite's "database is locked" after ``patience`` seconds."""
        until = time.monotonic() + self.patience
        while True:
            try:
                return super().execute(*statement)
            except sqlite3.OperationalError as error:
                is_busy = getattr(error, "sqlite_errorcode", None) in BUSY_CODES
                if not is_busy or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0, 2 * SLEEP_SECONDS))


class DatabaseWrapper(base.DatabaseWrapper):
    """The backend.  The option ``timeout`` is the number of seconds that a statement waits."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":  # otherwise a commit may have to wait, too
            connection.execute("PRAGMA busy_timeout = 0")  # from now on, the cursors wait
        return connection

    def create_cursor(self, name: str | None = None) -> PatientCursor:
        cursor: PatientCursor = self.connection.cursor(factory=PatientCursor)
        cursor.patience = self.settings_dict["OPTIONS"].get("timeout", 5.0)
        return cursor
