"""Missions through real workers of one and two clusters, and the growth of their memory."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from missions.models import Attempt, ItemStatus
from providers.models import ProviderAccount
from tests.process_fixtures import LONG, Stage
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("with_webhooks", [False, True], ids=["polling", "webhooks"])
def test_mission_completes_paid_once_within_the_cap(open_stage: OpenStage, with_webhooks: bool) -> None:
    stage = open_stage(task_seconds=0.6, cap=12)
    if with_webhooks:
        stage.start_web()
    cluster = stage.start_workers(8, cap=12)
    mission = stage.mission(60)
    stage.finish(mission)

    assert mission.status == "completed"
    assert mission.completed_count == 60
    stage.check_paid_once(mission)
    stats = stage.simulator.stats()
    assert stats["max_in_flight"] <= 12
    assert not stats["refused"]
    assert bool(stats["webhooks_delivered"]) == with_webhooks
    assert stage.failures() == []
    cluster.stop()
    assert cluster.group() == []


def test_two_clusters_share_the_cap_and_one_may_die(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.8, submit_latency=0.1, cap=50)
    first = stage.start_workers(6, cap=12)
    second = stage.start_workers(6, cap=12)
    mission = stage.mission(120)
    clusters = {str(first.row.pk), str(second.row.pk)}
    stage.wait(lambda: has_accepted(stage, 40) and at_work() == clusters, 30)
    assert not has_accepted(stage, 120)

    first.kill()
    stage.drain(mission)
    stage.check_none_paid_twice()
    stage.resolve_by_hand(mission)
    stage.finish(mission)
    stage.check_paid_once(mission)
    assert stage.simulator.stats()["max_in_flight"] <= 12
    assert stage.failures() == []
    second.stop()


def at_work() -> set[str]:
    """Return the clusters that have claimed items."""
    return {name.partition(":")[0] for name in Attempt.objects.exclude(worker="").values_list("worker", flat=True)}


@LONG
def test_second_cluster_leaves_requests_of_the_first(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.5, submit_latency=2.0)
    stage.start_workers(6, cap=10)
    mission = stage.mission(20)
    stage.wait(lambda: Attempt.objects.filter(status="sending").count() == 10, 20)
    stage.start_workers(6, cap=10)
    stage.finish(mission)
    assert mission.completed_count == 20
    stage.check_paid_once(mission)


def has_accepted(stage: Stage, number: int) -> bool:
    return bool(stage.simulator.stats()["accepted"] >= number)


def test_simulator_may_be_killed_and_return(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.5, submit_latency=0.2, cap=15)
    stage.start_workers(8, cap=15)
    mission = stage.mission(80)
    for reached in (15, 40):
        stage.wait(partial(has_accepted, stage, reached), 30)
        stage.simulator.restart()
    stage.drain(mission)
    stage.check_none_paid_twice()
    stage.note(resolved_by_hand=stage.resolve_by_hand(mission))
    stage.finish(mission)
    assert mission.completed_count == 80
    stage.check_paid_once(mission)
    assert stage.failures() == []


@LONG
def test_web_server_may_be_killed_and_return(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.5, cap=10)
    web = stage.start_web()
    stage.start_workers(8, cap=10)
    mission = stage.mission(60)
    stage.wait(lambda: stage.simulator.stats()["webhooks_delivered"] >= 5, 30)
    web.kill()
    stage.wait(lambda: stage.simulator.stats()["webhooks_failed"] >= 1 or mission.progress > 80, 30)
    web.start()
    stage.finish(mission)
    assert mission.completed_count == 60
    stage.check_paid_once(mission)


def test_statements_of_creation_are_independent_of_size(open_stage: OpenStage) -> None:
    stage = open_stage()
    ProviderAccount.objects.create(name="environment")
    with CaptureQueriesContext(connection) as small:
        stage.mission(100)
    with CaptureQueriesContext(connection) as large:
        mission = stage.mission(10_000)
    assert mission.items.filter(status=ItemStatus.PENDING).count() == 10_000
    # One statement per thousand rows; SQLite takes fewer parameters in one, so more statements.
    assert len(large) - len(small) <= 10_000 / 50
    assert len(small) < 30
    stage.note(statements={100: len(small), 10_000: len(large)})


def test_worker_memory_is_independent_of_mission_size(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.2, cap=20)
    used = {}
    for items in (100, 10_000):
        cluster = stage.start_workers(4, cap=20)
        mission = stage.mission(items, rows=[f"mission of {items}, prompt {number}" for number in range(items)])
        stage.wait(mission.items.filter(status=ItemStatus.COMPLETED)[89:].exists, 60)
        used[items] = cluster.memory()
        cluster.kill()
    stage.note(memory_mb={items: round(size / 1e6) for items, size in used.items()})
    assert used[10_000] < used[100] * 1.3  # pages that others share are told in parts
