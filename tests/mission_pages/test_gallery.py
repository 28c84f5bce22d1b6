"""The gallery of a mission: its order, its pages, and selections of many results."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mission_pages import gallery as gallery_pages
from mission_pages.forms import number_ranges
from missions import services
from missions.models import Mission, Output
from providers import provider_accounts
from tests.factories import accept, begin, claim, make_mission, succeed
from tests.missions.search.test_index import index as index_everything
from tests.result_factories import make_half_done, run


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch):
    monkeypatch.setattr(gallery_pages, "RESULTS_PER_PAGE", 3)


@pytest.fixture
def mission(owner) -> Mission:
    """Make an ended mission with the results 1 to 7."""
    mission = make_mission(owner, 7)
    run(mission, *[[f"text {number}"] for number in range(1, 8)])
    mission.refresh_from_db()
    assert mission.status == "completed"
    return mission


def numbers(response):
    return [view.item.index for view in response.context["results"]]


def test_order_fits_the_state_until_one_is_chosen(web, owner, mission):
    running = make_mission(owner, 3)
    run(running, ["one"], ["two"])
    assert web.get(f"/missions/{running.pk}").context["view"] == "newest"
    assert web.get(f"/missions/{mission.pk}").context["view"] == "batch"

    web.get(f"/missions/{mission.pk}?view=newest")
    web.get(f"/missions/{running.pk}?view=starred")

    assert web.get(f"/missions/{mission.pk}").context["view"] == "newest"
    assert web.get(f"/missions/{running.pk}").context["view"] == "newest"
    assert web.cookies["gallery_order"]["path"] == f"/missions/{mission.pk}"


@pytest.mark.parametrize("query", ["", "?size=huge&fit=none", "?view=x&at=0&skip=-1&item=x&after=x&before=x"])
def test_odd_addresses_show_the_first_results(web, mission, query):
    response = web.get(f"/missions/{mission.pk}{query}")
    assert numbers(response) == [1, 2, 3]
    assert (response.context["size"], response.context["fit"]) == ("medium", "fill")


def test_look_of_the_tiles_is_remembered(web, owner, mission):
    web.get(f"/missions/{mission.pk}?size=large")
    web.get(f"/missions/{mission.pk}?fit=whole")
    page = web.get(f"/missions/{make_mission(owner).pk}").content.decode()
    assert 'data-size="large" data-fit="whole"' in page


def test_pages_work_without_scripts(web, mission):
    response = web.get(f"/missions/{mission.pk}?view=batch")
    seen = [numbers(response)]
    while link := re.search(r'href="(\?view=batch&amp;after=[^"]+)"', response.content.decode()):
        response = web.get(f"/missions/{mission.pk}{link[1].replace('&amp;', '&')}")
        seen.append(numbers(response))
    assert seen == [[1, 2, 3], [4, 5, 6], [7]]
    earlier = re.search(r'href="(\?view=batch&amp;before=[^"]+)"', response.content.decode())
    assert numbers(web.get(f"/missions/{mission.pk}{earlier[1].replace('&amp;', '&')}")) == [4, 5, 6]


def test_jump_shows_a_number_or_says_that_it_is_missing(web, mission):
    response = web.get(f"/missions/{mission.pk}?view=batch&at=5")
    assert numbers(response) == [5, 6, 7]
    assert "has no result here" not in response.content.decode()
    mission.items.filter(index=5).update(status="failed")
    page = web.get(f"/missions/{mission.pk}?view=batch&at=5").content.decode()
    assert "Number 5 has no result here. This is number 6." in page


def test_tiles_are_a_part_of_the_page_only(web, strange_web, mission):
    for query, expected in {
        "view=batch&after=3": [4, 5, 6],
        "view=batch&before=4": [1, 2, 3],
        "view=batch&skip=4": [5, 6, 7],
        "view=batch&skip=100": [5, 6, 7],
        "view=newest&item=2,6-9": [2, 6, 7],
    }.items():
        url = f"/missions/{mission.pk}/tiles?{query}"
        response = web.get(url)
        assert (query, sorted(numbers(response))) == (query, sorted(expected))
        assert "<html" not in response.content.decode()
        assert response.content.decode().count('class="tile-star" form="star"') == len(expected), "they can be starred"
        assert strange_web.get(url).status_code == 404
    url = f"/missions/{mission.pk}/tiles/numbers?view=batch&from=2&to=6"
    assert web.get(url).json() == {"item": "2-6"}
    assert strange_web.get(url).status_code == 404


def test_files_that_are_fetched_are_counted(web, owner):
    mission = make_mission(owner, 4)
    run(mission, ["text"])
    for attempt in claim(mission, provider_accounts.environment_account(), limit=2):
        assert begin(attempt)
        assert accept(attempt)
        assert succeed(attempt)

    page = web.get(f"/missions/{mission.pk}").content.decode()

    assert "Files still being fetched: 2 of 3 completed items." in page
    assert 'data-fetching="2-3"' in page
    assert page.count('class="tile"') == 1


def starred(mission):
    return list(
        Output.objects.filter(is_starred=True, item__mission=mission)
        .order_by("item__index")
        .values_list("item__index", flat=True)
    )


@pytest.mark.parametrize(
    "data, expected",
    [
        ({"item": ["1", "3"]}, [1, 3]),
        ({"item": "1,3-5,99,x"}, [1, 3, 4, 5]),
        ({"all": "1", "view": "batch"}, [1, 2, 3, 4, 5, 6, 7]),
        ({"all": "1", "view": "newest", "item": "2-6"}, [1, 7]),
        ({"all": "1", "view": "starred"}, []),
    ],
)
def test_selection_is_numbers_or_all_but_numbers(web, owner, mission, data, expected):
    other = make_mission(owner, 1)
    run(other, ["text"])
    answer = web.post(f"/missions/{mission.pk}/star", data | {"starred": "1"}, headers={"Accept": "application/json"})
    assert starred(mission) == expected
    assert starred(other) == []
    assert answer.json()["count"] == len(expected)


def test_all_starred_results_are_selected_by_their_view(web, mission):
    services.star_results(mission_id=mission.pk, indexes=[2, 4, 6], is_starred=True)
    response = web.post(f"/missions/{mission.pk}/selection.zip", {"all": "1", "view": "starred", "item": "4"})
    names = zipfile.ZipFile(io.BytesIO(response.getvalue())).namelist()
    assert len(names) == 3
    web.post(f"/missions/{mission.pk}/star", {"all": "1", "view": "starred", "starred": "0"})
    assert starred(mission) == []


def test_selection_without_meaning_is_refused(web, mission):
    for item, text in {"": "Select results first.", "1-99999": "Select at most 10,000 results"}.items():
        response = web.post(f"/missions/{mission.pk}/star", {"item": item, "starred": "1"})
        assert text in str(list(get_messages(response.wsgi_request))[-1])
        script = web.post(f"/missions/{mission.pk}/star", {"item": item}, headers={"Accept": "application/json"})
        assert (script.status_code, text in script.json()["message"]) == (422, True)
    assert starred(mission) == []


def test_thousands_are_selected_at_once(web, owner):
    mission = make_half_done(owner, 4000, results=2000)
    ranges = number_ranges(range(1, 2001, 2))
    for data, count in [({"item": ranges}, 1000), ({"all": "1", "view": "newest"}, 1000)]:
        answer = web.post(f"/missions/{mission.pk}/star", data, headers={"Accept": "application/json"})
        assert answer.json()["count"] == count


def test_selected_results_are_tagged(web, mission):
    def tag(**data):
        answer = web.post(f"/missions/{mission.pk}/tags", data, headers={"Accept": "application/json"})
        tagged = mission.items.filter(tags__name="approved").order_by("index")
        return answer.json()["message"], list(tagged.values_list("index", flat=True))

    assert tag(item="2-4", tags="Approved", tagged="1") == ("3 results tagged.", [])
    assert tag(item="2-4", tags="approved", tagged="0") == ("Tag removed from 3 results.", [])
    assert tag(item="1,3", tags="approved; draft", tagged="1") == ("2 results tagged.", [1, 3])
    assert tag(all="1", item="7", view="batch", tags="approved", tagged="1") == (
        "4 results tagged.",
        [1, 2, 3, 4, 5, 6],
    )
    assert tag(item="1-2", tags="draft", tagged="0") == ("Tag removed from 1 result.", [1, 2, 3, 4, 5, 6])
    for data, message in (
        ({"item": "1", "tags": "", "tagged": "1"}, "Enter a tag first."),
        ({"tags": "approved", "tagged": "1"}, "Select results first."),
        ({"item": "1", "tags": "y" * 41, "tagged": "1"}, f"“{'y' * 40}” has 41 characters. A tag has 1 to 40."),
    ):
        answer = web.post(f"/missions/{mission.pk}/tags", data, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["message"]) == (422, message)


@pytest.fixture
def foxes(owner) -> Mission:
    """Make an ended mission with the results 1 to 8, of which the even ones are of foxes."""
    mission = make_mission(
        owner, [f"{'a fox' if number % 2 == 0 else '一只橘猫'} & {number}" for number in range(1, 9)]
    )
    run(mission, *[["text"]] * 8)
    index_everything()
    return mission


def links(response, text):
    return [
        link.replace("&amp;", "&") for link in re.findall(rf'href="(\?[^"]*{text}[^"]*)"', response.content.decode())
    ]


def test_search_stays_in_every_address_of_the_gallery(web, foxes):
    url = f"/missions/{foxes.pk}"
    response = web.get(f"{url}?view=batch&search=FOX+%26")
    assert numbers(response) == [2, 4, 6]
    page = response.content.decode()
    assert "4 results found" in page
    assert 'value="FOX &amp;"' in page
    (more,) = links(response, "after")
    assert numbers(web.get(url + more)) == [8]
    assert {link for link in links(response, "") if "search=FOX+%26" not in link} == {"?view=batch"}, "leads out of it"
    pages, feed, all_numbers = (
        re.search(rf'data-{name}="([^"]+)"', page)[1].replace("&amp;", "&") for name in ("pages", "feed", "numbers")
    )
    assert numbers(web.get(f"{pages}&skip=2")) == [6, 8]
    assert numbers(web.get(f"{pages}&at=5")) == [6, 8]
    assert numbers(web.get(feed)) == [8, 6, 4]
    assert web.get(f"{all_numbers}&from=2&to=8").json() == {"item": "2,4,6,8"}
    assert numbers(web.get(f"{url}?view=newest&search=橘猫")) == [7, 5, 3]


def test_all_that_a_search_finds_are_selected(web, foxes):
    def post(path, **data):
        return web.post(f"/missions/{foxes.pk}/{path}", data, headers={"Accept": "application/json"})

    found = {"all": "1", "view": "batch", "search": "fox"}
    assert post("star", starred="1", item="4", **found).json()["count"] == 3
    assert starred(foxes) == [2, 6, 8]
    archive = zipfile.ZipFile(io.BytesIO(post("selection.zip", **found | {"view": "starred"}).getvalue()))
    assert len([name for name in archive.namelist() if name.endswith(".txt")]) == 3
    assert "4 results" in post("again", **found).content.decode()
    assert post("star", starred="0", **found | {"search": "zebra"}).json()["count"] == 0
    assert post("star", starred="0", **found | {"search": "x" * 201}).status_code == 422
    assert starred(foxes) == [2, 6, 8]


def test_search_without_results_says_what_to_do(web, owner, foxes):
    url = f"/missions/{foxes.pk}"
    for query, expected in {
        "view=batch&search=zebra": ["Try other or fewer words", 'href="/results?search=zebra"', 'href="?view=batch"'],
        "view=starred&search=fox": ["Search without stars, too", 'href="?view=batch&amp;search=fox"'],
    }.items():
        page = web.get(f"{url}?{query}").content.decode()
        for text in ("No results match", 'type="search"', *expected):
            assert text in page, (query, text)
    running = make_mission(owner, 2)
    page = web.get(f"/missions/{running.pk}?search=fox").content.decode()
    assert "No results match yet" in page
    assert 'id="gallery"' in page, "new results can appear"


def test_odd_searches_show_all_results(web, foxes):
    for text in ("", "+", "x" * 201):
        assert numbers(web.get(f"/missions/{foxes.pk}?view=batch&search={text}")) == [1, 2, 3], text


def test_statements_of_a_search_do_not_grow(web, owner, foxes):
    url = f"/missions/{foxes.pk}?view=batch&search=fox"
    web.get(url)
    with CaptureQueriesContext(connection) as few:
        web.get(url)
    more = make_mission(owner, [f"a fox {number}" for number in range(30)])
    run(more, *[["text"]] * 30)
    index_everything()
    with CaptureQueriesContext(connection) as many:
        web.get(f"/missions/{more.pk}?view=batch&search=fox")
    assert len(many) <= len(few)
