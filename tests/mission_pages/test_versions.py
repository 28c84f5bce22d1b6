"""Next steps from results on the pages: make again, edit and run, choose, use as input."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from drafts.models import FormDraft
from missions import services
from missions.models import Mission
from tests import result_factories
from tests.factories import check_mission, make_mission, picture

RED, BLUE = picture(colour="red"), picture(colour="blue")


@pytest.fixture
def done(owner) -> Mission:
    """Return a mission with two pictures and a text."""
    mission = make_mission(owner, ["a red fox", "a grey\nowl", "a text"])
    result_factories.run(mission, [RED], [BLUE], ["a text"])
    mission.refresh_from_db()
    return mission


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_one_click_makes_a_result_again(done: Mission, web: Client):
    page = web.get(f"/missions/{done.pk}/items/1").content.decode()
    assert "Make again (about ¥0.05)" in page
    path, form = f"/missions/{done.pk}/again", {"item": "1:1", "to_item": "1"}
    response = web.post(path, form)
    assert response["Location"] == f"/missions/{done.pk}/items/4"
    assert messages_of(response) == ["Making 1 new version (about ¥0.05)."]
    response = web.post(path, form)
    assert messages_of(response)[-1] == "Already made again. Nothing was paid twice."
    answer = web.post(path, {"item": "2:1"}, headers={"Accept": "application/json"}).json()
    assert (answer["kind"], answer["indexes"]) == ("success", [5])
    assert done.items.count() == 5
    check_mission(done.pk)


def test_a_selection_is_asked_about_first(done: Mission, web: Client):
    path = f"/missions/{done.pk}/again"
    response = web.post(path, {"item": ["1", "3"]})
    page = response.content.decode()
    assert response.status_code == 200
    assert "Make again (about ¥0.10)" in page
    assert 'value="1:1,3:1"' in page
    assert done.items.count() == 3
    web.post(path, {"item": "1:1,3:1"})
    assert done.items.count() == 5
    assert 'name="selected"' in web.post(path, {"item": "1", "selected": "1"}).content.decode()
    Mission.objects.filter(pk=done.pk).update(spending_limit=Decimal("0.30"))
    page = web.post(path, {"item": ["1", "2"]}).content.decode()
    assert "is left of this mission" in page
    assert "data-costs" not in page
    for form in ({}, {"item": "x"}, {"item": "1:x"}):
        assert web.post(path, form).status_code == 302
    assert done.items.count() == 5


def test_all_results_but_some_are_made_again_or_used(done: Mission, web: Client):
    page = web.get(f"/missions/{done.pk}").content.decode()
    for path in ("again", "use?task_type=image_to_image", "use?task_type=image_to_video"):
        assert f'formaction="/missions/{done.pk}/{path}"' in page, path
    selection = {"all": "1", "view": "batch", "item": "3"}
    asked = web.post(f"/missions/{done.pk}/again", selection).content.decode()
    assert 'value="1:1,2:1"' in asked
    web.post(f"/missions/{done.pk}/use?task_type=image_to_image", selection)
    assert len(FormDraft.objects.get().fields["images"].splitlines()) == 2


def test_an_edited_result_is_a_new_version(done: Mission, web: Client):
    assert "Run as a new version (about ¥0.05)" in web.get(f"/missions/{done.pk}/items/1?edit=1").content.decode()
    path = f"/missions/{done.pk}/items/1/run"
    form = {"item": "1:1", "param-prompt": "a white fox", "param-aspectRatio": "1:1"}
    response = web.post(path, form)
    assert response["Location"] == f"/missions/{done.pk}/items/4"
    item = done.items.get(index=4)
    assert (done.params | item.params)["prompt"] == "a white fox"
    page = web.get(response["Location"]).content.decode()
    assert "Item 1, version 2" in page
    assert "2 versions" in page
    assert web.post(path, form | {"item": "1:2", "param-prompt": " "}).status_code == 422
    assert done.items.count() == 4


def test_a_version_is_chosen(done: Mission, web: Client):
    services.make_again(mission_id=done.pk, indexes=[1], actor="user:1")
    result_factories.run(done, [BLUE])
    assert done.items.get(index=4).is_chosen
    response = web.post(f"/missions/{done.pk}/items/1/choose")
    assert messages_of(response) == ["Version 1 is now in the gallery and in downloads."]
    assert done.items.get(index=1).is_chosen
    answer = web.post(f"/missions/{done.pk}/items/4/choose", headers={"Accept": "application/json"}).json()
    assert answer["kind"] == "success"


def test_results_become_input_with_their_prompts(done: Mission, web: Client):
    response = web.post(f"/missions/{done.pk}/use?task_type=image_to_video", {"item": ["1", "2", "3"]})
    draft = FormDraft.objects.get()
    assert response["Location"] == f"/missions/new?draft={draft.key}"
    references = [done.items.get(index=index).outputs.get().reference for index in (1, 2)]
    assert draft.fields["images"].splitlines() == references
    assert draft.fields["image_prompts"].splitlines() == ["a red fox", "a grey owl"]
    assert (draft.fields["task_type"], draft.fields["source"]) == ("image_to_video", "images")
    page = web.get(response["Location"]).content.decode()
    assert f"{done.name}, result 2" in page or references[1] in page
    assert "2 items" in page
    response = web.post(f"/missions/{done.pk}/use?task_type=image_to_video", {"item": ["3"]})
    assert "None of these results is a stored image" in messages_of(response)[-1]
