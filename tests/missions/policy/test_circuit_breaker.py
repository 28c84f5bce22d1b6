"""A mission that keeps failing for one cause is paused before more is spent."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from missions import execution, lifecycle, services
from missions.models import Attempt, Mission
from providers.models import ProviderAccount
from tests.factories import bring_to, check_mission, claim, fail, make_mission, succeed

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


@pytest.fixture(autouse=True)
def _three_are_too_many(settings: Settings) -> None:
    settings.FAILURE_BREAKER_ITEMS = 3


def go(mission: Mission, account: ProviderAccount, *ends: Any) -> None:
    for end in ends:
        assert end(bring_to("running", claim(mission, account)[0]))


def fail_otherwise(attempt_id: int) -> bool:
    return lifecycle.fail(attempt_id, code="other", message="Something else.")


def status_of(mission: Mission) -> str:
    mission.refresh_from_db()
    return str(mission.status)


def test_so_many_failures_in_a_row_pause_it_and_say_why(owner, account):
    mission = make_mission(owner, 9)
    go(mission, account, fail, lambda pk: fail(pk, cost="0.05"))
    waiting = claim(mission, account, 2)
    go(mission, account, fail)
    assert status_of(mission) == "paused"
    reason = mission.pause_reason
    assert reason.startswith("The last 3 items failed for the same cause (1015)")
    assert "charged ¥0.05" in reason
    assert reason.endswith("It failed.")
    assert mission.events.filter(item=None).last().reason == reason
    assert set(Attempt.objects.filter(pk__in=waiting).values_list("status", flat=True)) == {"void"}  # not sent
    check_mission(mission.pk)
    assert execution.dispatch(account.pk) == 0


def test_refusals_that_cost_nothing_count_as_well(owner, account):
    mission = make_mission(owner, 9)
    for attempt_id in claim(mission, account, 3):
        bring_to("refused", attempt_id)
    assert status_of(mission) == "paused"
    assert "charged ¥0.00" in mission.pause_reason


@pytest.mark.parametrize("between", [succeed, fail_otherwise])
def test_another_end_between_them_begins_anew(between, owner, account):
    mission = make_mission(owner, 9)
    go(mission, account, fail, fail, between, fail, fail)
    assert status_of(mission) == "running"


def test_a_failure_that_is_tried_again_is_no_end(owner, account):
    mission = make_mission(owner, 9)
    go(mission, account, *[lambda pk: fail(pk, again=True)] * 4)
    assert status_of(mission) == "running"


def test_a_resumed_mission_counts_anew(owner, account):
    mission = make_mission(owner, 9)
    go(mission, account, fail, fail, fail)
    services.resume_mission(mission_id=mission.pk, actor="user:1")
    go(mission, account, fail, fail)
    assert status_of(mission) == "running"
    go(mission, account, fail)
    assert status_of(mission) == "paused"


def test_manual_retry_restarts_the_count(owner, account):
    mission = make_mission(owner, 3)
    go(mission, account, fail, fail, fail)
    assert status_of(mission) == "failed"  # no item was left to save
    services.retry_failed(mission_id=mission.pk, actor="user:1")
    go(mission, account, fail)
    assert status_of(mission) == "running"


def test_it_can_be_switched_off(owner, account, settings):
    settings.FAILURE_BREAKER_ITEMS = 0
    mission = make_mission(owner, 9)
    go(mission, account, *[fail] * 5)
    assert status_of(mission) == "running"
