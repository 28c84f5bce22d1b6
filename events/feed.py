"""Streams of events that all connections of a process share.

One task reads the streams of a source that have readers: one cheap statement finds those with new
events, and one more reads each of them. Every event is read and encoded once per process, however
many readers it has. The latest events are held in memory. A reader stores only its position: it
takes later events from memory, or reads the log in pages if memory does not reach back far enough.
So a slow reader costs nothing, and a client that reconnects with "after id N" misses no event and
gets none twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import json
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError

from core.http.streaming import keep_connections

POLL_SECONDS = 0.4
IDLE_POLL_SECONDS = 1.0  # after IDLE_SECONDS without an event on any stream of the source
IDLE_SECONDS = 5.0
RETRY_SECONDS = 5.0  # after a database error
HEARTBEAT_SECONDS = 15.0
PAGE_SIZE = 200
EVENTS_HELD = 1000
READING_THREADS = 4

logger = logging.getLogger(__name__)
H = TypeVar("H", bound="Head")
T = TypeVar("T")

# Threads that only read logs. A connection that waits for events holds neither a thread nor a
# database connection.
_threads = ThreadPoolExecutor(max_workers=READING_THREADS, thread_name_prefix="events")


@dataclass(frozen=True, slots=True)
class Event:
    """One message of a stream. ``data`` is JSON. ``id`` orders the log; 0 is not part of it."""

    id: int
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A stream at one moment: the id of its latest event, and if its subject has ended.

    A source may add what its events need.
    """

    position: int
    is_over: bool


class Source(Protocol[H]):
    """Access to the logs of one kind of stream. Called in threads; may use the database."""

    def heads(self, keys: Collection[int]) -> Mapping[int, H]:
        """Return the heads of these streams, read by one statement. A missing one was deleted."""

    def events(self, key: int, *, after: int, head: H, limit: int) -> list[Event]:
        """Return the first ``limit`` events with ``after`` < id <= ``head.position``, in order."""

    def end(self, head: H | None) -> Event:
        """Return the last message of a stream; ``head`` is None if its subject was deleted."""


def encode(data: Mapping[str, Any]) -> str:
    """Encode data as JSON on one line."""
    return json.dumps(data, ensure_ascii=False, cls=DjangoJSONEncoder)


class Stream:
    """The state that all readers of one stream share; exists while it has readers."""

    def __init__(self, key: int, position: int) -> None:
        self.key = key
        self.floor = self.position = position  # events after ``floor`` and up to ``position`` are held
        self.end: Event | None = None
        self.is_broken = False
        self.readers = 0
        self._held: deque[Event] = deque(maxlen=EVENTS_HELD)
        self._news = asyncio.Event()

    def since(self, position: int) -> list[Event] | None:
        """Return the next events after a position; None if memory does not reach back so far."""
        if position < self.floor:
            return None
        newer = itertools.takewhile(lambda event: event.id > position, reversed(self._held))
        return list(newer)[::-1][:PAGE_SIZE]

    async def wait(self) -> bool:
        """Wait for news. Returns False after HEARTBEAT_SECONDS without any."""
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def publish(self, events: Collection[Event] = (), *, end: Event | None = None, is_broken: bool = False) -> None:
        """Add events, or the end, and wake all readers."""
        for event in events:
            if len(self._held) == EVENTS_HELD:
                self.floor = self._held[0].id
            self._held.append(event)
            self.position = event.id
        self.end, self.is_broken = end, is_broken
        self._news.set()
        self._news = asyncio.Event()


class Hub(Generic[H]):
    """The streams of one source that have readers in this process, and the task that reads them."""

    def __init__(self, source: Source[H]) -> None:
        self.source = source
        self._streams: dict[int, Stream] = {}
        self._poller: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def reader_count(self) -> int:
        """Number of connections that follow a stream."""
        return sum(stream.readers for stream in self._streams.values())

    async def follow(self, key: int, *, after: int, latest: int) -> AsyncGenerator[list[Event]]:
        """Yield the events after the id ``after`` as they come, then the end of the stream.

        ``latest`` is the id of the latest event at present. An empty list means that nothing has
        come for HEARTBEAT_SECONDS. Without an end the stream was broken off, and the client should
        come back with the id of the last event that it has.
        """
        position = after
        with self._joined(key, latest) as stream:
            while True:
                events = stream.since(position)
                if events is None:
                    events = await _in_thread(lambda at: self._read({key: at}).get(key, ([], None))[0], position)
                    if not events:  # they were deleted
                        position = max(position, stream.floor)
                        continue
                if events:
                    position = events[-1].id
                    yield events
                elif stream.end is not None and position >= stream.position:
                    yield [stream.end]
                    return
                elif stream.is_broken:
                    return
                elif not await stream.wait():
                    yield []

    @contextlib.contextmanager
    def _joined(self, key: int, latest: int) -> Iterator[Stream]:
        """Make the stream for its first reader, and forget it with its last."""
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(key, latest)
            self._wake.set()
        if self._poller is None or self._poller.done():
            self._wake = asyncio.Event()
            self._poller = asyncio.create_task(self._poll(), context=contextvars.Context())
        stream.readers += 1
        try:
            yield stream
        finally:
            stream.readers -= 1
            if not stream.readers and self._streams.get(key) is stream:
                del self._streams[key]

    async def _poll(self) -> None:
        """Read all streams again and again, until none has a reader."""
        last_news = time.monotonic()
        try:
            while self._streams:
                self._wake.clear()
                positions = {key: stream.position for key, stream in self._streams.items()}
                try:
                    pages = await _in_thread(self._read, positions)
                except DatabaseError:
                    logger.exception("The events of %d streams could not be read", len(positions))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for key, position in positions.items():
                    stream = self._streams.get(key)
                    if stream is None or stream.position != position:
                        continue  # its last reader left meanwhile
                    events, head = pages.get(key, ([], None))
                    if events:
                        last_news = time.monotonic()
                        stream.publish(events)
                    if head is None or (head.is_over and stream.position >= head.position):
                        stream.publish(end=self.source.end(head))
                        del self._streams[key]
                if not any(len(events) == PAGE_SIZE for events, _ in pages.values()):
                    is_idle = time.monotonic() - last_news > IDLE_SECONDS
                    await self._pause(IDLE_POLL_SECONDS if is_idle else POLL_SECONDS)
        finally:
            for stream in self._streams.values():
                stream.publish(is_broken=True)
            self._streams.clear()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not after a new stream has come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _read(self, positions: Mapping[int, int]) -> dict[int, tuple[list[Event], H]]:
        """Read the next page of each stream that has news, and the heads of all that exist."""
        pages = {}
        for key, head in self.source.heads(positions).items():
            after = positions[key]
            has_news = head.position > after
            page = self.source.events(key, after=after, head=head, limit=PAGE_SIZE) if has_news else []
            pages[key] = (page, head)
        return pages


async def _in_thread(function: Callable[[Any], T], argument: Any) -> T:
    """Call a function in one of the reading threads, which keep their database connections."""

    def call() -> T:
        with keep_connections():
            return function(argument)

    return await asyncio.get_running_loop().run_in_executor(_threads, call)
