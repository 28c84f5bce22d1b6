"""Send deliveries: claim a channel, use the network, record the answer.

One worker at a time sends to a channel, in a thread of its own, so a receiver that hangs delays
nobody else. Channels whose last try failed get only some of the threads, and rest between tries.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import formataddr
from smtplib import SMTPException
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from accounts.models import Profile
from core.db.values import storable
from notifications import channels, messages
from notifications.models import PING, Channel, ChannelKind, Delivery, DeliveryState
from providers import encryption
from providers.adapters import http
from workers import background, queue

log = logging.getLogger(__name__)

# Seconds to the next try after each failed one; after the last, the delivery has failed.
RETRY_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
GIVE_UP_AFTER = timedelta(hours=24)  # a channel to which nothing was delivered for so long
LEASE = timedelta(seconds=60)  # longer than one try takes
REST = timedelta(seconds=30)  # of a channel that fails again
FIRST_REST = timedelta(seconds=5)
BURST_SECONDS = 20.0  # then other channels get the thread
MOST_THREADS = 8  # of one process
MOST_FAILING = 4  # of them, for channels whose last try failed
ANSWER_SHOWN = 500
GONE = 410

_threads = 0
_failing = 0
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a try. ``answer`` is the beginning of the answer, or why there was none."""

    is_delivered: bool
    status: int | None
    answer: str
    retry_after_seconds: float = 0.0
    is_final: bool = False


def due_channels(now: datetime) -> QuerySet[Channel]:
    """Return the channels to which something is to be sent now, those that work first."""
    due = Delivery.objects.filter(channel=OuterRef("pk"), state=DeliveryState.WAITING, next_try_at__lte=now)
    rows = Channel.objects.filter(Exists(due), is_enabled=True, owner__is_active=True, busy_until__lte=now)
    return rows.order_by(F("failing_since").asc(nulls_first=True), "busy_until")


def send_due(now: datetime) -> None:
    """Start a thread for each channel that has something to send, as far as threads are free.

    Outside of a cluster, send at once.
    """
    for channel in due_channels(now)[: 2 * MOST_THREADS]:
        is_failing = channel.failing_since is not None
        if not _take_thread(is_failing):
            continue
        claimed = 0
        try:
            rows = Channel.objects.filter(pk=channel.pk, busy_until=channel.busy_until)
            claimed = rows.update(busy_until=now + LEASE)
        finally:
            if not claimed:
                _free_thread(is_failing)
        if claimed and queue.cluster_id():
            background.run(_with_thread(channel), name=f"channel-{channel.pk}")
        elif claimed:
            _with_thread(channel, is_thread=False)()


def _with_thread(channel: Channel, *, is_thread: bool = True) -> Callable[[], None]:
    def work() -> None:
        try:
            _send_to(channel.pk, is_thread=is_thread)
        finally:
            _free_thread(channel.failing_since is not None)
            if is_thread:
                connection.close()

    return work


def _take_thread(is_failing: bool) -> bool:
    global _threads, _failing
    with _lock:
        if _threads >= MOST_THREADS or (is_failing and _failing >= MOST_FAILING):
            return False
        _threads += 1
        _failing += is_failing
        return True


def _free_thread(is_failing: bool) -> None:
    global _threads, _failing
    with _lock:
        _threads -= 1
        _failing -= is_failing


def _send_to(channel_id: int, *, is_thread: bool) -> None:
    """Send what is due to a claimed channel, until a try fails or others should have a turn."""
    ends_at = time.monotonic() + BURST_SECONDS
    rest = timedelta(0)
    while time.monotonic() < ends_at and not background.stop_requested():
        now = timezone.now()
        channel = Channel.objects.filter(pk=channel_id, is_enabled=True, owner__is_active=True).first()
        if channel is None:
            break
        waiting = channel.deliveries.filter(state=DeliveryState.WAITING, next_try_at__lte=now)
        pk = waiting.order_by("next_try_at", "pk").values_list("pk", flat=True).first()
        if pk is None:
            break
        # A worker that dies leaves the next try to another one, after the lease.
        Channel.objects.filter(pk=channel_id).update(busy_until=now + LEASE)
        if not waiting.filter(pk=pk).update(next_try_at=now + LEASE, try_count=F("try_count") + 1):
            continue  # another worker was faster
        # Read after its try has begun: until then ``announce`` may add events to it, and not later.
        delivery = Delivery.objects.get(pk=pk)
        language = Profile.objects.filter(user=channel.owner_id).values_list("language", flat=True).first()
        if is_thread:
            connection.close()
        began = time.monotonic()
        outcome = _try_once(channel, delivery, language or settings.LANGUAGE_CODE, now)
        milliseconds = int((time.monotonic() - began) * 1000)
        _record(channel, delivery, outcome, now, milliseconds)
        if not outcome.is_delivered:
            rest = REST if channel.failing_since else FIRST_REST
            break
    Channel.objects.filter(pk=channel_id).update(busy_until=timezone.now() + rest)


def _try_once(channel: Channel, delivery: Delivery, language: str, now: datetime) -> Outcome:
    """Send a message once. Raises nothing that the receiver can cause."""
    try:
        url = channels.url_of(channel)
        secrets = channels.secrets_of(channel, now)
    except encryption.Unreadable:
        return Outcome(False, None, str(messages.UNREADABLE))
    if channel.kind == ChannelKind.EMAIL:
        return _mail(url, delivery, language)
    request = messages.request_of(channel.kind, url, secrets, delivery, language, now)
    hosts = settings.NOTIFICATION_ALLOWED_HOSTS
    try:
        answer = http.post_message(request.url, data=request.body, headers=request.headers, allowed_hosts=hosts)
    except http.TransportFailure as failure:
        return Outcome(False, None, str(failure.reason))
    is_good = 200 <= answer.status < 300 and not messages.refusal(channel.kind, answer.body)
    if 300 <= answer.status < 400:
        return Outcome(False, answer.status, str(messages.REDIRECTS))
    text = _without(answer.body.decode(errors="replace"), [*secrets, *_secret_parts(url)])
    return Outcome(
        is_good, answer.status, text[:ANSWER_SHOWN], answer.retry_after_seconds or 0.0, answer.status == GONE
    )


def _mail(address: str, delivery: Delivery, language: str) -> Outcome:
    title, lines = messages.words(delivery, language)
    headers = {"Message-ID": f"<{delivery.message_id}@{urlsplit(settings.PUBLIC_BASE_URL).hostname or 'localhost'}>"}
    sender = formataddr((messages.SITE, settings.DEFAULT_FROM_EMAIL))
    try:
        EmailMessage(" ".join(title.split()), "\n".join(lines), sender, [address], headers=headers).send()
    except (SMTPException, OSError, ValueError) as error:
        log.warning("The mail server did not take a message: %s", type(error).__name__)
        return Outcome(False, None, str(messages.NOT_MAILED))
    return Outcome(True, None, str(messages.MAILED))


def _secret_parts(url: str) -> Sequence[str]:
    """Return the parts of an address that may be secret: it, its path, the values of its query."""
    parts = urlsplit(url)
    long = [part for part in parts.path.split("/") if len(part) >= 8]
    return [url, parts.path if len(parts.path) >= 8 else "", *long, *(value for _, value in parse_qsl(parts.query))]


def _without(text: str, secrets: Sequence[str]) -> str:
    """Return a text in which secrets that the receiver repeats are hidden."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "•••")
    return str(storable(text))


def _record(channel: Channel, delivery: Delivery, outcome: Outcome, now: datetime, milliseconds: int) -> None:
    """Store the outcome of a try, and plan the next one or give up."""
    entry = {
        "at": channels.timestamp(now),
        "status": outcome.status,
        "milliseconds": milliseconds,
        "answer": outcome.answer,
    }
    try_count = delivery.try_count
    changes = {"tries": [*delivery.tries, entry][-20:]}
    ended_at = timezone.now()
    rows = Delivery.objects.filter(pk=delivery.pk)
    if outcome.is_delivered:
        rows.update(state=DeliveryState.DELIVERED, next_try_at=None, ended_at=ended_at, **changes)
        Channel.objects.filter(pk=channel.pk).update(failing_since=None, given_up_at=None, succeeded_at=ended_at)
        return
    log.info(
        "A message could not be delivered to channel %s, try %s: %s",
        channel.pk,
        try_count,
        outcome.status or "no answer",
    )
    is_last = delivery.type == PING or try_count > len(RETRY_SECONDS) or outcome.is_final
    if is_last:
        rows.update(state=DeliveryState.FAILED, next_try_at=None, ended_at=ended_at, **changes)
    else:
        wait = max(RETRY_SECONDS[try_count - 1], outcome.retry_after_seconds)
        rows.update(next_try_at=ended_at + timedelta(seconds=wait), **changes)
    if delivery.type == PING and not outcome.is_final:
        return  # a test says nothing about how long the channel has been failing
    failing_since = channel.failing_since or ended_at
    Channel.objects.filter(pk=channel.pk, failing_since=None).update(failing_since=failing_since)
    if outcome.is_final or (is_last and failing_since < ended_at - GIVE_UP_AFTER):
        Channel.objects.filter(pk=channel.pk).update(is_enabled=False, given_up_at=ended_at)
        log.warning("Channel %s was switched off: nothing could be delivered to it.", channel.pk)
