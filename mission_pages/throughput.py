"""The speed of a mission and the time it still needs, from its latest completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Count, Min

from mission_pages.gallery_queries import Completion
from missions import durations
from missions.models import Attempt, AttemptStatus, Mission, MissionStatus

WINDOW = timedelta(minutes=10)
COMPLETIONS_SEEN = 60
FEWEST = 3  # fewer say nothing
SLOW_FACTOR, SLOW_SECONDS = 2, 10  # an item is slow at twice the usual time, and 10 s above it


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of a mission. Figures are None while they are unknown or nothing is left to do."""

    elapsed_seconds: float | None
    per_minute: float | None = None
    remaining_seconds: float | None = None


def pace_of(mission: Mission, completions: Sequence[Completion], *, now: datetime) -> Pace:
    """Return a mission's speed. ``completions`` are the latest, newest first.

    Pauses do not count as elapsed.
    """
    until = mission.ended_at or mission.paused_at or now
    elapsed = None
    if mission.started_at:
        elapsed = max((until - mission.started_at).total_seconds() - mission.paused_seconds, 0.0)
    if mission.status != MissionStatus.RUNNING:
        return Pace(elapsed)
    rate = _rate(completions, paused_seconds=mission.paused_seconds, now=now)
    if not rate:
        return Pace(elapsed)
    left = mission.may_run_count + mission.in_flight_count
    ended = mission.completed_count + mission.failed_count
    expected = left * mission.completed_count / ended  # some of what is left will fail as well
    return Pace(elapsed, rate * 60, expected / rate if left else None)


@dataclass(frozen=True, slots=True)
class Slow:
    """Items in flight that run much longer than their model usually needs.

    ``longest_seconds`` is how long the oldest of them has run; ``usual_seconds`` is when most tasks
    of the model have ended.
    """

    count: int
    longest_seconds: float
    usual_seconds: float


def slow_items(mission: Mission, *, now: datetime) -> Slow | None:
    """Return the items of a mission that are much slower than usual, in one statement.

    None without such an item, or while the usual time is unknown.
    """
    expected = durations.expectation(mission.provider, mission.model) if mission.processing_count else None
    if expected is None:
        return None
    limit = timedelta(seconds=max(expected.last * SLOW_FACTOR, expected.last + SLOW_SECONDS))
    running = Attempt.objects.filter(item__mission=mission, status=AttemptStatus.RUNNING, accepted_at__lt=now - limit)
    count, first = running.aggregate(n=Count("pk"), first=Min("accepted_at")).values()
    return Slow(count, (now - first).total_seconds(), expected.last) if count else None


def _rate(completions: Sequence[Completion], *, paused_seconds: float, now: datetime) -> float | None:
    """Return the completions per second since the oldest of them.

    So the rate of a stalled mission falls. A mission that was paused was so, at most, in the
    longest time without a completion: that time does not count, and if it is most of the time,
    only what came after it does.
    """
    recent = [done for done in completions if done.at > now - WINDOW]
    if len(recent) < FEWEST:
        return None
    moments = [now, *(done.at for done in recent)]
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(moments)]
    pause = min(max(gaps), paused_seconds)
    if pause > sum(gaps) / 2:
        return _rate(recent[: gaps.index(max(gaps))], paused_seconds=0, now=now)
    span = sum(gaps) - pause
    return (len(recent) - 1) / span if span > 0 else None
