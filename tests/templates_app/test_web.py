"""Pages of templates."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from providers import catalog
from templates_app.forms import TemplateForm
from templates_app.models import MissionTemplate
from tests.factories import make_media

pytestmark = pytest.mark.django_db

PRO = "rhart-image-n-pro/text-to-image"
SQUARE = {
    "name": "Square",
    "description": "For tiles.",
    "model": PRO,
    "param-aspectRatio": "1:1",
    "batch_fields": "prompt",
}


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def template(owner: User, **config: object) -> MissionTemplate:
    return MissionTemplate.objects.create(owner=owner, name="Old", task_type="text_to_image", config=config)


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def test_form_has_every_parameter_of_every_model():
    for model in catalog.all_models():
        form = TemplateForm(model.task_type, values={"model": model.endpoint})
        assert [bound.name for bound in form.parameters()] == [f"param-{field.name}" for field in model.parameters]


def test_template_needs_only_a_name(client):
    assert client.post("/templates/new?type=image_to_video", {"name": "Plain"}).status_code == 302

    assert MissionTemplate.objects.get().config == {"model": "", "params": {}, "batch_fields": ["imageUrls"]}


def test_form_values_are_stored(client, owner):
    sent = SQUARE | {"param-prompt": "one\r\ntwo"}

    assert client.post("/templates/new?type=text_to_image", sent).status_code == 302

    saved = MissionTemplate.objects.get()
    assert (saved.owner, saved.name, saved.description) == (owner, "Square", "For tiles.")
    assert saved.config == {
        "model": PRO,
        "params": {"prompt": "one\ntwo", "aspectRatio": "1:1"},
        "batch_fields": ["prompt"],
    }


def test_images_are_ticked_or_typed(client, owner):
    media = make_media(owner)
    sent = {
        "name": "Edit",
        "batch_fields": "prompt",
        "param-imageUrls": media.reference,
        "param-imageUrls-lines": "https://a.example/b.png\n",
    }

    client.post("/templates/new?type=image_to_image", sent)

    saved = MissionTemplate.objects.get()
    assert saved.config["params"] == {"imageUrls": [media.reference, "https://a.example/b.png"]}
    shown = client.get(f"/templates/{saved.pk}").content.decode()
    assert re.search(f'value="{media.reference}" checked', shown)
    assert "https://a.example/b.png</textarea>" in shown


def test_older_chosen_image_is_still_offered(client, owner):
    media = make_media(owner)
    for number in range(30):
        make_media(owner, content=str(number).encode())
    stored = MissionTemplate.objects.create(
        owner=owner, name="I", task_type="image_to_video", config={"params": {"imageUrls": [media.reference]}}
    )

    assert f'value="{media.reference}" checked' in client.get(f"/templates/{stored.pk}").content.decode()


def test_all_errors_are_shown_and_input_is_stored(client):
    sent = {"name": "", "description": "Long words", "param-aspectRatio": "7:1", "param-prompt": "x" * 20_001}

    answer = client.post("/templates/new?type=text_to_image", sent)

    assert answer.status_code == 422
    shown = text(answer)
    assert "This field is required." in shown
    assert "Must be one of: auto" in shown
    assert "Too long: 20001 characters" in shown
    assert "Long words" in shown
    assert "x" * 20_001 in answer.content.decode()
    assert not MissionTemplate.objects.exists()


def test_other_model_shows_its_fields_and_keeps_input(client):
    sent = SQUARE | {"name": "", "model": "rhart-image-g-2-official/text-to-image", "redraw": "1"}

    answer = client.post("/templates/new?type=text_to_image", sent)

    assert answer.status_code == 200
    shown = answer.content.decode()
    assert 'name="param-quality"' in shown
    assert '<option value="1:1" selected>' in shown
    assert "required" not in text(answer)
    assert not MissionTemplate.objects.exists()


def test_taken_name_is_refused(client):
    client.post("/templates/new?type=text_to_image", SQUARE)

    assert "already have a template named Square" in text(client.post("/templates/new?type=text_to_image", SQUARE))


def test_template_is_updated(client, owner):
    stored = template(owner, model=PRO, params={"resolution": "2k"})
    assert '<option value="2k" selected>' in client.get(f"/templates/{stored.pk}").content.decode()

    client.post(f"/templates/{stored.pk}", SQUARE | {"param-resolution": "4k"})

    stored.refresh_from_db()
    assert stored.name == "Square"
    assert stored.config["params"] == {"aspectRatio": "1:1", "resolution": "4k"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "gone/away"}, "is not in the catalogue"),
        ({"params": {"aspectRatio": "7:1"}}, "Aspect ratio: Must be one of"),
        ({"params": {"size": "big"}}, "Unknown parameter"),
        ({"params": 3}, "The settings cannot be read"),
        ({"model": ["x"]}, "The settings cannot be read"),
        ({"batch_fields": ["nothing"]}, "The model has no such parameter"),
        ({"batch_fields": 3}, "The settings cannot be read"),
    ],
)
def test_outdated_template_is_explained_and_opens(client, owner, config, message):
    stored = template(owner, **config)

    assert "Cannot be used" in text(client.get("/templates"))
    answer = client.get(f"/templates/{stored.pk}")
    assert answer.status_code == 200
    assert message in text(answer)


def test_template_with_deleted_image_is_marked(client, owner):
    MissionTemplate.objects.create(
        owner=owner, name="I", task_type="image_to_video", config={"params": {"imageUrls": ["media:99"]}}
    )

    assert "Cannot be used" in text(client.get("/templates"))


def test_list_is_filtered_by_type_and_search(client, owner):
    template(owner)
    MissionTemplate.objects.create(owner=owner, name="Clip of cats", task_type="text_to_video")

    assert "Clip of cats" not in text(client.get("/templates?type=text_to_image"))
    assert "Clip of cats" in text(client.get("/templates?type=text_to_video&search=CATS"))
    assert "No matching templates" in text(client.get("/templates?search=dogs"))
    assert client.get("/templates?type=nonsense&page=x").status_code == 200


def test_list_uses_a_fixed_number_of_queries(client, owner, django_assert_max_num_queries):
    for number in range(24):
        MissionTemplate.objects.create(owner=owner, name=f"T{number}", task_type="text_to_image")

    with django_assert_max_num_queries(14):
        client.get("/templates")


def test_delete_asks_for_confirmation(client, owner):
    stored = template(owner)

    assert "Delete “Old”?" in text(client.get(f"/templates/{stored.pk}/delete"))
    assert MissionTemplate.objects.exists()
    assert client.post(f"/templates/{stored.pk}/delete").status_code == 302
    assert not MissionTemplate.objects.exists()


def test_templates_of_others_are_not_found(client, stranger):
    theirs = template(stranger)

    assert "Old" not in text(client.get("/templates"))
    for address in (f"/templates/{theirs.pk}", f"/templates/{theirs.pk}/delete"):
        assert client.get(address).status_code == 404
        assert client.post(address, SQUARE).status_code == 404


def test_pages_need_login():
    for address in ("/templates", "/templates/new", "/templates/1"):
        assert "/accounts/login/" in Client().get(address)["Location"]
