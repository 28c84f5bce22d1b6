"""Clusters on several machines share work and one limit, and may vanish and return."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

import pytest
from django.conf import settings
from django.db.models import QuerySet

from missions.models import Attempt, AttemptStatus, Mission
from tests.machines.conftest import StartOn
from tests.machines.network import Network
from tests.process_fixtures import Cluster, freeze
from tests.processes.conftest import OpenStage
from tests.processes.test_crashes import wait_until_nothing_paid_is_in_doubt
from workers.heartbeat import CLUSTER_DEAD_AFTER

CAP = 20
WITHIN_A_MINUTE = CLUSTER_DEAD_AFTER.total_seconds() + 15  # and as long as a busy machine takes to notice
NO_ANSWER = "The database does not answer"
HOLD_THE_LOCK = """
import time
from django.db import transaction
from providers.models import ProviderAccount
with transaction.atomic():
    ProviderAccount.objects.select_for_update().get(provider="runninghub")
    print("locked", flush=True)
    time.sleep(600)
"""

ASK = """
import sys, requests
answer = requests.get(sys.argv[1], timeout=10)
print(answer.status_code, answer.text, end="")
"""


def sent_by(cluster: Cluster) -> QuerySet[Attempt]:
    return Attempt.objects.filter(worker__startswith=f"{cluster.row.pk}:")


def shares(mission: Mission) -> Counter[str]:
    """Return the number of a mission's attempts by cluster."""
    workers = Attempt.objects.filter(item__mission=mission).values_list("worker", flat=True)
    return Counter(worker.partition(":")[0] for worker in workers)


@pytest.mark.parametrize("count", [2, 4])
def test_machines_share_a_mission_and_its_limit(
    network: Network, open_stage: OpenStage, start_on: StartOn, count: int
) -> None:
    stage = open_stage(host=network.address, task_seconds=0.8, cap=CAP)
    clusters = [start_on(stage, network.machine()) for _ in range(count)]
    assert {cluster.row.host for cluster in clusters} == {machine.name for machine in network.machines}
    mission = stage.finish(stage.mission(40 * count), 120)

    assert mission.completed_count == 40 * count
    stage.check_paid_once(mission)
    stats = stage.simulator.stats()
    assert (stats["max_in_flight"], stats["refused"]) == (CAP, {})
    stage.note(shares=sorted(shares(mission).values()))
    assert set(shares(mission)) == {str(cluster.row.pk) for cluster in clusters}
    assert stage.failures() == []


def test_work_of_a_cut_off_machine_is_taken_over(network: Network, open_stage: OpenStage, start_on: StartOn) -> None:
    stage = open_stage(host=network.address, task_seconds=2.0, submit_latency=0.3, cap=CAP)
    staying, leaving = network.machine(), network.machine()
    start_on(stage, staying)
    lost = start_on(stage, leaving)
    mission = stage.mission(120)
    on_the_wire = sent_by(lost).filter(status=AttemptStatus.SENDING)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 30 and on_the_wire.exists(), 60, every=0.01)
    leaving.cut_off()

    open_attempts = sent_by(lost).filter(
        status__in=[AttemptStatus.PREPARED, AttemptStatus.SENDING, AttemptStatus.RUNNING]
    )
    left_behind = list(open_attempts.values_list("pk", flat=True))
    took = stage.wait(lambda: not open_attempts.filter(pk__in=left_behind).exists(), WITHIN_A_MINUTE)
    stage.drain(mission)
    in_doubt = mission.unconfirmed_count
    stage.note(left_behind=len(left_behind), taken_over_after=round(took, 1), in_doubt=in_doubt)
    stage.check_none_paid_twice()
    assert mission.completed_count + in_doubt == 120

    leaving.reconnect()
    later: list[Mission] = []

    def takes_part() -> bool:
        rows = [f"mission {len(later)}, prompt {number}" for number in range(2 * CAP)]
        later.append(stage.finish(stage.mission(len(rows), rows=rows)))
        return str(lost.row.pk) in shares(later[-1])

    took = stage.wait(takes_part, 120)
    stage.drain(mission)
    stage.note(takes_part_after=round(took, 1), settled_by_late_answers=in_doubt - mission.unconfirmed_count)
    stage.resolve_by_hand(mission)
    stage.finish(mission)
    for one in (mission, *later):
        stage.check_paid_once(one)
    assert stage.simulator.stats()["max_in_flight"] <= CAP


def test_late_answers_of_a_frozen_machine_count(network: Network, open_stage: OpenStage, start_on: StartOn) -> None:
    stage = open_stage(host=network.address, task_seconds=1.0, submit_latency=2.5, cap=CAP)
    start_on(stage, network.machine())
    frozen = start_on(stage, network.machine())
    mission = stage.mission(80)
    on_the_wire = sent_by(frozen).filter(status=AttemptStatus.SENDING)
    stage.wait(lambda: on_the_wire.count() >= 3, 60, every=0.01)
    time.sleep(1.0)  # the requests leave; the answers take longer
    processes = frozen.members()
    for process in processes:
        freeze(process)

    stage.wait(lambda: not on_the_wire.exists(), WITHIN_A_MINUTE)
    stage.drain(mission)
    in_doubt = mission.unconfirmed_count
    stage.check_none_paid_twice()
    for process in processes:
        process.resume()
    wait_until_nothing_paid_is_in_doubt(stage, mission, limit=60)  # the answers had arrived; now they are read
    stage.note(in_doubt=in_doubt, never_sent=mission.unconfirmed_count)
    assert mission.unconfirmed_count < in_doubt
    assert stage.resolve_by_hand(mission)[0] == 0
    stage.finish(mission)
    assert mission.completed_count == 80
    stage.check_paid_once(mission)
    assert stage.simulator.stats()["max_in_flight"] <= CAP


def test_cluster_broken_while_cut_off_is_replaced(network: Network, open_stage: OpenStage, start_on: StartOn) -> None:
    stage = open_stage(host=network.address, task_seconds=0.5, cap=CAP)
    machine = network.machine()
    cluster = start_on(stage, machine)
    sentinel = cluster.sentinel()
    machine.cut_off()
    sentinel.kill()
    stage.wait(lambda: NO_ANSWER in cluster.log.read_text(), 60)
    machine.reconnect()
    mission = stage.mission(10)
    stage.finish(mission, 60)
    assert cluster.row.restart_count >= 1
    stage.check_paid_once(mission)


def test_lock_of_a_cut_off_machine_is_released(network: Network, open_stage: OpenStage, start_on: StartOn) -> None:
    stage = open_stage(host=network.address, task_seconds=0.5, cap=CAP)
    cluster = start_on(stage, network.machine())
    holder = network.machine()
    shell = [*holder.prefix, sys.executable, "manage.py", "shell", "--no-imports", "-c", HOLD_THE_LOCK]
    with subprocess.Popen(shell, env=cluster.env, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "locked\n"
            holder.cut_off()
            mission = stage.mission(10)
            took = stage.wait(lambda: stage.simulator.stats()["accepted"], WITHIN_A_MINUTE)
            stage.note(went_on_after=round(took, 1))
            stage.finish(mission)
        finally:
            process.kill()
    stage.check_paid_once(mission)


def test_simulator_control_api_is_local_only(network: Network, open_stage: OpenStage) -> None:
    stage = open_stage(host=network.address)
    assert stage.simulator.stats()["accepted"] == 0
    ask = [*network.machine().prefix, sys.executable, "-c", ASK, f"{stage.simulator.url}/__sim__/stats"]
    told = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert told == '403 {"error": "only from the same machine"}'
