"""A mission's pages."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from missions.models import Mission, Output
from providers import provider_accounts
from tests.factories import bring_to, claim, make_media, make_mission
from tests.result_factories import make_half_done, run

TABS = ["", "/items", "/failures", "/settings", "/pulse", "/items/1", "/delete", "/cancel"]
BIG = 50_000


@pytest.mark.parametrize("tab", TABS)
def test_a_mission_of_somebody_else_is_not_there(mixed, strange_web, tab):
    assert strange_web.get(f"/missions/{mixed.pk}{tab}").status_code == 404


@pytest.mark.parametrize("tab", TABS)
def test_every_page_of_a_mission_answers(mixed, web, tab):
    response = web.get(f"/missions/{mixed.pk}{tab}")
    assert response.status_code == 200
    assert mixed.name in response.content.decode()


def test_results_stand_in_the_gallery_with_their_parameters(web, owner):
    mission = make_mission(owner, ["a fox", "an owl"], params={"aspectRatio": "16:9"})
    run(mission, [b"picture"])
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert f"/api/v1/missions/{mission.pk}/items/1/outputs/1" in page
    assert "a fox" in page
    assert "16:9" in page
    assert "an owl" not in page


def test_the_gallery_shows_the_images_that_a_result_was_made_from(web, owner):
    media = make_media(owner)
    rows = [{"imageUrls": [media.reference], "prompt": "in snow"}]
    mission = make_mission(owner, rows, task_type="image_to_image")
    run(mission, [b"picture"])
    page = web.get(f"/missions/{mission.pk}").content.decode()
    assert f"/media/{media.key}" in page
    assert media.reference not in page


def test_what_people_wrote_is_never_markup(web, owner):
    mission = make_mission(owner, ["<script>alert(1)</script>"], name="<b>bold</b>")
    run(mission, [b"picture"])
    for tab in ("", "/items", "/items/1"):
        page = web.get(f"/missions/{mission.pk}{tab}").content.decode()
        assert "<script>alert" not in page
        assert "<b>bold" not in page


def test_items_are_filtered_by_status_and_cause(mixed, web):
    def shown(query):
        return [shown.item.index for shown in web.get(f"/missions/{mixed.pk}/items?{query}").context["items"]]

    assert shown("") == [1, 2, 3, 4, 5, 6, 7]
    assert shown("status=failed") == [1, 2, 3]
    assert shown("status=failed&error_code=1003") == [3]
    assert shown("start=6") == [6, 7]
    assert shown("status=nonsense") == [1, 2, 3, 4, 5, 6, 7]


def test_failures_say_what_to_do_and_what_it_costs(mixed, web):
    page = web.get(f"/missions/{mixed.pk}/failures").content.decode()
    assert "Another try may help." in page
    assert "Retry these 2" in page
    assert "(about ¥0.10)" in page
    assert "Nothing was spent" in page
    assert "1 item is unconfirmed" in page
    assert "It never ran: send it again (about ¥0.05)" in page


def test_the_pulse_is_the_head_and_nothing_else(mixed, web):
    page = web.get(f"/missions/{mixed.pk}/pulse?tab=items").content.decode()
    assert 'id="mission-bar"' in page
    assert "<html" not in page


@pytest.fixture
def big(owner) -> Mission:
    return make_half_done(owner, BIG)


def test_pages_of_fifty_thousand_items_take_few_statements_and_count_nothing(big, web):
    for tab in ("", "?view=batch", "?view=starred", "/items", "/items?status=pending", "/pulse"):
        address = f"/missions/{big.pk}{tab}"
        with CaptureQueriesContext(connection) as made:
            assert web.get(address).status_code == 200
        texts = [entry["sql"] for entry in made.captured_queries]
        assert len(texts) <= 16
        assert not [text for text in texts if "COUNT(" in text and "missionitem" in text]


def test_a_page_takes_as_many_statements_for_many_items_as_for_few(web, owner):
    few, many = make_mission(owner, 4), make_mission(owner, 30)
    run(few, *[[b"x"]] * 3)
    run(many, *[[b"x"]] * 20)
    for tab in ("", "/items", "/failures"):
        assert statements(web, few, tab) == statements(web, many, tab)


def statements(web, mission, tab):
    with CaptureQueriesContext(connection) as made:
        web.get(f"/missions/{mission.pk}{tab}")
    return len(made)


def test_a_result_that_was_lost_says_so(web, owner):
    mission = make_mission(owner)
    run(mission, [b"picture"])
    Output.objects.filter(item__mission=mission).update(status="lost", error_message="Its address has expired.")
    assert "Its address has expired." in web.get(f"/missions/{mission.pk}").content.decode()


def test_parameters_are_called_as_people_call_them(web, owner):
    media = make_media(owner)
    rows = [{"imageUrls": [media.reference], "prompt": "in snow"}]
    mission = make_mission(owner, rows, task_type="image_to_image", params={"aspectRatio": "16:9"})
    for tab in ("/settings", "/items/1"):
        page = web.get(f"/missions/{mission.pk}{tab}").content.decode()
        assert "Aspect ratio" in page
        assert "aspectRatio" not in page
    assert f"/media/{media.key}" in page
    assert "imageUrls" not in page


def test_a_mission_that_only_waits_for_a_decision_says_so(web, owner):
    mission = make_mission(owner, 2)
    first, second = claim(mission, provider_accounts.environment_account(), 2)
    bring_to("unconfirmed", first)
    assert "Waits for you" not in web.get("/missions").content.decode()
    bring_to("succeeded", second)
    for page in ("/missions", f"/missions/{mission.pk}"):
        shown = web.get(page).content.decode()
        assert "Waits for you" in shown
        assert "1 item waits for your decision" in shown
        assert "Pause" not in shown
    question = web.get(f"/missions/{mission.pk}/cancel").content.decode()
    assert "1 unconfirmed item may have been paid" in question
    assert "not sent yet" not in question
