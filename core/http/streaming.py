"""Answers that are longer than memory should hold: made piece by piece, and only as fast as they are taken."""

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
    """Streams what a plain generator makes, also under ASGI, where Django would first collect all of it in memory.

    Each piece is made when the one before it was taken, in one of PIECES_AT_ONCE threads that keep their database connections:
    however many clients download, no more are open, and one that is slow keeps none of them.  The generator is closed when the
    client goes away, or takes nothing for STALLED_DOWNLOAD_SECONDS.
    """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(cast(Iterable[bytes], self.streaming_content))
        while (piece := await carried_out(partial(_next, pieces), _threads)) is not None:
            with dropped_when_stalled(STALLED_DOWNLOAD_SECONDS):
                yield piece


def _next(pieces: Iterator[bytes]) -> bytes | None:
    with kept_connections():
        return next(pieces, None)


async def carried_out(function: Callable[[], T], threads: ThreadPoolExecutor) -> T:
    """What ``function`` returns or raises, called in one of ``threads``.

    Who is cancelled meanwhile, because the client has left, goes on only when a call that has begun is through: what it reads is
    closed next.
    """
    loop, is_begun, has_ended = asyncio.get_running_loop(), threading.Event(), asyncio.Event()

    def carry_out() -> T:
        is_begun.set()
        try:
            return function()
        finally:
            loop.call_soon_threadsafe(has_ended.set)

    try:
        return await sync_to_async(carry_out, thread_sensitive=False, executor=threads)()
    except asyncio.CancelledError:
        if is_begun.is_set():
            await has_ended.wait()
        raise


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
