"""The engine asks a provider's capabilities: inline ends, lookups by our id, free cancels."""

from __future__ import annotations

import itertools
import threading
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.utils import timezone

from missions import execution, lifecycle, services
from missions.models import Attempt, ItemEvent, Mission, Output
from providers.adapters.base import (
    Capabilities,
    Finished,
    RemoteOutput,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
)
from providers.adapters.errors import Rejected, TaskFailed, TryAgainLater, Unavailable, Unconfirmed
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from tests.factories import Workers, check_mission, claim, make_mission, pass_time, picture
from tests.missions.execution.scripted_provider import ScriptedProvider, accepted, running

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

INLINE = Capabilities(needs_key=False, cancels=True, finds_by_our_id=True, finishes_in_submit=True, streams_text=True)
REMOTE = Capabilities(needs_key=False, cancels=True, finds_by_our_id=True, reports_progress=True)


@pytest.fixture
def scripted(scripted: ProviderAccount) -> ProviderAccount:
    """Return an account of the scripted provider, which finishes in the submit call."""
    ScriptedProvider.capabilities = INLINE
    return scripted


def mission_of(owner: User, account: ProviderAccount, rows: int = 1) -> Mission:
    """Return a mission for the scripted provider, of a model outside the catalogue."""
    mission = make_mission(owner, rows)
    Mission.objects.filter(pk=mission.pk).update(provider=account.provider)
    return mission


def run(account: ProviderAccount) -> Attempt:
    """Send what is pending, and return the latest attempt."""
    execution.dispatch(account.pk)
    Workers(account).play("submit")
    return Attempt.objects.latest("pk")


def succeeded(*outputs: RemoteOutput, task_id: str = "") -> Finished:
    return Finished(RemoteState(task_id, RemoteStatus.SUCCEEDED, outputs, cost=Decimal("0.10")))


def failed(status: RemoteStatus = RemoteStatus.FAILED, error: TaskFailed | None = None) -> Finished:
    return Finished(RemoteState("", status, error=error, cost=Decimal(0)))


def test_an_inline_answer_ends_the_attempt(owner, scripted, script):
    too_long = TaskFailed("Too long.", code="length")
    cases = [
        (succeeded(RemoteOutput(text="A poem.")), "succeeded", "completed", ""),
        (failed(error=too_long), "failed", "failed", "length"),
        (failed(), "failed", "failed", "failed"),
        (Rejected("No such model.", code="404"), "refused", "failed", "404"),
        (TryAgainLater("Busy.", code="503"), "refused", "pending", "503"),
        (Unconfirmed("No answer.", code="drop"), "unconfirmed", "unconfirmed", "drop"),
        (RuntimeError("a bug"), "unconfirmed", "unconfirmed", "interrupted"),
    ]
    for answer, status, item_status, code in cases:
        script.submit = lambda request, updates, answer=answer: answer
        mission = mission_of(owner, scripted)
        attempt = run(scripted)
        assert (attempt.status, attempt.item.status, attempt.error_code) == (status, item_status, code)
        check_mission(mission.pk)
        lifecycle.request_deletion(mission.pk, actor="user:1")  # its items leave the queue
        ProviderAccount.objects.update(soft_limit=None)
    assert Output.objects.get().text == "A poem."


@pytest.mark.parametrize("capabilities", [INLINE, REMOTE])
def test_files_in_an_answer_are_stored(owner, scripted, script, tmp_path, capabilities):
    ScriptedProvider.capabilities = capabilities
    path = tmp_path / "clip.png"
    path.write_bytes(picture(colour="blue"))
    outputs = (RemoteOutput(content=picture(), extension="png"), RemoteOutput(path=path, extension="png"))
    script.submit = lambda request, updates: succeeded(*outputs)
    mission = mission_of(owner, scripted)
    run(scripted)
    assert not path.exists()
    pass_time(2)
    Workers(scripted).play("archive")
    rows = list(Output.objects.order_by("index"))
    assert [(row.status, row.width, row.expires_at) for row in rows] == [("stored", 40, None)] * 2
    names = storages["results"].listdir(f"missions/{mission.pk}")[1]
    assert not [name for name in names if "incoming" in name]
    with storages["results"].open(rows[0].file) as file:
        assert file.read() == picture()


def test_a_provider_cannot_name_files_of_our_storage(owner, scripted, script, tmp_path):
    (tmp_path / "x").write_bytes(picture())
    script.submit = lambda request, updates: succeeded(RemoteOutput(path=tmp_path / "x", extension="png"))
    mission_of(owner, scripted)
    run(scripted)
    pass_time(2)
    Workers(scripted).play("archive")
    stolen = f"taken-in:{Output.objects.get().file}"
    script.submit = lambda request, updates: succeeded(RemoteOutput(url=stolen, extension="png"))
    mission_of(owner, scripted)
    run(scripted)
    pass_time(2)
    Workers(scripted).play("archive")
    assert Output.objects.latest("pk").status == "pending"


def test_a_request_carries_our_id_and_files(owner, scripted, script):
    mission_of(owner, scripted, 2)
    run(scripted)
    ids = [uuid.UUID(request.our_id) for request in script.requests]
    assert len(set(ids)) == 2
    attempts = Attempt.objects.order_by("pk")
    assert [str(our_id) for our_id in ids] == [attempt.our_id for attempt in attempts]
    assert not any(attempt.webhook_token in attempt.our_id for attempt in attempts)
    assert not any(request.webhook_url for request in script.requests)


def test_updates_are_stored_seldom_and_text_is_removed(owner, scripted, script, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("missions.execution.inline.time.monotonic", lambda: next(clock))
    seen: list[Any] = []

    def submit(request: SubmitRequest, updates: Updates) -> Finished:
        updates.progress(0.5)
        updates.text("Once upon ")
        updates.text("a time")
        attempt = Attempt.objects.get()
        pieces = list(ItemEvent.objects.exclude(text="").values_list("from_status", "to_status", "text"))
        seen.extend([attempt.progress, pieces])
        monkeypatch.setattr("missions.execution.inline.time.monotonic", lambda: 0)
        updates.progress(0.6)
        updates.text(" there was")
        seen.append((Attempt.objects.get().progress, ItemEvent.objects.exclude(text="").count()))
        return succeeded(RemoteOutput(text="Once upon a time there was"))

    script.submit = submit
    mission = mission_of(owner, scripted)
    run(scripted)
    pieces = [("submitting", "submitting", "Once upon "), ("submitting", "submitting", "a time")]
    assert seen == [0.5, pieces, (0.5, 2)]
    assert not ItemEvent.objects.exclude(text="").exists()
    check_mission(mission.pk)


def test_a_cancelled_mission_stops_inline_work(owner, scripted, script, monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr("missions.execution.inline.time.monotonic", lambda: next(clock))

    def submit(request: SubmitRequest, updates: Updates) -> Finished:
        assert not updates.stop_requested()
        services.cancel_mission(mission_id=Mission.objects.get().pk, actor="user:1")
        assert updates.stop_requested()
        return failed(RemoteStatus.CANCELLED)

    script.submit = submit
    mission = mission_of(owner, scripted)
    attempt = run(scripted)
    assert (attempt.status, attempt.item.status) == ("cancelled", "cancelled")
    check_mission(mission.pk)


def test_stopping_worker_hands_its_items_back(owner, scripted, script, monkeypatch):
    stop = threading.Event()
    monkeypatch.setattr("workers.background._stop", stop)

    def submit(request: SubmitRequest, updates: Updates) -> Finished:
        stop.set()
        assert updates.interrupt_requested()
        raise TryAgainLater("The workers were stopped.", code="workers_stopped")

    script.submit = submit
    mission = mission_of(owner, scripted, 2)
    run(scripted)
    attempts = Attempt.objects.values_list("status", "item__status")
    assert list(attempts) == [("refused", "pending")] * 2
    assert [item.refusal_count for item in mission.items.all()] == [0, 0]
    assert len(script.requests) == 1
    assert ProviderAccount.objects.get(pk=scripted.pk).soft_limit is None
    assert execution.dispatch(scripted.pk) == 2
    check_mission(mission.pk)


def test_a_lost_submission_is_proved_by_our_id(owner, scripted, script):
    done = RemoteState("t", RemoteStatus.SUCCEEDED, (RemoteOutput(text="done"),))
    cases: list[tuple[Capabilities, RemoteState | Exception | None, str, str]] = [
        (REMOTE, None, "void", "pending"),
        (REMOTE, done, "succeeded", "completed"),
        (REMOTE, running("r"), "running", "processing"),
        (REMOTE, Unavailable("Down."), "unconfirmed", "unconfirmed"),
        (INLINE, None, "void", "pending"),
        (INLINE, done, "succeeded", "completed"),
        (INLINE, running("r"), "unconfirmed", "unconfirmed"),
    ]
    for number, (capabilities, answer, status, item_status) in enumerate(cases):
        ScriptedProvider.capabilities = capabilities

        def find(our_id: str, answer: Any = answer, number: int = number) -> RemoteState | None:
            if isinstance(answer, Exception):
                raise answer
            return answer and RemoteState(f"{answer.task_id}{number}", answer.status, answer.outputs)

        script.find = find
        mission = mission_of(owner, scripted)
        (attempt_id,) = claim(mission, scripted)
        lifecycle.mark_sending({attempt_id: {}}, worker="")
        lifecycle.mark_unconfirmed(attempt_id, code="drop", message="No answer.")
        workers = Workers(scripted)
        execution.reap(scripted.pk)
        assert not [name for name, _ in workers.waiting() if name == "rescue"]  # the request may still be under way
        pass_time(61)
        ProviderAccount.objects.update(paused_at=timezone.now())  # new submissions stop
        execution.reap(scripted.pk)
        workers.play("rescue")
        attempt = Attempt.objects.get(pk=attempt_id)
        assert script.lookups[-1] == attempt.our_id
        assert (attempt.status, attempt.item.status) == (status, item_status), (capabilities, answer)
        check_mission(mission.pk)
        ProviderAccount.objects.update(paused_at=None)
        lifecycle.request_deletion(mission.pk, actor="user:1")


def test_a_lookup_whose_files_cannot_be_stored_is_repeated(owner, scripted, script, tmp_path):
    ScriptedProvider.capabilities = INLINE
    path = tmp_path / "clip.png"
    script.find = lambda our_id: succeeded(RemoteOutput(path=path, extension="png")).state
    mission = mission_of(owner, scripted)
    (attempt_id,) = claim(mission, scripted)
    lifecycle.mark_sending({attempt_id: {}}, worker="")
    lifecycle.mark_unconfirmed(attempt_id, code="worker_died", message="It died.")
    with pytest.raises(FileNotFoundError):
        execution.resolve_unconfirmed(attempt_id)
    assert Attempt.objects.get(pk=attempt_id).status == "unconfirmed"
    path.write_bytes(picture())
    execution.resolve_unconfirmed(attempt_id)
    assert Attempt.objects.get(pk=attempt_id).status == "succeeded"
    pass_time(2)
    Workers(scripted).play("archive")
    assert Output.objects.get().status == "stored"
    check_mission(mission.pk)


def test_item_that_kills_its_workers_is_left_to_a_person(owner, scripted, script):
    mission = mission_of(owner, scripted)
    claim(mission, scripted)
    for _ in range(10):
        for attempt_id in Attempt.objects.filter(status="prepared").values_list("pk", flat=True):
            lifecycle.mark_sending({attempt_id: {}}, worker="")
            lifecycle.mark_unconfirmed(attempt_id, code="worker_died", message="It died.")
            execution.resolve_unconfirmed(attempt_id)
    assert mission.items.get().status == "unconfirmed"
    assert mission.items.get().submission_count < 10


def test_long_inline_work_is_not_taken_from_a_living_worker(owner, scripted, monkeypatch):
    mission = mission_of(owner, scripted)
    (attempt_id,) = claim(mission, scripted)
    lifecycle.mark_sending({attempt_id: {}}, worker="")
    monkeypatch.setattr(ScriptedProvider, "defaults", ScriptedProvider.defaults.__class__(submit_limit_seconds=900.0))
    for seconds, status in ((600, "sending"), (1500, "unconfirmed")):
        pass_time(seconds)
        execution.repair(scripted.pk)
        assert Attempt.objects.get(pk=attempt_id).status == status


def test_cancel_withdraws_tasks_that_wait_at_the_provider(owner, scripted, script):
    ScriptedProvider.capabilities = REMOTE
    mission = mission_of(owner, scripted, 2)
    numbers = iter(range(1, 10))
    script.submit = lambda request, updates: accepted(str(next(numbers)))
    run(scripted)
    script.states = {"1": running("1", is_waiting=True), "2": running("2", progress=0.25)}
    workers = Workers(scripted)
    execution.poll(scripted.pk, list(Attempt.objects.values_list("pk", flat=True)))
    assert [attempt.progress for attempt in Attempt.objects.order_by("pk")] == [None, 0.25]
    services.cancel_mission(mission_id=mission.pk, actor="user:1")
    workers.play("cancel_waiting")
    workers.play("poll_due")
    assert script.cancelled == ["1"]
    statuses = list(Attempt.objects.order_by("pk").values_list("status", "item__status"))
    assert statuses == [("cancelled", "cancelled"), ("running", "processing")]
    check_mission(mission.pk)


def test_a_provider_that_is_not_here_keeps_items_pending(owner, scripted, monkeypatch):
    mission = mission_of(owner, scripted)
    (attempt_id,) = claim(mission, scripted)
    monkeypatch.delitem(PROVIDERS, ScriptedProvider.name)
    execution.submit([attempt_id])
    assert (Attempt.objects.get().status, mission.items.get().status) == ("refused", "pending")
