"""Answers that are longer than memory should hold: made piece by piece, and only as fast as they are taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import cast

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections
from django.http import StreamingHttpResponse

STALLED_DOWNLOAD_SECONDS = 600.0


class ThreadedStream(StreamingHttpResponse):
    """Streams what a plain generator makes, also under ASGI, where Django would first collect all of it in memory.

    Each piece is made in a thread of the request, when the one before it was taken; no database connection is held while it
    is on its way.  The generator is closed when the client goes away, or takes nothing for STALLED_DOWNLOAD_SECONDS.
    """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(cast(Iterable[bytes], self.streaming_content))
        make_next = sync_to_async(_next)
        while (piece := await make_next(pieces)) is not None:
            with dropped_when_stalled(STALLED_DOWNLOAD_SECONDS):
                yield piece


def _next(pieces: Iterator[bytes]) -> bytes | None:
    try:
        return next(pieces, None)
    finally:
        release_connections()


def release_connections() -> None:
    """Close this thread's database connections, except inside a transaction (a test's)."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


@contextlib.contextmanager
def kept_connections() -> Iterator[None]:
    """Use this thread's database connections, and keep them for the next who does: one that broke or is too old is replaced."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


@contextlib.contextmanager
def dropped_when_stalled(seconds: float) -> Iterator[None]:
    """Cancel the answer under way unless the block, which yields a piece of it, is left within ``seconds``."""
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        yield
    finally:
        timer.cancel()
