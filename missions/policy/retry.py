"""When to try again: pure policy, no database, no clock, no network.

What is tried again without a person, and what it can cost:

    not accepted      up to MAX_REFUSALS times in a row, free
    no free slot      for as long as it takes, free
    task failed       where the provider's code says that it may help, up to the item's attempt limit, PAID
    unconfirmed       never
    download          until the address expires, free
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
SLOT_RECOVERY_SECONDS = 5.0


def after_refusal(refusals: int, *, asked_wait: float | None = None) -> float | None:
    """Seconds until an item that was not accepted is submitted again, or None: it failed.

    ``refusals`` counts those in a row, this one included; ``asked_wait`` is what the provider asked for.
    """
    if refusals > MAX_REFUSALS:
        return None
    return _spread(max(asked_wait or 0.0, _backoff(REFUSAL_BASE_SECONDS, refusals)))


def after_no_slot() -> float:
    """Seconds until an item that found no free slot is tried again.  How many are tried is up to ``slot_limit``."""
    return _spread(NO_SLOT_SECONDS)


def after_failure(remedy: Remedy, *, attempts: int, limit: int) -> float | None:
    """Seconds until a new paid attempt, or None: the item failed.

    ``attempts`` counts those that may have been paid, this one included; ``limit`` is how many there may be.
    """
    if remedy is Remedy.ONE_MORE_TRY:
        limit = min(limit, 2)
    if remedy is Remedy.NONE or attempts >= limit:
        return None
    return _spread(_backoff(FAILURE_BASE_SECONDS, attempts))


def after_failed_download(tries: int) -> float:
    """Seconds until a download is tried again, after ``tries`` that failed."""
    return _spread(min(2.0 ** min(tries, 30), DOWNLOAD_CAP_SECONDS))


def slot_limit(configured: int, *, remote: int | None, soft: int | None, seconds_since: float) -> int:
    """How many tasks an account may have in flight now.

    The smaller of our setting and the provider's own limit.  After a refusal for want of a slot, ``soft`` is how many were
    running then: from there the limit grows again, one at first, then faster, so that a busy provider is asked seldom and
    a free one is filled within half a minute.
    """
    limit = configured if remote is None else min(configured, remote)
    if soft is None:
        return limit
    steps = min(int(max(seconds_since, 0.0) / SLOT_RECOVERY_SECONDS), 20)
    return min(limit, soft + (1 << steps) - 1)


def _backoff(base: float, number: int) -> float:
    return min(base * BACKOFF_FACTOR ** (number - 1), BACKOFF_CAP_SECONDS)


def _spread(seconds: float) -> float:
    """±15 %, so that things which went wrong together are not tried again together."""
    return seconds * random.uniform(0.85, 1.15)
