"""The speed of a mission and the time it still needs, from its latest completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from missions.models import Mission, MissionStatus
from missions.results.gallery import Completion

WINDOW = timedelta(minutes=10)
COMPLETIONS_SEEN = 60
FEWEST = 3  # fewer say nothing


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of a mission. Figures are None while they are unknown or nothing is left to do."""

    elapsed_seconds: float | None
    per_minute: float | None = None
    remaining_seconds: float | None = None


def pace_of(mission: Mission, completions: Sequence[Completion], *, now: datetime) -> Pace:
    """Return a mission's speed. ``completions`` are the latest, newest first."""
    elapsed = ((mission.ended_at or now) - mission.started_at).total_seconds() if mission.started_at else None
    if mission.status != MissionStatus.RUNNING:
        return Pace(elapsed)
    rate = _rate(completions, now=now)
    if not rate:
        return Pace(elapsed)
    left = mission.may_run_count + mission.in_flight_count
    ended = mission.completed_count + mission.failed_count
    expected = left * mission.completed_count / ended  # some of what is left will fail as well
    return Pace(elapsed, rate * 60, expected / rate if left else None)


def _rate(completions: Sequence[Completion], *, now: datetime) -> float | None:
    """Return the completions per second since the oldest of them.

    So the rate of a stalled mission falls.
    """
    recent = [done for done in completions if done.at > now - WINDOW]
    if len(recent) < FEWEST:
        return None
    span = (now - recent[-1].at).total_seconds()
    return (len(recent) - 1) / span if span > 0 else None
