"""Answers that cannot be recorded, unknown statuses, and ends that nobody watched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from missions import account_load, durations, execution, services
from missions.execution import answer_journal
from missions.execution.poll import claim_polls
from missions.models import Attempt, Mission, MissionItem
from missions.provider_webhooks import Hint, take
from operations import notices
from providers.adapters.base import RemoteOutput, RemoteState, RemoteStatus
from providers.adapters.errors import Rejected, Unconfirmed
from providers.models import ProviderAccount
from tests.factories import TEXT_TO_IMAGE, Workers, bring_to, check_mission, claim, make_mission, pass_time
from tests.missions.execution.scripted_provider import accepted, running
from workers.heartbeat import worker_name

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


POISON = nested(2000)


@pytest.fixture
def mission(owner: User, scripted: ProviderAccount) -> Mission:
    mission = make_mission(owner, 3)
    Mission.objects.filter(pk=mission.pk).update(provider="scripted")
    return mission


def submit(account: ProviderAccount) -> list[Attempt]:
    execution.dispatch(account.pk)
    Workers(account).play("submit")
    return list(Attempt.objects.order_by("pk"))


def poll(account: ProviderAccount) -> None:
    running = Attempt.objects.filter(status="running")
    execution.poll(account.pk, list(running.values_list("pk", flat=True)))


def statuses() -> list[str]:
    return list(Attempt.objects.order_by("item__index", "number").values_list("status", flat=True))


def succeeded(task_id: str, *outputs: RemoteOutput, **more: Any) -> RemoteState:
    return RemoteState(task_id, RemoteStatus.SUCCEEDED, outputs or (RemoteOutput(text="a text"),), **more)


# --- Recording ---


def test_a_submit_answer_that_cannot_be_recorded_is_alone(mission, scripted, script):
    answers = iter([accepted("1"), accepted("2", raw=POISON), Rejected("Refused.", code="7")])
    script.submit = lambda request, updates: next(answers)
    attempts = submit(scripted)
    assert sorted(statuses()) == ["refused", "running", "unconfirmed"]
    [lost] = [attempt for attempt in attempts if attempt.status == "unconfirmed"]
    assert (lost.error_code, lost.worker != "") == ("unrecorded", True)
    check_mission(mission.pk)


def test_an_end_that_cannot_be_recorded_fails_at_last(mission, scripted, script):
    numbers = iter("123")
    script.submit = lambda request, updates: accepted(next(numbers))
    submit(scripted)
    script.states = {"1": succeeded("1"), "2": succeeded("2", raw=POISON), "3": succeeded("3")}
    poll(scripted)
    assert sorted(statuses()) == ["running", "succeeded", "succeeded"]
    assert Attempt.objects.get(status="running").unrecorded_count == 1
    poll(scripted)
    poll(scripted)
    item = MissionItem.objects.get(status="failed")
    assert (item.error_code, "Task 2 has ended" in item.error_display) == ("unrecordable", True)
    assert account_load.slots_in_use(scripted, now=timezone.now(), limit=4) == 0
    mission.refresh_from_db()
    assert mission.status == "completed"
    check_mission(mission.pk)


def test_a_deleted_mission_with_such_an_end_is_removed(mission, scripted, script):
    script.submit = lambda request, updates: accepted(request.our_id[:8])
    for attempt in submit(scripted):
        script.states[attempt.remote_task_id] = succeeded(attempt.remote_task_id, raw=POISON)
    services.delete_mission(mission_id=mission.pk, actor="user:1")
    for _ in range(3):
        poll(scripted)
    execution.reap(scripted.pk)
    Workers(scripted).play("purge_mission")
    assert not Mission.objects.exists()


def test_of_very_many_results_the_first_are_stored(mission, scripted, script):
    numbers = iter("123")
    script.submit = lambda request, updates: accepted(next(numbers))
    submit(scripted)
    many = [RemoteOutput(text=f"text {number}") for number in range(40_000)]
    script.states = {"1": succeeded("1", *many), "2": succeeded("2")}
    poll(scripted)
    assert sorted(statuses()) == ["running", "succeeded", "succeeded"]
    item = MissionItem.objects.get(attempts__remote_task_id="1")
    assert item.outputs.count() == 1000
    assert "reported 40000 results; the first 1000 are stored" in item.events.latest("pk").reason
    check_mission(mission.pk)


def test_results_that_cannot_be_stored_do_not_hold_up_others(mission, scripted, script):
    numbers = iter("123")
    script.submit = lambda request, updates: accepted(next(numbers))
    submit(scripted)
    missing = RemoteOutput(path=Path("/nowhere/clip.mp4"), extension="mp4")
    script.states = {"1": succeeded("1", missing), "2": succeeded("2"), "3": succeeded("3")}
    poll(scripted)
    assert sorted(statuses()) == ["running", "succeeded", "succeeded"]
    assert Attempt.objects.get(status="running").unanswered_since


# --- A worker that is killed while it records ---


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def _empty_journal() -> Iterator[None]:
    yield
    answer_journal.remove()


@pytest.mark.usefixtures("_empty_journal")
def test_answers_of_a_killed_worker_are_not_lost(mission, scripted, script):
    script.submit = lambda request, updates: accepted(request.our_id[:8])

    def kill(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('UPDATE "missions_attempt"') and "remote_task_id" in sql:
            raise Killed
        return execute(sql, params, many, context)

    execution.dispatch(scripted.pk)
    with connection.execute_wrapper(kill), pytest.raises(Killed):
        Workers(scripted).play("submit")
    assert statuses() == ["sending"] * 3
    pass_time(1000)
    execution.reap(scripted.pk)
    assert statuses() == ["running"] * 3
    assert {attempt.our_id[:8]: attempt.remote_task_id for attempt in Attempt.objects.all()} == {
        attempt.our_id[:8]: attempt.our_id[:8] for attempt in Attempt.objects.all()
    }
    check_mission(mission.pk)


@pytest.mark.usefixtures("_empty_journal")
def test_notes_are_deleted_once_they_are_recorded(mission, scripted, script):
    script.submit = lambda request, updates: accepted(request.our_id[:8])
    submit(scripted)
    assert not list(Path(settings.DATA_DIR, "tmp").glob("*.answers"))
    assert answer_journal.task_id_of(Attempt.objects.all()[0]) == ""


@pytest.mark.usefixtures("_empty_journal")
def test_notes_of_an_unrecorded_answer_stay(owner, mission, scripted, script):
    [first, *_] = claim(mission, scripted)
    bring_to("sending", first)
    Attempt.objects.filter(pk=first).update(worker=worker_name())
    answer_journal.add(Attempt.objects.get(pk=first), "first")  # then the database failed for long
    script.submit = lambda request, updates: accepted(request.our_id[:8])
    make_mission(owner, ["another"])
    Mission.objects.update(provider="scripted")
    submit(scripted)
    pass_time(1000)
    execution.reap(scripted.pk)
    attempt = Attempt.objects.get(pk=first)
    assert (attempt.status, attempt.remote_task_id) == ("running", "first")


@pytest.mark.usefixtures("_empty_journal")
def test_a_note_of_another_attempt_is_not_believed(owner, account):
    [attempt_id] = claim(make_mission(owner, 1), account)
    bring_to("sending", attempt_id)
    attempt = Attempt.objects.get()
    answer_journal.add(Attempt(pk=attempt.pk, webhook_token="of another database"), "1")
    Attempt.objects.update(worker=worker_name())
    execution.recover()
    assert statuses() == ["unconfirmed"]


# --- Statuses that this program does not know ---


def unknown(task_id: str, *outputs: RemoteOutput) -> RemoteState:
    return running(task_id, unknown_status="FINISHED", outputs=outputs)


def test_an_unknown_status_is_shown_and_left_to_a_person(mission, scripted, script, web):
    numbers = iter("123")
    script.submit = lambda request, updates: accepted(next(numbers))
    submit(scripted)
    script.states = {"1": unknown("1", RemoteOutput(text="a text")), "2": unknown("2")}
    poll(scripted)
    assert statuses() == ["running"] * 3
    assert set(Attempt.objects.values_list("unknown_status", flat=True)) == {"", "FINISHED"}
    texts = [notice.text for notice in notices.current(User.objects.create_superuser("operator"))]
    assert any("“FINISHED”" in text for text in texts)
    shown = MissionItem.objects.get(attempts__remote_task_id="2")
    page = web.get(f"/missions/{mission.pk}/items/{shown.index}").content.decode()
    assert "The provider says “FINISHED”." in page
    pass_time(601)
    poll(scripted)
    assert sorted(statuses()) == ["running", "unconfirmed", "unconfirmed"]
    lost = MissionItem.objects.get(attempts__remote_task_id="1")
    assert (lost.error_code, "says FINISHED" in lost.error_display) == ("unknown_status", True)
    execution.resolve_unconfirmed(lost.attempts.get().pk)
    assert lost.attempts.get().status == "unconfirmed"  # nobody knows yet if it has ended
    services.resolve_with_task(item=lost, remote_task_id="1", actor="user:1")
    assert (lost.attempts.get().status, lost.outputs.get().text) == ("succeeded", "a text")
    check_mission(mission.pk)


def test_a_status_that_is_known_again_resolves_itself(mission, scripted, script):
    numbers = iter("123")
    script.submit = lambda request, updates: accepted(next(numbers))
    submit(scripted)
    attempt = Attempt.objects.get(remote_task_id="1")
    script.states = {"1": unknown("1")}
    pass_time(601)
    poll(scripted)
    attempt.refresh_from_db()
    assert attempt.status == "unconfirmed"
    script.states = {"1": succeeded("1")}
    execution.resolve_unconfirmed(attempt.pk)
    attempt.refresh_from_db()
    assert attempt.status == "succeeded"


def test_a_task_of_unknown_status_that_a_webhook_names_is_kept(mission, scripted, script):
    def lose(request: Any, updates: Any) -> Any:
        raise Unconfirmed("No answer.")

    script.submit = lose
    attempt = submit(scripted)[0]
    Attempt.objects.filter(pk=attempt.pk).update(hinted_task_id="1")
    script.states = {"1": unknown("1", RemoteOutput(text="a text"))}
    execution.resolve_unconfirmed(attempt.pk)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.remote_task_id, attempt.hinted_task_id) == ("running", "1", "")
    pass_time(601)
    poll(scripted)
    script.states = {"1": succeeded("1")}
    execution.resolve_unconfirmed(attempt.pk)
    attempt.refresh_from_db()
    assert attempt.status == "succeeded"
    check_mission(mission.pk)


# --- Ends that nobody watched ---


def sample_count() -> int:
    return len(durations.recent_durations("runninghub", TEXT_TO_IMAGE))


def end_all(workers: Workers) -> None:
    while ids := claim_polls(workers.account.pk, timezone.now()):
        execution.poll(workers.account.pk, ids)
    assert set(statuses()) == {"succeeded"}


def test_an_outage_teaches_no_durations(owner, workers: Workers, simulator):
    simulator.set(task_seconds=0)
    make_mission(owner, 6)
    submit(workers.account)
    Attempt.objects.filter(pk__in=Attempt.objects.values("pk")[:3]).update(
        next_poll_at=timezone.now() + timedelta(seconds=9)  # a poll was under way
    )
    pass_time(60)
    end_all(workers)
    assert sample_count() == 0
    make_mission(owner, ["another"])
    submit(workers.account)
    pass_time(2)
    end_all(workers)
    assert sample_count() == 1


def test_a_short_outage_teaches_no_durations(owner, workers: Workers, simulator):
    simulator.set(task_seconds=0)
    make_mission(owner, 2)
    submit(workers.account)
    Attempt.objects.update(next_poll_at=timezone.now() + timedelta(seconds=9))  # a poll was under way
    execution.recover()
    end_all(workers)
    assert sample_count() == 0


def test_unanswered_polls_and_late_webhooks_teach_nothing(owner, workers: Workers, simulator):
    simulator.set(task_seconds=0)
    make_mission(owner, 2)
    first, second = submit(workers.account)
    pass_time(60)
    assert take([Hint("runninghub", first.webhook_token, b"{}")]) == [204]
    Attempt.objects.filter(pk=second.pk).update(unanswered_since=timezone.now() - timedelta(seconds=50))
    execution.poll(workers.account.pk, [second.pk])
    end_all(workers)
    assert sample_count() == 0
