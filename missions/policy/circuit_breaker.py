"""The circuit breaker: a mission that keeps failing for one cause is paused before more of it is paid for."""

from __future__ import annotations

from django.conf import settings


def trips(failures_in_a_row: int) -> bool:
    """Return True when so many items in a row, all failed with one code and none else between, are too many."""
    return 0 < settings.FAILURE_BREAKER_ITEMS <= failures_in_a_row
