"""Submissions: one POST per attempt, and the right status for each kind of answer."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
import requests
import responses
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devtools.simulators.runninghub.process import SimulatorProcess
from missions import execution, lifecycle, services
from missions.execution.submit import SEND_WITHIN, _mark, _mark_or_hand_back, _prepared, _send, _send_marked
from missions.models import Attempt, Mission, MissionItem
from missions.policy import retry
from providers import provider_accounts
from providers.adapters.base import SubmitRequest
from providers.adapters.errors import TryAgainLater
from providers.models import ProviderAccount, ProviderUpload
from tests.core.test_sqlite import writer_elsewhere
from tests.factories import (
    TEXT_TO_IMAGE,
    Workers,
    bring_to,
    check_mission,
    make_media,
    make_mission,
    pass_time,
    picture,
    refuse,
)
from workers.heartbeat import CLUSTER_DEAD_AFTER

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

SUBMIT = "/openapi/v2/rhart-image-v1/text-to-image"


def submit(workers: Workers) -> Attempt:
    """Dispatch and submit due items. Return the latest attempt."""
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    return Attempt.objects.select_related("item__mission", "account").latest("pk")


@pytest.mark.parametrize(
    "task_type, row, endpoint",
    [
        ("text_to_image", "a teapot", "rhart-image-v1/text-to-image"),
        ("image_to_image", {"imageUrls": ["MEDIA"], "prompt": "a teapot"}, "rhart-image-v1/edit"),
        ("text_to_video", "a teapot", "rhart-video-v3.1-lite/text-to-video"),
        ("image_to_video", {"imageUrls": ["MEDIA"], "prompt": "a teapot"}, "rhart-video-v3.1-lite/image-to-video"),
    ],
)
def test_each_type_of_task_runs_to_its_result(task_type, row, endpoint, owner, workers, simulator):
    media = f"media:{make_media(owner).pk}"
    if isinstance(row, dict):
        row = json.loads(json.dumps(row).replace("MEDIA", media))
    mission = workers.finish(make_mission(owner, [row], task_type=task_type))
    assert (mission.status, mission.completed_count) == ("completed", 1)
    attempt = Attempt.objects.get()
    output = attempt.outputs.get()
    assert attempt.model == simulator.tasks()[0]["endpoint"] == endpoint
    assert attempt.remote_task_id == simulator.tasks()[0]["id"]
    assert "media:" not in str(attempt.request)
    assert output.content_type == ("video/mp4" if "video" in task_type else "image/png")
    assert str(mission.cost) == simulator.stats()["charged"] + "0000"
    assert mission.estimated_cost


def test_the_item_s_own_parameters_go_over_the_mission_s(owner, workers, simulator):
    make_mission(owner, ["a", {"prompt": "b", "aspectRatio": "16:9"}], params={"aspectRatio": "1:1"})
    submit(workers)
    sent = sorted((attempt.request["prompt"], attempt.request["aspectRatio"]) for attempt in Attempt.objects.all())
    assert sent == [("a", "1:1"), ("b", "16:9")]


def test_webhook_needs_a_public_address(owner, workers, simulator):
    make_mission(owner)
    submit(workers)
    assert not simulator.tasks()[0]["webhook_url"]


@pytest.mark.parametrize(
    ("mark", "status"), [("", "succeeded"), ("[[sim:task:1501]]", "failed"), ("[[sim:task:empty]]", "running")]
)
def test_an_end_inside_the_answer_is_used_at_once(mark, status, owner, workers, simulator):
    simulator.set(task_seconds=0, ends_in_answer=True)
    mission = make_mission(owner, [f"a teapot {mark}"])
    attempt = submit(workers)
    assert (attempt.status, simulator.stats()["queries"]) == (status, 0)
    assert attempt.accepted_at
    assert attempt.remote_task_id == simulator.tasks()[0]["id"]
    check_mission(mission.pk)


def test_stale_mark_is_not_sent(account, simulator):
    provider = provider_accounts.connect(account)
    request = SubmitRequest(endpoint=TEXT_TO_IMAGE, params={"prompt": "a teapot", "aspectRatio": "1:1"})
    woke_up_late = timezone.now() - CLUSTER_DEAD_AFTER
    with pytest.raises(TryAgainLater):
        _send(Attempt(), provider, request, woke_up_late)
    assert simulator.stats()["submits"] == 0
    assert _send(Attempt(), provider, request, timezone.now()).state.task_id == simulator.tasks()[0]["id"]


# --- Kinds of answers ---

REFUSED_FOR_GOOD = [
    ("submit_1007", "1007", "parameter"),
    ("submit_1501", "1501", "Blocked by content moderation"),
    ("submit_1001", "1001", "model"),
    ("submit_422", "http_422", "Correct"),
]


@pytest.mark.parametrize("fault, code, words", REFUSED_FOR_GOOD)
def test_final_refusal_fails_only_its_item(fault, code, words, owner, workers, simulator, account):
    simulator.set(**{fault: 1})
    mission = workers.finish(make_mission(owner, 3))
    assert (mission.completed_count, mission.failed_count) == (2, 1)
    item = mission.items.get(status="failed")
    assert (item.error_code, item.attempt_count, item.submission_count) == (code, 0, 1)
    assert words in item.error_message
    assert item.error_message[0].isupper()
    assert item.error_message.count(" ") > 3
    account.refresh_from_db()
    assert account.paused_at is None
    assert simulator.stats()["accepted"] == 2


BLOCKED = ["submit_1002", "submit_1014", "submit_416", "submit_812", "submit_401", "submit_403"]


@pytest.mark.parametrize("fault", BLOCKED)
def test_an_unusable_account_is_paused_and_its_items_wait(fault, owner, workers, simulator, account):
    simulator.set(**{fault: "always"})
    mission = make_mission(owner, 20)
    submit(workers)
    workers.play()
    account.refresh_from_db()
    mission.refresh_from_db()
    assert account.paused_at
    assert account.pause_reason
    assert (mission.pending_count, mission.failed_count) == (20, 0)
    assert set(mission.items.values_list("refusal_count", "attempt_count")) == {(0, 0)}
    assert simulator.stats()["accepted"] == 0
    check_mission(mission.pk)
    submits = simulator.stats()["submits"]
    pass_time(3600)
    execution.reap(account.pk)
    workers.play()
    assert simulator.stats()["submits"] == submits


def test_a_paused_account_goes_on_when_it_is_resumed(owner, workers, simulator, account):
    from providers import provider_accounts

    simulator.set(submit_416=1)
    mission = make_mission(owner, 3)
    submit(workers)
    workers.play()
    provider_accounts.resume(account.pk)
    assert workers.finish(mission).completed_count == 3


def test_a_wrong_key_pauses_the_account_and_spends_nothing(owner, workers, simulator, account, settings):
    settings.RUNNINGHUB_API_KEY = "bad-key"
    mission = make_mission(owner, 5)
    submit(workers)
    account.refresh_from_db()
    mission.refresh_from_db()
    assert account.paused_at
    assert "key" in account.pause_reason
    assert "bad-key" not in account.pause_reason + str(list(Attempt.objects.values()))
    assert (mission.status, mission.pending_count) == ("running", 5)
    assert simulator.stats()["accepted"] == 0


def test_without_a_key_nothing_is_sent_and_the_account_says_why(owner, workers, simulator, account, settings):
    settings.RUNNINGHUB_API_KEY = ""
    mission = make_mission(owner, 2)
    submit(workers)
    account.refresh_from_db()
    assert "RUNNINGHUB_API_KEY" in account.pause_reason
    assert simulator.stats()["submits"] == 0
    check_mission(mission.pk)


SLOTS = ["submit_421", "submit_1520", "submit_415", "submit_814"]


@pytest.mark.parametrize("fault", SLOTS)
def test_no_free_slot_slows_the_account_only(fault, owner, workers, simulator, account):
    simulator.set(**{fault: 1})
    make_mission(owner, 1)
    attempt = submit(workers)
    account.refresh_from_db()
    item = attempt.item
    assert (attempt.status, item.status) == ("refused", "pending")
    assert (item.refusal_count, item.attempt_count) == (0, 0)
    assert account.soft_limit == 1
    assert item.available_at > attempt.ended_at
    assert workers.finish(item.mission).completed_count == 1


def test_smaller_cap_at_the_provider_is_respected(owner, workers, simulator):
    simulator.set(cap=3)
    mission = workers.finish(make_mission(owner, 15))
    assert mission.completed_count == 15
    assert simulator.stats()["max_in_flight"] <= 3
    assert max(simulator.paid()["requests"].values()) == 1


BUSY = ["submit_1003", "submit_1011", "submit_1010", "submit_429"]


@pytest.mark.parametrize("fault", BUSY)
def test_a_busy_provider_is_left_alone_and_tried_again(fault, owner, workers, simulator, account):
    simulator.set(**{fault: 1})
    make_mission(owner, 1)
    attempt = submit(workers)
    item = attempt.item
    assert (attempt.status, item.status, item.refusal_count, item.attempt_count) == ("refused", "pending", 1, 0)
    assert workers.finish(item.mission).completed_count == 1
    assert Attempt.objects.count() == 2


def test_a_refused_connection_is_certainly_not_accepted(owner, workers, simulator, settings):
    settings.RUNNINGHUB_BASE_URL = "http://127.0.0.1:9"
    make_mission(owner, 1)
    attempt = submit(workers)
    assert (attempt.status, attempt.item.status, attempt.item.refusal_count) == ("refused", "pending", 1)
    assert "could not be reached" in attempt.error_message


def test_item_fails_after_five_repeated_refusals(owner, workers, simulator):
    simulator.set(submit_1003="always")
    mission = workers.finish(make_mission(owner, 1))
    item = mission.items.get()
    assert (mission.status, item.error_code) == ("failed", "1003")
    assert item.submission_count == retry.MAX_REFUSALS + 1
    assert (item.attempt_count, simulator.stats()["accepted"]) == (0, 0)


LOST = ["submit_500", "submit_502", "submit_504", "paid_503", "paid_drop", "paid_malformed", "paid_no_id", "paid_1005"]


@pytest.mark.parametrize("fault", LOST)
def test_lost_answer_is_unconfirmed_and_never_sent_again(fault, owner, workers, simulator, account):
    simulator.set(**{fault: 1})
    mission = make_mission(owner, 1)
    attempt = submit(workers)
    assert (attempt.status, attempt.item.status, attempt.item.attempt_count) == ("unconfirmed", "unconfirmed", 1)
    assert attempt.error_message
    submits = simulator.stats()["submits"]
    for _ in range(4):
        pass_time(3600)
        execution.arm(account.pk)
        workers.play("tick", "reap", "dispatch", "submit")
        execution.reap(account.pk)
        execution.dispatch(account.pk)
        execution.submit([attempt.pk])
    attempt.refresh_from_db()
    assert (attempt.status, attempt.item.status) == ("unconfirmed", "unconfirmed")
    assert simulator.stats()["submits"] == submits == 1
    assert Attempt.objects.count() == 1
    check_mission(mission.pk)


def test_an_account_is_not_slowed_by_one_lost_answer(owner, workers, simulator, account):
    simulator.set(paid_drop=1)
    mission = make_mission(owner, 4)
    submit(workers)
    workers.run(lambda: Mission.objects.get(pk=mission.pk).completed_count == 3)
    mission.refresh_from_db()
    assert (mission.status, mission.unconfirmed_count) == ("running", 1)
    assert max(simulator.paid()["requests"].values()) == 1


# --- One POST, whatever happens ---


def test_a_message_that_comes_twice_sends_once(owner, workers, simulator):
    make_mission(owner, 3)
    execution.dispatch(workers.account.pk)
    ids = list(Attempt.objects.values_list("pk", flat=True))
    execution.submit(ids)
    execution.submit(ids)
    workers.play("submit")
    assert simulator.stats()["submits"] == 3
    assert set(simulator.paid()["requests"].values()) == {1}


def test_message_for_a_removed_attempt_is_skipped(owner, workers, simulator):
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    attempt = Attempt.objects.get()
    execution.submit([999_999_999, attempt.pk])
    attempt.refresh_from_db()
    assert attempt.status == "running"
    check_mission(mission.pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("task_type, row", [("text_to_image", "a teapot"), ("image_to_image", {"prompt": "a teapot"})])
def test_no_transaction_is_open_while_a_request_is_on_its_way(
    task_type, row, owner, workers, simulator, account, monkeypatch
):
    """Each mark is committed before its POST, after a dispatch and after a refill of free slots."""
    send, ours, posts = requests.adapters.HTTPAdapter.send, connections["default"], []

    def spy(adapter: Any, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        posts.append((request.path_url, ours.in_atomic_block))
        return send(adapter, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", spy)
    simulator.set(cap=1)
    account.concurrency = 1
    provider_accounts.store(account, changed=["concurrency"])
    rows = [row] * 3
    if isinstance(row, dict):
        images = [make_media(owner, content=picture(colour=colour)) for colour in ("red", "green", "blue")]
        rows = [row | {"imageUrls": [f"media:{image.pk}"]} for image in images]
    mission = workers.finish(make_mission(owner, rows, task_type=task_type))
    assert mission.completed_count == len(simulator.tasks()) == 3
    assert [path for path, is_open in posts if is_open] == []
    assert simulator.stats()["uploads"] == (3 if isinstance(row, dict) else 0)
    assert workers.played.count(("dispatch", (account.pk,))) < 3  # the others were claimed when a poll freed the slot


@pytest.mark.django_db(transaction=True)
def test_refilled_slot_is_claimed_and_marked_in_one_transaction(owner, workers, simulator, account):
    account.concurrency = 1
    provider_accounts.store(account, changed=["concurrency"])
    make_mission(owner, 2)
    attempt = submit(workers)
    time.sleep(0.1)  # the simulator uses the real clock
    with CaptureQueriesContext(connection) as captured:
        execution.poll_attempt(attempt.pk)
    statements = [entry["sql"] for entry in captured.captured_queries]
    [claimed] = [place for place, sql in enumerate(statements) if sql.startswith('INSERT INTO "missions_attempt"')]
    marked = next(place for place, sql in enumerate(statements) if "'sending'" in sql and sql.startswith("UPDATE"))
    assert claimed < marked
    assert "COMMIT" not in statements[claimed:marked]
    assert "COMMIT" in statements[marked:]


@pytest.mark.django_db(transaction=True)
def test_failed_mark_gives_the_attempt_back(owner, workers, monkeypatch):
    """If the mark cannot be written after an upload, others may claim the attempt at once."""
    if connection.vendor != "sqlite":
        pytest.skip("locks the whole of SQLite")
    make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    [attempt] = _prepared(Attempt.objects.values_list("pk", flat=True))
    Attempt.objects.filter(pk=attempt.pk).update(worker="us")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)
    with writer_elsewhere(stops_after=0.4), pytest.raises(OperationalError):
        _mark_or_hand_back([attempt])
    attempt.refresh_from_db()
    assert (attempt.status, attempt.worker) == ("prepared", "")


def test_late_refusal_with_odd_characters_loses_no_answers(owner, workers, simulator):
    mission = make_mission(owner, 2)
    execution.dispatch(workers.account.pk)
    marked, marked_at = _mark(_prepared(Attempt.objects.values_list("pk", flat=True)))
    first, second = (prepared[0] for prepared in marked)
    lifecycle.mark_unconfirmed(first.pk, code="interrupted", message="Its worker died.")
    odd = {"errorCode": "1001", "errorMessage": "No such thing \ud800 \x00", "taskId": ""}
    good = {"taskId": "1234567890123456789", "status": "QUEUED", "errorCode": "", "errorMessage": ""}
    with _submit_answers(simulator, odd):
        _send_marked(marked[:1], marked_at)
    with _submit_answers(simulator, good):
        _send_marked(marked[1:], marked_at)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("void", "running")
    check_mission(mission.pk)


def test_failed_prepare_does_not_change_a_sent_attempt(owner, workers, simulator, account):
    """Two workers hold one attempt; the other sent it and died."""
    image = make_media(owner)
    mission = make_mission(owner, [{"prompt": "x", "imageUrls": [f"media:{image.pk}"]}], task_type="image_to_image")
    execution.dispatch(account.pk)
    [ours] = _prepared(Attempt.objects.values_list("pk", flat=True))
    bring_to("unconfirmed", ours.pk)
    image.file.delete(save=False)
    _mark([ours])
    ours.refresh_from_db()
    assert (ours.status, mission.items.get().status) == ("unconfirmed", "unconfirmed")


def test_attempt_removed_while_prepared_is_skipped(owner, workers, account):
    """The mission is deleted while the upload of its file fails."""
    image = make_media(owner)
    mission = make_mission(owner, [{"prompt": "x", "imageUrls": [f"media:{image.pk}"]}], task_type="image_to_image")
    execution.dispatch(account.pk)
    attempts = _prepared(Attempt.objects.values_list("pk", flat=True))
    image.file.delete(save=False)
    services.delete_mission(mission_id=mission.pk, actor="mei")
    workers.play("purge_mission")
    assert not Attempt.objects.exists()
    assert _mark(attempts)[0] == []
    assert lifecycle.withdraw(attempts[0].pk, reason="Nobody is at it.") is False


def test_unconfirmed_attempt_that_was_not_sent_is_voided(owner, workers, simulator):
    """The worker paused after the mark and resumed when others had marked it unconfirmed."""
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    marked, marked_at = _mark(_prepared(Attempt.objects.values_list("pk", flat=True)))
    attempt = marked[0][0]
    assert lifecycle.mark_unconfirmed(attempt.pk, code="interrupted", message="Its worker died.")
    _send_marked(marked, marked_at - 2 * SEND_WITHIN)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.item.attempt_count, attempt.item.error_code) == ("void", 0, "")
    assert simulator.stats()["submits"] == 0
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 1


def test_late_refusal_does_not_undo_a_resolution(owner, workers, simulator):
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    marked, marked_at = _mark(_prepared(Attempt.objects.values_list("pk", flat=True)))
    attempt = marked[0][0]
    lifecycle.mark_unconfirmed(attempt.pk, code="interrupted", message="Its worker died.")
    assert lifecycle.void_unconfirmed(attempt.pk, actor="mei", reason="Not on the site.")
    workers.finish(mission)
    _send_marked(marked, marked_at - 2 * SEND_WITHIN)
    assert mission.items.get().status == "completed"
    assert (Attempt.objects.get(pk=attempt.pk).status, simulator.stats()["submits"]) == ("void", 1)
    check_mission(mission.pk)


def _submit_answers(simulator: SimulatorProcess, *bodies: Any) -> responses.RequestsMock:
    """Answer submits with ``bodies`` in order; raise those that are exceptions."""
    mock = responses.RequestsMock(assert_all_requests_are_fired=False)
    for body in bodies:
        content = body if isinstance(body, Exception) else json.dumps(body)
        mock.post(simulator.url + SUBMIT, body=content)
    return mock


def test_error_in_one_submission_keeps_the_other_answers(owner, workers, simulator):
    make_mission(owner, 3)
    execution.dispatch(workers.account.pk)
    good = [{"taskId": f"123{number}", "status": "QUEUED", "errorCode": ""} for number in range(2)]
    # The error may be raised, but only after all answers are recorded.
    with _submit_answers(simulator, ZeroDivisionError("a defect"), *good), contextlib.suppress(ZeroDivisionError):
        workers.play("submit")
    assert sorted(Attempt.objects.values_list("status", flat=True)) == ["running", "running", "unconfirmed"]
    assert sorted(Attempt.objects.values_list("remote_task_id", flat=True)) == ["", "1230", "1231"]


def test_two_answers_that_name_the_same_task_leave_one_in_doubt(owner, workers, simulator):
    mission = make_mission(owner, 3)
    execution.dispatch(workers.account.pk)
    same = {"taskId": "123", "status": "QUEUED", "errorCode": ""}
    with _submit_answers(simulator, same, same, {**same, "taskId": "456"}):
        workers.play("submit")
    assert sorted(Attempt.objects.values_list("status", flat=True)) == ["running", "running", "unconfirmed"]
    check_mission(mission.pk)


REFUSALS = [
    responses.Response("POST", "", json={"errorCode": "1011", "errorMessage": "busy", "taskId": ""}, status=503),
    responses.Response("POST", "", json={"errorCode": "421", "errorMessage": "TASK_QUEUE_MAXED"}),
    responses.Response("POST", "", json={"errorCode": "1003", "errorMessage": "too fast"}),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["503-1011", "421", "1003"])
def test_refusals_in_a_row_leak_no_slot(refusal, owner, workers, simulator, account):
    ProviderAccount.objects.update(concurrency=2)
    mission = make_mission(owner, 6)
    refusal.url = simulator.url + SUBMIT
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add(refusal)
        mock.add_passthru(simulator.url)
        workers.run(lambda: Attempt.objects.filter(status="refused").count() >= 10)
    assert simulator.stats()["submits"] == 0
    check_mission(mission.pk)
    workers.finish(mission)
    assert (mission.completed_count, mission.failed_count) == (6, 0)
    assert simulator.stats()["max_in_flight"] <= 2
    assert not Attempt.objects.filter(status__in=["prepared", "sending", "running"]).exists()
    assert set(simulator.paid()["requests"].values()) == {1}


def test_faults_of_every_kind_at_once_pay_nothing_twice(owner, workers, simulator):
    simulator.set(submit_1003=4, submit_421=4, paid_drop=3, query_500=3, file_503=4, task_1015=3)
    mission = make_mission(owner, 24)

    def is_settled() -> bool:
        mission.refresh_from_db()
        return mission.completed_count + mission.failed_count + mission.unconfirmed_count == 24

    workers.run(is_settled)
    check_mission(mission.pk)
    stats = simulator.stats()
    paid = sum(MissionItem.objects.values_list("attempt_count", flat=True))
    assert stats["accepted"] == paid
    assert mission.unconfirmed_count == 3
    failed_remotely = Attempt.objects.filter(status="failed").count()
    assert stats["accepted"] == 24 + failed_remotely - mission.items.filter(
        status="failed", attempt_count=0
    ).count() - (mission.items.filter(status="failed", attempt_count__gt=0).count())


# --- Reference files ---


def image_mission(owner: User, count: int = 1, **more: Any) -> Mission:
    media = make_media(owner)
    rows = [{"imageUrls": [f"media:{media.pk}"], "prompt": f"number {number}"} for number in range(count)]
    return make_mission(owner, rows, task_type="image_to_image", **more)


def test_a_file_that_many_items_share_is_handed_over_once(owner, workers, simulator):
    assert workers.finish(image_mission(owner, 6)).completed_count == 6
    assert simulator.stats()["uploads"] == 1
    assert ProviderUpload.objects.count() == 1


def test_an_upload_without_an_answer_is_tried_again_at_no_cost(owner, workers, simulator):
    simulator.set(upload_drop=1)
    mission = image_mission(owner)
    attempt = submit(workers)
    assert (attempt.status, attempt.sending_at, attempt.item.status) == ("refused", None, "pending")
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 1


def test_a_file_that_the_provider_refuses_fails_its_item(owner, workers, simulator):
    simulator.set(upload_max_bytes=10)
    mission = workers.finish(image_mission(owner))
    assert mission.status == "failed"
    assert "big" in mission.items.get().error_message
    assert simulator.stats()["submits"] == 0


@pytest.mark.parametrize("what", ["row", "file"])
def test_a_file_that_is_gone_fails_its_item_with_a_hint(what, owner, workers, simulator):
    mission = image_mission(owner)
    media = owner.media_files.get()
    if what == "row":
        mission.media.all().delete()  # a used file cannot be deleted
        media.delete()
    else:
        media.file.storage.delete(media.file.name)
    mission = workers.finish(mission)
    assert mission.status == "failed"
    assert "upload it again" in mission.items.get().error_message
    assert simulator.stats()["submits"] == 0


def test_a_file_that_is_gone_does_not_hold_up_other_items(owner, workers, simulator):
    broken, fine = image_mission(owner), make_mission(owner, 3)
    owner.media_files.get().file.storage.delete(owner.media_files.get().file.name)
    assert workers.finish(fine).completed_count == 3
    assert workers.finish(broken).failed_count == 1


def test_blocked_account_is_detected_at_an_upload(owner, workers, simulator, account):
    simulator.set(upload_1002="always")
    mission = image_mission(owner)
    submit(workers)
    account.refresh_from_db()
    mission.refresh_from_db()
    assert account.paused_at
    assert mission.pending_count == 1
    assert simulator.stats()["submits"] == 0


def test_mission_stopped_during_an_upload_sends_nothing(owner, workers, simulator):
    mission = image_mission(owner)
    execution.dispatch(workers.account.pk)
    attempt = Attempt.objects.get()

    def stop(request: Any) -> tuple[int, dict[str, str], str]:
        refuse(attempt.pk, counts_as_refusal=False)
        return 200, {}, json.dumps({"code": 0, "data": {"download_url": "https://a.example/cat.png"}})

    with responses.RequestsMock() as mock:
        mock.add_callback("POST", f"{simulator.url}/openapi/v2/media/upload/binary", callback=stop)
        workers.play("submit")
    attempt.refresh_from_db()
    assert attempt.status == "refused"
    assert simulator.stats()["submits"] == 0
    check_mission(mission.pk)
