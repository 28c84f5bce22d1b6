"""Pace and remaining time of a mission."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from missions.models import Mission
from missions.results.gallery import Completion
from missions.throughput import pace_of

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def mission(**facts):
    start = NOW - timedelta(minutes=2)
    return Mission(**{"status": "running", "started_at": start, "completed_count": 31, "pending_count": 30} | facts)


def completions(count, *, every=2.0, last=0.0):
    return [Completion(n, NOW - timedelta(seconds=last + every * n)) for n in range(count)]


def test_speed_comes_from_the_latest_completions():
    pace = pace_of(mission(), completions(31), now=NOW)
    assert (pace.per_minute, pace.remaining_seconds, pace.elapsed_seconds) == (30.0, 60.0, 120.0)


def test_a_mission_that_stands_still_grows_slower():
    assert pace_of(mission(), completions(31, last=60), now=NOW).per_minute == 15.0


def test_too_few_completions_say_nothing():
    pace = pace_of(mission(), completions(2), now=NOW)
    assert pace.per_minute is None
    assert pace.remaining_seconds is None


def test_old_completions_say_nothing():
    assert pace_of(mission(), completions(31, last=3600), now=NOW).per_minute is None


def test_items_that_will_fail_are_not_waited_for():
    assert pace_of(mission(failed_count=31), completions(31), now=NOW).remaining_seconds == 30.0


def test_nothing_remains_when_nothing_is_left():
    assert pace_of(mission(pending_count=0), completions(31), now=NOW).remaining_seconds is None


def test_a_mission_that_does_not_run_has_no_speed():
    ended = mission(status="completed", ended_at=NOW - timedelta(minutes=1))
    pace = pace_of(ended, completions(31), now=NOW)
    assert (pace.per_minute, pace.elapsed_seconds) == (None, 60.0)
    assert pace_of(mission(started_at=None, status="queued"), [], now=NOW).elapsed_seconds is None
