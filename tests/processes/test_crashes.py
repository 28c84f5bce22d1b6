"""``kill -9`` at random moments: nothing is paid twice, nothing is lost."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from missions.models import Attempt, AttemptStatus, ItemStatus, Mission
from tests.process_fixtures import LONG, Cluster, FirstWork, Stage, dice, is_over, number_from_environment
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

RESUMED_WITHIN = (
    30.0  # from the start of the programs, of which several start at once here; it takes them some 2 seconds alone
)
KILLS = number_from_environment("CRASH_KILLS", 6)
ITEMS = number_from_environment("CRASH_ITEMS", 300 if KILLS >= 20 else 120)


def kill_at_random_moments(stage: Stage, cluster: Cluster, mission: Mission, kills: int, seed: int) -> list[float]:
    """Kill everything and restart it; return the seconds until work continued after each start."""
    chance = dice(seed)
    resumed = []
    for _ in range(kills):
        time.sleep(chance.uniform(0.0, 1.5))
        if is_over(mission):
            break
        cluster.kill()
        first_work = FirstWork(stage)
        cluster.start()
        if mission.items.filter(status__in=[ItemStatus.PENDING, ItemStatus.PROCESSING]).exists():
            resumed.append(first_work.wait())
    return resumed


def test_repeated_kills_pay_nothing_twice_and_lose_nothing(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=4.0, submit_latency=0.3, cap=50)
    cluster = stage.start_workers(12, cap=50)
    mission = stage.mission(ITEMS)
    stage.wait(lambda: stage.asked() > 0, 20)
    resumed = kill_at_random_moments(stage, cluster, mission, KILLS, seed=1)
    stage.note(kills=len(resumed), resumed_after=[round(seconds, 2) for seconds in resumed])
    assert len(resumed) >= KILLS // 2  # how many it takes to the end depends on how fast this machine is
    assert max(resumed) < RESUMED_WITHIN

    stage.drain(mission, 120)
    stage.check_none_paid_twice()
    assert mission.completed_count + mission.unconfirmed_count == ITEMS
    stage.note(resolved_by_hand=stage.resolve_by_hand(mission))
    stage.finish(mission, 120)
    assert mission.completed_count == ITEMS
    stage.check_paid_once(mission)
    assert stage.simulator.stats()["max_in_flight"] <= 50


def test_webhooks_resolve_attempts_left_by_a_kill(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=3.0, submit_latency=0.3, cap=50, webhook_wait=1.0)
    stage.start_web()
    cluster = stage.start_workers(12, cap=50)
    mission = stage.mission(ITEMS)
    stage.wait(lambda: stage.asked() > 0, 20)
    resumed = kill_at_random_moments(stage, cluster, mission, max(KILLS // 2, 4), seed=2)
    stage.note(kills=len(resumed), resumed_after=[round(seconds, 2) for seconds in resumed])
    assert max(resumed) < RESUMED_WITHIN

    wait_until_nothing_paid_is_in_doubt(stage, mission, limit=120)
    stage.check_none_paid_twice()
    # A submission that never arrived has no webhook: its worker died before the request.
    never_sent = mission.unconfirmed_count
    stage.note(never_sent=never_sent)
    assert stage.resolve_by_hand(mission) == (0, never_sent)
    stage.finish(mission, 60)
    assert mission.completed_count == ITEMS
    stage.check_paid_once(mission)


def wait_until_nothing_paid_is_in_doubt(stage: Stage, mission: Mission, limit: float) -> None:
    """Wait until no accepted task is unconfirmed and nothing else is due; refresh ``mission``."""

    def is_clear() -> bool:
        mission.refresh_from_db()
        if mission.pending_count + mission.in_flight_count:
            return False
        paid = stage.simulator.paid()["prompts"]
        doubtful = mission.items.filter(status=ItemStatus.UNCONFIRMED)
        return not any(item.params["prompt"] in paid for item in doubtful)

    stage.wait(is_clear, limit, every=0.5)
    mission.refresh_from_db()  # a webhook may have rescued the last one after its count was read


def test_webhook_without_workers_resolves_its_attempt(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=1.0, task_jitter=0, submit_latency=2.0)
    stage.start_web()
    cluster = stage.start_workers(6)
    mission = stage.mission(5)
    stage.wait(lambda: stage.simulator.stats()["submits"] == 5, 20, every=0.02)  # the answers take longer
    cluster.kill()
    stage.wait(lambda: stage.simulator.stats()["webhooks_delivered"] == 5, 20)
    cluster.start()
    stage.finish(mission, 30)
    assert mission.completed_count == 5
    stage.check_paid_once(mission)


def test_single_workers_may_be_killed_all_the_time(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=1.0, submit_latency=0.2, cap=20)
    stage.start_web()
    cluster = stage.start_workers(10, cap=20)
    mission = stage.mission(120)
    chance = dice(3)
    for _ in range(max(KILLS, 8)):
        time.sleep(chance.uniform(0.3, 1.1))
        workers = cluster.children()[: cluster.row.worker_count]
        if workers and not is_over(mission):
            with contextlib.suppress(psutil.NoSuchProcess):
                chance.choice(workers).kill()
    wait_until_nothing_paid_is_in_doubt(stage, mission, limit=120)
    stage.note(never_sent=mission.unconfirmed_count, restarts=cluster.row.restart_count)
    assert stage.resolve_by_hand(mission)[0] == 0
    took = stage.wait(lambda: is_over(mission), 60)
    stage.note(ended_after=round(took, 1))
    stage.finish(mission, 60)
    assert mission.completed_count == 120
    stage.check_paid_once(mission)
    assert stage.simulator.stats()["max_in_flight"] <= 20


@pytest.mark.parametrize(
    "victim", ["sentinel", pytest.param("monitor", marks=LONG), pytest.param("pusher", marks=LONG)]
)
def test_sentinel_monitor_and_pusher_may_be_killed(open_stage: OpenStage, victim: str) -> None:
    stage = open_stage(task_seconds=0.5, cap=10)
    cluster = stage.start_workers(6, cap=10)
    mission = stage.mission(80)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 20, 30)
    process = {
        "sentinel": cluster.sentinel,
        "monitor": lambda: cluster.children()[-2],
        "pusher": lambda: cluster.children()[-1],
    }[victim]()
    process.kill()
    first_work = FirstWork(stage)
    stage.note(victim=victim, went_on_after=round(first_work.wait(), 2))
    stage.drain(mission)
    stage.resolve_by_hand(mission)
    stage.finish(mission)
    stage.check_paid_once(mission)


def test_another_supervisor_takes_over_after_a_kill(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=1.0, submit_latency=0.2, cap=10)
    cluster = stage.start_workers(6, cap=10)
    mission = stage.mission(60)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 15, 30)
    old_group = {process.pid for process in cluster.group()}
    cluster.kill_supervisor()
    began = time.monotonic()
    cluster.start()
    stage.note(took_over_after=round(time.monotonic() - began, 2))
    assert not old_group & living()
    stage.drain(mission)
    stage.check_none_paid_twice()
    stage.resolve_by_hand(mission)
    stage.finish(mission)
    stage.check_paid_once(mission)
    assert stage.simulator.stats()["max_in_flight"] <= 10


def living() -> set[int]:
    return {process.pid for process in psutil.process_iter(["status"]) if process.info["status"] != "zombie"}


def test_download_of_a_killed_worker_is_repeated(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.2, cap=10, slow_seconds=4.0, faults={"file_slow": "always"})
    cluster = stage.start_workers(6, cap=10)
    mission = stage.mission(6)
    stage.wait(lambda: stage.simulator.stats()["downloads"] >= 4, 20, every=0.05)
    for worker in cluster.children()[:-2]:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    stage.simulator.set(file_slow=0)
    stage.wait(lambda: is_over(mission), 60)
    stage.finish(mission, 90)
    stage.check_paid_once(mission)
    assert not Attempt.objects.filter(status=AttemptStatus.UNCONFIRMED).exists()


def noted_attempts() -> set[int]:
    """Return the attempts whose task is in a worker's file, or in the database already."""
    in_files = set()
    for path in Path(settings.DATA_DIR, "tmp").glob("*.answers"):
        with contextlib.suppress(FileNotFoundError, ValueError):  # removed meanwhile; a line that is being written
            in_files |= {json.loads(line)[0] for line in path.read_text().splitlines()}
    return in_files | set(Attempt.objects.exclude(remote_task_id="").values_list("pk", flat=True))


def test_answers_that_arrive_at_a_kill_are_not_lost(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=1.0, submit_latency=2.0, cap=60)
    cluster = stage.start_workers(12, cap=60)
    mission = stage.mission(60)
    stage.wait(lambda: len(noted_attempts()) >= 40, 60, every=0.005)
    noted_count = len(noted_attempts())
    cluster.kill()
    cluster.start()
    stage.drain(mission)
    unconfirmed = mission.unconfirmed_count
    stage.note(unconfirmed=unconfirmed, noted=noted_count)
    assert unconfirmed <= 60 - noted_count
    stage.resolve_by_hand(mission)
    stage.finish(mission)
    stage.check_paid_once(mission)
