"""The circuit breaker: it pauses a mission that keeps failing for one cause."""

from __future__ import annotations

from django.conf import settings


def trips(failures_in_a_row: int) -> bool:
    """Return True when this many failures in a row, all with one code, are too many."""
    return 0 < settings.FAILURE_BREAKER_ITEMS <= failures_in_a_row
