"""The oracle finds nothing where all is well, and every violation that is planted."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.db.models import F
from django.utils import timezone
from django_q.models import Task

from devtools.simulators.runninghub.process import SimulatorProcess
from missions.models import Attempt, Mission, MissionItem, Output
from tests.chaos.oracle import Stop, Violation, Witness, violations
from tests.factories import TEXT_TO_IMAGE, Workers, make_mission

pytestmark = pytest.mark.django_db

PREFIX = "chaos "
GOOD, BAD, NEVER_TAKEN = f"{PREFIX}good", f"{PREFIX}bad [[sim:fail:1501]]", f"{PREFIX}never taken [[sim:reject:1501]]"


@pytest.fixture
def mission(owner: User, workers: Workers) -> Mission:
    """One item succeeded, one failed at the provider, one was refused."""
    return workers.finish(make_mission(owner, [GOOD, BAD, NEVER_TAKEN]))


def found(simulator: SimulatorProcess, **more: Any) -> list[Violation]:
    return list(violations(Mission.objects.all(), Witness.hear(simulator), **({"cap": 50} | more)))


def submit(simulator: SimulatorProcess, mission: Mission, prompt: str) -> None:
    """Pay for something at the simulator, and tell nobody."""
    sent = Attempt.objects.get(item__mission=mission, item__index=1).request | {"prompt": prompt}
    headers = {"Authorization": "Bearer simulator"}
    requests.post(f"{simulator.url}/openapi/v2/{TEXT_TO_IMAGE}", json=sent, headers=headers, timeout=5)
    while simulator.stats()["in_flight"]:
        time.sleep(0.01)


def result() -> Path:
    return Path(storages["results"].path(Output.objects.get().file))


def leave_part() -> Path:
    folder = Path(settings.DATA_DIR, "tmp")
    folder.mkdir(exist_ok=True)
    return folder / "left.part"


def test_where_all_is_well_nothing_is_found(mission: Mission, simulator: SimulatorProcess) -> None:
    statuses = list(mission.items.order_by("index").values_list("status", "error_code"))
    assert statuses == [("completed", ""), ("failed", "1501"), ("failed", "1501")]
    assert found(simulator) == []


def items(index: int) -> Any:
    return MissionItem.objects.filter(index=index)


def attempts(index: int) -> Any:
    return Attempt.objects.filter(item__index=index)


def write_failure(text: str) -> None:
    now = timezone.now()
    Task.objects.create(id=text[:32], name=text[:100], func="f", started=now, stopped=now, success=False, result=text)


Plant = Callable[[Mission, SimulatorProcess], object]
PLANTS: dict[str, Plant] = {
    "The mission is running": lambda mission, _: Mission.objects.update(status="running"),
    "The item is processing": lambda mission, _: items(1).update(status="processing"),
    "A result is lost": lambda mission, _: Output.objects.update(status="lost"),
    "completed and has no result": lambda mission, _: Output.objects.all().delete(),
    "completed_count is 2": lambda mission, _: Mission.objects.update(completed_count=2, failed_count=1),
    "still reserved": lambda mission, _: Mission.objects.update(reserved_cost=1),
    "Not true: ": lambda mission, _: mission.events.exclude(item=None).first().delete(),
    "no attempt names": lambda mission, simulator: submit(simulator, mission, GOOD),
    "never accepted": lambda mission, _: attempts(1).update(remote_task_id="42"),
    "paid for no item": lambda mission, simulator: submit(simulator, mission, "somebody else's"),
    "the simulator charged": lambda mission, _: attempts(2).update(cost=Decimal("0.05")),
    "Completed, but the simulator says 1501": lambda mission, _: items(2).update(status="completed"),
    "Cancelled in a mission": lambda mission, _: items(1).update(status="cancelled"),
    "its task ended with 1501": lambda mission, _: items(2).update(error_code="1015"),
    "the simulator refused with ['1501']": lambda mission, _: items(3).update(error_code="1015"),
    "Failed without a reason": lambda mission, _: items(2).update(error_message=""),
    "Failed without a task": lambda mission, _: attempts(3).update(status="void"),
    "has no row": lambda mission, _: result().with_name("other.png").write_bytes(b"x"),
    "has no file": lambda mission, _: result().unlink(),
    "was changed": lambda mission, _: result().write_bytes(result().read_bytes() + b"x"),
    "Part of a download": lambda mission, _: leave_part().touch(),
    "slots of account": lambda mission, _: attempts(1).update(status="running", sending_at=timezone.now()),
    "A worker's task failed: ValueError": lambda mission, _: write_failure("ValueError"),
}


@pytest.mark.parametrize("text", PLANTS)
def test_a_planted_violation_is_found(text: str, mission: Mission, simulator: SimulatorProcess) -> None:
    try:
        PLANTS[text](mission, simulator)
        assert [violation for violation in found(simulator) if text in str(violation)]
    finally:
        leave_part().unlink(missing_ok=True)


def test_item_paid_twice_is_reported_with_its_events(mission: Mission, simulator: SimulatorProcess) -> None:
    submit(simulator, mission, GOOD)
    again, first = simulator.tasks()[0]["id"], Attempt.objects.get(item__index=1)
    attempts(1).update(number=F("number") + 1)
    Attempt.objects.create(
        item=first.item,
        account=first.account,
        number=1,
        status="succeeded",
        remote_task_id=again,
        model="m",
        cost="0.05",
    )
    texts = {str(violation): violation for violation in found(simulator)}
    twice = next(violation for text, violation in texts.items() if text.startswith("Paid twice"))
    assert (twice.mission, twice.item) == (mission.pk, f"{mission.pk}#1")
    assert [event.split(" ", 1)[1] for event in twice.events] == [
        "pending → submitting",
        "submitting → processing",
        "processing → completed",
    ]
    assert "Attempt 2 follows one that is succeeded." in texts


def test_more_in_flight_than_allowed_is_found(mission: Mission, simulator: SimulatorProcess) -> None:
    assert any("tasks of one key were in flight at once" in str(wrong) for wrong in found(simulator, cap=0))


def test_submission_between_stop_and_resume_is_found(mission: Mission, simulator: SimulatorProcess) -> None:
    long_ago = time.time() - 60
    stop = Stop("pause", PREFIX, at=long_ago)
    assert any("after pause had returned" in str(wrong) for wrong in found(simulator, stops=[stop]))
    wire = len(simulator.submits())
    assert found(simulator, stops=[Stop("pause", PREFIX, at=long_ago, still_sending=wire)]) == []
    resumed = Stop("pause", PREFIX, at=long_ago, until=long_ago + 30)
    assert found(simulator, stops=[resumed]) == []


def test_charges_of_a_deleted_mission_are_no_violation(mission: Mission, simulator: SimulatorProcess) -> None:
    submit(simulator, mission, "deleted 1")
    assert found(simulator, stops=[Stop("delete", "deleted ", at=time.time())]) == []


def test_messages_may_fail_without_the_database(mission: Mission, simulator: SimulatorProcess) -> None:
    write_failure("OperationalError: the connection is lost")
    assert found(simulator, had_trouble=True) == []
    assert len(found(simulator, had_trouble=False)) == 1
