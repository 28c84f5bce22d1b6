"""Webhooks of a provider are hints: they trigger a poll and change nothing else."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from missions import execution
from missions.models import Attempt, Mission, MissionItem, Output
from missions.provider_webhooks import Hint, Receiver, take
from providers import provider_accounts
from providers.adapters.registry import PROVIDERS
from tests.factories import WEBHOOK_BASE, Workers, bring_to, check_mission, claim, make_mission
from tests.missions.api.event_reader import wait_for
from workers import queue

pytestmark = pytest.mark.django_db


def path_of(attempt: Attempt, provider: str = "runninghub") -> str:
    return f"/hooks/{provider}/{attempt.webhook_token}"


def body_for(task_id: str, **more: Any) -> dict[str, Any]:
    return {"event": "TASK_END", "taskId": task_id, "eventData": {"taskId": task_id, "status": "SUCCESS", **more}}


def post(attempt: Attempt, body: Any, provider: str = "runninghub") -> int:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    [status] = take([Hint(provider, attempt.webhook_token, content)])
    return status


@pytest.fixture
def attempt(owner, workers: Workers, account) -> Attempt:
    """Return an attempt that the simulator runs."""
    make_mission(owner, 1)
    execution.dispatch(account.pk)
    workers.play("submit")
    attempt = Attempt.objects.get()
    assert attempt.status == "running"
    return attempt


@pytest.fixture
def unconfirmed(owner, workers: Workers, account, simulator) -> Attempt:
    """Return an attempt that the simulator runs and whose submit had no answer."""
    simulator.set(paid_drop=1)
    make_mission(owner, 1)
    execution.dispatch(account.pk)
    workers.play("submit")
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.remote_task_id) == ("unconfirmed", "")
    return attempt


def test_a_webhook_must_name_an_attempt_of_its_provider(attempt):
    unknown = Attempt(webhook_token="x" * 300)
    assert [post(unknown, {}), post(attempt, {}, "nobody"), post(attempt, {}, "local")] == [404] * 3


def test_webhook_polls_a_running_task_at_once(workers, attempt, simulator):
    simulator.set(task_seconds=0)
    Attempt.objects.update(next_poll_at=timezone.now() + timedelta(days=1000))
    workers.waiting()
    assert post(attempt, body_for(attempt.remote_task_id)) == 204
    assert ("poll_due", (attempt.account_id,)) in workers.waiting()
    before = simulator.stats()["queries"]
    workers.play("poll_due")
    assert simulator.stats()["queries"] == before + 1


def test_many_webhooks_wake_one_worker(owner, workers: Workers, simulator):
    mission = make_mission(owner, 10)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    attempts = Attempt.objects.filter(item__mission=mission)
    attempts.update(next_poll_at=timezone.now() + timedelta(hours=1))
    for attempt in attempts:
        assert post(attempt, body_for(attempt.remote_task_id)) == 204
    assert workers.waiting().count(("poll_due", (workers.account.pk,))) == 1
    wait_for(lambda: {task["status"] for task in simulator.tasks()} == {"SUCCESS"})
    workers.play("poll_due")
    assert set(attempts.values_list("status", flat=True)) == {"succeeded"}


def test_success_claimed_by_a_webhook_changes_nothing(workers, attempt, simulator):
    attempt_id = attempt.pk
    Attempt.objects.filter(pk=attempt_id).update(remote_task_id=endless_task(simulator))
    body = body_for(attempt.remote_task_id, results=[{"url": "https://evil.example/x.png", "outputType": "png"}])
    assert post(attempt, body) == 204
    workers.play("poll_due")
    attempt.refresh_from_db()
    assert attempt.status == "running"
    assert not Output.objects.exists()


def endless_task(simulator: Any) -> str:
    """Start a task of the simulator that never ends and return its id."""
    body = {"prompt": "endless [[sim:never]]", "aspectRatio": "1:1"}
    answer = requests.post(
        f"{simulator.url}/openapi/v2/rhart-image-v1/text-to-image",
        json=body,
        headers={"Authorization": "Bearer simulator"},
        timeout=60,
    )
    return str(answer.json()["taskId"])


def test_nothing_of_the_body_is_stored(workers, attempt):
    secret = "planted-by-a-stranger"
    post(attempt, body_for(attempt.remote_task_id, errorMessage=secret, usage={"consumeMoney": "9999"}))
    workers.play()
    rows = [list(model.objects.values()) for model in (Attempt, MissionItem, Mission, Output)]
    assert secret not in str(rows)
    assert "9999" not in str(Mission.objects.values_list("cost"))


def test_webhook_rescues_a_lost_answer(workers, unconfirmed, simulator):
    task_id = simulator.tasks()[0]["id"]
    assert post(unconfirmed, body_for(task_id)) == 204
    workers.play("rescue")
    unconfirmed.refresh_from_db()
    assert unconfirmed.remote_task_id == task_id
    assert unconfirmed.status in ("running", "succeeded")
    mission = workers.finish(unconfirmed.item.mission)
    assert mission.status == "completed"
    assert max(simulator.paid()["requests"].values()) == 1


def test_unanswered_rescue_is_retried(workers, unconfirmed, simulator):
    task_id = simulator.tasks()[0]["id"]
    simulator.set(query_503=1)
    assert post(unconfirmed, body_for(task_id)) == 204
    mission = workers.finish(unconfirmed.item.mission)
    assert mission.status == "completed"


def test_unknown_task_is_not_attached(workers, unconfirmed):
    assert post(unconfirmed, body_for("1234567890123456789")) == 204
    workers.play("rescue")
    unconfirmed.refresh_from_db()
    assert (unconfirmed.status, unconfirmed.remote_task_id) == ("unconfirmed", "")


def test_the_task_of_another_attempt_is_not_attached(workers, owner, account, simulator, unconfirmed):
    make_mission(owner, ["another prompt"])
    execution.dispatch(account.pk)
    workers.play("submit")
    other = Attempt.objects.exclude(pk=unconfirmed.pk).get()
    assert other.remote_task_id
    assert post(unconfirmed, body_for(other.remote_task_id)) == 204
    workers.play("rescue")
    unconfirmed.refresh_from_db()
    assert (unconfirmed.status, unconfirmed.remote_task_id) == ("unconfirmed", "")


GARBAGE = [b"", b"{}", b"not json", b"[]", b'"text"', b"\xff\xfe", b'{"taskId": "../../x"}', b"[" * 100_000]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_a_body_that_names_no_task_is_a_bad_request(body, unconfirmed):
    assert post(unconfirmed, body) == 400


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_webhook_without_a_body_polls_a_running_task(body, attempt, workers):
    Attempt.objects.update(next_poll_at=timezone.now() + timedelta(hours=1))
    assert post(attempt, body) == 204
    assert ("poll_due", (attempt.account_id,)) in workers.waiting()


def test_a_huge_body_is_refused(unconfirmed):
    assert post(unconfirmed, b'{"taskId": "' + b"1" * 1_100_000 + b'"}') in (400, 413)


@pytest.mark.parametrize("status", ["succeeded", "failed", "refused", "void", "prepared"])
def test_webhook_for_a_settled_attempt_does_nothing(status, workers, owner, account):
    mission = make_mission(owner, 2)
    (attempt_id,) = claim(mission, account)
    bring_to(status, attempt_id)
    before = workers.waiting()
    assert post(Attempt.objects.get(pk=attempt_id), body_for("1234567890123456789")) == 204
    assert workers.waiting() == before
    check_mission(mission.pk)


def test_webhook_before_the_submit_answer_is_not_lost(workers, owner, account, simulator):
    mission = make_mission(owner, 1)
    (attempt_id,) = claim(mission, account)
    bring_to("sending", attempt_id)
    attempt = Attempt.objects.get(pk=attempt_id)
    assert post(attempt, body_for(endless_task(simulator))) == 204
    workers.play("rescue")
    attempt.refresh_from_db()
    assert attempt.status == "running"
    check_mission(mission.pk)


def test_submit_sends_the_webhook_url_of_its_attempt(owner, workers, account, simulator, settings):
    settings.PUBLIC_BASE_URL = WEBHOOK_BASE
    make_mission(owner, 1)
    execution.dispatch(account.pk)
    workers.play("submit")
    attempt = Attempt.objects.get()
    assert simulator.tasks()[0]["webhook_url"] == WEBHOOK_BASE + path_of(attempt)
    assert "webhookUrl" not in attempt.request


# --- Before Django ---

IMPLAUSIBLE = [
    "/hooks/runninghub/" + "a" * 20 + "\0",
    "/hooks/nobody/" + "a" * 30,
    "/hooks/local/" + "a" * 30,
    "/hooks/runninghub/a",
]


def test_implausible_addresses_never_reach_the_database(django_assert_num_queries):
    async def burst() -> list[int]:
        return await asyncio.gather(*(call(Receiver(django), path) for path in IMPLAUSIBLE))

    with django_assert_num_queries(0):
        assert asyncio.run(burst()) == [404] * len(IMPLAUSIBLE)
        assert take([Hint("runninghub", "a" * 20 + "\0", b"{}")]) == [404]


@pytest.mark.django_db(transaction=True)
def test_failed_webhook_fails_alone(simulator, monkeypatch):
    owner, account = User.objects.create_user("li"), provider_accounts.environment_account()
    for attempt_id in claim(make_mission(owner, 2), account, 2):
        bring_to("unconfirmed", attempt_id)
    failing, good = Attempt.objects.order_by("pk")
    read = PROVIDERS["runninghub"].parse_webhook

    def parse(headers: Any, body: bytes) -> str:
        return "7" * 65 + "\0" if body == b"poison" else str(read(headers, body))

    monkeypatch.setattr(PROVIDERS["runninghub"], "parse_webhook", parse)
    monkeypatch.setattr(queue, "send", fail_for(failing.pk))

    async def burst() -> list[int]:
        receiver = Receiver(django)
        bodies = {path_of(failing): b"poison", path_of(good): json.dumps(body_for("123456")).encode()}
        return await asyncio.gather(*(call(receiver, path, body) for path, body in bodies.items()))

    assert asyncio.run(burst()) == [503, 204]
    good.refresh_from_db()
    assert good.hinted_task_id == "123456"


def fail_for(attempt_id: int) -> Any:
    def send(task: str, *args: Any, **more: Any) -> None:
        if args == (attempt_id,):
            raise ValueError("A string literal cannot contain NUL (0x00) characters.")

    return send


def call(application: Any, path: str, body: bytes = b"{}", method: str = "POST") -> Any:
    """Return a coroutine for the status of an ASGI application's answer."""

    async def ask() -> int:
        events: list[Any] = []
        parts = [
            {"type": "http.request", "body": body[:5], "more_body": True},
            {"type": "http.request", "body": body[5:]},
        ]

        async def receive() -> Any:
            return parts.pop(0)

        async def send(event: Any) -> None:
            events.append(event)

        await application({"type": "http", "method": method, "path": path}, receive, send)
        return int(events[0]["status"])

    return ask()


async def django(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})


@pytest.mark.django_db(transaction=True)
def test_webhooks_at_once_are_stored_together(simulator):
    owner, account = User.objects.create_user("li"), provider_accounts.environment_account()
    mission = make_mission(owner, 20)
    attempts = [bring_to("running", attempt_id) for attempt_id in claim(mission, account, 20)]
    Attempt.objects.update(next_poll_at=timezone.now() + timedelta(hours=1))
    paths = [path_of(attempt) for attempt in Attempt.objects.filter(pk__in=attempts)]

    async def burst() -> list[int]:
        receiver = Receiver(django)
        calls = [call(receiver, path) for path in [*paths, "/hooks/runninghub/unknown", "/hooks/nobody/" + "x" * 30]]
        return await asyncio.gather(*calls)

    assert asyncio.run(burst()) == [204] * 20 + [404, 404]
    assert Attempt.objects.filter(next_poll_at__lte=timezone.now()).count() == 20
    messages = [SignedPackage.loads(row.payload)["func"] for row in OrmQ.objects.all()]
    assert 1 <= sum("poll_due" in name for name in messages) <= 4


@pytest.mark.django_db(transaction=True)
def test_a_webhook_names_the_lost_task_before_django_as_well(simulator):
    owner, account = User.objects.create_user("li"), provider_accounts.environment_account()
    unconfirmed = Attempt.objects.get(pk=bring_to("unconfirmed", claim(make_mission(owner, 1), account)[0]))
    receiver = Receiver(django)
    assert asyncio.run(call(receiver, path_of(unconfirmed), b"not json")) == 400
    assert asyncio.run(call(receiver, path_of(unconfirmed), json.dumps(body_for("12345")).encode())) == 204
    unconfirmed.refresh_from_db()
    assert (unconfirmed.status, unconfirmed.hinted_task_id) == ("unconfirmed", "12345")


def test_other_requests_go_to_django():
    for path, method in (("/hooks/runninghub/x", "GET"), ("/hooks/a/b/c", "POST"), ("/missions", "POST")):
        assert asyncio.run(call(Receiver(django), path, method=method)) == 418


@pytest.mark.django_db(transaction=True)
def test_webhook_that_cannot_be_stored_returns_503():
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("ALTER TABLE missions_attempt RENAME TO hidden")
    try:
        assert asyncio.run(call(Receiver(django), "/hooks/runninghub/" + "x" * 32)) == 503
    finally:
        with connection.cursor() as cursor, transaction.atomic():
            cursor.execute("ALTER TABLE hidden RENAME TO missions_attempt")
