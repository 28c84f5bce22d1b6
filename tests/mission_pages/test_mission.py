"""The pages of a mission."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from missions import lifecycle
from missions.models import Mission, Output
from providers import provider_accounts
from providers.adapters.runninghub import client, codes
from tests.factories import accept, begin, bring_to, claim, make_media, make_mission
from tests.result_factories import make_half_done, run

TABS = ["", "/items", "/failures", "/settings", "/pulse", "/items/1", "/delete", "/cancel"]
MANY_ITEMS = 5_000


def statements(web: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert web.get(url).status_code == 200
    return [entry["sql"] for entry in queries.captured_queries]


def test_every_page_opens_for_its_owner_only(mixed, web, strange_web):
    for tab in TABS:
        response = web.get(f"/missions/{mixed.pk}{tab}")
        assert response.status_code == 200
        assert mixed.name in response.content.decode()
        assert strange_web.get(f"/missions/{mixed.pk}{tab}").status_code == 404


def test_gallery_shows_results_with_parameters(web, owner):
    mission = make_mission(owner, ["a fox", "an owl"], params={"aspectRatio": "16:9"})
    run(mission, [b"picture"])

    page = web.get(f"/missions/{mission.pk}").content.decode()

    assert f"/api/v1/missions/{mission.pk}/items/1/outputs/1" in page
    assert "a fox" in page
    assert "16:9" in page
    assert "an owl" not in page


def test_parameters_have_labels_and_pictures(web, owner):
    media = make_media(owner)
    rows = [{"imageUrls": [media.reference], "prompt": "in snow"}]
    mission = make_mission(owner, rows, task_type="image_to_image", params={"aspectRatio": "16:9"})
    run(mission, [b"picture"])

    for tab in ("", "/settings", "/items/1"):
        page = web.get(f"/missions/{mission.pk}{tab}").content.decode()
        assert "Aspect ratio" in page
        assert (f"/media/{media.key}" in page) == (tab != "/settings")
        shown = re.sub(r' data-parameter="\w+"', "", page)
        for word in ("aspectRatio", "imageUrls", media.reference):
            assert word not in shown


def test_texts_of_people_are_escaped(web, owner):
    mission = make_mission(owner, ["<script>alert(1)</script>"], name="<b>bold</b>")
    run(mission, [b"picture"])

    for tab in ("", "/items", "/items/1"):
        page = web.get(f"/missions/{mission.pk}{tab}").content.decode()
        assert "<script>alert" not in page
        assert "<b>bold" not in page


@pytest.mark.parametrize(
    "query, expected",
    [
        ("", [1, 2, 3, 4, 5, 6, 7]),
        ("status=failed", [1, 2, 3]),
        ("status=failed&error_code=1003", [3]),
        ("start=6", [6, 7]),
        ("status=nonsense", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_items_are_filtered(mixed, web, query, expected):
    items = web.get(f"/missions/{mixed.pk}/items?{query}").context["items"]

    assert [shown.item.index for shown in items] == expected


def test_a_failure_without_a_charge_says_so_once(web, owner, account):
    mission = make_mission(owner)
    [attempt] = claim(mission, account)
    assert begin(attempt)
    assert accept(attempt)
    message = codes.task_error(client.Reply(200, {}, is_readable=True), is_free=True).message
    assert lifecycle.fail(attempt, code="1015", message=message, cost=None, retry_at=None)
    page = web.get(f"/missions/{mission.pk}/failures").content.decode()
    assert "RunningHub reports no charge for it." in page
    assert "reported no charge" not in page


def test_failures_are_explained_with_their_price(mixed, web):
    page = web.get(f"/missions/{mixed.pk}/failures").content.decode()
    first = mixed.items.get(index=1).params["prompt"]
    assert re.search(rf"For example:</span> {re.escape(first)}", page)

    for text in (
        "Retry these 2",
        "(about ¥0.10)",
        "Nothing was charged",
        "1 item is unconfirmed",
        "Mark as not run and resubmit (about ¥0.05)",
    ):
        assert text in page


def test_pulse_is_the_head_only(mixed, web):
    page = web.get(f"/missions/{mixed.pk}/pulse?tab=items").content.decode()

    assert 'id="mission-bar"' in page
    assert "<html" not in page


@pytest.fixture
def big(owner) -> Mission:
    return make_half_done(owner, MANY_ITEMS)


def test_large_mission_takes_few_statements(big, web):
    for tab in ("", "?view=batch", "?view=starred", "/items", "/items?status=pending", "/pulse"):
        texts = statements(web, f"/missions/{big.pk}{tab}")
        assert len(texts) <= 18
        # Versions are counted by an index that holds nothing else, stars only in their own view.
        counts = [text for text in texts if "COUNT(" in text and "missionitem" in text]
        assert not [text for text in counts if '"first_index" IS NOT NULL' not in text and "is_starred" not in text]


def test_statements_do_not_grow_with_items(web, owner):
    few, many = make_mission(owner, 4), make_mission(owner, 30)
    run(few, *[[b"x"]] * 3)
    run(many, *[[b"x"]] * 20)

    for tab in ("", "/items", "/failures"):
        few_texts, many_texts = (statements(web, f"/missions/{mission.pk}{tab}") for mission in (few, many))
        assert len(few_texts) == len(many_texts)


def test_lost_result_shows_its_reason(web, owner):
    mission = make_mission(owner)
    run(mission, [b"picture"])
    Output.objects.filter(item__mission=mission).update(status="lost", error_message="Its address has expired.")

    assert "Its address has expired." in web.get(f"/missions/{mission.pk}").content.decode()


def test_mission_that_needs_a_decision_says_so(web, owner):
    mission = make_mission(owner, 2)
    first, second = claim(mission, provider_accounts.environment_account(), 2)
    bring_to("unconfirmed", first)
    assert "Needs your decision" not in web.get("/missions").content.decode()

    bring_to("succeeded", second)

    for url in ("/missions", f"/missions/{mission.pk}"):
        page = web.get(url).content.decode()
        assert "Needs your decision" in page
        assert "1 item needs your decision" in page
        assert ">Pause<" not in page
    question = web.get(f"/missions/{mission.pk}/cancel").content.decode()
    assert "1 unconfirmed item may have been charged" in question
    assert "not sent yet" not in question
