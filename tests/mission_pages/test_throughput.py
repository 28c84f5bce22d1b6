"""Pace and remaining time of a mission."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from mission_pages.gallery_queries import Completion
from mission_pages.templatetags.results import speed
from mission_pages.throughput import pace_of, slow_items
from missions import durations, services
from missions.models import Attempt, Mission
from missions.policy.polling import Expectation
from tests.factories import accept, begin, claim, make_mission, succeed

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


def test_pauses_do_not_count():
    assert pace_of(mission(paused_seconds=50.0), [], now=NOW).elapsed_seconds == 70.0
    paused = mission(status="paused", paused_at=NOW - timedelta(seconds=30), paused_seconds=10.0)
    assert pace_of(paused, [], now=NOW).elapsed_seconds == 80.0


def test_speed_leaves_pauses_out():
    first = [Completion(n, NOW - timedelta(seconds=280 + n)) for n in range(3)]
    assert pace_of(mission(paused_seconds=250.0), first, now=NOW).per_minute is None  # just released
    released = [*completions(11), *first]
    assert pace_of(mission(paused_seconds=250.0), released, now=NOW).per_minute == 30.0
    short = completions(31, last=30)  # paused for 30 s among 60 s of work
    assert pace_of(mission(paused_seconds=30.0), short, now=NOW).per_minute == 30.0


@pytest.mark.django_db
def test_pauses_are_measured(owner, account, time_machine):
    start = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    time_machine.move_to(start, tick=False)
    batch = make_mission(owner, 3)
    actor = f"user:{owner.pk}"
    for minute, step in (
        (0, lambda: services.pause_mission(mission_id=batch.pk, actor=actor)),  # before the start: it does not count
        (5, lambda: services.resume_mission(mission_id=batch.pk, actor=actor)),
        (6, lambda: accept_one(batch, account)),
        (7, lambda: services.pause_mission(mission_id=batch.pk, actor=actor)),
        (17, lambda: services.resume_mission(mission_id=batch.pk, actor=actor)),
    ):
        time_machine.move_to(start + timedelta(minutes=minute), tick=False)
        step()
    batch.refresh_from_db()
    assert (batch.paused_seconds, batch.paused_at) == (600.0, None)
    assert pace_of(batch, [], now=start + timedelta(minutes=18)).elapsed_seconds == 120.0


@pytest.mark.django_db
def test_time_after_its_end_does_not_count(owner, account, time_machine):
    start = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    time_machine.move_to(start, tick=False)
    batch = make_mission(owner, 1)
    attempt = accept_one(batch, account)
    time_machine.move_to(start + timedelta(minutes=2), tick=False)
    assert succeed(attempt)
    time_machine.move_to(start + timedelta(days=1), tick=False)
    services.make_again(mission_id=batch.pk, indexes=[1], actor=f"user:{owner.pk}")
    batch.refresh_from_db()
    assert batch.status == "running"
    assert pace_of(batch, [], now=start + timedelta(days=1, minutes=3)).elapsed_seconds == 300.0


def accept_one(batch, account):
    (attempt,) = claim(batch, account, 1)
    assert begin(attempt)
    assert accept(attempt)
    return attempt


def test_speeds_are_short():
    assert [speed(number) for number in (3.0, 9.5, 10.0, 407.4, 1407.4)] == ["3", "9.5", "10", "407", "1,407"]


@pytest.mark.django_db
def test_slow_items_are_named(owner, account, monkeypatch):
    batch = make_mission(owner, 3)
    for attempt in claim(batch, account, 2):
        assert begin(attempt)
        assert accept(attempt)
    now = timezone.now()
    batch.refresh_from_db()
    assert slow_items(batch, now=now) is None  # nobody knows yet what is usual
    monkeypatch.setattr(durations, "expectation", lambda *_: Expectation(first=5.0, last=7.0))
    assert slow_items(batch, now=now) is None
    first = Attempt.objects.order_by("pk").first()
    Attempt.objects.filter(pk=first.pk).update(accepted_at=now - timedelta(minutes=3))
    slow = slow_items(batch, now=now)
    assert (slow.count, slow.longest_seconds, slow.usual_seconds) == (1, 180.0, 7.0)
