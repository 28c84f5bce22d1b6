"""Models that people add: visibility, errors, and missions that use them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions import services
from missions.models import MissionStatus
from providers import added_models, catalog
from providers.models import ProviderModel
from tests.api_client import caller
from tests.factories import make_member
from tests.missions.api.calls import data, errors, send

pytestmark = pytest.mark.django_db

ENDPOINT = "acme/animate"
DEFINITION: dict[str, Any] = {
    "task_type": "image_to_video",
    "batch_field": "image",
    "parameters": {
        "image": {"type": "image", "is_required": True, "formats": ["PNG"]},
        "strength": {"type": "float", "minimum": 0, "maximum": 1},
    },
}
MODEL: dict[str, Any] = {"provider": "runninghub", "endpoint": ENDPOINT, "name": "Acme", "definition": DEFINITION}


@pytest.fixture
def boss() -> User:
    return make_member("Operators")


def add(user: User, **changes: Any):
    return send(caller(user), "POST", "/models", MODEL | changes)


def patch(user: User, **changes: Any):
    return send(caller(user), "PATCH", f"/models/{ENDPOINT}", changes)


def test_own_model_is_used_like_any_other(owner, stranger):
    model = data(add(owner), 201)
    assert (model["endpoint"], model["source"], model["price"]["rows"]) == (ENDPOINT, "own", [])
    assert data(caller(owner).get(f"/api/v1/models/{ENDPOINT}")) == model
    assert model in data(caller(owner).get("/api/v1/models?task_type=image_to_video"))["items"]

    rows = [{"image": "https://a.example/b.png", "strength": "0.5"}]
    mission = services.submit_mission(owner=owner, name="x", task_type="image_to_video", model=ENDPOINT, rows=rows)
    assert (mission.provider, mission.model, mission.estimated_cost) == ("runninghub", ENDPOINT, None)
    assert mission.params | mission.items.get().params == {"image": "https://a.example/b.png", "strength": 0.5}
    rows[0]["strength"] = "2"
    with pytest.raises(services.MissionInvalid, match=r"strength: Must be at most 1\."):
        services.submit_mission(owner=owner, name="x", task_type="image_to_video", model=ENDPOINT, rows=rows)

    assert caller(stranger).get(f"/api/v1/models/{ENDPOINT}").status_code == 404
    assert ENDPOINT not in str(data(caller(stranger).get("/api/v1/models")))
    assert patch(stranger, name="Mine").status_code == 404
    assert send(caller(stranger), "DELETE", f"/models/{ENDPOINT}", {}).status_code == 404
    data(add(stranger), 201)


def test_operators_share_models_and_set_prices(owner, stranger, boss):
    priced = {"definition": DEFINITION | {"price": {"amount": "0.5"}}, "is_shared": True}
    assert set(errors(add(owner, **priced))) == {"definition.price", "is_shared"}
    data(add(boss, **priced), 201)
    model = data(caller(stranger).get(f"/api/v1/models/runninghub:{ENDPOINT}"))
    assert (model["source"], model["price"]["words"]) == ("shared", "¥0.50 each")
    assert catalog.get_model(ENDPOINT, owner_id=owner.pk).price({}) == Decimal("0.5")

    data(add(owner), 201)  # a person's own model comes before the shared one
    assert catalog.get_model(ENDPOINT, owner_id=owner.pk).price({}) is None


def test_invalid_models_name_every_field(owner):
    cases: list[tuple[dict[str, Any], str]] = [
        ({"provider": "nobody"}, "provider"),
        ({"endpoint": "../a"}, "endpoint"),
        ({"endpoint": "rhart-image-v1/edit"}, "endpoint"),
        ({"name": " "}, "name"),
        ({"definition": {}}, "definition.task_type"),
        ({"definition": DEFINITION | {"batch_field": "prompt"}}, "definition"),
        ({"definition": DEFINITION | {"is_default": True}}, "definition.is_default"),
        (
            {"definition": DEFINITION | {"parameters": {"image": {"type": "picture"}}}},
            "definition.parameters.image.type",
        ),
        ({"definition": DEFINITION | {"note": "x" * 70_000}}, "definition"),
        ({"definition": []}, "definition"),
        ({"owner": 1}, "owner"),
    ]
    for changes, field in cases:
        assert field in errors(add(owner, **changes)), changes
    data(add(owner), 201)
    assert "already a model" in errors(add(owner))["endpoint"]
    assert ProviderModel.objects.count() == 1


def test_changes_are_seen_at_once_and_wait_for_open_missions(owner):
    data(add(owner), 201)
    rows = [{"image": "https://a.example/b.png"}]
    mission = services.submit_mission(owner=owner, name="x", task_type="image_to_video", model=ENDPOINT, rows=rows)
    changed = DEFINITION | {"note": "Slow at night."}
    assert patch(owner, definition=changed).status_code == 409
    assert data(patch(owner, name="Better"))["name"] == "Better"

    type(mission).objects.update(status=MissionStatus.COMPLETED)
    assert data(patch(owner, definition=changed))["note"] == "Slow at night."
    assert catalog.model_of(mission).note == "Slow at night."
    ProviderModel.objects.filter().update(definition={"broken": True})
    assert catalog.get_model(ENDPOINT, owner_id=owner.pk).note == "Slow at night."  # no save, no new version
    data(patch(owner, definition=DEFINITION))
    assert catalog.get_model(ENDPOINT, owner_id=owner.pk).note == ""


def test_removed_and_disabled_models_stay_readable_for_missions(owner):
    for switch_off in (
        lambda: data(patch(owner, is_enabled=False)),
        lambda: send(caller(owner), "DELETE", f"/models/{ENDPOINT}", {}),
    ):
        ProviderModel.objects.all().delete()
        data(add(owner), 201)
        rows = [{"image": "https://a.example/b.png"}]
        mission = services.submit_mission(owner=owner, name="x", task_type="image_to_video", model=ENDPOINT, rows=rows)
        switch_off()
        with pytest.raises(catalog.UnknownModel):
            catalog.get_model(ENDPOINT, owner_id=owner.pk)
        assert catalog.model_of(mission).name == "Acme"
    assert caller(owner).get(f"/api/v1/models/{ENDPOINT}").status_code == 404
    data(add(owner), 201)


def test_a_row_with_a_broken_definition_is_left_out(owner):
    ProviderModel.objects.create(owner=owner, provider="runninghub", endpoint="a/b", name="x", definition=[1])
    ProviderModel.objects.create(owner=owner, provider="runninghub", endpoint="a/c", name="x", definition={})
    assert catalog.all_models(owner_id=owner.pk) == catalog.all_models()
    with pytest.raises(catalog.UnknownModel):
        catalog.get_model("a/b", owner_id=owner.pk)


def test_models_of_the_files_cost_no_query(owner, django_assert_num_queries):
    with django_assert_num_queries(0):
        catalog.get_model("rhart-image-v1/edit", owner_id=owner.pk)
        catalog.default_model("text_to_image")
    added_models.create_model(user=owner, **MODEL)
    with django_assert_num_queries(1):
        catalog.get_model(ENDPOINT, owner_id=owner.pk)


def test_admin_adds_changes_and_removes_models(owner):
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    place = "/admin/providers/providermodel/"
    form = {"owner": owner.pk, "provider": "runninghub", "endpoint": ENDPOINT, "name": "Acme", "is_enabled": "on"}
    page = client.post(f"{place}add/", form | {"definition": '{"task_type": "text"}'}).content.decode()
    assert "definition.batch_field: Field required" in page
    definition = '{"task_type": "text", "batch_field": "prompt", "parameters": {"prompt": {"type": "text"}}}'
    assert client.post(f"{place}add/", form | {"definition": definition}).status_code == 302
    row = ProviderModel.objects.get()
    assert "Acme" in client.get(place).content.decode()
    change = {"name": "Better", "definition": definition, "is_shared": "on", "is_enabled": "on"}
    assert client.post(f"{place}{row.pk}/change/", change).status_code == 302
    assert "Better" in client.get("/admin/models/").content.decode()
    assert client.post(f"{place}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.removed_at is None) == ("Better", False)
    assert f"{place}{row.pk}/" not in client.get(place).content.decode()
