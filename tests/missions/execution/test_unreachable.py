"""Unreachable tasks: neither failed nor paid again, and without a slot."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import User

from core.errors import NotPossible
from missions import account_load, execution, services
from missions.models import Attempt, Mission, MissionItem
from providers import catalog
from providers.models import ProviderAccount
from tests.factories import TEXT_TO_IMAGE, Workers, check_mission, make_mission, pass_time

pytestmark = pytest.mark.django_db

DEADLINE_SECONDS = catalog.get_model(TEXT_TO_IMAGE).deadline_seconds


def start(owner: User, workers: Workers, prompt: str = "a teapot") -> Mission:
    mission = make_mission(owner, [prompt])
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    return mission


def poll(workers: Workers) -> Attempt:
    [attempt] = Attempt.objects.all()
    execution.poll(workers.account.pk, [attempt.pk])
    return Attempt.objects.get()


def mark_unreachable(workers: Workers) -> Attempt:
    """Poll without an answer until the attempt is unconfirmed."""
    poll(workers)
    pass_time(DEADLINE_SECONDS + 60)
    poll(workers)
    execution.reap(workers.account.pk)
    return Attempt.objects.get()


def test_task_is_gone_after_three_such_answers(owner, workers, simulator):
    simulator.set(task_seconds=0)
    start(owner, workers, "a teapot [[sim:vanish]]")
    pass_time(61)
    assert [poll(workers).status for _ in range(3)] == ["running", "running", "failed"]
    assert Attempt.objects.get().error_code == "gone"


def test_an_answer_in_between_starts_the_count_anew(owner, workers, simulator):
    simulator.set(task_seconds=0)
    start(owner, workers, "a teapot [[sim:vanish]] [[sim:slow:30]]")
    Attempt.objects.update(gone_count=2)
    assert poll(workers).gone_count == 0


def test_no_such_task_under_another_key_is_ignored(owner, workers, simulator):
    simulator.set(task_seconds=0)
    start(owner, workers, "a teapot [[sim:vanish]]")
    ProviderAccount.objects.update(key_fingerprint="another")
    pass_time(61)
    for _ in range(5):
        attempt = poll(workers)
    assert (attempt.status, attempt.gone_count) == ("running", 0)
    assert attempt.unanswered_since


@pytest.mark.parametrize("fault", ["query_500", "query_drop", "query_1003"])
def test_task_whose_polls_all_fail_becomes_unconfirmed(fault, owner, workers, simulator):
    mission = start(owner, workers)
    simulator.set(**{fault: 1.0})
    attempt = mark_unreachable(workers)
    assert (attempt.status, attempt.error_code) == ("unconfirmed", "out_of_sight")
    assert attempt.remote_task_id in attempt.error_message
    assert account_load.slots_in_use(workers.account, now=attempt.next_poll_at, limit=50) == 0
    check_mission(mission.pk)


def test_missing_key_counts_as_an_unanswered_poll(owner, workers, simulator, settings):
    start(owner, workers)
    settings.RUNNINGHUB_API_KEY = ""
    assert poll(workers).unanswered_since
    assert ProviderAccount.objects.get(provider="runninghub").paused_at


def test_long_outage_of_workers_fails_no_task(owner, workers, simulator):
    mission = start(owner, workers)
    time.sleep(0.1)  # it finishes at the provider meanwhile
    pass_time(DEADLINE_SECONDS * 10)
    execution.reap(workers.account.pk)
    assert Attempt.objects.get().status == "running"
    assert workers.finish(mission).completed_count == 1


def test_one_answer_ends_the_silence(owner, workers, simulator):
    simulator.set(task_seconds=600)
    start(owner, workers)
    simulator.set(query_500=1)
    assert poll(workers).unanswered_since
    assert poll(workers).unanswered_since is None


def test_task_that_is_reachable_again_costs_nothing_more(owner, workers, simulator):
    mission = start(owner, workers)
    simulator.set(query_500=1.0)
    mark_unreachable(workers)
    simulator.set(query_500=0)
    mission = workers.finish(mission)
    assert (mission.completed_count, simulator.stats()["accepted"]) == (1, 1)
    assert MissionItem.objects.get().attempt_count == 1


def test_unreachable_task_is_polled_rarely(owner, workers, simulator):
    start(owner, workers)
    simulator.set(query_500=1.0)
    mark_unreachable(workers)
    workers.play("rescue")
    queries = simulator.stats()["queries"]
    for _ in range(5):
        execution.reap(workers.account.pk)
        workers.play("rescue")
    assert simulator.stats()["queries"] == queries


def test_person_can_attach_or_resend_an_unreachable_task(owner, workers, simulator):
    mission = start(owner, workers)
    simulator.set(query_500=1.0)
    task_id = mark_unreachable(workers).remote_task_id
    with pytest.raises(NotPossible, match="could not be asked"):
        services.resolve_with_task(item=mission.items.get(), remote_task_id=task_id, actor="user:1")
    services.resolve_as_not_run(item=mission.items.get(), actor="user:1")
    assert mission.items.get().status == "pending"
    simulator.set(query_500=0)
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 2


def test_task_named_by_a_webhook_cannot_be_voided(owner, workers, simulator):
    simulator.set(paid_drop=1)
    mission = start(owner, workers)
    Attempt.objects.update(hinted_task_id=simulator.tasks()[0]["id"])
    with pytest.raises(NotPossible, match="nothing is paid twice"):
        services.resolve_as_not_run(item=mission.items.get(), actor="user:1")
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 1
