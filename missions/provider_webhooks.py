"""What providers tell us unasked.

The path is unguessable and names the attempt.  The body is a hint and nothing that it claims is believed: it makes the attempt
due now, or names the remote task of an attempt whose answer was lost, which the provider is then asked to confirm.

When many tasks end at once, their webhooks come at once.  ``Receiver`` stands before Django and takes those together that came
while it was busy: fifty in a few statements, instead of fifty requests with a thread and a connection each.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from missions import execution
from missions.models import Attempt, AttemptStatus
from providers.adapters.registry import PROVIDERS
from workers import queue

log = logging.getLogger(__name__)

LOST = (AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED)
MAX_BODY_BYTES = 1024 * 1024
TAKEN_TOGETHER = 200  # webhooks in one transaction

# What an ASGI server hands over: https://asgi.readthedocs.io/en/latest/specs/www.html
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Hint:
    """One webhook: whose it claims to be, and what it says."""

    provider: str
    token: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@csrf_exempt
@require_POST
def receive(request: HttpRequest, provider: str, token: str) -> HttpResponse:
    """Answer at once; the work is done by a worker."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    [status] = take([Hint(provider, token, request.body, headers)])
    return HttpResponse(status=status)


def take(hints: Sequence[Hint]) -> list[int]:
    """Note what webhooks hint at, and wake workers.  Returns an HTTP status for each, in order."""
    known = Attempt.objects.filter(webhook_token__in={hint.token for hint in hints})
    attempts = {attempt.webhook_token: attempt for attempt in known.only("webhook_token", "status", "account")}
    statuses = [_judge(hint, attempts) for hint in hints]
    good = {attempts[hint.token]: hint for hint, status in zip(hints, statuses, strict=True) if status == 204}
    _make_due([attempt for attempt in good if attempt.status == AttemptStatus.RUNNING])
    _note_tasks({attempt: hint for attempt, hint in good.items() if attempt.status in LOST})
    return statuses


def _judge(hint: Hint, attempts: Mapping[str, Attempt]) -> int:
    """204, or why the webhook is of no use."""
    if hint.token not in attempts or hint.provider not in PROVIDERS:
        return 404
    if len(hint.body) > MAX_BODY_BYTES:
        return 413
    if attempts[hint.token].status not in LOST:
        return 204
    try:
        PROVIDERS[hint.provider].parse_webhook(hint.headers, hint.body)
    except ValueError:
        return 400
    return 204


def _make_due(attempts: Sequence[Attempt]) -> None:
    """Let workers ask about the attempts now.  Where others are due already, those on their way to them will find these, too."""
    now = timezone.now()
    for account_id in {attempt.account_id for attempt in attempts}:
        running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
        with transaction.atomic():
            is_worker_coming = running.filter(next_poll_at__lte=now).exists()
            running.filter(pk__in=[attempt.pk for attempt in attempts]).update(next_poll_at=now)
            if not is_worker_coming:
                queue.send_many("poll_due", [(account_id,)] * math.ceil(len(attempts) / execution.POLL_BATCH))


def _note_tasks(hints: Mapping[Attempt, Hint]) -> None:
    """Let a worker ask whether the task that a webhook names is the one whose answer was lost."""
    for attempt, hint in hints.items():
        remote_task_id = PROVIDERS[hint.provider].parse_webhook(hint.headers, hint.body)
        with transaction.atomic():
            Attempt.objects.filter(pk=attempt.pk, status__in=LOST).update(hinted_task_id=remote_task_id)
            queue.send("rescue", attempt.pk)


class Receiver:
    """An ASGI application that takes webhooks, and hands every other request to ``application``."""

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
        body = await _read(receive)
        if body is None:
            return  # the caller has gone
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        status = await self._taken(Hint(address[1], address[2], body, headers))
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def _taken(self, hint: Hint) -> int:
        status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((hint, status))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._take_all())
        return await status

    async def _take_all(self) -> None:
        while self._waiting:
            batch = self._waiting[:TAKEN_TOGETHER]
            del self._waiting[:TAKEN_TOGETHER]
            loop = asyncio.get_running_loop()
            statuses = await loop.run_in_executor(self._thread, _take_or_fail, [hint for hint, _ in batch])
            for (_, waiting), status in zip(batch, statuses, strict=True):
                if not waiting.done():
                    waiting.set_result(status)


def _take_or_fail(hints: Sequence[Hint]) -> list[int]:
    """``take`` in a thread of its own.  When it fails the caller is told to come again: providers repeat a webhook."""
    try:
        return take(hints)
    except Exception:
        log.exception("Webhooks could not be taken.")
        return [503] * len(hints)
    finally:
        connection.close()


async def _read(receive: Receive) -> bytes | None:
    """The body, or as much of it as shows that it is too large; None when the caller has gone."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if not event.get("more_body") or len(body) > MAX_BODY_BYTES:
            return bytes(body)
