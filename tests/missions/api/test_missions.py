"""Lists and details of missions, and the verbs that pause, resume, cancel and delete them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.urls import Resolver404, resolve
from django.utils import timezone

from missions import execution
from missions.models import ItemStatus, Mission
from providers import provider_accounts
from providers.models import ProviderAccount
from tests.api_client import caller
from tests.factories import Workers, begin, bring_to, check_mission, claim, make_mission, pass_time
from tests.missions.api.client import Api, errors_of

pytestmark = pytest.mark.django_db

ERROR_CODE = "1015"


def names(page: dict[str, Any]) -> list[str]:
    return [mission["name"] for mission in page["items"]]


# --- Lists ---


def test_list_shows_the_state_of_each_mission(api: Api, mixed: Mission):
    page = api.data()
    assert (page["total"], page["page"], page["page_size"]) == (1, 1, 20)
    (shown,) = page["items"]
    assert shown["api_mission_id"] == mixed.pk
    assert (shown["status"], shown["total_count"], shown["completed_count"], shown["failed_count"]) == (
        "running",
        7,
        1,
        3,
    )
    assert set(shown["counts"]) == set(ItemStatus.values)
    assert shown["counts"] == mixed.counts
    assert shown["progress"] == 14.3
    assert (shown["cost"], shown["currency"], shown["estimate"]["amount"]) == ("0.05", "CNY", "0.35")
    assert shown["created_at"].endswith("Z")


def test_list_has_pages(api: Api, owner):
    for number in range(5):
        make_mission(owner, 1, name=f"m{number}")
    assert names(api.data(page_size=2)) == ["m4", "m3"]
    assert names(api.data(page_size=2, page=3)) == ["m0"]
    beyond = api.data(page_size=2, page=9)
    assert (beyond["items"], beyond["total"]) == ([], 5)


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"page": 10**19}, {"page_size": 101}, {"page_size": 0}, {"page": "x"}, {"status": "odd"},
              {"task_type": "odd"}, {"ordering": "owner"}, {"ordering": "-owner__password"}, {"search": "x" * 201},
              {"created_from": "2026"}, {"created_to": "yesterday"}, {"created_from": "0001-01-01T00:00:00+14:00"},
              {"search": "a\0b"}],
)  # fmt: skip
def test_bad_query_value_is_named(query, api: Api):
    assert list(errors_of(api.get(**query))) == list(query)


def test_list_can_be_filtered(api: Api, owner, account):
    running, done = make_mission(owner, 1, name="running"), make_mission(owner, 1, name="done")
    claim(running, account)
    bring_to("succeeded", claim(done, account)[0])
    make_mission(owner, 1, name="film", task_type="text_to_video")
    assert names(api.data(status="running")) == ["running"]
    assert names(api.data(status="completed")) == ["done"]
    assert names(api.data(task_type="text_to_video")) == ["film"]
    assert names(api.data(task_type="text_to_video", status="running")) == []


def test_list_can_be_limited_by_time(api: Api, owner):
    old, new = make_mission(owner, 1, name="old"), make_mission(owner, 1, name="new")
    Mission.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
    border = new.created_at.isoformat()
    assert names(api.data(created_from=border)) == ["new"]
    assert names(api.data(created_to=border)) == ["old"]


@pytest.mark.parametrize(
    "ordering, expected",
    [
        ("name", ["a", "b", "c"]),
        ("-name", ["c", "b", "a"]),
        ("created_at", ["b", "c", "a"]),
        ("-priority", ["c", "a", "b"]),
    ],
)
def test_list_can_be_ordered(ordering, expected, api: Api, owner):
    for name, priority in (("b", 0), ("c", 5), ("a", 0)):
        make_mission(owner, 1, name=name, priority=priority)
    assert names(api.data(ordering=ordering)) == expected


@pytest.mark.parametrize(
    "search, expected",
    [
        ("teapot", ["Red Teapot", "blue teapots"]),
        ("kitchen", ["blue teapots"]),
        ("100%", ["100% cotton"]),
        ("%", ["100% cotton"]),
        ("_", ["snake_case"]),
        ("\\", ["back\\slash"]),
        ("茶壶", ["茶壶"]),
        ("'; DROP TABLE missions_mission; --", []),
        ("x" * 200, []),
    ],
)
def test_search_treats_characters_literally(search, expected, api: Api, owner):
    for name in ("Red Teapot", "100% cotton", "snake_case", "back\\slash", "茶壶"):
        make_mission(owner, 1, name=name)
    make_mission(owner, 1, name="blue teapots", description="for the kitchen")
    assert names(api.data(search=search, ordering="name")) == sorted(expected)


def test_users_see_own_missions_staff_see_all(api: Api, strange_api: Api, staff_api: Api, owner, stranger):
    mine, foreign = make_mission(owner, 1, name="mine"), make_mission(stranger, 1, name="foreign")
    assert names(api.data()) == ["mine"]
    assert names(strange_api.data()) == ["foreign"]
    assert names(staff_api.data()) == ["foreign", "mine"]
    assert api.get(f"/{foreign.pk}").status_code == 404
    assert staff_api.get(f"/{mine.pk}").status_code == 200


EVERY_OPERATION = [
    ("get", "", None),
    ("patch", "", {"name": "stolen"}),
    ("delete", "", None),
    ("get", "/items", None),
    ("get", "/items/1", None),
    ("get", "/items/4/outputs/1", None),
    ("get", "/items/4/outputs/1/thumbnail", None),
    ("post", "/cancel", None),
    ("post", "/pause", None),
    ("post", "/resume", None),
    ("post", "/retry", None),
    ("post", "/items/1/retry", None),
    ("post", "/items/5/resolve", {"not_run": True}),
]


@pytest.mark.parametrize("method, path, payload", EVERY_OPERATION)
def test_foreign_mission_is_not_found(method, path, payload, strange_api: Api, mixed: Mission):
    assert strange_api.send(method, f"/{mixed.pk}{path}", payload).status_code == 404
    before = mixed.counts
    mixed.refresh_from_db()
    assert (mixed.counts, mixed.status, mixed.name) == (before, "running", "Teapots")


@pytest.mark.parametrize("method, path, payload", EVERY_OPERATION)
def test_mission_being_deleted_is_not_found(method, path, payload, api: Api, mixed: Mission):
    Mission.objects.update(delete_requested_at=timezone.now())
    assert api.send(method, f"/{mixed.pk}{path}", payload).status_code == 404
    assert api.data()["items"] == []


@pytest.mark.parametrize("number", ["0", "-1", "x", str(2**63), "9" * 50, "%00", "1%2F2"])
def test_impossible_id_is_refused(number, api: Api):
    assert api.get(f"/{number}").status_code in (400, 404, 422)
    assert api.get(f"/{number}/items").status_code in (400, 404, 422)


# --- Details ---


def test_detail_has_shared_parameters_and_items(api: Api, mixed: Mission):
    shown = api.data(f"/{mixed.pk}")
    assert shown["config"] == {"aspectRatio": "3:4"}
    assert [item["index"] for item in shown["items"]["items"]] == [1, 2, 3, 4, 5, 6, 7]
    assert shown["items"]["next_cursor"] is None


def test_urls_of_a_mission_start_with_its_own(api: Api, owner):
    urls = api.data(f"/{make_mission(owner, 1).pk}")["urls"]
    assert all(url.startswith(urls["self"]) for url in urls.values())
    for name in ("self", "items", "cancel", "pause", "resume", "retry"):
        try:
            resolve(urls[name])
        except Resolver404:
            pytest.fail(f"{name} leads nowhere")


def test_unchanged_mission_is_304(api: Api, owner, account):
    mission = make_mission(owner, 2)
    for path in ("", f"/{mission.pk}"):
        etag = api.get(path)["ETag"]
        assert api.client.get(f"/api/v1/missions{path}", headers={"If-None-Match": etag}).status_code == 304
        claim(mission, account)
        assert api.client.get(f"/api/v1/missions{path}", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("items, others", [(1, 0), (150, 24)])
def test_reads_take_constant_statements(items, others, api: Api, owner, account, django_assert_max_num_queries):
    mission = make_mission(owner, items)
    for _ in range(others):
        make_mission(owner, 1)
    for attempt_id in claim(mission, account, min(items, 20)):
        bring_to("succeeded", attempt_id)
    path = f"/{mission.pk}"
    api.data()  # the use of a token is stored once a minute
    for limit, address in ((6, ""), (8, path), (7, f"{path}/items"), (9, f"{path}/items/1")):
        with django_assert_max_num_queries(limit):
            api.data(address)


def test_items_are_never_counted(api: Api, owner, django_assert_max_num_queries):
    mission = make_mission(owner, 3)
    for path in ("", f"/{mission.pk}", f"/{mission.pk}/items"):
        with django_assert_max_num_queries(8) as captured:
            api.data(path)
        counting = [query["sql"] for query in captured if "COUNT(" in query["sql"].upper()]
        assert not any("missions_missionitem" in sql for sql in counting)


# --- Changes ---


def test_mission_is_renamed_and_reprioritised(api: Api, owner):
    mission = make_mission(owner, 1, description="old", priority=1)
    answer = api.send("patch", f"/{mission.pk}", {"name": " New ", "priority": -3})
    assert answer.status_code == 200
    mission.refresh_from_db()
    assert (mission.name, mission.description, mission.priority) == ("New", "old", -3)
    assert api.send("patch", f"/{mission.pk}", {"description": ""}).json()["data"]["description"] == ""
    assert api.send("patch", f"/{mission.pk}", {}).status_code == 200


def test_spending_limit_is_set_changed_removed(api: Api, owner):
    body = {"name": "m", "task_type": "text_to_image", "config": {"batch_input": ["a fox"]}, "spending_limit": "0.5"}
    at = f"/{api.send('post', '', body).json()['data']['api_mission_id']}"
    assert api.data(at)["spending_limit"] == "0.50"
    assert api.send("patch", at, {"name": "n"}).json()["data"]["spending_limit"] == "0.50"
    assert api.send("patch", at, {"spending_limit": "2.25"}).json()["data"]["spending_limit"] == "2.25"
    assert api.send("patch", at, {"spending_limit": None}).json()["data"]["spending_limit"] is None
    for wrong in ("0", "-1", "1e3", 5, "NaN"):
        assert "spending_limit" in errors_of(api.send("patch", at, {"spending_limit": wrong}))


@pytest.mark.parametrize(
    "payload, field",
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": None}, "name"),
        ({"priority": 101}, "priority"),
        ({"status": "completed"}, "status"),
        ({"config": {}}, "config"),
    ],
)
def test_other_fields_cannot_be_changed(payload, field, api: Api, owner):
    mission = make_mission(owner, 1)
    assert field in errors_of(api.send("patch", f"/{mission.pk}", payload))
    mission.refresh_from_db()
    assert (mission.name, mission.status, mission.priority) == ("Teapots", "queued", 0)


# --- Pause, resume, cancel ---


@pytest.mark.parametrize("verb", ["cancel", "pause", "delete"])
def test_nothing_is_sent_after_a_stop(verb, api: Api, owner, workers: Workers, simulator):
    mission = make_mission(owner, 10)
    execution.dispatch(workers.account.pk)
    if verb == "delete":
        assert api.send("delete", f"/{mission.pk}").status_code == 200
    else:
        assert api.done(f"/{mission.pk}/{verb}")["still_sending_count"] == 0
    workers.play()
    pass_time(600)
    execution.reap(workers.account.pk)
    workers.play()
    assert simulator.stats()["submits"] == 0


def test_cancel_counts_cancelled_items(api: Api, owner, account):
    mission = make_mission(owner, 5)
    bring_to("running", claim(mission, account)[0])
    assert api.done(f"/{mission.pk}/cancel") == {
        "api_mission_id": mission.pk,
        "status": "cancelled",
        "still_sending_count": 0,
        "cancelled_count": 4,
    }
    check_mission(mission.pk)


def test_stop_counts_unanswered_requests(api: Api, owner, account):
    mission = make_mission(owner, 3)
    begin(claim(mission, account)[0])
    assert api.done(f"/{mission.pk}/pause")["still_sending_count"] == 1
    assert api.done(f"/{mission.pk}/cancel")["cancelled_count"] == 2


def test_pause_and_resume(api: Api, owner):
    mission = make_mission(owner, 1)
    assert api.done(f"/{mission.pk}/pause")["status"] == "paused"
    assert api.data(f"/{mission.pk}")["pause_reason"] == "Paused by mei."
    assert api.done(f"/{mission.pk}/resume") == {"api_mission_id": mission.pk, "status": "queued"}


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry"])
def test_impossible_action_is_a_conflict(verb, api: Api, owner):
    mission = make_mission(owner, 1)
    api.done(f"/{mission.pk}/cancel")
    answer = api.post(f"/{mission.pk}/{verb}")
    assert (answer.status_code, answer.json()["error"]) == (409, "not_possible")
    assert "cancelled" in answer.json()["message"]


# --- Retry ---


def failed_indexes(mission: Mission) -> list[int]:
    return list(mission.items.filter(status="failed").order_by("index").values_list("index", flat=True))


@pytest.mark.parametrize(
    "choice, expected",
    [
        (None, [1, 2, 3]),
        ({}, [1, 2, 3]),
        ({"error_code": ERROR_CODE}, [1, 2]),
        ({"indexes": [2, 4, 5, 6, 7, 99, 2]}, [2]),
        ({"indexes": []}, []),
        ({"error_code": ERROR_CODE, "indexes": [2, 3]}, [2]),
    ],
)
def test_retry_takes_selected_failures_with_price(choice, expected, api: Api, mixed: Mission):
    others = {item.index: item.status for item in mixed.items.all() if item.index not in expected}
    data = api.done(f"/{mixed.pk}/retry", choice)
    assert data["retry_count"] == len(expected)
    assert data["estimate"] == {"amount": f"{len(expected) * 0.05:.2f}", "currency": "CNY"}
    assert failed_indexes(mixed) == [index for index in (1, 2, 3) if index not in expected]
    for index, status in others.items():
        assert mixed.items.get(index=index).status == status
    check_mission(mixed.pk)


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"index": [1]}, "index"),
        ({"indexes": ["1"]}, "indexes.0"),
        ({"indexes": [0]}, "indexes.0"),
        ({"indexes": [2**31]}, "indexes.0"),
        ({"indexes": 1}, "indexes"),
        ({"indexes": None}, "indexes"),
        ({"error_code": None}, "error_code"),
        ({"error_code": ""}, "error_code"),
        ([], "body"),
    ],
)
def test_malformed_retry_does_nothing(wrong, field, api: Api, mixed: Mission):
    assert field in errors_of(api.post(f"/{mixed.pk}/retry", wrong))
    assert failed_indexes(mixed) == [1, 2, 3]


def test_retry_accepts_many_indexes(api: Api, mixed: Mission):
    assert api.done(f"/{mixed.pk}/retry", {"indexes": list(range(2, 40_000))})["retry_count"] == 2


def test_repeated_retry_with_its_key_pays_once(api: Api, mixed: Mission, account):
    first = api.post(f"/{mixed.pk}/retry", {"indexes": [1]}, **{"Idempotency-Key": "again-1"})
    for attempt_id in claim(mixed, account, 2):
        bring_to("failed", attempt_id)
    again = api.post(f"/{mixed.pk}/retry", {"indexes": [1]}, **{"Idempotency-Key": "again-1"})
    assert (first.json(), again["Idempotent-Replayed"]) == (again.json(), "true")
    assert first.json()["data"]["retry_count"] == 1
    assert failed_indexes(mixed) == [1, 2, 3, 7]


# --- Delete ---


def test_idle_mission_is_deleted_at_once(api: Api, owner, account):
    mission = make_mission(owner, 3)
    bring_to("succeeded", claim(mission, account)[0])
    answer = api.send("delete", f"/{mission.pk}")
    assert (answer.status_code, answer.json()["data"]["is_removed"]) == (200, True)
    assert not Mission.objects.exists()
    assert api.send("delete", f"/{mission.pk}").status_code == 404


def test_mission_in_flight_is_deleted_later(api: Api, owner, workers: Workers, simulator):
    ProviderAccount.objects.update(concurrency=2)
    mission = make_mission(owner, 6)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    answer = api.send("delete", f"/{mission.pk}")
    assert (answer.status_code, answer.json()["data"]) == (
        202,
        {"api_mission_id": mission.pk, "is_removed": False, "still_sending_count": 0},
    )
    assert api.get(f"/{mission.pk}").status_code == 404
    workers.run(lambda: not Mission.objects.exists())
    assert simulator.stats()["submits"] == 2


# --- Concurrency ---


@pytest.mark.django_db(transaction=True)
def test_concurrent_cancel_and_retry_are_consistent():
    owner, account = User.objects.create_user("li"), provider_accounts.environment_account()
    api = Api(caller(owner))
    mission = make_mission(owner, 6)
    for attempt_id in claim(mission, account, 4):
        bring_to("failed", attempt_id)
    statuses: list[int] = []

    def call(verb: str) -> None:
        try:
            statuses.append(api.post(f"/{mission.pk}/{verb}").status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call, args=[verb]) for verb in ("cancel", "retry", "cancel", "retry")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 409}
    check_mission(mission.pk)
    assert Mission.objects.get().status == "cancelled"
    assert execution.dispatch(account.pk) == 0
