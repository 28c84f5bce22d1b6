"""The API of the catalogue."""

from __future__ import annotations

import jsonschema_rs
import pytest
from pytest_django import Settings

from providers import catalog
from tests.api_client import caller
from tests.missions.api.calls import data, errors

pytestmark = pytest.mark.django_db

EDIT = "rhart-image-v1/edit"


def test_models_are_listed_with_usable_schemas(owner):
    listed = data(caller(owner).get("/api/v1/models"))

    assert [model["endpoint"] for model in listed["items"]] == [model.endpoint for model in catalog.all_models()]
    assert listed["total"] == len(listed["items"])
    for model in listed["items"]:
        jsonschema_rs.validator_for(model["params_schema"])
        assert {field["name"] for field in model["fields"]} == set(model["params_schema"]["properties"])
        assert model["price"]["words"]


def test_list_is_filtered_by_task_type_and_provider(owner):
    listed = data(caller(owner).get("/api/v1/models", {"task_type": "image_to_video"}))

    assert {model["task_type"] for model in listed["items"]} == {"image_to_video"}
    assert sum(model["is_default"] for model in listed["items"]) == 1
    assert "task_type" in errors(caller(owner).get("/api/v1/models", {"task_type": "song"}))
    assert data(caller(owner).get("/api/v1/models", {"provider": "nobody"}))["total"] == 0


def test_model_is_shown_under_its_endpoint(owner):
    model = data(caller(owner).get(f"/api/v1/models/{EDIT}"))

    assert data(caller(owner).get(f"/api/v1/models/runninghub:{EDIT}")) == model
    assert data(caller(owner).get(f"/api/v1/models/{EDIT}?provider=runninghub")) == model
    assert (model["provider"], model["endpoint"], model["source"]) == ("runninghub", EDIT, "catalogue")
    assert (model["batch_field"], model["is_default"], model["deadline_seconds"]) == ("imageUrls", True, 1800)
    images = next(field for field in model["fields"] if field["name"] == "imageUrls")
    assert (images["max_count"], images["formats"], images["max_bytes"]) == (5, ["JPG", "PNG"], 10 * 1024**2)


def test_unknown_model_is_not_found(owner):
    for endpoint in ["nobody/knows", "x", "../../etc/passwd", f"{EDIT}/", "a" * 3000]:
        assert caller(owner).get(f"/api/v1/models/{endpoint}").status_code == 404, endpoint
    assert caller(owner).get("/api/v1/models/%00").status_code == 400
    assert caller(owner).get(f"/api/v1/models/{EDIT}?provider=nobody").status_code == 404


def test_price_is_given_as_text_and_data(owner):
    def price(endpoint: str):
        return data(caller(owner).get(f"/api/v1/models/{endpoint}"))["price"]

    assert price(EDIT) == {
        "words": "¥0.05 each",
        "currency": "CNY",
        "unit": "call",
        "by": [],
        "rows": [{"when": {}, "amount": "0.05"}],
    }
    by_resolution = price("rhart-image-n-pro/edit")
    assert by_resolution["words"] == "¥0.40 to ¥0.50 each, by resolution"
    assert {"when": {"resolution": "4k"}, "amount": "0.5"} in by_resolution["rows"]


def test_price_per_second(owner):
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


def test_default_follows_the_settings(owner, settings: Settings):
    def first_type():
        return data(caller(owner).get("/api/v1/task_types"))["items"][0]

    settings.DEFAULT_MODELS = {"text_to_image": "rhart-image-g-3/text-to-image"}
    assert first_type()["default_model"] == "rhart-image-g-3/text-to-image"
    assert data(caller(owner).get("/api/v1/models/rhart-image-g-3/text-to-image"))["is_default"]
    settings.DEFAULT_MODELS = {"text_to_image": "gone/model"}
    assert (first_type()["default_model"], first_type()["batch_field"]) == (None, "prompt")
    assert not data(caller(owner).get("/api/v1/models/rhart-image-g-3/text-to-image"))["is_default"]


def test_token_is_required(client):
    for path in ("models", f"models/{EDIT}", "task_types", "queue/status"):
        assert client.get(f"/api/v1/{path}").status_code == 401
