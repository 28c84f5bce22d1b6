"""The catalogue and the queue, as a program sees them."""

from __future__ import annotations

import jsonschema_rs
import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from providers import catalog
from providers.models import ProviderAccount
from tests.api_client import caller
from tests.factories import accept, begin, claim, lose_answer, make_mission
from tests.missions.api.calls import data, errors

pytestmark = pytest.mark.django_db

EDIT = "rhart-image-v1/edit"


def queue(user: User):
    return data(caller(user).get("/api/v1/queue/status"))


def test_every_model_is_listed_with_a_schema_that_a_program_can_use(owner):
    listed = data(caller(owner).get("/api/v1/models"))

    assert [model["endpoint"] for model in listed["items"]] == [model.endpoint for model in catalog.all_models()]
    assert listed["total"] == len(listed["items"])
    for model in listed["items"]:
        jsonschema_rs.validator_for(model["params_schema"])
        assert {field["name"] for field in model["fields"]} == set(model["params_schema"]["properties"])
        assert model["price"]["words"]


def test_models_are_listed_by_task_type(owner):
    listed = data(caller(owner).get("/api/v1/models", {"task_type": "image_to_video"}))

    assert {model["task_type"] for model in listed["items"]} == {"image_to_video"}
    assert sum(model["is_default"] for model in listed["items"]) == 1
    assert "task_type" in errors(caller(owner).get("/api/v1/models", {"task_type": "song"}))


def test_a_model_is_shown_under_its_endpoint(owner):
    model = data(caller(owner).get(f"/api/v1/models/{EDIT}"))

    assert model["endpoint"] == EDIT
    assert (model["batch_field"], model["is_default"], model["deadline_seconds"]) == ("imageUrls", True, 1800)
    images = next(field for field in model["fields"] if field["name"] == "imageUrls")
    assert (images["max_count"], images["formats"], images["max_bytes"]) == (5, ["JPG", "PNG"], 10 * 1024**2)


@pytest.mark.parametrize("endpoint", ["nobody/knows", "x", "../../etc/passwd", "%00", f"{EDIT}/", "a" * 3000])
def test_a_model_that_is_not_in_the_catalogue_is_not_found(owner, endpoint):
    assert caller(owner).get(f"/api/v1/models/{endpoint}").status_code == 404


def test_a_price_is_told_in_words_and_as_data(owner):
    def price(endpoint: str):
        return data(caller(owner).get(f"/api/v1/models/{endpoint}"))["price"]

    assert price(EDIT) == {
        "words": "0.05 CNY per call",
        "currency": "CNY",
        "unit": "call",
        "by": [],
        "rows": [{"when": {}, "amount": "0.05"}],
    }
    by_resolution = price("rhart-image-n-pro/edit")
    assert by_resolution["words"] == "0.4 to 0.5 CNY per call, by resolution"
    assert {"when": {"resolution": "4k"}, "amount": "0.5"} in by_resolution["rows"]


def test_a_price_per_second_says_so(owner):
    listed = data(caller(owner).get("/api/v1/models"))["items"]
    per_second = [model["price"] for model in listed if model["price"]["unit"] == "second"]

    assert per_second
    assert all("per second of result" in price["words"] for price in per_second)


def test_task_types_name_their_default(owner):
    types = data(caller(owner).get("/api/v1/task_types"))["items"]

    assert [entry["task_type"] for entry in types] == catalog.offered_task_types()
    assert types[1] == {
        "task_type": "image_to_image",
        "label": "image to image",
        "result_kind": "image",
        "default_model": EDIT,
        "batch_field": "imageUrls",
    }


def test_a_default_can_be_another_one_and_a_wrong_one_is_no_crash(owner, settings: Settings):
    def first_type():
        return data(caller(owner).get("/api/v1/task_types"))["items"][0]

    settings.DEFAULT_MODELS = {"text_to_image": "rhart-image-g-3/text-to-image"}
    assert first_type()["default_model"] == "rhart-image-g-3/text-to-image"
    assert data(caller(owner).get("/api/v1/models/rhart-image-g-3/text-to-image"))["is_default"]
    settings.DEFAULT_MODELS = {"text_to_image": "gone/model"}
    assert (first_type()["default_model"], first_type()["batch_field"]) == (None, "prompt")
    assert not data(caller(owner).get("/api/v1/models/rhart-image-g-3/text-to-image"))["is_default"]


def test_the_queue_tells_of_slots_and_backlog(owner, stranger, account, settings: Settings):
    settings.RUNNINGHUB_CONCURRENCY = 7
    mine, _ = make_mission(owner, 5), make_mission(stranger, 3)
    running, unsure = claim(mine, account, 2)
    for attempt in (running, unsure):
        begin(attempt)
    accept(running)
    lose_answer(unsure)

    status = queue(owner)

    assert (status["own_in_flight"], status["own_pending"]) == (1, 3)
    assert status["accounts"] == [
        {
            "name": "environment",
            "provider": "runninghub",
            "cap": 7,
            "in_flight": 1,
            "unconfirmed": 1,
            "pending": 6,
            "is_enabled": True,
            "is_draining": False,
            "is_paused": False,
            "paused_at": None,
            "pause_reason": "",
            "pause_reason_code": None,
        }
    ]


def test_the_cap_is_the_one_that_holds_now(owner, account, settings: Settings):
    settings.RUNNINGHUB_CONCURRENCY = 50
    ProviderAccount.objects.update(remote_concurrency=20)
    assert queue(owner)["accounts"][0]["cap"] == 20


def test_a_paused_account_says_why_and_tells_no_secret(owner, account, settings: Settings):
    settings.RUNNINGHUB_API_KEY = "a-very-secret-key"
    ProviderAccount.objects.update(
        base_url="https://internal.example", paused_at=timezone.now(), pause_reason="The balance is empty."
    )
    answer = caller(owner).get("/api/v1/queue/status")

    shown = data(answer)["accounts"][0]
    assert (shown["is_paused"], shown["pause_reason"]) == (True, "The balance is empty.")
    assert b"internal.example" not in answer.content
    assert b"a-very-secret-key" not in answer.content


def test_the_queue_takes_as_many_statements_however_much_there_is(owner, account, django_assert_num_queries):
    client = caller(owner)
    data(client.get("/api/v1/queue/status"))
    for number in range(3):
        ProviderAccount.objects.create(name=f"more {number}")
        claim(make_mission(owner, 4), account, 2)

    with django_assert_num_queries(5):  # one of them is the token
        data(client.get("/api/v1/queue/status"))


def test_without_a_token_there_is_nothing(client):
    for path in ("models", f"models/{EDIT}", "task_types", "queue/status"):
        assert client.get(f"/api/v1/{path}").status_code == 401
