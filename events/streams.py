"""A mission's events as they happen, for any number of listeners (Server-Sent Events).

The ItemEvent log is the only source: events of one mission are committed in the order of their ids, so "after id N" resumes
without loss.  One poller per mission and process reads the log and holds the latest messages; listeners take from it what is
behind their own position, and read the log in pages while they are further behind.  A listener has no queue: what it does not
take is not made.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError

from core.http.streaming import dropped_when_stalled, kept_connections
from core.money import amount_text
from missions import lifecycle
from missions.models import ItemEvent, Mission, Output, OutputStatus

POLL_SECONDS = 0.5
POLL_AGAIN_SECONDS = 5.0  # after the database could not be asked
HEARTBEAT_SECONDS = 15.0
STALLED_SECONDS = 60.0
RETRY_MILLISECONDS = 2000
EVENTS_PER_PAGE = 200
MESSAGES_HELD = 1000
READING_THREADS = 4

RETRY_HINT = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
HEARTBEAT = b": still here\n\n"

_EVENT_FIELDS = ("from_status", "to_status", "reason", "attempt_number", "at", "item__index")

logger = logging.getLogger(__name__)

# Only for reading the log: a listener's own thread and connection are not kept while it listens.
_threads = ThreadPoolExecutor(max_workers=READING_THREADS, thread_name_prefix="events")


@dataclass(frozen=True, slots=True)
class Message:
    """One event as it is sent.  ``id`` is its row's."""

    id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of the log, and how the mission stood right after it was read."""

    messages: list[Message]
    mission: dict[str, Any] | None  # None: it was deleted
    is_over: bool  # ended, and no file is left to fetch

    @property
    def is_full(self) -> bool:
        return len(self.messages) == EVENTS_PER_PAGE


# --- Reading the log ---


def read_page(mission_id: int, after: int) -> Page:
    """The events that follow the one with the id ``after``, oldest first, at most EVENTS_PER_PAGE."""
    events = ItemEvent.objects.filter(mission=mission_id, pk__gt=after).select_related("item").order_by("pk")
    rows = list(events.only(*_EVENT_FIELDS)[:EVENTS_PER_PAGE])
    mission = Mission.objects.filter(pk=mission_id, delete_requested_at=None).first()
    state = None if mission is None else state_of(mission)
    return Page([_message(event, state) for event in rows], state, mission is None or _is_over(mission))


def state_of(mission: Mission) -> dict[str, Any]:
    """What every message says of the mission, so that a page can draw itself from any one of them."""
    return {
        "api_mission_id": mission.pk,
        "status": mission.status,
        "total_count": mission.total_count,
        "counts": mission.counts,
        "progress": mission.progress,
        "cost": amount_text(mission.cost),
        "currency": mission.currency,
    }


def latest_event_id(mission: Mission) -> int:
    """Where a mission's log ends at the moment; 0 when it is empty."""
    latest = ItemEvent.objects.filter(mission=mission).order_by("-pk").values_list("pk", flat=True).first()
    return latest or 0


def _is_over(mission: Mission) -> bool:
    if mission.status not in lifecycle.ENDED or mission.in_flight_count:
        return False
    return not Output.objects.filter(item__mission=mission, status=OutputStatus.PENDING).exists()


def _message(event: ItemEvent, state: dict[str, Any] | None) -> Message:
    data: dict[str, Any] = {
        "item": event.item.index if event.item else None,
        "from": event.from_status,
        "to": event.to_status,
        "reason": event.reason,
        "attempt": event.attempt_number,
        "at": event.at,
        "mission": state,
    }
    return Message(event.pk, _encoded("item" if event.item else "mission", data, id_line=f"id: {event.pk}\n"))


def _encoded(name: str, data: dict[str, Any], *, id_line: str = "") -> bytes:
    text = json.dumps(data, ensure_ascii=False, cls=DjangoJSONEncoder)
    return f"{id_line}event: {name}\ndata: {text}\n\n".encode()


# --- One poller per mission ---


class Feed:
    """What the listeners of one mission share.  Lives on the event loop, from the first listener to the last."""

    def __init__(self, mission_id: int, start: int) -> None:
        self.mission_id = mission_id
        self.floor = self.position = start  # messages after ``floor`` and up to ``position`` are held
        self.end = b""  # the last message of all, once it is known
        self.listeners = 0
        self._held: deque[Message] = deque(maxlen=MESSAGES_HELD)
        self._news = asyncio.Event()
        self._poller = asyncio.create_task(self._poll(), context=contextvars.Context())

    @property
    def has_stopped(self) -> bool:
        return self._poller.done()

    def since(self, position: int) -> list[Message] | None:
        """The messages after a position; None when not all of them are held any more."""
        if position < self.floor:
            return None
        newer = itertools.takewhile(lambda message: message.id > position, reversed(self._held))
        return list(newer)[::-1]

    async def wait(self) -> bool:
        """Wait for more messages, or for the end.  False after HEARTBEAT_SECONDS without either."""
        news = self._news
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await news.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._poller.cancel()

    async def _poll(self) -> None:
        try:
            await self._follow()
        finally:
            self._news.set()

    async def _follow(self) -> None:
        was_over = False
        while not self.end:
            try:
                page = await _in_thread(read_page, self.mission_id, self.position)
            except DatabaseError:
                logger.exception("The events of mission %s could not be read", self.mission_id)
                await asyncio.sleep(POLL_AGAIN_SECONDS)
                continue
            if page.messages:
                self._publish(page.messages)
            elif page.is_over and was_over:  # read again after it was over: nothing can have slipped in between
                self.end = _encoded("end", {"mission": page.mission})
            was_over = page.is_over
            await asyncio.sleep(0 if page.is_full or page.is_over else POLL_SECONDS)

    def _publish(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if len(self._held) == MESSAGES_HELD:
                self.floor = self._held[0].id
            self._held.append(message)
            self.position = message.id
        self._news.set()
        self._news = asyncio.Event()


_feeds: dict[int, Feed] = {}


@contextlib.asynccontextmanager
async def _joined(mission_id: int, start: int) -> AsyncIterator[Feed]:
    """The mission's feed, made for its first listener and closed with its last."""
    feed = _feeds.get(mission_id)
    if feed is None or feed.has_stopped:
        feed = _feeds[mission_id] = Feed(mission_id, start)
    feed.listeners += 1
    try:
        yield feed
    finally:
        feed.listeners -= 1
        if not feed.listeners:
            feed.close()
            if _feeds.get(mission_id) is feed:
                del _feeds[mission_id]


# --- A listener ---


async def follow(mission: Mission, *, after: int, latest: int) -> AsyncIterator[bytes]:
    """The stream for one listener: how the mission stands, every event after the id ``after``, and ``end``.

    ``latest`` is the id of the latest event known.  Without an ``end`` the stream was broken off, and the listener comes back
    with the last id that it saw.
    """
    start = RETRY_HINT + _encoded("state", {"mission": state_of(mission)})
    async with _joined(mission.pk, latest) as feed, contextlib.aclosing(_listen(feed, after)) as pieces:
        with dropped_when_stalled(STALLED_SECONDS):
            yield start
        async for piece in pieces:
            with dropped_when_stalled(STALLED_SECONDS):
                yield piece


async def _listen(feed: Feed, position: int) -> AsyncGenerator[bytes]:
    while True:
        messages = feed.since(position)
        if messages is None:
            page = await _in_thread(read_page, feed.mission_id, position)
            messages = page.messages
            if not messages:  # what was there is deleted
                position = max(position, feed.floor)
                continue
        if messages:
            position = messages[-1].id
            yield b"".join(message.data for message in messages)
        elif feed.end and position >= feed.position:
            yield feed.end
            return
        elif feed.has_stopped:
            return
        elif not await feed.wait():
            yield HEARTBEAT


async def _in_thread(function: Callable[..., Page], *args: Any) -> Page:
    return await asyncio.get_running_loop().run_in_executor(_threads, _with_connection, function, *args)


def _with_connection(function: Callable[..., Page], *args: Any) -> Page:
    with kept_connections():
        return function(*args)
