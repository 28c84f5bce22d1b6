"""The supervisor: frozen clusters are replaced, SIGTERM loses nothing, no process outlives it."""

from __future__ import annotations

import contextlib

import psutil
import pytest
from django.db import transaction

from missions.models import Attempt, ItemStatus
from tests.factories import pass_time
from tests.process_fixtures import freeze, sending, statuses
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

REPLACED_WITHIN = 30.0
ON_A_BUSY_MACHINE = 5.0


def test_a_cluster_whose_pusher_hangs_is_replaced(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.3, cap=10)
    cluster = stage.start_workers(6, cap=10)
    with transaction.atomic():  # we hold the write lock, so the frozen process does not
        freeze(cluster.children()[-1])
    mission = stage.mission(10)
    took = stage.wait(lambda: cluster.row.restart_count, REPLACED_WITHIN + ON_A_BUSY_MACHINE)
    stage.note(replaced_after=round(took, 1))
    stage.finish(mission)
    stage.check_paid_once(mission)


def test_a_cluster_that_a_dead_worker_locked_is_replaced(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.3, cap=10)
    cluster = stage.start_workers(6, cap=10)
    stage.finish(
        stage.mission(2, rows=["first 1", "first 2"])
    )  # then all workers wait, and one of them holds the queue's lock
    for worker in cluster.children()[:-2]:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    mission = stage.mission(10)
    took = stage.wait(lambda: cluster.row.restart_count, REPLACED_WITHIN + ON_A_BUSY_MACHINE)
    stage.note(replaced_after=round(took, 1))
    stage.finish(mission)
    stage.check_paid_once(mission)


def test_a_cluster_that_is_only_busy_is_left_alone(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.3, submit_latency=16.0, cap=100)
    cluster = stage.start_workers(2, cap=16)
    mission = stage.mission(16)
    stage.finish(mission, 60)
    assert cluster.row.restart_count == 0
    assert mission.completed_count == 16
    stage.check_paid_once(mission)


def test_sigterm_loses_nothing_and_leaves_no_process(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=1.0, submit_latency=0.3, cap=20)
    cluster = stage.start_workers(8, cap=20)
    mission = stage.mission(60)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 25, 30)
    stage.wait(sending, 10, every=0.01)
    group = cluster.group()
    cluster.stop()
    assert not [process for process in group if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert statuses(mission).get(ItemStatus.UNCONFIRMED, 0) == 0
    assert statuses(mission).get(ItemStatus.SUBMITTING, 0) == 0
    cluster.start()
    stage.finish(mission)
    assert mission.completed_count == 60
    stage.check_paid_once(mission)


def test_sigterm_leaves_hanging_submits_unconfirmed(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.5, cap=50, faults={"paid_hang": 4})
    cluster = stage.start_workers(6, cap=8)
    mission = stage.mission(20)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 20, 40)
    stage.wait(lambda: mission.items.filter(status=ItemStatus.COMPLETED).count() == 16, 30)
    assert sending() == 4
    cluster.stop()
    assert cluster.group() == []
    assert statuses(mission) == {ItemStatus.COMPLETED: 16, ItemStatus.UNCONFIRMED: 4}

    submits = len(stage.simulator.submits())
    cluster.start()
    stage.finish(stage.mission(3, rows=["other 1", "other 2", "other 3"]))
    assert len(stage.simulator.submits()) == submits + 3
    assert stage.resolve_by_hand(mission) == (4, 0)
    stage.finish(mission)
    stage.check_paid_once(mission)


def test_no_worker_outlives_a_killed_supervisor(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.5, submit_latency=0.3, cap=10)
    cluster = stage.start_workers(8, cap=10)
    mission = stage.mission(60)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 15, 30)
    group = cluster.group()
    assert len(group) == 11
    cluster.kill_supervisor()
    took = stage.wait(lambda: not cluster.group(), 20)
    stage.note(gone_after=round(took, 1))
    assert sending() == 0, "workers finish the tasks that they have begun"

    cluster.start()
    stage.finish(mission)
    assert Attempt.objects.filter(item__mission=mission).count() >= 60
    stage.check_paid_once(mission)


def test_workers_start_after_the_clock_was_set_back(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.5, cap=6)
    cluster = stage.start_workers(6, cap=6)
    mission = stage.mission(24)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 8, 30)
    cluster.kill()
    pass_time(-3600)
    cluster.start()
    stage.drain(mission)
    stage.resolve_by_hand(mission)
    stage.finish(mission)
    assert mission.completed_count == 24
    stage.check_paid_once(mission)
