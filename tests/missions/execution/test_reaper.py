"""Repairs after the death of workers, deadlines, and scheduled starts."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from missions import execution, tasks
from missions.models import Attempt, Mission, Output
from missions.worker_hooks import MissionHooks
from providers.models import ProviderAccount
from tests.factories import Workers, begin, bring_to, check_mission, claim, make_mission, pass_time
from workers.models import WorkerCluster

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


@pytest.fixture
def living() -> Iterator[int]:
    """Return the id of a living process that leads its own group."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    yield process.pid
    process.communicate()


def cluster(group_id: int, *, host: str = "") -> str:
    row = WorkerCluster.objects.create(
        id=uuid.uuid4(), host=host or os.uname().nodename, pid=1, pid_started_at=0.0, group_id=group_id
    )
    return str(row.pk)


def one_attempt(owner, account, status: str = "prepared") -> Attempt:
    (attempt_id,) = claim(make_mission(owner, 1), account)
    bring_to(status, attempt_id)
    return Attempt.objects.select_related("item").get(pk=attempt_id)


def after_repair(attempt: Attempt) -> tuple[str, str]:
    execution.repair(attempt.account_id)
    attempt.refresh_from_db()
    check_mission(attempt.item.mission_id)
    return attempt.status, attempt.item.status


@pytest.mark.parametrize("is_taken_by_a_worker", [False, True])
def test_slot_that_is_not_used_is_taken_back_after_a_while(is_taken_by_a_worker, owner, account, living):
    attempt = one_attempt(owner, account)
    if is_taken_by_a_worker:  # the database failed before it was marked
        Attempt.objects.update(worker=f"{cluster(living)}:{living}")
    pass_time(15)
    assert after_repair(attempt) == ("prepared", "submitting")
    pass_time(10)
    assert after_repair(attempt) == ("void", "pending")


def test_uploading_worker_has_more_time(owner, account, living):
    attempt = one_attempt(owner, account)
    params = {"imageUrls": ["https://a.example/1.png"]}
    Mission.objects.update(task_type="image_to_image", model="rhart-image-v1/edit", params=params)
    Attempt.objects.update(worker=f"{cluster(living)}:{living}")
    pass_time(120)
    assert after_repair(attempt) == ("prepared", "submitting")
    pass_time(600)
    assert after_repair(attempt) == ("void", "pending")


def test_unsent_attempt_of_a_dead_worker_goes_back_at_once(owner, account, living):
    attempt = one_attempt(owner, account)
    Attempt.objects.update(worker=f"{cluster(living)}:999999999")
    assert after_repair(attempt) == ("void", "pending")


@pytest.mark.parametrize("is_alive, expected", [(True, "sending"), (False, "unconfirmed")])
def test_attempt_in_sending_by_a_dead_worker_is_unconfirmed(is_alive, expected, owner, account, living):
    attempt = one_attempt(owner, account, "sending")
    pid = living if is_alive else 999_999_999
    Attempt.objects.update(worker=f"{cluster(living)}:{pid}")
    assert after_repair(attempt)[0] == expected


def test_process_of_another_group_is_not_the_worker(owner, account, living):
    attempt = one_attempt(owner, account, "sending")
    Attempt.objects.update(worker=f"{cluster(group_id=1)}:{living}")
    assert after_repair(attempt)[0] == "unconfirmed"


def test_remote_worker_is_dead_when_its_cluster_is_silent(owner, account):
    attempt = one_attempt(owner, account, "sending")
    Attempt.objects.update(worker=f"{cluster(1, host='elsewhere')}:1")
    assert after_repair(attempt)[0] == "sending"
    WorkerCluster.objects.update(beat_at=timezone.now() - timedelta(seconds=61))
    assert after_repair(attempt)[0] == "unconfirmed"


@pytest.mark.parametrize("worker", ["", ":1", f"{uuid.UUID(int=7)}:1"])
def test_unknown_worker_is_dead_after_the_longest_post(worker, owner, account):
    attempt = one_attempt(owner, account, "sending")
    Attempt.objects.update(worker=worker)
    pass_time(60)
    assert after_repair(attempt)[0] == "sending"
    pass_time(70)
    assert after_repair(attempt)[0] == "unconfirmed"


def test_a_lost_submission_is_explained_to_people(owner, account):
    attempt = one_attempt(owner, account, "sending")
    pass_time(130)
    after_repair(attempt)
    assert attempt.item.error_code == "worker_died"
    assert "may have accepted and charged it" in attempt.item.error_message


def test_other_accounts_are_left_alone(owner, account):
    attempt = one_attempt(owner, account, "sending")
    pass_time(300)
    execution.repair(ProviderAccount.objects.create(name="other").pk)
    attempt.refresh_from_db()
    assert attempt.status == "sending"


# --- Deadlines ---


def test_task_past_its_deadline_fails_and_keeps_its_id(owner, workers: Workers, simulator, account):
    mission = make_mission(owner, ["a teapot [[sim:never]]"])
    execution.dispatch(account.pk)
    workers.play("submit")
    task_id = Attempt.objects.get().remote_task_id
    pass_time(29 * 60)
    execution.reap(account.pk)
    assert Attempt.objects.get().status == "running"
    pass_time(2 * 60)
    workers.finish(mission)
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.error_code, attempt.remote_task_id) == ("failed", "deadline", task_id)
    assert task_id in attempt.item.error_message
    assert "30 minutes" in attempt.item.error_message
    assert attempt.item.attempt_count == 1


def test_a_video_is_given_more_time(owner, workers: Workers, simulator, account):
    make_mission(owner, ["a teapot [[sim:never]]"], task_type="text_to_video")
    execution.dispatch(account.pk)
    workers.play("submit")
    pass_time(59 * 60)
    execution.reap(account.pk)
    assert Attempt.objects.get().status == "running"
    pass_time(2 * 60)
    execution.poll(account.pk, [Attempt.objects.get().pk])
    execution.reap(account.pk)
    assert Attempt.objects.get().status == "failed"


def test_result_is_fetched_after_an_outage_past_the_deadline(owner, workers: Workers, simulator, account):
    mission = make_mission(owner, 12)
    execution.dispatch(account.pk)
    workers.play("submit")
    pass_time(3 * 3600)  # all workers were down
    execution.reap(account.pk)  # a reap may come before the first poll
    workers.finish(mission)
    assert (mission.completed_count, mission.failed_count) == (12, 0)


# --- Due work ---


def test_a_scheduled_mission_starts_when_its_time_has_come(owner, workers: Workers, simulator, account):
    mission = make_mission(owner, 2, not_before=timezone.now() + timedelta(hours=1))
    execution.reap(account.pk)
    mission.refresh_from_db()
    assert mission.status == "scheduled"
    assert not Attempt.objects.exists()
    pass_time(3601)
    execution.reap(account.pk)
    mission.refresh_from_db()
    assert mission.status in ("queued", "running")
    assert workers.finish(mission).completed_count == 2


def test_a_download_that_died_with_its_worker_is_taken_up_again(owner, workers: Workers, simulator, account):
    simulator.set(task_seconds=0)
    make_mission(owner, 1)
    execution.dispatch(account.pk)
    workers.play("submit")
    execution.poll(account.pk, list(Attempt.objects.values_list("pk", flat=True)))
    from django_q.models import OrmQ

    OrmQ.objects.all().delete()
    execution.reap(account.pk)
    assert "archive" not in [name for name, _ in workers.waiting()]
    pass_time(60)
    execution.reap(account.pk)
    execution.reap(account.pk)
    assert [name for name, _ in workers.waiting()].count("archive") == 1
    workers.play("archive")
    assert Output.objects.get().status == "stored"


def test_a_reap_at_any_moment_changes_nothing_that_is_well(owner, workers: Workers, simulator, account):
    simulator.set(task_seconds=600)
    mission = make_mission(owner, 6)
    ids = claim(mission, account, 4)
    for status, attempt_id in zip(["prepared", "sending", "running", "unconfirmed"], ids, strict=True):
        bring_to(status, attempt_id)
    ProviderAccount.objects.update(concurrency=4)
    before = list(Attempt.objects.order_by("pk").values())
    for _ in range(3):
        execution.reap(account.pk)
    assert list(Attempt.objects.order_by("pk").values()) == before
    check_mission(mission.pk)


def test_a_reap_fills_free_slots(owner, account, simulator):
    make_mission(owner, 3)
    execution.reap(account.pk)
    assert Attempt.objects.count() == 3


# --- Start ---


def test_after_a_start_nothing_waits_for_the_dead(owner, simulator, account):
    mission = make_mission(owner, 6)
    ids = claim(mission, account, 4)
    for status, attempt_id in zip(["prepared", "sending", "running", "succeeded"], ids, strict=True):
        bring_to(status, attempt_id)
    Output.objects.update(next_try_at=timezone.now() + timedelta(hours=1))
    Attempt.objects.filter(status="running").update(next_poll_at=timezone.now() + timedelta(seconds=9))
    half = Path(settings.DATA_DIR, "tmp", "half.part")
    half.parent.mkdir(exist_ok=True)
    half.touch()
    execution.recover()
    assert not half.exists()
    assert list(Attempt.objects.order_by("pk").values_list("status", flat=True)) == [
        "void",
        "unconfirmed",
        "running",
        "succeeded",
    ]
    assert Output.objects.get().next_try_at <= timezone.now()
    assert Attempt.objects.get(status="running").next_poll_at <= timezone.now()
    check_mission(mission.pk)


def test_start_keeps_the_time_of_a_later_poll(owner, account):
    attempt = one_attempt(owner, account, "running")
    later = timezone.now() + timedelta(minutes=5)
    Attempt.objects.update(next_poll_at=later)
    execution.recover()
    attempt.refresh_from_db()
    assert attempt.next_poll_at == later


def test_interrupted_mission_goes_on_after_a_start(owner, workers: Workers, simulator, account):
    mission = make_mission(owner, 12)
    execution.arm(account.pk)
    for steps in (1, 2, 3, 5, 8):
        for _ in range(steps):
            workers.play("dispatch", "submit") if steps % 2 else workers.play("tick")
        execution.recover()
        execution.arm(account.pk)
    workers.finish(mission)
    assert mission.completed_count == 12
    assert set(simulator.paid()["requests"].values()) == {1}


def test_watchdog_rearms_ticks(workers: Workers, account):
    tasks.watchdog()
    assert "tick" in [name for name, _ in workers.waiting()]


def test_warming_up_changes_nothing(owner, account, simulator):
    mission = make_mission(owner, 1)
    begin(claim(mission, account)[0])
    before = list(Attempt.objects.values()), list(Mission.objects.values())
    MissionHooks().warm_up()
    assert (list(Attempt.objects.values()), list(Mission.objects.values())) == before


@pytest.mark.django_db
def test_an_attempt_that_was_deleted_needs_no_rescue():
    tasks.rescue(404)
