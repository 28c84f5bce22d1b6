"""Pages of templates: what the catalogue says is asked, what is wrong is told all at once, nothing typed is lost."""

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


def test_every_parameter_of_every_model_is_asked():
    for model in catalog.all_models():
        form = TemplateForm(model.task_type, values={"model": model.endpoint})
        assert [bound.name for bound in form.parameters()] == [f"param-{field.name}" for field in model.parameters]


def test_a_template_needs_nothing_but_a_name(client):
    assert client.post("/templates/new?type=image_to_video", {"name": "Plain"}).status_code == 302

    assert MissionTemplate.objects.get().config == {"model": "", "params": {}, "batch_fields": ["imageUrl"]}


def test_a_template_is_saved_as_it_was_filled_in(client, owner):
    sent = SQUARE | {"param-prompt": "one\r\ntwo"}

    assert client.post("/templates/new?type=text_to_image", sent).status_code == 302

    saved = MissionTemplate.objects.get()
    assert (saved.owner, saved.name, saved.description) == (owner, "Square", "For tiles.")
    assert saved.config == {
        "model": PRO,
        "params": {"prompt": "one\ntwo", "aspectRatio": "1:1"},
        "batch_fields": ["prompt"],
    }


def test_images_are_ticked_or_written(client, owner):
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


def test_an_image_that_is_no_longer_among_the_newest_is_still_ticked(client, owner):
    media = make_media(owner)
    for number in range(30):
        make_media(owner, content=str(number).encode())
    kept = MissionTemplate.objects.create(
        owner=owner, name="I", task_type="image_to_video", config={"params": {"imageUrl": media.reference}}
    )

    assert f'value="{media.reference}" checked' in client.get(f"/templates/{kept.pk}").content.decode()


def test_everything_that_is_wrong_is_told_at_once_and_nothing_typed_is_lost(client):
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


def test_another_model_brings_its_own_fields_and_keeps_what_was_typed(client):
    sent = SQUARE | {"name": "", "model": "rhart-image-g-2-official/text-to-image", "redraw": "1"}

    answer = client.post("/templates/new?type=text_to_image", sent)

    assert answer.status_code == 200
    shown = answer.content.decode()
    assert 'name="param-quality"' in shown
    assert '<option value="1:1" selected>' in shown
    assert "required" not in text(answer)
    assert not MissionTemplate.objects.exists()


def test_two_of_one_name_are_refused(client):
    client.post("/templates/new?type=text_to_image", SQUARE)

    assert "already a template named Square" in text(client.post("/templates/new?type=text_to_image", SQUARE))


def test_a_template_is_changed(client, owner):
    kept = template(owner, model=PRO, params={"resolution": "2k"})
    assert '<option value="2k" selected>' in client.get(f"/templates/{kept.pk}").content.decode()

    client.post(f"/templates/{kept.pk}", SQUARE | {"param-resolution": "4k"})

    kept.refresh_from_db()
    assert kept.name == "Square"
    assert kept.config["params"] == {"aspectRatio": "1:1", "resolution": "4k"}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model": "gone/away"}, "is not in the catalogue"),
        ({"params": {"aspectRatio": "7:1"}}, "Aspect ratio: Must be one of"),
        ({"params": {"size": "big"}}, "Unknown parameter"),
        ({"params": 3}, "This is no config"),
        ({"model": ["x"]}, "This is no config"),
        ({"batch_fields": ["nothing"]}, "The model has no such parameter"),
        ({"batch_fields": 3}, "This is no config"),
    ],
)
def test_a_template_that_cannot_be_used_says_so_and_can_be_opened(client, owner, config, told):
    kept = template(owner, **config)

    assert "Cannot be used as it is" in text(client.get("/templates"))
    answer = client.get(f"/templates/{kept.pk}")
    assert answer.status_code == 200
    assert told in text(answer)


def test_a_template_whose_image_was_deleted_says_so(client, owner):
    MissionTemplate.objects.create(
        owner=owner, name="I", task_type="image_to_video", config={"params": {"imageUrl": "media:99"}}
    )

    assert "Cannot be used as it is" in text(client.get("/templates"))


def test_the_list_is_narrowed_by_type_and_words(client, owner):
    template(owner)
    MissionTemplate.objects.create(owner=owner, name="Clip of cats", task_type="text_to_video")

    assert "Clip of cats" not in text(client.get("/templates?type=text_to_image"))
    assert "Clip of cats" in text(client.get("/templates?type=text_to_video&search=CATS"))
    assert "No template fits" in text(client.get("/templates?search=dogs"))
    assert client.get("/templates?type=nonsense&page=x").status_code == 200


def test_a_list_costs_as_many_statements_for_many_as_for_one(client, owner, django_assert_max_num_queries):
    for number in range(24):
        MissionTemplate.objects.create(owner=owner, name=f"T{number}", task_type="text_to_image")

    with django_assert_max_num_queries(14):
        client.get("/templates")


def test_deleting_asks_first(client, owner):
    kept = template(owner)

    assert "Delete “Old”?" in text(client.get(f"/templates/{kept.pk}/delete"))
    assert MissionTemplate.objects.exists()
    assert client.post(f"/templates/{kept.pk}/delete").status_code == 302
    assert not MissionTemplate.objects.exists()


def test_what_is_somebody_else_s_is_not_there(client, stranger):
    theirs = template(stranger)

    assert "Old" not in text(client.get("/templates"))
    for address in (f"/templates/{theirs.pk}", f"/templates/{theirs.pk}/delete"):
        assert client.get(address).status_code == 404
        assert client.post(address, SQUARE).status_code == 404


def test_nobody_sees_anything_without_signing_in():
    for address in ("/templates", "/templates/new", "/templates/1"):
        assert "/accounts/login/" in Client().get(address)["Location"]
