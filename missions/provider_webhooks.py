"""The webhook endpoint of all providers: ``POST /hooks/PROVIDER/TOKEN``.

The path cannot be guessed and names the attempt. The body is only a hint and is never trusted: it
makes the attempt due now, or names the remote task of an attempt whose answer was lost, which a
query to the provider must then confirm. An adapter also checks its provider's signature.

When many tasks end at once, their webhooks come at once. ``Receiver`` stands before Django and
handles together those that came while it was busy: fifty in a few statements, instead of fifty
requests with a thread and a connection each.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from core.logging import access, request_ids
from missions import execution
from missions.models import Attempt, AttemptStatus
from providers.adapters.registry import PROVIDERS
from workers import queue

log = logging.getLogger(__name__)

LOST = (AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED)
MAX_BODY_BYTES = 1024 * 1024
BATCH = 200  # webhooks in one transaction
TOKEN = re.compile(r"[\w-]{16,40}", re.ASCII)  # as new_webhook_token makes them

# What an ASGI server hands over: https://asgi.readthedocs.io/en/latest/specs/www.html
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Hint:
    """One webhook: provider and token from its path, body, and headers in lower case."""

    provider: str
    token: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def take(hints: Sequence[Hint]) -> list[int]:
    """Store the hints of webhooks, and wake workers. Return an HTTP status for each, in order.

    204: taken. 400: it names no task, or its signature is wrong. 404: no such attempt at this
    provider. 413: the body is too large.
    """
    tokens = {hint.token for hint in hints if is_plausible(hint.provider, hint.token)}
    rows = Attempt.objects.filter(webhook_token__in=tokens).select_related("account")
    attempts = {row.webhook_token: row for row in rows.only("webhook_token", "status", "account__provider")}
    statuses = []
    running: list[Attempt] = []
    task_ids: dict[Attempt, str] = {}
    for hint in hints:
        attempt, provider = attempts.get(hint.token), PROVIDERS.get(hint.provider)
        if (
            attempt is None
            or provider is None
            or attempt.account.provider != hint.provider
            or not provider.capabilities.webhooks
        ):
            statuses.append(404)
        elif len(hint.body) > MAX_BODY_BYTES:
            statuses.append(413)
        elif attempt.status in LOST:
            try:
                task_ids[attempt] = provider.parse_webhook(hint.headers, hint.body)
                statuses.append(204)
            except ValueError:
                statuses.append(400)
        else:
            if attempt.status == AttemptStatus.RUNNING:
                running.append(attempt)
            statuses.append(204)
    _make_due(running)
    for attempt, task_id in task_ids.items():
        # A worker checks if the named task is the one whose answer was lost.
        with transaction.atomic():
            Attempt.objects.filter(pk=attempt.pk, status__in=LOST).update(hinted_task_id=task_id)
            queue.send("rescue", attempt.pk)
    return statuses


def is_plausible(provider: str, token: str) -> bool:
    """Return True if an attempt may have this address. Anything else never reaches the database."""
    kind = PROVIDERS.get(provider)
    return kind is not None and kind.capabilities.webhooks and bool(TOKEN.fullmatch(token))


def _make_due(attempts: Sequence[Attempt]) -> None:
    """Let workers poll the attempts now. Workers on their way to others take these, too."""
    now = timezone.now()
    for account_id in {attempt.account_id for attempt in attempts}:
        running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
        with transaction.atomic():
            is_worker_coming = running.filter(next_poll_at__lte=now).exists()
            own = running.filter(pk__in=[attempt.pk for attempt in attempts])
            own.filter(next_poll_at__gt=now).update(next_poll_at=now)  # one that is overdue stays so
            if not is_worker_coming:
                queue.send_many("poll_due", [(account_id,)] * math.ceil(len(attempts) / execution.POLL_BATCH))


class Receiver:
    """An ASGI application that takes webhooks and passes other requests to ``application``."""

    PATH = re.compile(r"/hooks/([^/]+)/([^/]+)")

    def __init__(self, application: Application) -> None:
        self.application = application
        self._waiting: list[tuple[Hint, asyncio.Future[int]]] = []
        self._work: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhooks")

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        address = self.PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if address is None or scope["method"] != "POST":
            await self.application(scope, receive, send)
            return
        started = time.monotonic()
        body = await _read(receive)
        if body is None:
            return  # the caller has gone
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
        request_ids.begin(headers.get("x-request-id"))
        result = 404
        if is_plausible(address[1], address[2]):
            result = await self._take(Hint(address[1], address[2], body, headers))
        await _respond(send, result)
        client = scope.get("client") or [""]
        access.log_request("POST", f"/hooks/{address[1]}/***", result, started, address=client[0])

    async def _take(self, hint: Hint) -> int:
        """Hand a webhook to the thread that takes them, and return its HTTP status."""
        status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((hint, status))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._take_all())
        return await status

    async def _take_all(self) -> None:
        while self._waiting:
            batch = self._waiting[:BATCH]
            del self._waiting[:BATCH]
            loop = asyncio.get_running_loop()
            statuses = await loop.run_in_executor(self._thread, _take_or_fail, [hint for hint, _ in batch])
            for (_, waiting), status in zip(batch, statuses, strict=True):
                if not waiting.done():
                    waiting.set_result(status)


def _take_or_fail(hints: Sequence[Hint]) -> list[int]:
    """``take`` in its own thread. When it fails, the answer is 503: providers repeat a webhook.

    If several fail together, each is taken alone: one caller must not make another's webhook fail.
    """
    try:
        return take(hints)
    except Exception as error:
        if len(hints) > 1 and not isinstance(error, OperationalError):
            return [status for hint in hints for status in _take_or_fail([hint])]
        log.exception("Webhooks could not be taken.")
        return [503] * len(hints)
    finally:
        connection.close()


async def _respond(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _read(receive: Receive) -> bytes | None:
    """Return the body, at most a little more than is allowed; None when the caller has gone."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if not event.get("more_body") or len(body) > MAX_BODY_BYTES:
            return bytes(body)
