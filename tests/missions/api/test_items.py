"""Single items over the API: stable pages, retries with other parameters, resolutions."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from media.uses import first_open_use
from missions import execution
from missions.models import Attempt, ItemEvent, Mission
from providers import provider_accounts
from tests.api_client import caller
from tests.factories import Workers, bring_to, check_mission, claim, make_media, make_mission
from tests.missions.api.client import Api, errors_of

pytestmark = pytest.mark.django_db


def walk(api: Api, mission: Mission, **query: Any) -> list[int]:
    """Return the indexes of all items, page by page."""
    indexes: list[int] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = api.data(f"/{mission.pk}/items", cursor=cursor, **query)
        indexes += [item["index"] for item in page["items"]]
        cursor = page["next_cursor"]
    return indexes


# --- Pages ---


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 1000])
def test_paging_returns_every_item_once(limit, api: Api, mixed: Mission):
    assert walk(api, mixed, limit=limit) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "query, expected",
    [
        ({"status": "failed"}, [1, 2, 3]),
        ({"status": "pending"}, [7]),
        ({"status": "cancelled"}, []),
        ({"error_code": "1015"}, [1, 2]),
        ({"status": "failed", "error_code": "1003"}, [3]),
        ({"status": "completed", "error_code": "1015"}, []),
    ],
)
def test_pages_can_be_filtered(query, expected, api: Api, mixed: Mission):
    assert walk(api, mixed, limit=2, **query) == expected


def test_paging_is_stable_while_workers_write(api: Api, owner, account):
    mission = make_mission(owner, 9)
    first = api.data(f"/{mission.pk}/items", limit=3, status="pending")
    claim(mission, account, 5)
    rest = api.data(f"/{mission.pk}/items", limit=9, status="pending", cursor=first["next_cursor"])
    assert [item["index"] for item in first["items"] + rest["items"]] == [1, 2, 3, 6, 7, 8, 9]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1001}, {"cursor": "x"}, {"cursor": "-1"}, {"cursor": "9" * 30}, {"cursor": ""},
              {"status": "odd"}, {"error_code": ""}, {"error_code": "a\0"}, {"error_code": "x" * 65}],
)  # fmt: skip
def test_bad_query_value_is_named(query, api: Api, mixed: Mission):
    assert list(errors_of(api.get(f"/{mixed.pk}/items", **query))) == list(query)


def test_missing_item_is_not_found(api: Api, mixed: Mission):
    assert api.get(f"/{mixed.pk}/items/8").status_code == 404
    for odd in ("0", "x", str(2**40)):
        assert api.get(f"/{mixed.pk}/items/{odd}").status_code in (404, 422)


# --- One item ---


def test_item_shows_its_history_without_secrets(api: Api, mixed: Mission):
    attempt = Attempt.objects.get(item__index=4)
    answer = api.get(f"/{mixed.pk}/items/4")
    shown = answer.json()["data"]
    assert (shown["index"], shown["status"], shown["cost"]) == (4, "completed", "0.05")
    assert shown["config"] == {"prompt": "a teapot, number 4", "aspectRatio": "3:4"}
    (listed,) = shown["attempts"]
    assert (listed["number"], listed["status"], listed["remote_task_id"]) == (1, "succeeded", attempt.remote_task_id)
    (output,) = shown["outputs"]
    assert (output["number"], output["status"], output["file_url"]) == (1, "pending", None)
    assert [event["to_status"] for event in shown["events"]] == ["submitting", "processing", "completed"]
    for secret in (attempt.webhook_token, "https://a.example/1.png", "webhook", "raw"):
        assert secret not in answer.content.decode()


def test_failed_item_says_why(api: Api, mixed: Mission):
    shown = api.data(f"/{mixed.pk}/items/1")
    assert (shown["status"], shown["error_code"], shown["error_message"]) == ("failed", "1015", "It failed.")
    assert shown["attempts"][0]["error_code"] == "1015"


def test_long_history_is_cut_to_the_latest(api: Api, mixed: Mission):
    item = mixed.items.get(index=7)
    ItemEvent.objects.bulk_create(
        ItemEvent(mission=mixed, item=item, to_status="pending", reason=f"r{number}") for number in range(150)
    )
    events = api.data(f"/{mixed.pk}/items/7")["events"]
    assert [event["reason"] for event in events] == [f"r{number}" for number in range(50, 150)]


# --- Make again ---


def test_results_are_made_again_and_chosen(api: Api, mixed: Mission, account):
    made = api.done(f"/{mixed.pk}/items/again", {"indexes": [4]})
    facts = {"indexes": [8], "estimate": {"amount": "0.05", "currency": "CNY"}}
    assert made == {"api_mission_id": mixed.pk, "status": "running", **facts}
    shown = api.data(f"/{mixed.pk}/items/8")
    assert (shown["first_index"], shown["version"], shown["is_chosen"]) == (4, 2, False)
    config = {"prompt": "a kettle"}
    assert api.done(f"/{mixed.pk}/items/again", {"indexes": [4], "config": config})["indexes"] == [9]
    assert api.data(f"/{mixed.pk}/items/9")["config"]["prompt"] == "a kettle"
    assert api.post(f"/{mixed.pk}/items/9/choose").status_code == 409
    for attempt_id in claim(mixed, account, 3):
        bring_to("succeeded", attempt_id)
    assert walk(api, mixed, is_chosen="true", status="completed") == [7, 9]
    assert api.done(f"/{mixed.pk}/items/8/choose")["is_chosen"]
    assert walk(api, mixed, is_chosen="true", status="completed") == [7, 8]
    assert walk(api, mixed, is_chosen="false") == [4, 9]
    for query, indexes in (({}, [1, 2, 3, 8, 5, 6, 7]), ({"versions": "all"}, [1, 2, 3, 4, 8, 9, 5, 6, 7])):
        lines = api.get(f"/{mixed.pk}/results.jsonl", **query).getvalue().splitlines()
        assert [json.loads(line)["index"] for line in lines] == indexes
    check_mission(mixed.pk)


def test_what_cannot_be_made_again_is_named(api: Api, strange_api: Api, mixed: Mission):
    path = f"/{mixed.pk}/items/again"
    before = list(mixed.items.order_by("index").values())
    for payload, status, field in (
        ({"indexes": [1]}, 409, None),
        ({"indexes": [4, 99]}, 422, "indexes.1"),
        ({"indexes": []}, 422, "indexes"),
        ({}, 422, "indexes"),
        ({"indexes": [4], "config": {"aspectRatio": "17:9"}}, 422, "config.aspectRatio"),
        ({"indexes": [4], "params": {}}, 422, "params"),
    ):
        answer = api.post(path, payload)
        assert answer.status_code == status
        assert [error["field"] for error in answer.json().get("errors") or ()] == ([field] if field else [])
    api.send("patch", f"/{mixed.pk}", {"spending_limit": "0.10"})
    assert "indexes" in errors_of(api.post(path, {"indexes": [4]}))
    assert strange_api.post(path, {"indexes": [4]}).status_code == 404
    assert list(mixed.items.order_by("index").values()) == before


def test_a_repeated_request_makes_one_version(api: Api, mixed: Mission):
    path, payload, key = f"/{mixed.pk}/items/again", {"indexes": [4]}, {"Idempotency-Key": "again-4"}
    first = api.post(path, payload, **key)
    again = api.post(path, payload, **key)
    assert (first.json(), again["Idempotent-Replayed"]) == (again.json(), "true")
    assert mixed.items.count() == 8
    assert api.post(path, {"indexes": [4, 4]}, **key).status_code == 409
    assert mixed.items.count() == 8


# --- Retry one ---


def test_only_the_given_item_is_retried(api: Api, mixed: Mission):
    data = api.done(f"/{mixed.pk}/items/2/retry")
    assert (data["retry_count"], data["estimate"]["amount"]) == (1, "0.05")
    assert list(mixed.items.filter(status="failed").values_list("index", flat=True)) == [1, 3]
    assert api.data(f"/{mixed.pk}/items/2")["status"] == "pending"
    check_mission(mixed.pk)


@pytest.mark.parametrize("index", [4, 5, 6, 7])
@pytest.mark.parametrize("payload", [None, {"config": {"prompt": "another"}}])
def test_item_that_did_not_fail_is_not_retried(index, payload, api: Api, mixed: Mission):
    before = list(mixed.items.order_by("index").values())
    answer = api.post(f"/{mixed.pk}/items/{index}/retry", payload)
    assert (answer.status_code, answer.json()["error"]) == (409, "not_possible")
    assert list(mixed.items.order_by("index").values()) == before


def test_item_is_retried_with_other_parameters(api: Api, mixed: Mission):
    api.done(f"/{mixed.pk}/items/1/retry", {"config": {"prompt": "a calmer teapot", "aspectRatio": "1:1"}})
    assert api.data(f"/{mixed.pk}/items/1")["config"] == {"prompt": "a calmer teapot", "aspectRatio": "1:1"}
    assert api.data(f"/{mixed.pk}/items/2")["config"] == {"prompt": "a teapot, number 2", "aspectRatio": "3:4"}
    check_mission(mixed.pk)


def test_retry_price_uses_new_parameters(api: Api, owner, account):
    mission = make_mission(owner, 1, model="rhart-image-n-pro/text-to-image")
    bring_to("failed", claim(mission, account)[0])
    before = mission.estimated_cost
    data = api.done(f"/{mission.pk}/items/1/retry", {"config": {"resolution": "4k"}})
    assert float(data["estimate"]["amount"]) > float(before)


@pytest.mark.parametrize(
    "config, field",
    [
        ({"aspectRatio": "7:1"}, "config.aspectRatio"),
        ({"prompt": ""}, "config.prompt"),
        ({"promt": "x"}, "config.promt"),
        ({"prompt": "x" * 20_001}, "config.prompt"),
        ({"webhookUrl": "http://a.b"}, "config.webhookUrl"),
        ([], "config"),
        (None, "config"),
    ],
)
def test_new_parameters_are_validated_first(config, field, api: Api, mixed: Mission):
    before = list(mixed.items.order_by("index").values())
    assert field in errors_of(api.post(f"/{mixed.pk}/items/1/retry", {"config": config}))
    assert list(mixed.items.order_by("index").values()) == before
    assert errors_of(api.post(f"/{mixed.pk}/items/1/retry", {"params": {}}))


def test_new_files_must_belong_to_the_owner(api: Api, owner, stranger, account):
    mine, foreign = make_media(owner), make_media(stranger)
    rows = [{"imageUrls": [f"media:{mine.pk}"], "prompt": "x"}]
    mission = make_mission(owner, rows, task_type="image_to_image")
    bring_to("failed", claim(mission, account)[0])
    path = f"/{mission.pk}/items/1/retry"
    assert "config.imageUrls" in errors_of(api.post(path, {"config": {"imageUrls": [f"media:{foreign.pk}"]}}))
    assert api.done(path, {"config": {"prompt": "y"}})["retry_count"] == 1


def test_shared_parameters_cannot_be_removed(api: Api, owner, account):
    mission = make_mission(owner, 2, model="rhart-image-n-pro/text-to-image", params={"aspectRatio": "3:2"})
    bring_to("failed", claim(mission, account)[0])
    errors = errors_of(api.post(f"/{mission.pk}/items/1/retry", {"config": {"aspectRatio": None}}))
    assert "another value" in errors["config.aspectRatio"]


def test_free_form_parameters_need_an_operator(api: Api, staff_api: Api, owner, account):
    mission = make_mission(owner, [{"anything": 1}], model="some/model", allow_free_form=True)
    bring_to("failed", claim(mission, account)[0])
    path = f"/{mission.pk}/items/1/retry"
    assert "operator" in errors_of(api.post(path, {"config": {"anything": 2}}))["config"]
    assert staff_api.done(path, {"config": {"anything": 2}})["estimate"]["amount"] is None
    assert api.data(f"/{mission.pk}/items/1")["config"] == {"anything": 2}


def test_repeated_retry_with_its_key_pays_once(api: Api, mixed: Mission, account):
    key = {"Idempotency-Key": "again-1"}
    first = api.post(f"/{mixed.pk}/items/1/retry", {"config": {"prompt": "x"}}, **key)
    for attempt_id in claim(mixed, account, 2):
        bring_to("failed", attempt_id)
    again = api.post(f"/{mixed.pk}/items/1/retry", {"config": {"prompt": "x"}}, **key)
    assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")
    assert mixed.items.get(index=1).status == "failed"


def test_item_of_a_cancelled_mission_stays_failed(api: Api, mixed: Mission):
    api.done(f"/{mixed.pk}/cancel")
    assert api.post(f"/{mixed.pk}/items/1/retry").status_code == 409


def test_retried_item_runs_with_new_parameters(api: Api, owner, workers: Workers, simulator):
    simulator.set(submit_1501=1)
    mission = workers.finish(make_mission(owner, 1))
    assert mission.failed_count == 1
    api.done(f"/{mission.pk}/items/1/retry", {"config": {"prompt": "a calmer teapot"}})
    workers.finish(mission)
    assert mission.completed_count == 1
    assert mission.items.get().attempts.latest("number").request["prompt"] == "a calmer teapot"


def test_file_named_by_a_retry_is_in_use(api: Api, owner, account):
    first, second = make_media(owner), make_media(owner, content=b"other", name="dog.png")
    rows = [{"prompt": "x", "imageUrls": [f"media:{first.pk}"]}, {"prompt": "y", "imageUrls": [f"media:{first.pk}"]}]
    mission = make_mission(owner, rows, task_type="image_to_image")
    bring_to("failed", claim(mission, account)[0])
    api.done(f"/{mission.pk}/items/1/retry", {"config": {"imageUrls": [f"media:{second.pk}"]}})
    use = first_open_use(second)
    assert use
    assert use.mission == mission


@pytest.mark.django_db(transaction=True)
def test_concurrent_retries_make_one_attempt():
    owner, account = User.objects.create_user("li"), provider_accounts.environment_account()
    api = Api(caller(owner))
    mission = make_mission(owner, 3)
    bring_to("failed", claim(mission, account)[0])
    statuses: list[int] = []
    barrier = threading.Barrier(4)

    def retry(number: int) -> None:
        try:
            barrier.wait()
            config = {"config": {"prompt": f"variant {number}"}}
            statuses.append(api.post(f"/{mission.pk}/items/1/retry", config).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=retry, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409]
    execution.dispatch(account.pk)
    item = mission.items.get(index=1)
    assert (item.retry_count, item.attempts.count()) == (1, 2)
    check_mission(mission.pk)


# --- Resolve unconfirmed items ---


@pytest.mark.parametrize(
    "payload, field",
    [
        ({}, "body"),
        ({"not_run": True, "remote_task_id": "1"}, "body"),
        ({"not_run": False}, "not_run"),
        ({"not_run": "true"}, "not_run"),
        ({"remote_task_id": ""}, "remote_task_id"),
        ({"remote_task_id": "a b"}, "remote_task_id"),
        ({"remote_task_id": "9" * 65}, "remote_task_id"),
        ({"notrun": True}, "notrun"),
    ],
)
def test_unclear_resolution_changes_nothing(payload, field, api: Api, mixed: Mission):
    assert field in errors_of(api.post(f"/{mixed.pk}/items/5/resolve", payload))
    assert mixed.items.get(index=5).status == "unconfirmed"


def test_item_resolved_as_not_run_is_resubmitted(api: Api, mixed: Mission):
    assert api.done(f"/{mixed.pk}/items/5/resolve", {"not_run": True})["status"] == "pending"
    again = api.post(f"/{mixed.pk}/items/5/resolve", {"not_run": True})
    assert again.status_code == 409
    check_mission(mixed.pk)


@pytest.mark.parametrize("index", [1, 4, 6, 7])
def test_only_unconfirmed_items_can_be_resolved(index, api: Api, mixed: Mission):
    for payload in ({"not_run": True}, {"remote_task_id": "123"}):
        assert api.post(f"/{mixed.pk}/items/{index}/resolve", payload).status_code == 409


def test_attached_task_is_not_paid_again(api: Api, owner, workers: Workers, simulator):
    simulator.set(paid_drop=1)
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    assert api.data(f"/{mission.pk}/items/1")["status"] == "unconfirmed"
    task_id = simulator.tasks()[0]["id"]
    assert api.done(f"/{mission.pk}/items/1/resolve", {"remote_task_id": task_id})["status"] in (
        "processing",
        "completed",
    )
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 1


def test_unknown_task_is_not_attached(api: Api, mixed: Mission, simulator):
    answer = api.post(f"/{mixed.pk}/items/5/resolve", {"remote_task_id": "1234567890"})
    assert answer.status_code == 409
    assert mixed.items.get(index=5).status == "unconfirmed"
