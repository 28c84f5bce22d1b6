"""Cancel, pause and delete in mid-mission: nothing is submitted after the call returns."""

from __future__ import annotations

import time

import pytest

from missions import services
from missions.models import ItemStatus, Mission, MissionStatus
from tests.process_fixtures import LONG, Stage, is_over, result_files, sending, statuses
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


def running_stage(open_stage: OpenStage, **options: object) -> tuple[Stage, Mission]:
    """Return a running mission of 100 items with requests on the wire."""
    stage = open_stage(**{"task_seconds": 1.5, "submit_latency": 0.3, "cap": 20, **options})
    stage.start_workers(8, cap=20)
    mission = stage.mission(100)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 25, 30)
    stage.wait(sending, 10, every=0.005)
    return stage, mission


def check_silence(stage: Stage, mission: Mission, stopped: services.Stopped, since: float) -> None:
    """Wait until nothing is in flight; only requests on the wire may arrive after the stop."""

    def is_settled() -> bool:
        mission.refresh_from_db()
        return not mission.in_flight_count

    stage.wait(is_settled, 30)
    assert len(stage.simulator.submits(since=since)) <= len(stopped.still_sending)


def test_cancel_stops_submits_and_keeps_paid_results(open_stage: OpenStage) -> None:
    stage, mission = running_stage(open_stage)
    stopped = services.cancel_mission(mission_id=mission.pk, actor="user:1")
    returned = time.time()
    check_silence(stage, mission, stopped, returned)

    stage.finish(mission)
    assert mission.status == MissionStatus.CANCELLED
    stats = stage.simulator.stats()
    completed = stats["accepted"] - stats["cancelled"]  # those that waited at the provider were cancelled for free
    assert statuses(mission) == {ItemStatus.COMPLETED: completed, ItemStatus.CANCELLED: 100 - completed}
    assert stopped.cancelled_count == 100 - stats["accepted"]
    stage.check_none_paid_twice()


def test_pause_stops_submits_until_resume(open_stage: OpenStage) -> None:
    stage, mission = running_stage(open_stage)
    stopped = services.pause_mission(mission_id=mission.pk, actor="user:1")
    returned = time.time()
    check_silence(stage, mission, stopped, returned)
    mission.refresh_from_db()
    assert mission.status == MissionStatus.PAUSED

    services.resume_mission(mission_id=mission.pk, actor="user:1")
    stage.finish(mission)
    assert mission.completed_count == 100
    stage.check_paid_once(mission)
    assert stage.failures() == []


@LONG
def test_quick_pause_and_resume_pays_nothing_twice(open_stage: OpenStage) -> None:
    stage, mission = running_stage(open_stage)
    for _ in range(6):
        services.pause_mission(mission_id=mission.pk, actor="user:1")
        services.resume_mission(mission_id=mission.pk, actor="user:1")
        stage.wait(sending, 10)
    stage.finish(mission)
    assert mission.completed_count == 100
    stage.check_paid_once(mission)


def test_delete_stops_submits_and_removes_rows_and_files(
    open_stage: OpenStage,
) -> None:
    stage, mission = running_stage(open_stage)
    stage.wait(lambda: len(result_files(mission.pk)) > 0, 20)
    stopped = services.delete_mission(mission_id=mission.pk, actor="user:1")
    returned = time.time()
    stage.wait(lambda: not Mission.objects.filter(pk=mission.pk).exists(), 30)
    assert len(stage.simulator.submits(since=returned)) <= len(stopped.still_sending)
    assert result_files(mission.pk) == []
    assert stage.failures() == []


def test_no_file_appears_after_a_mission_was_removed(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.3, cap=20, slow_seconds=3.0, faults={"file_slow": "always"})
    cluster = stage.start_workers(8, cap=20)
    mission = stage.mission(6)
    stage.wait(lambda: stage.simulator.stats()["downloads"] >= 4, 20, every=0.05)
    stage.wait(lambda: is_over(mission), 20, every=0.05)
    services.delete_mission(mission_id=mission.pk, actor="user:1")
    stage.wait(lambda: not Mission.objects.filter(pk=mission.pk).exists(), 30)
    cluster.stop()  # workers finish their downloads
    assert result_files(mission.pk) == []
    assert stage.failures() == []
