"""The API of templates."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from templates_app.models import MissionTemplate
from tests.api_client import caller
from tests.factories import make_media, make_member, make_mission
from tests.missions.api.calls import data, errors, send

pytestmark = pytest.mark.django_db

PATH = "/api/v1/templates"
SQUARE: dict[str, Any] = {
    "name": "Square",
    "task_type": "text_to_image",
    "config": {"model": "rhart-image-v1/text-to-image", "params": {"aspectRatio": "1:1"}},
}


def save(client: Client, **changes: Any):
    return send(client, "POST", "/templates", SQUARE | changes)


def config(**changes: Any) -> dict[str, Any]:
    return {"config": SQUARE["config"] | changes}


def test_template_is_stored_as_checked(owner):
    template = data(save(caller(owner), description="For tiles."), 201)

    assert template["config"] == SQUARE["config"] | {"batch_fields": ["prompt"]}
    assert (template["name"], template["description"], template["owner"]) == ("Square", "For tiles.", "mei")
    assert template["problems"] == []
    assert data(caller(owner).get(f"{PATH}/{template['id']}")) == template


def test_template_may_lack_prompt_and_model(owner):
    template = data(save(caller(owner), config={}), 201)

    assert template["config"] == {"model": "", "params": {}, "batch_fields": ["prompt"]}


def test_all_errors_are_reported_at_once(owner):
    reported = errors(save(caller(owner), **config(params={"aspectRatio": "7:1", "size": 3}, batch_fields=["promt"])))

    assert set(reported) == {"config.params.aspectRatio", "config.params.size", "config.batch_fields.0"}
    assert not MissionTemplate.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": None}, "name"),
        ({"description": "x" * 10_001}, "description"),
        ({"task_type": "text_to_song"}, "task_type"),
        ({"config": []}, "config"),
        ({"colour": "red"}, "colour"),
        (config(model="nobody/knows"), "config.model"),
        (config(model="rhart-image-v1/edit"), "config.model"),
        (config(params=[]), "config.params"),
        (config(params={"webhookUrl": "https://a.example"}), "config.params.webhookUrl"),
        (config(batch_fields=["prompt", "prompt"]), "config.batch_fields.1"),
        (config(extra=1), "config.extra"),
    ],
)
def test_invalid_template_names_the_field(owner, changes, field):
    assert field in errors(save(caller(owner), **changes))
    assert not MissionTemplate.objects.exists()


def test_parameters_beside_params_get_a_hint(owner):
    reported = errors(save(caller(owner), config={"aspectRatio": "1:1", "batch_fields": ["prompt"]}))
    assert reported.keys() == {"config.aspectRatio"}
    assert '{"params": {…}' in reported["config.aspectRatio"]


def test_template_takes_only_own_files(owner, stranger):
    mine, theirs = make_media(owner), make_media(stranger)

    def save_with(reference: str):
        params = {"imageUrls": [reference]}
        return save(caller(owner), task_type="image_to_image", config={"params": params})

    assert data(save_with(mine.reference), 201)["config"]["params"] == {"imageUrls": [mine.reference]}
    assert "upload it first" in errors(save_with(theirs.reference))["config.params.imageUrls"]


def test_name_is_unique_per_person(owner, stranger):
    first, second = data(save(caller(owner)), 201), data(save(caller(owner), name="Other"), 201)

    assert "already have a template" in errors(save(caller(owner), name=" Square "))["name"]
    assert "already" in errors(send(caller(owner), "PUT", f"/templates/{second['id']}", SQUARE))["name"]
    assert send(caller(owner), "PUT", f"/templates/{first['id']}", SQUARE).status_code == 200
    data(save(caller(stranger)), 201)


def test_put_replaces_the_whole_template(owner):
    client = caller(owner)
    template = data(save(client, description="Old."), 201)
    wide = {"name": "Wide", "task_type": "text_to_video", "config": {"params": {"aspectRatio": "16:9"}}}

    replaced = data(send(client, "PUT", f"/templates/{template['id']}", wide))

    assert (replaced["id"], replaced["name"], replaced["description"]) == (template["id"], "Wide", "")
    assert replaced["task_type"] == "text_to_video"
    assert replaced["created_at"] == template["created_at"]
    assert replaced["updated_at"] > template["updated_at"]


def test_invalid_change_changes_nothing(owner):
    client = caller(owner)
    template = data(save(client), 201)

    errors(send(client, "PUT", f"/templates/{template['id']}", SQUARE | config(model="nobody/knows")))

    assert data(client.get(f"{PATH}/{template['id']}")) == template


def test_list_is_sorted_paged_and_filtered(owner):
    client = caller(owner)
    for name in ("b", "c", "a"):
        data(save(client, name=name), 201)
    data(save(client, name="film", task_type="text_to_video", config={}), 201)

    page = data(client.get(f"{PATH}?page_size=2&task_type=text_to_image"))

    assert [template["name"] for template in page["items"]] == ["a", "b"]
    assert page["total"] == 3
    assert "task_type" in errors(client.get(PATH, {"task_type": "text_to_song"}))


def test_delete_keeps_the_missions(owner):
    client = caller(owner)
    template = data(save(client), 201)
    mission = make_mission(owner, template_id=template["id"])

    assert client.delete(f"{PATH}/{template['id']}").status_code == 204
    assert client.delete(f"{PATH}/{template['id']}").status_code == 404
    mission.refresh_from_db()
    assert mission.template_id is None


def test_others_cannot_see_or_change_a_template(owner, stranger):
    template = data(save(caller(owner)), 201)
    for client, status in ((caller(stranger), 404), (Client(), 401)):
        for method in ("GET", "PUT", "DELETE"):
            assert send(client, method, f"/templates/{template['id']}", SQUARE).status_code == status
    assert data(caller(stranger).get(PATH))["total"] == 0
    assert data(caller(owner).get(f"{PATH}/{template['id']}")) == template


def test_staff_may_change_a_template(owner):
    template = data(save(caller(owner)), 201)
    staff = caller(make_member("Operators"))

    changed = data(send(staff, "PUT", f"/templates/{template['id']}", SQUARE | {"name": "Better"}))

    assert (changed["name"], changed["owner"]) == ("Better", "mei")


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ({"model": "gone/model", "params": {"size": "1k"}, "batch_fields": ["prompt"]}, "config.model"),
        ({"model": "", "params": {"aspectRatio": "7:1"}, "batch_fields": ["prompt"]}, "config.params.aspectRatio"),
        ({"model": "", "params": {}, "batch_fields": ["image"]}, "config.batch_fields.0"),
        ({"model": ["x"]}, "config"),
        ({"params": "x"}, "config"),
        ({"batch_fields": 5}, "config"),
        ([], "config"),
        ("x", "config"),
    ],
)
def test_outdated_template_is_readable_and_has_problems(owner, stored, field):
    template = MissionTemplate.objects.create(owner=owner, name="Old", task_type="text_to_image", config=stored)

    shown = data(caller(owner).get(f"{PATH}/{template.pk}"))

    assert [problem["field"] for problem in shown["problems"]] == [field]
    assert data(caller(owner).get(PATH))["items"] == [shown]
