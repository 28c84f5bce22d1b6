"""The simulator's state: one SQLite file, written before each answer, so it survives ``kill -9``.

The file is the only truth: nothing about a task is kept in Python.  Every statement runs on the
event loop's thread and takes microseconds (WAL, no fsync: a killed process loses nothing, a killed
machine may).
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from typing import Any

from devtools.simulators.runninghub.tasks import Task

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, owner TEXT, request TEXT, endpoint TEXT, params TEXT, marks TEXT, outcome TEXT,
    results INTEGER, price TEXT, base TEXT, webhook_url TEXT,
    accepted_at REAL, starts_at REAL, ends_at REAL, is_told INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unfinished ON tasks (owner, ends_at);
CREATE INDEX IF NOT EXISTS repeats ON tasks (request);
CREATE INDEX IF NOT EXISTS untold ON tasks (ends_at) WHERE webhook_url <> '' AND is_told = 0;
CREATE TABLE IF NOT EXISTS refusals (at REAL, what TEXT, endpoint TEXT, prompt TEXT);
CREATE TABLE IF NOT EXISTS uploads (name TEXT PRIMARY KEY, content_type TEXT, body BLOB, at REAL);
CREATE TABLE IF NOT EXISTS uses (subject TEXT, name TEXT, times INTEGER, PRIMARY KEY (subject, name)) WITHOUT ROWID;
"""

NAMES = [field.name for field in dataclasses.fields(Task)]
COLUMNS = ", ".join(NAMES)
SELECT = f"SELECT {COLUMNS} FROM tasks "  # noqa: S608
INSERT = f"INSERT INTO tasks ({COLUMNS}) VALUES ({', '.join('?' * len(NAMES))})"  # noqa: S608

USE = """
INSERT INTO uses VALUES (?, ?, 1)
    ON CONFLICT (subject, name) DO UPDATE SET times = times + 1 RETURNING times
"""

CLEAR = "DELETE FROM tasks; DELETE FROM refusals; DELETE FROM uploads; DELETE FROM uses"

MOST_AT_ONCE = """
WITH steps AS (SELECT owner, accepted_at AS at, 1 AS step FROM tasks UNION ALL SELECT owner, ends_at, -1 FROM tasks)
SELECT max(running) FROM
    (SELECT sum(step) OVER (PARTITION BY owner ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS running FROM steps)
"""

SUMS = """
SELECT count(*), total(:now < ends_at), total(min(ends_at, :now) - accepted_at),
    min(accepted_at), max(accepted_at), max(CASE WHEN ends_at <= :now THEN ends_at END),
    count(CASE WHEN ends_at <= :now AND outcome IN ('success', 'empty') THEN 1 END),
    count(CASE WHEN ends_at <= :now AND outcome NOT IN ('success', 'empty', 'cancel', 'vanish') THEN 1 END),
    count(CASE WHEN ends_at <= :now AND outcome = 'cancel' THEN 1 END)
FROM tasks
"""


class Store:
    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def _value(self, sql: str, *values: Any) -> Any:
        return self._db.execute(sql, values).fetchone()[0]

    def _tasks(self, rest: str, *values: Any) -> list[Task]:
        return [Task(*row) for row in self._db.execute(SELECT + rest, values)]

    # tasks

    def add(self, task: Task) -> None:
        self._db.execute(INSERT, [getattr(task, name) for name in NAMES])

    def task(self, task_id: str) -> Task | None:
        return next(iter(self._tasks("WHERE id = ?", task_id)), None)

    def tasks(self, limit: int) -> list[Task]:
        return self._tasks("ORDER BY accepted_at DESC LIMIT ?", limit)

    def accepted_since(self, moment: float) -> list[Task]:
        return self._tasks("WHERE accepted_at >= ? ORDER BY accepted_at", moment)

    def unfinished(self, owner: str, now: float) -> int:
        return int(self._value("SELECT count(*) FROM tasks WHERE owner = ? AND ends_at > ?", owner, now))

    def waiting(self, owner: str, now: float) -> int:
        sql = "SELECT count(*) FROM tasks WHERE owner = ? AND ends_at > ? AND starts_at > ?"
        return int(self._value(sql, owner, now, now))

    def times_paid(self, request: str) -> int:
        return int(self._value("SELECT count(*) FROM tasks WHERE request = ?", request))

    def end(self, task_id: str, outcome: str, now: float) -> bool:
        """End a running task now.  False: it is unknown or already ended."""
        sql = "UPDATE tasks SET outcome = ?, ends_at = ? WHERE id = ? AND ends_at > ?"
        return self._db.execute(sql, (outcome, now, task_id, now)).rowcount == 1

    # webhooks

    def unreported(self, now: float) -> list[Task]:
        return self._tasks("WHERE webhook_url <> '' AND is_told = 0 AND ends_at <= ? ORDER BY ends_at", now)

    def mark_reported(self, task_id: str) -> None:
        self._db.execute("UPDATE tasks SET is_told = 1 WHERE id = ?", (task_id,))

    # refusals, uploads, counted markers

    def refused(self, what: str, endpoint: str, prompt: str) -> None:
        self._db.execute("INSERT INTO refusals VALUES (?, ?, ?, ?)", (time.time(), what, endpoint, prompt))

    def refusals(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT what, count(*) FROM refusals GROUP BY what ORDER BY what"))

    def refused_since(self, moment: float) -> list[tuple[float, str, str, str]]:
        return list(self._db.execute("SELECT * FROM refusals WHERE at >= ? ORDER BY at", (moment,)))

    def keep(self, name: str, content_type: str, body: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?)", (name, content_type, body, time.time()))

    def upload(self, name: str) -> tuple[str, bytes] | None:
        row = self._db.execute("SELECT content_type, body FROM uploads WHERE name = ?", (name,)).fetchone()
        return None if row is None else (row[0], row[1])

    def use(self, subject: str, name: str) -> int:
        """Count one more use of a marker, and say how many that makes."""
        return int(self._value(USE, subject, name))

    # the panel

    def sums(self, now: float) -> dict[str, Any]:
        names = ["accepted", "in_flight", "slot_seconds", "first_submit_at", "last_submit_at", "last_end_at"]
        row = self._db.execute(SUMS, {"now": now}).fetchone()
        sums = dict(zip([*names, "succeeded", "failed", "cancelled"], row, strict=True))
        sums["in_flight"] = int(sums["in_flight"])
        return {**sums, "max_in_flight": self._value(MOST_AT_ONCE) or 0}

    def charges(self, now: float) -> list[tuple[str, int]]:
        """(price, how many succeeded tasks had it)."""
        sql = "SELECT price, count(*) FROM tasks WHERE outcome IN ('success', 'empty') AND ends_at <= ? GROUP BY price"
        return list(self._db.execute(sql, (now,)))

    def paid(self) -> list[tuple[str, str, int]]:
        """(request hash, params as JSON, how often it was accepted)."""
        return list(self._db.execute("SELECT request, params, count(*) FROM tasks GROUP BY request"))

    def uploads(self) -> int:
        return int(self._value("SELECT count(*) FROM uploads"))

    def clear(self) -> None:
        self._db.executescript(CLEAR)
