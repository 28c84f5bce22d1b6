"""Counts of the requests that the web processes of this server have answered.

The processes are forked from one parent and share a block of memory, made before the first fork.
Each process writes only to its own part of it, so no lock is held between processes; a reader adds
up all parts. A process that replaces one that ended takes over its part, so no count ever
decreases while the parent lives.
"""

from __future__ import annotations

import mmap
import threading
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

AREAS = ("api", "admin", "files", "hooks", "probes", "static", "pages")
STATUSES = ("2xx", "3xx", "4xx", "5xx", "none")  # none: the client was gone before the response began
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds; one more without limit

_COUNTERS = len(AREAS) * len(STATUSES)
_PER_AREA = len(BUCKETS) + 2  # the buckets, the one without limit, and the sum of the seconds
_PART = _COUNTERS + len(AREAS) * _PER_AREA + 2  # numbers of one process; the last two are gauges
_IN_FLIGHT, _STREAMS = _PART - 2, _PART - 1
_PREFIXES = (
    ("/api/v1/health", "probes"),
    ("/api/v1/ready", "probes"),
    ("/metrics", "probes"),
    ("/api/", "api"),
    ("/admin/", "admin"),
    ("/hooks/", "hooks"),
    ("/media/", "files"),
    (f"/{settings.STATIC_URL.strip('/')}/", "static"),
)

Event = MutableMapping[str, Any]
Application = Callable[[Any, Callable[[], Awaitable[Event]], Callable[[Event], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WebCounts:
    """The sums over all web processes.

    ``requests`` by area and status class; ``seconds`` has, by area, the counts of BUCKETS and of
    slower responses, not cumulated; ``seconds_sum`` by area. ``in_flight`` are requests whose
    response has not ended, without the ``streams`` of events that are open.
    """

    requests: dict[tuple[str, str], int]
    seconds: dict[str, list[int]]
    seconds_sum: dict[str, float]
    in_flight: int
    streams: int


class _Memory:
    """The shared block: one part per web process, filled with floats."""

    def __init__(self, parts: int) -> None:
        self.numbers = memoryview(mmap.mmap(-1, parts * _PART * 8)).cast("d")
        self.parts = parts
        self.first = 0
        self.lock = threading.Lock()

    def add(self, index: int, amount: float) -> None:
        with self.lock:
            self.numbers[self.first + index] += amount


_memory = _Memory(settings.WEB_PROCESSES)


def use_part(number: int) -> None:
    """Let this process, which was just forked, count in part ``number`` of the memory (from 0)."""
    _memory.lock = threading.Lock()  # the parent's may have been held when it forked
    _memory.first = number * _PART
    for gauge in (_IN_FLIGHT, _STREAMS):  # those of the process that had this part before
        _memory.numbers[_memory.first + gauge] = 0.0


def read() -> WebCounts:
    """Return the sums over all web processes of this server since they were started."""
    numbers = iter(
        [sum(_memory.numbers[part * _PART + index] for part in range(_memory.parts)) for index in range(_PART)]
    )
    requests = {(area, status): int(next(numbers)) for area in AREAS for status in STATUSES}
    seconds, sums = {}, {}
    for area in AREAS:
        seconds[area] = [int(next(numbers)) for _ in range(_PER_AREA - 1)]
        sums[area] = next(numbers)
    return WebCounts(requests, seconds, sums, in_flight=int(next(numbers)), streams=int(next(numbers)))


class Metered:
    """An ASGI application that counts the requests to another.

    The time of a request is the time until its response begins: event streams and downloads last
    as long as their clients.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        area = next((area for prefix, area in _PREFIXES if scope["path"].startswith(prefix)), "pages")
        row = AREAS.index(area) * len(STATUSES)
        started = time.monotonic()
        gauge, is_begun = _IN_FLIGHT, False
        _memory.add(gauge, 1)

        async def send_metered(event: Event) -> None:
            nonlocal gauge, is_begun
            if event["type"] == "http.response.start" and not is_begun:
                is_begun = True
                seconds = time.monotonic() - started
                first = _COUNTERS + AREAS.index(area) * _PER_AREA
                _memory.add(row + min(max(event["status"] // 100 - 2, 0), 3), 1)
                _memory.add(first + bisect_left(BUCKETS, seconds), 1)
                _memory.add(first + _PER_AREA - 1, seconds)
                if (b"content-type", b"text/event-stream") in [(k, v[:17]) for k, v in event.get("headers", ())]:
                    _memory.add(_IN_FLIGHT, -1)
                    gauge = _STREAMS
                    _memory.add(gauge, 1)
            await send(event)

        try:
            await self.application(scope, receive, send_metered)
        finally:
            _memory.add(gauge, -1)
            if not is_begun:
                _memory.add(row + STATUSES.index("none"), 1)
