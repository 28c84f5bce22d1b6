"""The results of all missions."""

from __future__ import annotations

import pytest

from missions import search, services
from missions.models import Mission
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


@pytest.fixture
def seasons(owner, stranger):
    """Make missions of two people; three of the owner's have similar names."""
    spring = complete(owner, ["a fox", "an owl"], name="Spring 春季")
    complete(owner, ["a red fox"], name="Spring sale")
    complete(owner, ["a grey fox"], name="Winter")
    other = complete(stranger, ["a secret fox"], name="Spring of others")
    return spring, other


def test_results_are_filtered_by_a_mission(web, owner, seasons):
    spring, other = seasons
    page = web.get(f"/results?mission={spring.pk}&search=fox")
    assert captions(page) == ["a fox"]
    assert "<bdi>Spring 春季</bdi>" in page.content.decode()
    assert 'href="?search=fox"' in page.content.decode(), "removes the filter"
    assert f'<input type="hidden" name="mission" value="{spring.pk}">' in page.content.decode()
    assert f'href="/results?mission={spring.pk}"' in web.get(f"/missions/{spring.pk}").content.decode()
    for number in (other.pk, 0, 10**17, "9" * 30, "x", "-1"):
        page = web.get(f"/results?mission={number}")
        assert captions(page) == [], number
        assert "There is no such mission, or you may not see it." in page.content.decode(), number


def test_mission_is_found_by_its_name(web, seasons):
    spring, _other = seasons
    for text in ("春季", "spring 春", f"Spring 春季 · #{spring.pk}", "SPRING 春季"):
        response = web.get("/results", {"mission_name": text, "starred": ""})
        assert (response.status_code, response.url) == (302, f"/results?starred=&mission={spring.pk}"), text
    page = web.get("/results?mission_name=spring&search=fox")
    assert captions(page) == []
    assert "Several missions match. Choose one." in page.content.decode()
    assert f'href="?search=fox&amp;mission={spring.pk}"' in page.content.decode()
    assert "Winter" not in page.content.decode()
    assert "No missions match" in web.get("/results?mission_name=autumn").content.decode()


def test_missions_are_offered_by_name(web, seasons):
    spring, _other = seasons
    offered = web.get("/results/missions?mission_name=SPRING").content.decode()
    assert f'value="Spring 春季 · #{spring.pk}"' in offered
    assert offered.count("<option") == 2
    assert web.get("/results/missions").content.decode().count("<option") == 3


def test_thousands_of_missions_take_no_more_statements(web, owner, seasons, django_assert_max_num_queries):
    spring, _other = seasons
    Mission.objects.bulk_create(
        Mission(owner=owner, name=f"Spring {number}", task_type="text_to_image", provider="runninghub", model="m")
        for number in range(3000)
    )
    with django_assert_max_num_queries(8):
        assert web.get("/results/missions?mission_name=spring").content.decode().count("<option") == 20
    with django_assert_max_num_queries(21):
        assert len(captions(web.get(f"/results?mission={spring.pk}"))) == 2
