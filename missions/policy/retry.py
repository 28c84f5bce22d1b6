"""Retries: pure policy, no database, no clock, no network.

Retried without a person, and what it can cost:

    not accepted      up to MAX_REFUSALS times in a row, free
    no free slot      for as long as it takes, free
    task failed       where the provider's code allows it, up to the item's attempt limit, PAID
    unconfirmed       never
    download          until the result expires, free
"""

from __future__ import annotations

import random

from providers.adapters.errors import Remedy

MAX_REFUSALS = 5
BACKOFF_FACTOR = 1.5
BACKOFF_CAP_SECONDS = 120.0
REFUSAL_BASE_SECONDS = 3.0
FAILURE_BASE_SECONDS = 5.0
NO_SLOT_SECONDS = 2.0
DOWNLOAD_CAP_SECONDS = 300.0


def after_refusal(refusals: int, *, provider_wait: float | None = None) -> float | None:
    """Return the seconds until an item that was not accepted is submitted again, or None.

    None: it failed. ``refusals`` counts those in a row, this one included. ``provider_wait``:
    the seconds that the provider requested.
    """
    if refusals > MAX_REFUSALS:
        return None
    return _spread(max(provider_wait or 0.0, _backoff(REFUSAL_BASE_SECONDS, refusals)))


def after_no_slot() -> float:
    """Return the seconds until an item that found no free slot is tried again.

    The number of such items is limited by ``providers.slots.slot_limit``.
    """
    return _spread(NO_SLOT_SECONDS)


def after_failure(remedy: Remedy, *, attempts: int, limit: int) -> float | None:
    """Return the seconds until a new paid attempt, or None: the item failed.

    ``attempts`` counts those that may have been paid, this one included; ``limit`` is their
    maximum.
    """
    if remedy is Remedy.ONE_MORE_TRY:
        limit = min(limit, 2)
    if remedy is Remedy.NONE or attempts >= limit:
        return None
    return _spread(_backoff(FAILURE_BASE_SECONDS, attempts))


def after_failed_download(tries: int) -> float:
    """Return the seconds until a download is tried again, after ``tries`` that failed."""
    return _spread(min(2.0 ** min(tries, 30), DOWNLOAD_CAP_SECONDS))


def _backoff(base: float, number: int) -> float:
    return min(base * BACKOFF_FACTOR ** (number - 1), BACKOFF_CAP_SECONDS)


def _spread(seconds: float) -> float:
    """Spread by ±15 %, so that what failed together is not retried together."""
    return seconds * random.uniform(0.85, 1.15)
