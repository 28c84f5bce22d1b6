"""Changes of another request between two statements of the one that is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def meanwhile(kind: str, table: str, act: Callable[[], Any], *, is_before: bool = False) -> Iterator[None]:
    """Call ``act`` right after the first statement of a ``kind`` (SELECT) that names ``table``.

    ``is_before``: right before it. Fails if there was no such statement.
    """
    calls = [act]

    def interrupt(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        is_meant = bool(calls) and sql.startswith(kind) and table in sql
        call = calls.pop() if is_meant else None
        if call and is_before:
            call()
        answer = execute(sql, params, many, context)
        if call and not is_before:
            call()
        return answer

    with connection.execute_wrapper(interrupt):
        yield
    assert not calls, f"no {kind} named {table}"
