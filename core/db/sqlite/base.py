"""Django's SQLite backend, which waits for its turn to write in short, equal naps.

SQLite lets one connection write at a time, and has no queue for the others: each naps and tries again, 1 ms at first and 100 ms
after a quarter of a second (``sqliteDefaultBusyCallback`` in its source).  So who has waited long tries least often, and with
fifty workers the lock is free while some of them sleep on.  Naps of a few milliseconds hand it on at once, at about one
thousandth of a processor for each that waits.
"""

from __future__ import annotations

import random
import sqlite3
import time
from typing import Any

from django.db.backends.sqlite3 import base

NAP_SECONDS = 0.004  # on average
WORTH_WAITING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)  # another writes, or puts a dead one's log in order


class PatientCursor(base.SQLiteCursorWrapper):
    """Tries a statement again while another connection writes.  (Not ``executemany``, of which a part may be done: it belongs
    into a transaction, which has its turn.)
    """

    patience: float  # seconds

    def execute(self, *statement: Any) -> Any:
        """Raises what SQLite raises: "database is locked" when the patience is over."""
        until = time.monotonic() + self.patience
        while True:
            try:
                return super().execute(*statement)
            except sqlite3.OperationalError as error:
                is_busy = getattr(error, "sqlite_errorcode", None) in WORTH_WAITING
                if not is_busy or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0, 2 * NAP_SECONDS))


class DatabaseWrapper(base.DatabaseWrapper):
    """The option ``timeout`` is, as ever, how many seconds a statement waits for its turn."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":  # else a commit may have to wait as well
            connection.execute("PRAGMA busy_timeout = 0")  # from here on, cursors wait themselves
        return connection

    def create_cursor(self, name: str | None = None) -> PatientCursor:
        cursor: PatientCursor = self.connection.cursor(factory=PatientCursor)
        cursor.patience = self.settings_dict["OPTIONS"].get("timeout", 5.0)
        return cursor
