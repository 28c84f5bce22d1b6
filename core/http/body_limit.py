"""The largest request body that is read."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import IO, Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest

from core.api import errors
from core.errors import TooLarge
from core.logging import access, request_ids

UPLOAD = "/api/v1/media/upload"
MULTIPART_BYTES = 64 * 1024  # what a form may need around its file
DISCARD_SECONDS = 2.0

# The parts of an ASGI application: https://asgi.readthedocs.io/en/latest/specs/www.html
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


def max_bytes(path: str) -> int:
    """Return the largest body of a request to a path."""
    if path == UPLOAD:
        return max(int(settings.MEDIA_MAX_BYTES) + MULTIPART_BYTES, int(settings.API_MAX_BODY_BYTES))
    return int(settings.API_MAX_BODY_BYTES)


def is_too_large(path: str, content_length: str) -> bool:
    """Compare a Content-Length with the limit.

    A missing or odd one passes: BodyLimit counts the bytes.
    """
    return content_length.isdecimal() and int(content_length) > max_bytes(path)


class BodyLimit:
    """An ASGI application that answers 413 to large bodies before the wrapped one reads them.

    Django writes a whole body to disk before it looks at a request, and a chunked body has no
    length beforehand.
    """

    def __init__(self, application: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self.application = application

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        limit = max_bytes(scope["path"])
        received = 0
        started = time.monotonic()

        async def receive_within_limit() -> Event:
            nonlocal received
            event = await receive()
            if event["type"] == "http.request":
                received += len(event.get("body", b""))
                if received > limit:
                    raise _BodyTooLarge(is_complete=not event.get("more_body"))
            return event

        try:
            if is_too_large(scope["path"], headers.get(b"content-length", "")):
                raise _BodyTooLarge(is_complete=False)
            await self.application(scope, receive_within_limit, send)
        except _BodyTooLarge as error:
            if not error.is_complete:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_discard(receive, limit), DISCARD_SECONDS)
            request_ids.begin(headers.get(b"x-request-id"))
            await _send_too_large(send)
            client = scope.get("client") or [""]
            access.log_request(scope["method"], scope["path"], 413, started, address=client[0])


class MeasuredRequest(ASGIRequest):
    """A request with a Content-Length in any case: Django reads a form without one as empty.

    Its body has arrived completely, within the limit of ``BodyLimit``.
    """

    def __init__(self, scope: dict[str, Any], body_file: IO[bytes]) -> None:
        super().__init__(scope, body_file)
        if "CONTENT_LENGTH" not in self.META:
            body_file.seek(0, io.SEEK_END)
            self.META["CONTENT_LENGTH"] = str(body_file.tell())
            body_file.seek(0)


class _BodyTooLarge(Exception):
    """``is_complete``: the whole body was received."""

    def __init__(self, *, is_complete: bool) -> None:
        self.is_complete = is_complete


async def _discard(receive: Receive, limit: int) -> None:
    """Read up to ``limit`` more bytes: a client that is cut off while it sends sees no response."""
    while limit > 0:
        event = await receive()
        if event["type"] != "http.request" or not event.get("more_body"):
            return
        limit -= len(event.get("body", b""))


async def _send_too_large(send: Send) -> None:
    response = errors.respond(TooLarge())
    response["X-Request-Id"] = request_ids.current()
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"content-length", str(len(response.content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
