"""Transactions with other settings than the connection's default."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connection, transaction


@contextlib.contextmanager
def durable_transaction() -> Iterator[None]:
    """Open a transaction that survives a power failure once it is committed.

    Use it for what must be on disk before a paid POST is sent. PostgreSQL always commits this way.
    Our SQLite connections do not sync each commit (``synchronous=NORMAL``: a killed process loses
    nothing, a power failure may lose the last commits), so this transaction syncs.
    """
    is_outermost = connection.vendor == "sqlite" and not connection.in_atomic_block
    if is_outermost:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=FULL")
    try:
        with transaction.atomic():
            yield
    finally:
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA synchronous=NORMAL")


@contextlib.contextmanager
def without_jit() -> Iterator[None]:
    """Turn off PostgreSQL's JIT in a transaction: compiling takes longer than a search."""
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")
        yield
