"""Long answers are made as they are taken, by whoever serves them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from core.http.streaming import PIECES_AT_ONCE, ThreadedStream, call_in_thread, drop_when_stalled


class Pieces:
    """Counts how many were made, and knows when it was closed."""

    def __init__(self) -> None:
        self.made = 0
        self.threads: set[int] = set()
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(10):
            self.made += 1
            self.threads.add(threading.get_ident())
            yield b"piece"

    def close(self) -> None:
        self.is_closed = True


def test_pieces_are_made_one_by_one_in_a_thread() -> None:
    async def take() -> None:
        stream = ThreadedStream(pieces)
        async for piece in stream:
            taken.append(piece)
            assert pieces.made == len(taken)
        stream.close()

    pieces, taken = Pieces(), list[bytes]()
    asyncio.run(take())
    assert taken == [b"piece"] * 10
    assert threading.get_ident() not in pieces.threads
    assert pieces.is_closed


def test_many_downloads_share_a_few_threads() -> None:
    async def take(pieces: Pieces) -> int:
        return len([piece async for piece in ThreadedStream(pieces)])

    async def take_all() -> list[int]:
        return await asyncio.gather(*map(take, downloads))

    downloads = [Pieces() for _ in range(5 * PIECES_AT_ONCE)]
    assert asyncio.run(take_all()) == [10] * len(downloads)
    assert 1 <= len(set[int]().union(*(download.threads for download in downloads))) <= PIECES_AT_ONCE


def test_download_is_closed_after_its_last_piece_is_made() -> None:
    def make() -> Iterator[bytes]:
        try:
            is_begun.set()
            may_go_on.wait(10)
            yield b"piece"
        finally:
            is_closed.set()

    async def leave() -> None:
        stream = ThreadedStream(make())
        taking = asyncio.ensure_future(anext(aiter(stream)))
        await asyncio.to_thread(is_begun.wait)
        for _ in range(3):  # a server may cancel more than once
            taking.cancel()
            await asyncio.sleep(0.05)
            assert not taking.done()
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await taking
        stream.close()  # with a generator that still runs: ValueError

    is_begun, may_go_on, is_closed = (threading.Event() for _ in range(3))
    asyncio.run(leave())
    assert is_closed.is_set()


def test_no_piece_is_begun_after_the_client_left() -> None:
    class Threads(ThreadPoolExecutor):
        """Takes a call, so that it cannot be cancelled, and makes it later."""

        def submit(self, call: Any, /, *_: Any, **__: Any) -> Future[Any]:
            future = Future[Any]()
            future.set_running_or_notify_cancel()
            calls.append(call)
            return future

    async def leave() -> None:
        waiting = asyncio.ensure_future(call_in_thread(lambda: pieces.append(b"piece"), Threads(1)))
        while not calls:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(RuntimeError):
            calls.pop()()

    calls, pieces = list[Callable[[], None]](), list[bytes]()
    asyncio.run(leave())
    assert pieces == []


def test_servers_without_asgi_are_served_piece_by_piece_as_well() -> None:
    pieces = Pieces()
    stream = iter(ThreadedStream(pieces))
    next(stream)
    assert pieces.made == 1


def test_a_client_that_takes_nothing_for_too_long_is_dropped() -> None:
    async def stall() -> None:
        with drop_when_stalled(0.05):
            await asyncio.sleep(5)

    async def take_in_time() -> None:
        for _ in range(3):
            with drop_when_stalled(1.0):
                await asyncio.sleep(0.4)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stall())
    asyncio.run(take_in_time())
