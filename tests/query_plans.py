"""Query plans of a piece of code, on tables of any length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

# Indexes that hold a part of the rows only: reading one from end to end is cheap.
PARTIAL = ("output_due", "item_failed", "attempt_due")
WHOLE = re.compile(r"(->\s+)?(SCAN|Seq Scan|Parallel Seq Scan)")


@contextmanager
def plans() -> Iterator[list[str]]:
    """Collect the plan steps of each SELECT, UPDATE and DELETE inside.  Use it in a transaction."""
    lines: list[str] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("SELECT", "(SELECT", "UPDATE", "DELETE")):
            with context["connection"].cursor() as cursor:
                raw = cursor.cursor  # beside the wrapper, which would call us again
                raw.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}", params)
                lines.extend(str(row[-1]).strip() for row in raw.fetchall())
        return execute(sql, params, many, context)

    prepare()
    with connection.execute_wrapper(explain):
        yield lines


def prepare() -> None:
    """Let the database plan as if the tables were long.  Use it in a transaction.

    PostgreSQL's own statistics depend on the last autovacuum and on the rows of other tests.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # a short table is read as a whole whatever indexes it has
            cursor.execute("ANALYZE")


def reads_whole(lines: list[str], *tables: str) -> list[str]:
    """Return the steps that read every row of one of ``tables``."""
    whole = [line for line in lines if WHOLE.match(line) and any(table in line for table in tables)]
    return [line for line in whole if not any(name in line for name in PARTIAL)]
