"""Submitting missions over the API: valid and invalid bodies; mistakes never cost money."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from missions import execution, services
from missions.models import Attempt, Mission
from providers import provider_accounts
from templates_app.models import MissionTemplate
from tests.api_client import caller
from tests.factories import check_mission, make_media
from tests.missions.api.client import Api, errors_of, nothing_is_stored

pytestmark = pytest.mark.django_db


def body(*rows: Any, **more: Any) -> dict[str, Any]:
    config = {"aspectRatio": "16:9", "batch_input": list(rows) or ["a red teapot", "a blue teapot"]}
    return {"name": "Teapots", "task_type": "text_to_image", "config": config | more.pop("config", {})} | more


@pytest.mark.parametrize("path", ["", "/submit"])
def test_submit_returns_location_and_price(path, api: Api):
    answer = api.post(path, body())
    assert answer.status_code == 202
    data = answer.json()["data"]
    assert (data["total_count"], data["status"]) == (2, "queued")
    assert data["estimate"] == {"amount": "0.10", "currency": "CNY"}
    assert answer["Location"] == data["urls"]["self"] == f"/api/v1/missions/{data['api_mission_id']}"
    assert api.client.get(answer["Location"]).json()["data"]["api_mission_id"] == data["api_mission_id"]


def test_every_field_is_stored(api: Api, owner):
    start = (timezone.now() + timedelta(hours=2)).replace(microsecond=0)
    payload = body(
        "red",
        {"prompt": "blue", "aspectRatio": "1:1", "custom_id": "B-2"},
        description="for the kitchen",
        model="rhart-image-v1/text-to-image",
        priority=7,
        not_before=start.isoformat(),
        repeat=2.0,  # a whole number in JSON
        metadata={"order": 12},
        max_attempts=1,
    )
    data = api.post("/submit", payload).json()["data"]
    assert (data["status"], data["total_count"]) == ("scheduled", 4)
    mission = Mission.objects.get()
    assert (mission.owner, mission.description, mission.priority, mission.metadata) == (
        owner,
        "for the kitchen",
        7,
        {"order": 12},
    )
    assert (mission.not_before, mission.max_attempts) == (start, 1)
    shown = api.data(f"/{mission.pk}")
    assert (shown["metadata"], shown["max_attempts"], shown["priority"]) == ({"order": 12}, 1, 7)
    items = shown["items"]["items"]
    assert [(item["index"], item["custom_id"], item["config"]) for item in items] == [
        (1, "", {"prompt": "red", "aspectRatio": "16:9"}),
        (2, "B-2", {"prompt": "blue", "aspectRatio": "1:1"}),
        (3, "", {"prompt": "red", "aspectRatio": "16:9"}),
        (4, "B-2", {"prompt": "blue", "aspectRatio": "1:1"}),
    ]
    check_mission(mission.pk)


def test_uploads_are_referenced_by_id(api: Api, owner):
    media = make_media(owner)
    payload = body({"imageUrls": [f"media:{media.pk}"]}, task_type="image_to_image", config={"prompt": "in winter"})
    assert api.post("/submit", payload).status_code == 202


# --- Errors ---

INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "name", "not be empty"),
    ({"name": "  "}, "name", "Enter a name"),
    ({"name": "\u200b\u2060"}, "name", "Enter a name"),
    ({"config": {"batch_input": ["\u200b\u2800"]}}, "config.batch_input.0.prompt", "Fill this in"),
    ({"name": "x" * 201}, "name", "at most 200"),
    ({"name": None}, "name", "text"),
    ({"task_type": "text_to_music"}, "task_type", "text_to_image"),
    ({"model": "nobody/knows"}, "model", "catalogue"),
    ({"config": []}, "config", "object"),
    ({"config": {}}, "config.batch_input", "list"),
    ({"config": {"batch_input": []}}, "config.batch_input", "at least one"),
    ({"config": {"batch_input": "abc"}}, "config.batch_input", "list"),
    ({"config": {"batch_input": {"prompt": "x"}}}, "config.batch_input", "list"),
    ({"config": {"batch_input": [5]}}, "config.batch_input.0.prompt", "Give a text"),
    ({"config": {"batch_input": ["x", ["y"]]}}, "config.batch_input.1.prompt", "Give a text"),
    ({"config": {"batch_input": [{"prompt": "x", "custom_id": [1]}]}}, "config.batch_input.0.custom_id", "text"),
    ({"config": {"batch_input": ["x"], "aspectRatoi": "1:1"}}, "config.aspectRatoi", "Did you mean"),
    ({"config": {"batch_input": ["x"], "webhookUrl": "http://a.b"}}, "config.webhookUrl", "set by the server"),
    ({"priority": 101}, "priority", "100"),
    ({"priority": "5"}, "priority", "whole number"),
    ({"priority": True}, "priority", "whole number"),
    ({"repeat": 0}, "repeat", "1"),
    ({"repeat": True}, "repeat", "whole number"),
    ({"repeat": "2"}, "repeat", "whole number"),
    ({"repeat": 1.5}, "repeat", "whole number"),
    ({"repeat": 10**30}, "repeat", ""),
    ({"max_attempts": 0}, "max_attempts", "1"),
    ({"max_attempts": 11}, "max_attempts", "10"),
    ({"not_before": "2026-11-24T10:00:00"}, "not_before", "time zone"),
    ({"not_before": 5}, "not_before", "Use the format"),
    ({"not_before": "20261124"}, "not_before", "Use the format"),
    ({"not_before": "9999-12-31T23:59:59-14:00"}, "not_before", "between"),
    ({"template_id": 99}, "template_id", "no template"),
    ({"template_id": 2**63}, "template_id", ""),
    ({"metadata": []}, "metadata", "object"),
    ({"metadata": {"x": "y" * 17_000}}, "metadata", "At most"),
    ({"prority": 5}, "prority", "Unknown name"),
    ({"validate_only": True}, "validate_only", "Unknown name"),
]


@pytest.mark.parametrize("wrong, field, words", INVALID)
def test_errors_name_fields_and_nothing_is_stored(wrong, field, words, api: Api):
    errors = errors_of(api.post("/submit", body() | wrong))
    assert words in errors[field]
    assert nothing_is_stored()


def test_all_errors_of_all_rows_are_returned(api: Api):
    rows = ["", "fine", {"prompt": "x", "aspectRatio": "7:1"}, {"oops": 1}]
    errors = errors_of(api.post("/submit", body(*rows, name=" ", metadata={"x": "y" * 17_000})))
    assert set(errors) >= {
        "name",
        "config.batch_input.0.prompt",
        "config.batch_input.2.aspectRatio",
        "config.batch_input.3.oops",
        "config.batch_input.3.prompt",
    }
    assert "config.batch_input.1.prompt" not in errors


def test_error_in_row_18_names_the_row(api: Api):
    rows = [{"prompt": "x", "aspectRatio": "7:1" if number == 17 else "1:1"} for number in range(20)]
    assert list(errors_of(api.post("/submit", body(*rows)))) == ["config.batch_input.17.aspectRatio"]


def test_shared_parameter_error_is_returned_once(api: Api):
    errors = errors_of(api.post("/submit", body("a", "", "c", config={"aspectRatio": "7:1"}, repeat=3)))
    assert list(errors) == ["config.aspectRatio", "config.batch_input.1.prompt"]


def test_row_values_are_checked_beside_shared_errors(api: Api):
    rows = [{"prompt": "a", "aspectRatio": "8:1"}, {"prompt": "b", "aspectRatio": "1:1"}]
    errors = errors_of(api.post("/submit", body(*rows, config={"aspectRatio": "7:1"})))
    assert list(errors) == ["config.aspectRatio", "config.batch_input.0.aspectRatio"]


def test_parameter_missing_everywhere_is_one_error(api: Api, owner):
    media = make_media(owner)
    rows = [f"media:{media.pk}"] * 5
    errors = errors_of(api.post("/submit", body(*rows, task_type="image_to_image")))
    assert list(errors) == ["config.prompt"]


def test_parameter_missing_in_some_rows_names_them(api: Api, owner):
    image = f"media:{make_media(owner).pk}"
    rows = [{"imageUrls": [image], "prompt": "x"}, {"imageUrls": [image]}]
    errors = errors_of(api.post("/submit", body(*rows, task_type="image_to_image")))
    assert list(errors) == ["config.batch_input.1.prompt"]


def test_files_of_others_are_unknown(api: Api, stranger):
    foreign = f"media:{make_media(stranger).pk}"
    errors = errors_of(api.post("/submit", body("x", task_type="image_to_image", config={"imageUrls": [foreign]})))
    assert "upload it first" in errors["config.imageUrls"]
    shared = {"imageUrls": [foreign]}
    rows = [{"prompt": "x"}, {"prompt": "y"}]
    errors = errors_of(api.post("/submit", body(*rows, task_type="image_to_image", config=shared)))
    assert list(errors) == ["config.imageUrls"]


def test_missing_files_are_returned_with_other_errors(api: Api):
    rows = [{"imageUrls": ["media:77"], "prompt": "x"}, {"imageUrls": ["nonsense"], "prompt": "x"}]
    errors = errors_of(api.post("/submit", body(*rows, task_type="image_to_image")))
    assert set(errors) == {"config.batch_input.0.imageUrls", "config.batch_input.1.imageUrls"}


def test_too_many_items_are_refused(api: Api, settings):
    settings.MISSION_MAX_ITEMS = 10
    assert "split it" in errors_of(api.post("/submit", body(*["x"] * 11)))["config.batch_input"]
    assert "split it" in errors_of(api.post("/submit", body(*["x"] * 6, repeat=2)))["config.batch_input"]
    assert api.post("/submit", body(*["x"] * 5, repeat=2)).status_code == 202


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "task_type": "text_to_image", "config": {"batch_input": ["a\\u0000b"]}}',
        '{"name": "x", "task_type": "text_to_image", "config": {"batch_input": [{"prompt": "a", "custom_id": "\\u0000"}]}}',
        '{"name": "\\u0000", "task_type": "text_to_image", "config": {"batch_input": ["a"]}}',
        '{"name": "x", "task_type": "text_to_image", "config": {"batch_input": ["a"]}, "metadata": {"x": 1e999}}',
        '{"name": "x", "task_type": "text_to_image", "config": {"batch_input": ["a"]}, "metadata": {"x": NaN}}',
        '{"name": "x", "task_type": "text_to_image", "config": {"batch_input": ["\\ud800"]}}',
    ],
)
def test_unstorable_values_are_refused(text, api: Api):
    assert api.post("/submit", text).status_code in (400, 422)
    assert nothing_is_stored()


def test_services_refuse_unstorable_values(owner):
    for wrong in ({"name": "a\0"}, {"description": "\ud800"}, {"metadata": {"a": float("inf")}}):
        with pytest.raises(services.MissionInvalid):
            services.submit_mission(
                **{"owner": owner, "name": "x", "task_type": "text_to_image", "rows": ["a"]} | wrong
            )
    with pytest.raises(services.MissionInvalid):
        services.submit_mission(
            owner=owner, name="x", task_type="text_to_image", model="a/b", rows=[{"x": ["\0"]}], allow_free_form=True
        )
    assert nothing_is_stored()


# --- validate_only ---


def test_validate_only_returns_the_price(api: Api):
    answer = api.post("/submit?validate_only=true", body("a", "b", repeat=2))
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "valid": True,
        "total_count": 4,
        "estimate": {"amount": "0.20", "currency": "CNY"},
        "first_estimate": None,
        "errors": [],
        "warnings": [],
        "file_name_pattern": "{index}_{prompt}",
        "file_names": ["1_a", "2_b", "3_a", "4_b"],
        "input": None,
    }
    assert nothing_is_stored()


def test_validate_only_returns_all_errors(api: Api):
    data = api.post("?validate_only=true", body("a", "", {"prompt": "x", "oops": 1}, name=" ")).json()["data"]
    assert (data["valid"], data["total_count"], data["estimate"]) == (False, 3, None)
    assert [error["field"] for error in data["errors"]] == [
        "name",
        "config.batch_input.1.prompt",
        "config.batch_input.2.oops",
    ]
    assert nothing_is_stored()


@pytest.mark.parametrize("query", ["validateonly=true", "validate_only=ture", "dry_run=1", "validate_only=true&x=1"])
def test_unknown_query_parameter_is_refused(query, api: Api):
    assert errors_of(api.post(f"/submit?{query}", body()))
    assert nothing_is_stored()


# --- Templates and free-form endpoints ---


def make_template(owner: User, **more: Any) -> MissionTemplate:
    config = {"model": "rhart-image-n-pro/text-to-image", "params": {"aspectRatio": "3:2", "resolution": "2k"}}
    return MissionTemplate.objects.create(
        **{"owner": owner, "name": "Wide", "task_type": "text_to_image", "config": config} | more
    )


def test_template_supplies_missing_parameters(api: Api, owner):
    template = make_template(owner)
    payload = body("x", config={"aspectRatio": "1:1"}, template_id=template.pk)
    data = api.data(f"/{api.post('/submit', payload).json()['data']['api_mission_id']}")
    assert (data["model"], data["template_id"]) == ("rhart-image-n-pro/text-to-image", template.pk)
    assert data["config"] == {"aspectRatio": "1:1", "resolution": "2k"}


@pytest.mark.parametrize("config", [[], "x", {"params": ["x"]}])
def test_unreadable_template_is_named(config, api: Api, owner):
    template = make_template(owner, config=config)
    assert "save it again" in errors_of(api.post("/submit", body("x", template_id=template.pk)))["template_id"]


def test_explicit_model_overrides_the_template(api: Api, owner):
    template = make_template(owner, config={"model": "rhart-image-n-pro/text-to-image", "params": {}})
    payload = body("x", model="rhart-image-v1/text-to-image", template_id=template.pk)
    assert api.post("/submit", payload).status_code == 202
    assert Mission.objects.get().model == "rhart-image-v1/text-to-image"


def test_template_must_be_own_and_of_the_type(api: Api, owner, stranger):
    foreign = make_template(stranger)
    videos = make_template(owner, name="Videos", task_type="text_to_video")
    assert "no template" in errors_of(api.post("/submit", body(template_id=foreign.pk)))["template_id"]
    assert "text_to_video" in errors_of(api.post("/submit", body(template_id=videos.pk)))["template_id"]
    assert nothing_is_stored()


def test_free_form_endpoint_needs_an_operator(api: Api, staff_api: Api):
    payload = body({"anything": [1]}, model="some/model", allow_free_form=True)
    assert api.post("/submit", payload).status_code == 403
    assert nothing_is_stored()
    assert "catalogue" in errors_of(staff_api.post("/submit", payload | {"allow_free_form": False}))["model"]
    data = staff_api.post("/submit", payload).json()["data"]
    assert data["estimate"] == {"amount": None, "currency": "CNY"}


# --- Idempotency ---


def test_submit_needs_a_token(client):
    assert client.post("/api/v1/missions/submit", body(), content_type="application/json").status_code == 401
    assert nothing_is_stored()


def test_repeated_request_with_its_key_creates_one(api: Api):
    first = api.post("/submit", body(), **{"Idempotency-Key": "order-12"})
    again = api.post("/submit", body(), **{"Idempotency-Key": "order-12"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert (again["Location"], again["Idempotent-Replayed"]) == (first["Location"], "true")
    assert Mission.objects.count() == 1
    assert api.post("/submit", body("other"), **{"Idempotency-Key": "order-12"}).status_code == 409


def test_on_created_failure_rolls_back(owner):
    def break_off(mission: Mission) -> None:
        assert mission.items.count() == 2
        raise RuntimeError("the process ends here")

    with pytest.raises(RuntimeError):
        services.submit_mission(owner=owner, name="x", task_type="text_to_image", rows=["a", "b"], on_created=break_off)
    assert nothing_is_stored()


def at_once(number: int, action: Any) -> list[Any]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(action())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_concurrent_same_requests_create_one_mission():
    user = User.objects.create_user("li")
    provider_accounts.environment_account()
    client = caller(user)
    token = client.defaults["HTTP_AUTHORIZATION"]

    def submit() -> int:
        own = Api(type(client)(headers={"Authorization": token}))
        return int(own.post("/submit", body(), **{"Idempotency-Key": "k"}).status_code)

    statuses = at_once(6, submit)
    assert Mission.objects.count() == 1
    assert set(statuses) <= {202, 409}
    assert 202 in statuses


@pytest.mark.django_db(transaction=True)
def test_concurrent_missions_are_complete():
    api = Api(caller(User.objects.create_user("li")))
    account = provider_accounts.environment_account()
    statuses = at_once(4, lambda: api.post("/submit", json.dumps(body(*["x"] * 60))).status_code)
    assert statuses == [202] * 4
    for mission in Mission.objects.all():
        check_mission(mission.pk)
    execution.dispatch(account.pk)
    assert Attempt.objects.count() == account.configured_concurrency


def test_check_names_errors_of_fields_and_rows(api: Api):
    payload = body("", {"prompt": "x", "aspectRatio": "7:1"}, priority="1", prority=2, not_before="tomorrow")
    answer = api.post("/submit?validate_only=true", payload)
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert (data["valid"], data["estimate"], data["total_count"]) == (False, None, 2)
    assert {error["field"] for error in data["errors"]} == {
        "priority",
        "prority",
        "not_before",
        "config.batch_input.0.prompt",
        "config.batch_input.1.aspectRatio",
    }
    assert nothing_is_stored()


def test_check_survives_any_wrong_field(api: Api):
    for wrong, field, _words in INVALID:
        data = api.post("/submit?validate_only=true", body() | wrong).json()["data"]
        assert not data["valid"], wrong
        assert field in [error["field"] for error in data["errors"]], wrong
    assert errors_of(api.post("/submit?validate_only=maybe", body(priority="1"))).keys() == {
        "validate_only",
        "priority",
    }
    assert nothing_is_stored()
