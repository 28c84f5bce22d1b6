"""A provider that refuses: no slot is leaked, nothing is spent with a wrong key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from missions import account_load, services
from missions.models import Attempt, AttemptStatus, ItemStatus, MissionStatus
from providers.models import ProviderAccount
from tests.process_fixtures import LONG
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("fault", ["submit_421", "submit_1003", pytest.param("submit_429", marks=LONG)])
def test_fifty_refused_submits_in_a_row_leak_no_slot(open_stage: OpenStage, fault: str) -> None:
    stage = open_stage(task_seconds=0.3, cap=50, faults={fault: 50})
    stage.start_workers(10, cap=50)
    mission = stage.mission(60)
    stage.finish(mission, 90)
    assert mission.completed_count == 60
    stage.check_paid_once(mission)
    assert sum(stage.simulator.stats()["refused"].values()) == 50
    assert Attempt.objects.filter(status=AttemptStatus.REFUSED).count() == 50
    assert stage.failures() == []


def test_fifty_server_errors_in_a_row_leak_no_slot(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.3, cap=50, faults={"submit_503": 50})
    stage.start_workers(10, cap=50)
    mission = stage.mission(60)
    stage.wait(lambda: stage.simulator.stats()["refused"].get("503", 0) == 50, 90)
    # A 503 may have been paid, so each holds its slot for a while: let that time pass.
    stage.wait(lambda: mission.items.filter(status=ItemStatus.UNCONFIRMED).count() == 50, 20)
    held = account_load.LONGEST_HOLD + timedelta(seconds=1)
    Attempt.objects.filter(status=AttemptStatus.UNCONFIRMED).update(sending_at=F("sending_at") - held)
    stage.drain(mission, 60)
    assert mission.completed_count == 10
    assert stage.resolve_by_hand(mission) == (0, 50)
    stage.finish(mission, 60)
    assert mission.completed_count == 60
    stage.check_paid_once(mission)


@LONG
def test_a_server_at_its_own_cap_is_respected_until_it_has_room(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.5, cap=5)
    stage.start_workers(8, cap=20)
    mission = stage.mission(40)
    stage.finish(mission, 90)
    assert mission.completed_count == 40
    stage.check_paid_once(mission)
    assert stage.simulator.stats()["max_in_flight"] <= 5


def test_wrong_key_pauses_until_a_new_key(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.3, cap=10)
    cluster = stage.start_workers(6, cap=10, RUNNINGHUB_API_KEY="bad-key")
    mission = stage.mission(20)
    account = ProviderAccount.objects.get(name="environment")

    def is_paused() -> bool:
        account.refresh_from_db()
        return account.paused_at is not None

    stage.wait(is_paused, 20)
    assert "not valid" in account.pause_reason
    assert "bad-key" not in account.pause_reason
    stage.wait(lambda: mission.items.filter(status=ItemStatus.PENDING).count() == 20, 20)
    assert stage.simulator.stats()["accepted"] == 0
    cluster.stop()

    stage.start_workers(6, cap=10)
    account.refresh_from_db()
    assert account.paused_at is None
    assert account.pause_reason == ""
    mission.refresh_from_db()
    if mission.status == MissionStatus.PAUSED:  # another key may be another wallet: a person decides
        services.resume_mission(mission_id=mission.pk, actor="user:1")
    stage.finish(mission)
    assert mission.completed_count == 20
    stage.check_paid_once(mission)
