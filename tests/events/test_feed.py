"""Many readers of streams, on a log in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from django.db import DatabaseError

from events import feed
from events.feed import Event, Head, Hub


class Logs:
    """A source: logs by key. Counts what is read from it."""

    def __init__(self, *keys: int) -> None:
        self.logs: dict[int, list[int]] = {key: [] for key in keys}
        self.over: set[int] = set()
        self.reads: Counter[str] = Counter()
        self.polls: list[int] = []  # the number of streams that each statement asked for
        self.failures = 0

    def heads(self, keys: Collection[int]) -> dict[int, Head]:
        self.polls.append(len(keys))
        if self.failures:
            self.failures -= 1
            raise DatabaseError("gone")
        logs = {key: self.logs[key] for key in keys if key in self.logs}
        return {key: Head(max(log, default=0), key in self.over) for key, log in logs.items()}

    def events(self, key: int, *, after: int, head: Head, limit: int) -> list[Event]:
        ids = [number for number in self.logs[key] if after < number <= head.position][:limit]
        self.reads["events"] += 1
        self.reads["encoded"] += len(ids)
        return [Event(number, "item", b"{}") for number in ids]

    def end(self, head: Head | None) -> Event:
        return Event(0, "end" if head else "deleted", b"{}")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_SECONDS", "IDLE_POLL_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(feed, name, 0.001)


async def read(hub: Hub[Head], key: int, *, after: int = 0, latest: int = 0, stop_at: int = 0) -> list[int | str]:
    """Return the ids that a reader gets until ``stop_at`` or the end, and the end's name."""
    seen: list[int | str] = []
    async with aclosing(hub.follow(key, after=after, latest=latest)) as batches:
        async for batch in batches:
            seen += [event.id or event.name for event in batch]
            if stop_at and stop_at in seen:
                break
    return seen


def play(*steps: Coroutine[Any, Any, Any]) -> list[Any]:
    async def together() -> list[Any]:
        return await asyncio.wait_for(asyncio.gather(*steps), 30)

    return asyncio.run(together())


async def until_joined(hub: Hub[Head], readers: int) -> None:
    while hub.reader_count < readers:
        await asyncio.sleep(0)


def test_many_readers_cost_one_read_and_one_encoding():
    source = Logs(1, 2)
    hub = Hub(source)

    async def write() -> None:
        await until_joined(hub, 200)
        for number in range(1, 51):
            source.logs[number % 2 + 1].append(number)
            await asyncio.sleep(0.001)
        source.over |= {1, 2}

    *results, _ = play(*(read(hub, reader % 2 + 1) for reader in range(200)), write())
    for reader, seen in enumerate(results):
        assert seen == [number for number in range(1, 51) if number % 2 == reader % 2] + ["end"]
    assert source.reads["encoded"] == 50
    assert source.reads["events"] <= 50


def test_idle_streams_share_one_statement_per_poll():
    source = Logs(*range(1, 101))
    hub = Hub(source)

    async def write() -> None:
        await until_joined(hub, 100)
        source.polls.clear()
        while len(source.polls) < 10:
            await asyncio.sleep(0.001)
        assert source.polls[1:] == [100] * (len(source.polls) - 1)  # the first may have begun before all had joined
        source.over |= set(source.logs)

    play(*(read(hub, key) for key in source.logs), write())
    assert source.reads["events"] == 0


@pytest.mark.parametrize("events", [10, 3 * feed.EVENTS_HELD])
def test_a_reader_resumes_without_gaps_or_doubles(events: int):
    source = Logs(1)
    hub = Hub(source)

    async def write() -> None:
        await until_joined(hub, 1)
        for number in range(1, events + 1):
            source.logs[1].append(number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        source.over.add(1)

    async def return_often() -> list[int | str]:
        seen: list[int | str] = [0]
        while seen[-1] != "end":
            last = int(seen[-1])
            seen += await read(hub, 1, after=last, latest=max(source.logs[1], default=0), stop_at=last + 7)
        return seen[1:]

    late = read(hub, 1, after=3)
    results = play(return_often(), read(hub, 1), late, write())
    assert results[0] == results[1] == [*range(1, events + 1), "end"]
    assert results[2] == [*range(4, events + 1), "end"]


def test_slow_reader_reads_pages_and_delays_nobody():
    source = Logs(1)
    hub = Hub(source)
    is_done = asyncio.Event()

    async def slow() -> list[int | str]:
        seen: list[int | str] = []
        async with aclosing(hub.follow(1, after=0, latest=0)) as batches:
            async for batch in batches:
                seen += [event.id or event.name for event in batch]
                await is_done.wait()
        return seen

    async def quick() -> list[int | str]:
        seen = await read(hub, 1)
        is_done.set()
        return seen

    async def write() -> None:
        await until_joined(hub, 2)
        source.logs[1] += range(1, 5 * feed.EVENTS_HELD + 1)
        source.over.add(1)

    results = play(slow(), quick(), write())
    assert results[0] == results[1] == [*range(1, 5 * feed.EVENTS_HELD + 1), "end"]


def test_streams_end_with_their_subject():
    source = Logs(1, 2)
    source.logs[1] += [5, 6]
    source.over.add(1)
    hub = Hub(source)

    async def delete() -> None:
        await until_joined(hub, 1)
        del source.logs[2]

    assert play(read(hub, 1, after=5, latest=6), read(hub, 2), delete())[:2] == [[6, "end"], ["deleted"]]
    assert play(read(Hub(source), 1, after=10**18, latest=6)) == [["end"]]
    assert play(read(Hub(source), 3)) == [["deleted"]]


def test_pruned_events_are_skipped():
    source = Logs(1)
    source.logs[1] += [8, 9]  # 1 to 7 were deleted
    source.over.add(1)
    assert play(read(Hub(source), 1, after=2, latest=9)) == [[8, 9, "end"]]
    source.logs[1].clear()
    assert play(read(Hub(source), 1, after=2, latest=9)) == [["end"]]


def test_a_database_failure_delays_events_only():
    source = Logs(1)
    source.logs[1].append(1)
    source.over.add(1)
    source.failures = 3
    assert play(read(Hub(source), 1)) == [[1, "end"]]


def test_any_other_failure_breaks_streams_off():
    source = Logs(1)
    hub = Hub(source)
    source.logs[1] = None
    assert play(read(hub, 1)) == [[]]
    source.logs[1] = [1]
    source.over.add(1)
    assert play(read(hub, 1)) == [[1, "end"]]


def test_silence_is_filled_with_heartbeats(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.001)
    source = Logs(1)

    async def first_batches() -> list[list[Event]]:
        async with aclosing(Hub(source).follow(1, after=0, latest=0)) as batches:
            return [await anext(batches) for _ in range(3)]

    assert play(first_batches()) == [[[], [], []]]
