"""The tasks of the workers, and their hooks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from notifications import announce, delivery
from notifications.models import Channel, Delivery, DeliveryState, Event
from workers import queue
from workers.hooks import WorkerHooks

BATCH = 1000


def notify() -> None:
    """Announce events that are due, and start to send what is due."""
    while announce.announce(timezone.now()) == announce.BATCH:
        pass
    delivery.send_due(timezone.now())


def expired_deliveries(now: datetime) -> QuerySet[Delivery]:
    """Return the deliveries that are older than RETENTION_DELIVERIES_DAYS."""
    days = settings.RETENTION_DELIVERIES_DAYS
    return Delivery.objects.filter(created_at__lt=now - timedelta(days=days)) if days else Delivery.objects.none()


def expire_deliveries() -> None:
    """Delete old deliveries, in small transactions."""
    rows = expired_deliveries(timezone.now())
    while page := list(rows.order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        Delivery.objects.filter(pk__in=page).delete()


class NotificationHooks(WorkerHooks):
    """Wake a worker when something is due. The schedule does so, too, without our supervisor."""

    def on_start(self, *, is_alone: bool) -> None:
        queue.ensure_schedule("notify")
        queue.ensure_schedule("expire_deliveries", daily=True)

    def on_beat(self) -> None:
        now = timezone.now()
        if announce.due_events(now).exists() or delivery.due_channels(now).exists():
            queue.send("notify")

    def due_times(self) -> Iterable[tuple[QuerySet[Any], list[str]]]:
        return [
            (Event.objects.all(), ["available_at"]),
            (Channel.objects.all(), ["busy_until"]),
            (Delivery.objects.filter(state=DeliveryState.WAITING), ["next_try_at"]),
        ]
