"""Streams of events as Server-Sent Events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from django.http import StreamingHttpResponse

from core.http.streaming import drop_when_stalled
from events.feed import Event, Hub

STALLED_SECONDS = 60.0  # a client that takes nothing for so long is dropped, and resumes when it comes back
RETRY_MILLISECONDS = 2000
RETRY_HINT = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
HEARTBEAT = b": still here\n\n"


def response(hub: Hub[Any], key: int, *, first: Event, after: int, latest: int) -> StreamingHttpResponse:
    """Answer a request with a stream: ``first``, every event after the id ``after``, and the end.

    ``latest`` is the id of the stream's latest event at present.
    """
    answer = StreamingHttpResponse(
        _frames(hub, key, first=first, after=after, latest=latest), content_type="text/event-stream; charset=utf-8"
    )
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"  # nginx would hold messages back
    return answer


async def _frames(hub: Hub[Any], key: int, *, first: Event, after: int, latest: int) -> AsyncIterator[bytes]:
    with drop_when_stalled(STALLED_SECONDS):
        yield RETRY_HINT + _frame(first)
    async with contextlib.aclosing(hub.follow(key, after=after, latest=latest)) as batches:
        async for batch in batches:
            with drop_when_stalled(STALLED_SECONDS):
                yield b"".join(map(_frame, batch)) or HEARTBEAT


def _frame(event: Event) -> bytes:
    number = b"id: %d\n" % event.id if event.id else b""
    return b"%sevent: %s\ndata: %s\n\n" % (number, event.name.encode(), event.data)
