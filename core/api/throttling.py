"""How much a caller may ask for: requests in a minute, bytes in a body."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja.throttling import BaseThrottle

from accounts.models import ApiToken
from core.api import errors
from core.errors import TooLarge
from core.logging import request_ids

UPLOAD = "/api/v1/media/upload"
MULTIPART_BYTES = 64 * 1024  # what a form may need around its file
DISCARD_SECONDS = 2.0

# What an ASGI server hands over: https://asgi.readthedocs.io/en/latest/specs/www.html
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class PerCaller(BaseThrottle):
    """At most API_REQUESTS_PER_MINUTE requests with one token, or in the sessions of one person.

    A caller may send a minute's worth at once; what was used comes back evenly.  Each web process counts for itself.
    """

    def __init__(self) -> None:
        self._used_until: dict[str, float] = {}  # when a caller's allowance will be whole again, by time.monotonic
        self._lock = threading.Lock()
        self._here = threading.local()  # django-ninja asks for the wait right after the refusal, in the same thread

    def allow_request(self, request: HttpRequest) -> bool:
        allowed, caller = settings.API_REQUESTS_PER_MINUTE, _caller(request)
        if not allowed or not caller:
            return True
        now, cost = time.monotonic(), 60 / allowed
        with self._lock:
            used_until = max(self._used_until.get(caller, now), now) + cost
            self._here.wait = used_until - now - 60
            if self._here.wait > 0:
                return False
            self._used_until[caller] = used_until
            return True

    def wait(self) -> float:
        """Seconds until the request that was just refused would be answered."""
        return max(1.0, float(self._here.wait))


def _caller(request: HttpRequest) -> str:
    auth = getattr(request, "auth", None)
    if auth is None:
        return ""
    return f"token:{auth.pk}" if isinstance(auth, ApiToken) else f"user:{auth.pk}"


def max_bytes(path: str) -> int:
    """How large the body of a request to this address may be."""
    if path == UPLOAD:
        return int(settings.MEDIA_MAX_BYTES) + MULTIPART_BYTES
    return int(settings.API_MAX_BODY_BYTES)


def is_too_large(path: str, content_length: str) -> bool:
    return content_length.isdecimal() and int(content_length) > max_bytes(path)


class _TooLarge(Exception):
    """``is_over``: nothing more of the body will come."""

    def __init__(self, *, is_over: bool) -> None:
        self.is_over = is_over


class BoundedBodies:
    """An ASGI application that lets no more of a body through to another than is allowed.

    Django keeps a whole body on disk before it looks at a request, and a body that comes in chunks tells no length before.
    """

    def __init__(self, application: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self.application = application

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        allowed = max_bytes(scope["path"])
        bounded = _bounded(receive, allowed)
        try:
            if is_too_large(scope["path"], headers.get(b"content-length", "")):
                raise _TooLarge(is_over=False)
            await self.application(scope, bounded, send)
        except _TooLarge as error:
            if not error.is_over:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_discard(receive, allowed), DISCARD_SECONDS)
            request_ids.begin(headers.get(b"x-request-id"))
            await _send(errors.respond(TooLarge()), send)


def _bounded(receive: Receive, allowed: int) -> Receive:
    received = 0

    async def bounded() -> Event:
        nonlocal received
        event = await receive()
        if event["type"] == "http.request":
            received += len(event.get("body", b""))
            if received > allowed:
                raise _TooLarge(is_over=not event.get("more_body"))
        return event

    return bounded


async def _discard(receive: Receive, allowed: int) -> None:
    """Read on: a client that is cut off while it sends does not see the answer.  One that waits for it sends nothing more."""
    while allowed > 0:
        event = await receive()
        if event["type"] != "http.request" or not event.get("more_body"):
            return
        allowed -= len(event.get("body", b""))


async def _send(response: HttpResponse, send: Send) -> None:
    response["X-Request-Id"] = request_ids.current()
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"content-length", str(len(response.content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
