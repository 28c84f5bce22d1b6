"""When to ask about a task, and moments from now."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from missions import selectors
from missions.policy import polling


def next_interval(elapsed: float, model: str) -> float:
    return polling.next_interval(
        elapsed,
        selectors.expectation(model),
        floor=settings.POLL_FLOOR_SECONDS,
        is_told=bool(settings.PUBLIC_BASE_URL),
    )


def seconds_from_now(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)
