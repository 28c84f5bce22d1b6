"""Poll intervals: pure policy, no database, no clock, no network.

A free slot does no work, so an end should be noticed soon. A poll costs the provider something, so
there should be few. So polls depend on the expected end of a task: ``Expectation`` is learned per
model from its recent durations.

    unknown model       every UNKNOWN_SPACING of the time elapsed
    before ``first``    silence
    up to ``last``      every KNOWN_SPACING of the time elapsed
    later               every LATE_SPACING of the time elapsed

With a webhook, polls only make up for a lost one: silence until a little after ``last``, and then
half as many. No interval is shorter than the floor or longer than MAX_INTERVAL_SECONDS.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

UNKNOWN_SPACING = 0.12
KNOWN_SPACING = 0.03
LATE_SPACING = 0.08
WEBHOOK_FACTOR = 2
WEBHOOK_SLACK = 1.05
MAX_INTERVAL_SECONDS = 15.0
MIN_SAMPLES = 5
UNKNOWN_STATUS_SECONDS = 600.0
SHORTEST_UNKNOWN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Duration:
    """One task's duration in seconds: longer than ``low``, at most ``high``."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """The usual ends of a model's tasks, in seconds since they were accepted."""

    first: float  # few end sooner
    last: float  # most have ended by then


def learn(durations: Sequence[Duration]) -> Expectation | None:
    """Return the expectation from recent durations, or None while they are too few."""
    if len(durations) < MIN_SAMPLES:
        return None
    middles = sorted((duration.low + duration.high) / 2 for duration in durations)
    highs = sorted(duration.high for duration in durations)
    return Expectation(first=_quantile(middles, 0.05), last=_quantile(highs, 0.95))


def next_interval(elapsed: float, expectation: Expectation | None, *, floor: float, has_webhook: bool = False) -> float:
    """Return the seconds until the next poll of a task that was accepted ``elapsed`` seconds ago.

    ``has_webhook``: the provider should report the end itself.
    """
    spacing = _spacing(elapsed, expectation) * (WEBHOOK_FACTOR if has_webhook else 1)
    interval = _spread(min(max(elapsed * spacing, floor), MAX_INTERVAL_SECONDS))
    silence = _silence(expectation, has_webhook=has_webhook) - elapsed
    return max(silence + random.uniform(0, 0.5) * floor, floor) if silence > 0 else interval


def unknown_status_limit(expectation: Expectation | None) -> float:
    """Return the seconds for which a task with an unknown status counts as running."""
    return UNKNOWN_STATUS_SECONDS if expectation is None else max(2 * expectation.last, SHORTEST_UNKNOWN_SECONDS)


def _silence(expectation: Expectation | None, *, has_webhook: bool) -> float:
    """Return the seconds after its acceptance in which a task is not polled."""
    if expectation is None:
        return 0.0
    return expectation.last * WEBHOOK_SLACK if has_webhook else expectation.first


def _spacing(elapsed: float, expectation: Expectation | None) -> float:
    if expectation is None:
        return UNKNOWN_SPACING
    return KNOWN_SPACING if elapsed <= expectation.last else LATE_SPACING


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]


def _spread(seconds: float) -> float:
    """Spread by ±15 %: without it, items that were submitted together are polled in bursts."""
    return seconds * random.uniform(0.85, 1.15)
