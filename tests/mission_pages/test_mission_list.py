"""The list of missions."""

from __future__ import annotations

import pytest

from missions import search
from tests.factories import make_mission
from tests.result_factories import run


def names(response):
    return [card.mission.name for card in response.context["cards"]]


def test_list_requires_sign_in(client, db):
    response = client.get("/missions")
    assert response.status_code == 302
    assert response.url.startswith("/accounts/login/")


def test_list_shows_own_missions(web, owner, stranger):
    make_mission(owner, name="mine")
    make_mission(stranger, name="theirs")
    assert names(web.get("/missions")) == ["mine"]


def test_empty_list_offers_a_first_mission(web):
    assert "Your first mission" in web.get("/missions").content.decode()


def test_missions_are_filtered(web, owner):
    make_mission(owner, name="red cats")
    make_mission(owner, name="blue dogs")
    make_mission(owner, name="clips of cats", task_type="text_to_video")
    assert names(web.get("/missions?search=CATS&ordering=name")) == ["clips of cats", "red cats"]
    assert names(web.get("/missions?task_type=text_to_video")) == ["clips of cats"]
    assert names(web.get("/missions?status=completed")) == []
    assert "No missions match" in web.get("/missions?search=zebra").content.decode()


def test_missions_are_found_by_their_prompts(web, owner):
    make_mission(owner, ["一只橘猫", "a red heron"], name="first", description="for May")
    make_mission(owner, ["a red car"], name="second")
    search.catch_up(seconds=60)
    assert names(web.get("/missions?search=橘猫")) == ["first"]
    assert names(web.get("/missions?search=Red+first+may")) == ["first"]
    assert names(web.get("/missions?search=hero+second")) == []


@pytest.mark.parametrize("query", ["status=nonsense", "page=x", "ordering=password", "page=999"])
def test_invalid_filters_are_ignored(web, owner, query):
    make_mission(owner, name="mine")
    assert names(web.get(f"/missions?{query}")) == ["mine"]


def test_pages_keep_the_filter(web, owner):
    for number in range(14):
        make_mission(owner, name=f"cats {number}")
    first = web.get("/missions?search=cats")
    assert len(names(first)) == 12
    assert "search=cats&amp;page=2" in first.content.decode()
    assert len(names(web.get("/missions?search=cats&page=2"))) == 2


def test_list_takes_few_statements(web, owner, django_assert_max_num_queries):
    for _ in range(10):
        run(make_mission(owner, 3), ["a text"], ["another"])
    with django_assert_max_num_queries(14) as few:
        assert len(names(web.get("/missions"))) == 10
    assert not [entry for entry in few.captured_queries if "COUNT" in entry["sql"] and "missionitem" in entry["sql"]]
