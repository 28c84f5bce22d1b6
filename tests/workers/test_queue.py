"""Task names, messages and schedules, also those of the last release."""

from __future__ import annotations

import pydoc

import pytest
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from missions.worker_hooks import MissionHooks
from operations.tasks import OperationsHooks
from workers import queue

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

# The functions that messages and schedules of the last release name.
LAST_RELEASE = (
    "tick",
    "dispatch",
    "submit",
    "poll_due",
    "rescue",
    "reap",
    "archive",
    "purge_mission",
    "check_account",
    "watchdog",
    "cleanup",
    "tally",
)


def test_functions_of_the_last_release_still_resolve():
    for task in LAST_RELEASE:
        function = pydoc.locate(f"missions.tasks.{task}")  # as django-q2's worker does
        assert callable(function), task
        assert function is queue.load(task)
    assert pydoc.locate("missions.tasks.nothing") is None


def test_new_messages_run_on_workers_of_the_last_release():
    queue.send("dispatch", 7)
    queue.send_many("submit", [(1, 2), (3,)], delay=60)
    messages = [SignedPackage.loads(payload) for payload in OrmQ.objects.values_list("payload", flat=True)]
    assert [(message["func"], message["args"]) for message in messages] == [
        ("missions.tasks.dispatch", (7,)),
        ("missions.tasks.submit", (1, 2)),
        ("missions.tasks.submit", (3,)),
    ]


def test_an_unregistered_task_is_refused():
    with pytest.raises(LookupError, match="nonsense"):
        queue.send("nonsense", 1)
    assert not OrmQ.objects.exists()


def test_schedules_are_created_once(settings, account):
    settings.RETENTION_RESULTS_DAYS = 0
    old = Schedule.objects.create(
        name="missions: tally", func="missions.tasks.tally", schedule_type=Schedule.MINUTES, minutes=1, repeats=-1
    )
    for hooks in 2 * [MissionHooks(), OperationsHooks()]:
        hooks.on_start(is_alone=False)
    functions = dict(Schedule.objects.values_list("name", "func"))
    assert functions == {"missions: tally": old.func, "missions: watchdog": "missions.tasks.watchdog"}
