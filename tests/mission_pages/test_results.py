"""The results of all missions."""

from __future__ import annotations

import pytest

from missions import search, services
from tests.factories import commit, make_mission
from tests.result_factories import run


def complete(owner, prompts, **more):
    mission = make_mission(owner, prompts, **more)
    run(mission, *[["text"] for _prompt in prompts])
    search.catch_up(seconds=60)
    return mission


def captions(response):
    return [view.caption for view, _may_change in response.context["results"]]


def test_results_of_all_missions_are_shown_newest_first(web, owner, stranger):
    complete(owner, ["a red fox", "an owl"])
    complete(stranger, ["a red car"])
    complete(owner, ["一只橘猫"])
    assert captions(web.get("/results")) == ["一只橘猫", "an owl", "a red fox"]
    assert captions(web.get("/results?search=RED")) == ["a red fox"]
    assert captions(web.get("/results?search=橘猫")) == ["一只橘猫"]
    assert "No results match" in web.get("/results?search=zebra").content.decode()


def test_filters_of_results(web, owner):
    complete(owner, ["a fox"])
    mission = complete(owner, ["an owl"], model="rhart-image-n-pro/text-to-image")
    services.star_results(mission_id=mission.pk, indexes=[1], is_starred=True)
    commit()
    for query in ("starred=1", "model=runninghub:rhart-image-n-pro/text-to-image"):
        assert captions(web.get(f"/results?{query}")) == ["an owl"], query
    assert captions(web.get("/results?model=runninghub:&since=2000-01-01")) == ["an owl", "a fox"]
    assert captions(web.get("/results?until=2000-01-01")) == []


def test_results_are_filtered_by_the_tags_that_exist(web, owner, stranger):
    complete(owner, ["a fox"])
    assert "Any tag" not in web.get("/results").content.decode()
    item, other = complete(owner, ["an owl"]).items.get(), complete(stranger, ["a kite"]).items.get()
    services.tag_items(item_ids=[item.pk], add=["客户甲"])
    services.tag_items(item_ids=[other.pk], add=["secret"])
    commit()
    page = web.get("/results?tag=客户甲")
    assert captions(page) == ["an owl"]
    assert 'value="客户甲" selected' in page.content.decode()
    assert "secret" not in page.content.decode()
    assert captions(web.get("/results?search=客户甲")) == ["an owl"]
    assert captions(web.get("/results?tag=unknown")) == ["an owl", "a fox"]


@pytest.mark.parametrize(
    "query", ["after=x", "model=nonsense", "since=yesterday", "until=9999-12-31", "since=0001-01-01"]
)
def test_invalid_filters_of_results_are_ignored(web, owner, query):
    complete(owner, ["a fox"])
    assert captions(web.get(f"/results?{query}")) == ["a fox"]


def test_pages_of_results_keep_the_filter(web, owner, django_assert_max_num_queries):
    for number in range(3):
        complete(owner, [f"fox {number}-{place}" for place in range(20)])
    with django_assert_max_num_queries(20):
        first = web.get("/results?search=fox")
    assert len(captions(first)) == 48
    more = first.context["more_url"]
    assert "search=fox" in more
    assert len(captions(web.get(f"/results{more}"))) == 12


def test_results_of_the_first_day_say_what_comes(web):
    assert "No results yet" in web.get("/results").content.decode()
