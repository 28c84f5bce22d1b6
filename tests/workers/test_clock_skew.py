"""The machine's clock is set, an hour forward or back, in the middle of a mission."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from devtools.simulators.runninghub.process import SimulatorProcess
from missions.models import Mission
from providers.models import ProviderAccount
from tests.factories import Workers, make_mission, pass_time
from workers import clock_skew

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

HOUR = timedelta(hours=1)


@pytest.fixture
def mission(owner: User, workers: Workers, account: ProviderAccount) -> Mission:
    """Of its twelve items some have ended, some run, and some wait."""
    ProviderAccount.objects.update(concurrency=4)
    mission = make_mission(owner, 12)
    workers.run(lambda: mission.items.filter(status="completed").count() >= 2)
    assert mission.items.filter(status="pending").exists()
    return mission


def test_nothing_stands_still_after_the_clock_was_set_back(
    mission: Mission, workers: Workers, simulator: SimulatorProcess
) -> None:
    pass_time(-HOUR.total_seconds())
    clock_skew.move_due_times_back(HOUR)
    workers.seconds_passed = 0.0
    workers.finish(mission)
    assert workers.seconds_passed < HOUR.total_seconds() / 2
    assert mission.completed_count == 12
    assert set(simulator.paid()["requests"].values()) == {1}


def test_clock_set_forward_loses_and_repeats_nothing(
    mission: Mission, workers: Workers, simulator: SimulatorProcess
) -> None:
    while simulator.stats()["in_flight"]:  # a task that still runs would look overdue (docs/reliability.md)
        time.sleep(0.01)
    pass_time(HOUR.total_seconds())
    workers.finish(mission)
    assert mission.completed_count == 12
    assert set(simulator.paid()["requests"].values()) == {1}


def test_a_planned_start_means_the_true_clock(owner: User, account: ProviderAccount) -> None:
    planned = timezone.now() + 2 * HOUR
    mission = make_mission(owner, 1, not_before=planned)
    clock_skew.move_due_times_back(HOUR)
    mission.refresh_from_db()
    assert mission.not_before == planned
