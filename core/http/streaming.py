"""Streamed answers: made piece by piece, and only as fast as the client takes them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, cast

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import StreamingHttpResponse

T = TypeVar("T")

STALLED_DOWNLOAD_SECONDS = 600.0
PIECES_AT_ONCE = 8

_threads = ThreadPoolExecutor(PIECES_AT_ONCE, thread_name_prefix="pieces")


class ThreadedStream(StreamingHttpResponse):
    """A stream from a plain generator that also works under ASGI.

    Django would first collect all of it in memory there. Here each piece is made after the one
    before it was taken, in one of PIECES_AT_ONCE threads that keep their database connections. So
    the number of downloads does not change the number of connections, and a slow client holds none.
    The generator is closed when the client leaves, or takes nothing for STALLED_DOWNLOAD_SECONDS.
    """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(cast(Iterable[bytes], self.streaming_content))
        while (piece := await call_in_thread(partial(_next, pieces), _threads)) is not None:
            with drop_when_stalled(STALLED_DOWNLOAD_SECONDS):
                yield piece


def _next(pieces: Iterator[bytes]) -> bytes | None:
    with keep_connections():
        return next(pieces, None)


async def call_in_thread(function: Callable[[], T], threads: ThreadPoolExecutor) -> T:
    """Call ``function`` in one of ``threads``, and return or raise what it does.

    If the caller is cancelled because the client has left, a call that has begun is waited for, and
    one that waits for a thread never begins: the caller closes next what the call reads.
    """
    loop, turn, has_ended = asyncio.get_running_loop(), threading.Lock(), asyncio.Event()

    def call() -> T:
        if not turn.acquire(blocking=False):
            raise RuntimeError("The caller has left.")  # nobody reads this answer
        try:
            return function()
        finally:
            loop.call_soon_threadsafe(has_ended.set)

    try:
        return await sync_to_async(call, thread_sensitive=False, executor=threads)()
    except asyncio.CancelledError:
        has_begun = not turn.acquire(blocking=False)
        while has_begun and not has_ended.is_set():
            with contextlib.suppress(asyncio.CancelledError):  # a second one must not end this early
                await has_ended.wait()
        raise


@contextlib.contextmanager
def keep_connections() -> Iterator[None]:
    """Use this thread's database connections and keep them open; replace broken and old ones."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


@contextlib.contextmanager
def drop_when_stalled(seconds: float) -> Iterator[None]:
    """Cancel the current answer if the block, which yields a piece, exceeds ``seconds``."""
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        yield
    finally:
        timer.cancel()
