"""Pages of results: order, cursors, stars."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from media.models import MediaFile
from mission_pages import gallery_queries
from missions import services
from missions.models import MissionItem, Output
from missions.search import Filters, find_results
from providers import provider_accounts
from tests.factories import accept, begin, claim, make_media, make_mission, picture, succeed
from tests.missions.search import test_index
from tests.query_plans import plans, reads_whole
from tests.result_factories import run, store

pytestmark = pytest.mark.postgresql


@pytest.fixture
def mission(owner):
    mission = make_mission(owner, 7)
    run(mission, *[[f"text {number}"] for number in range(1, 6)])
    now = timezone.now()
    for place, index in enumerate([3, 1, 5, 2, 4]):  # newest first
        mission.items.filter(index=index).update(ended_at=now - timedelta(seconds=place))
    return mission


def numbers(page):
    return [item.index for item in page.items]


def walk(mission, view, limit):
    """Return the item numbers of all pages, one list a page."""
    page = gallery_queries.results_page(mission, view=view, limit=limit)
    pages = [numbers(page)]
    while page.after:
        page = gallery_queries.results_page(mission, view=view, limit=limit, after=page.after)
        pages.append(numbers(page))
    return pages


def walk_back(mission, view, limit, page):
    """Return the item numbers of the pages before ``page``, the nearest first."""
    pages = []
    while page.before:
        page = gallery_queries.results_page(mission, view=view, limit=limit, before=page.before)
        pages.append(numbers(page))
    return pages


def test_the_newest_results_come_first_page_by_page(mission):
    assert walk(mission, gallery_queries.NEWEST, 2) == [[3, 1], [5, 2], [4]]


def test_results_come_in_the_order_of_the_batch(mission):
    assert walk(mission, gallery_queries.BATCH_ORDER, 3) == [[1, 2, 3], [4, 5]]


def test_results_of_one_moment_are_each_listed_once(mission):
    mission.items.filter(index__lte=5).update(ended_at=timezone.now())
    assert sorted(index for page in walk(mission, gallery_queries.NEWEST, 2) for index in page) == [1, 2, 3, 4, 5]


def test_starred_view_shows_only_starred_results(mission):
    assert services.star_results(mission_id=mission.pk, indexes=[2, 5, 6], is_starred=True) == 2
    assert walk(mission, gallery_queries.STARRED, 1) == [[2], [5]]
    services.star_results(mission_id=mission.pk, indexes=[2], is_starred=False)
    assert walk(mission, gallery_queries.STARRED, 1) == [[5]]


def test_a_star_of_another_mission_is_not_touched(mission, owner):
    other = make_mission(owner, 1)
    run(other, ["text"])
    services.star_results(mission_id=other.pk, indexes=[1], is_starred=True)
    assert walk(mission, gallery_queries.STARRED, 5) == [[]]


@pytest.mark.parametrize("cursor", ["x", "9" * 30, "-1", "12-", "9" * 18 + "-1", "٣"])
@pytest.mark.parametrize("view", gallery_queries.VIEWS)
def test_invalid_cursor_is_no_error(mission, view, cursor):
    for place in ({"after": cursor}, {"before": cursor}):
        gallery_queries.results_page(mission, view=view, limit=2, **place)
    gallery_queries.numbers_between(mission, view=view, first=cursor, last=cursor)


@pytest.mark.parametrize(
    "view, order", [(gallery_queries.NEWEST, [3, 1, 5, 2, 4]), (gallery_queries.BATCH_ORDER, [1, 2, 3, 4, 5])]
)
def test_a_jump_leads_on_in_both_directions(mission, view, order):
    for number in order:
        rank = order.index(number)
        page = gallery_queries.results_from(mission, view=view, limit=2, number=number)
        assert (numbers(page), page.rank) == (order[rank : rank + 2], rank)
        assert [index for part in walk_back(mission, view, 2, page)[::-1] for index in part] == order[:rank]
        assert gallery_queries.results_at(mission, view=view, limit=2, rank=rank) == page
    assert numbers(gallery_queries.results_at(mission, view=view, limit=2, rank=99)) == order[-2:]
    first, last = (gallery_queries.place_of(mission.items.get(index=order[place]), view) for place in (1, 3))
    assert gallery_queries.numbers_between(mission, view=view, first=first, last=last) == order[1:4]


def test_a_jump_to_a_missing_number_finds_the_nearest(mission):
    mission.items.filter(index__in=[3, 5]).update(status="failed")
    for number, found in [(3, 4), (5, 4), (7, 4), (1, 1)]:
        for view in (gallery_queries.NEWEST, gallery_queries.BATCH_ORDER):
            assert gallery_queries.results_from(mission, view=view, limit=1, number=number).items[0].index == found
    assert gallery_queries.results_from(mission, view=gallery_queries.STARRED, limit=1, number=1).items == []


def test_a_result_is_shown_when_its_file_is_there(owner):
    mission = make_mission(owner, 3)
    run(mission, ["text"])
    attempts = claim(mission, provider_accounts.environment_account(), limit=2)
    for attempt, urls in zip(attempts, [["https://a.example/1.png"], ["https://a.example/1.png"] * 2], strict=True):
        assert begin(attempt)
        assert accept(attempt)
        assert succeed(attempt, urls=urls)
    for view in (gallery_queries.NEWEST, gallery_queries.BATCH_ORDER):
        assert walk(mission, view, 5) == [[1]]
    assert gallery_queries.numbers_being_fetched(mission) == [2, 3]
    store(Output.objects.filter(item__index=3).earliest("index"), b"picture")
    assert walk(mission, gallery_queries.BATCH_ORDER, 5) == [[1, 3]]
    assert numbers(gallery_queries.results_numbered(mission, numbers=[2, 3])) == [3]


def test_stars_of_many_results_are_counted(mission):
    everything = gallery_queries.results(mission, gallery_queries.BATCH_ORDER).values_list("index", flat=True)
    assert services.star_results(mission_id=mission.pk, indexes=everything, is_starred=True) == 5
    mission.refresh_from_db()
    assert [gallery_queries.count(mission, view) for view in gallery_queries.VIEWS] == [5, 5, 5]


def test_latest_completions_take_one_statement(mission, owner, django_assert_num_queries):
    other = make_mission(owner, 1)
    run(other, ["text"])
    with django_assert_num_queries(1):
        recent = gallery_queries.recent_completions([mission.pk, other.pk], limit=3)
    indexes = dict(MissionItem.objects.values_list("pk", "index"))
    assert [indexes[completion.item_id] for completion in recent[mission.pk]] == [3, 1, 5]
    assert len(recent[other.pk]) == 1


def test_no_mission_takes_no_statement(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert gallery_queries.recent_completions([], limit=3) == {}


def test_the_chosen_version_stands_in_the_place_of_its_row(owner):
    mission = make_mission(owner, 3)
    run(mission, ["1"], ["2"], ["3"])
    services.make_again(mission_id=mission.pk, indexes=[1, 2], actor="test")
    run(mission, ["1 again"], ["2 again"])
    mission.refresh_from_db()

    assert walk(mission, gallery_queries.BATCH_ORDER, 2) == [[4, 5], [3]]
    assert sorted(walk(mission, gallery_queries.NEWEST, 5)[0]) == [3, 4, 5]
    assert gallery_queries.count(mission, gallery_queries.BATCH_ORDER) == 3
    for view in (gallery_queries.NEWEST, gallery_queries.BATCH_ORDER):
        for number in (2, 5):
            assert gallery_queries.results_from(mission, view=view, limit=1, number=number).items[0].index == 5
    assert gallery_queries.numbers_between(mission, view=gallery_queries.BATCH_ORDER, first="2", last="3") == [5, 3]
    services.star_results(mission_id=mission.pk, indexes=[3, 5], is_starred=True)
    assert walk(mission, gallery_queries.STARRED, 1) == [[5], [3]]

    services.choose_version(item=mission.items.get(index=2))

    assert walk(mission, gallery_queries.BATCH_ORDER, 5) == [[4, 2, 3]]
    assert walk(mission, gallery_queries.STARRED, 5) == [[3]]


def found(mission, view, text, limit=2):
    """Return the numbers of all results that a search in the gallery finds, in its order."""
    words = gallery_queries.words_in(mission, text)
    page = gallery_queries.results_page(mission, view=view, limit=limit, words=words)
    pages = [page]
    while page.after:
        page = gallery_queries.results_page(mission, view=view, limit=limit, after=page.after, words=words)
        pages.append(page)
    back = [pages[-1]]
    while back[-1].before:
        before = back[-1].before
        back.append(gallery_queries.results_page(mission, view=view, limit=limit, before=before, words=words))
    assert [numbers(page) for page in pages] == [numbers(page) for page in back[::-1]]
    shown = [index for page in pages for index in numbers(page)]
    assert gallery_queries.count(mission, view, words) == len(shown)
    for number in shown:
        jump = gallery_queries.results_from(mission, view=view, limit=9, number=number, words=words)
        assert (numbers(jump), jump.rank) == (shown[shown.index(number) :], shown.index(number))
        assert (
            gallery_queries.results_at(mission, view=view, limit=1, rank=jump.rank, words=words).items == jump.items[:1]
        )
    if shown:
        ends = [gallery_queries.place_of(mission.items.get(index=shown[place]), view) for place in (0, -1)]
        between = gallery_queries.numbers_between(mission, view=view, first=ends[0], last=ends[1], words=words)
        assert between == shown
    return shown


@pytest.fixture(params=[0, 2], ids=["item by item", "sorted"])
def zoo(owner, request, monkeypatch):
    """Make a mission with words of several alphabets, beside another one that has some of them."""
    monkeypatch.setattr(gallery_queries, "COMMON", request.param)
    photos = [make_media(owner, name=name, content=picture(colour=name)) for name in ("red", "blue")]
    photos[0].name, photos[1].name = "IMG_2041 Büro.png", "IMG_2042.png"
    MediaFile.objects.bulk_update(photos, ["name"])
    rows: list[dict[str, Any]] = [
        {"prompt": "A red FOX", "custom_id": "SKU-77"},
        {"prompt": "a grey wolf", "custom_id": "SKU-78"},
        {"prompt": "窗台上的橘猫"},
        {"prompt": "foxes at dusk", "imageUrls": [photos[1].reference]},
        {"prompt": "Лиса в снегу"},
        {"prompt": "a fox that waits"},
    ]
    mission = make_mission(
        owner, [{"imageUrls": [photos[0].reference]} | row for row in rows], task_type="image_to_image"
    )
    other = make_mission(owner, ["a red fox", "a grey wolf"])
    for each, done in ((mission, 5), (other, 2)):
        run(each, *[["text"]] * done)
    services.tag_items(item_ids=[mission.items.get(index=2).pk], add=["客户甲 approved"])
    test_index.index()
    mission.refresh_from_db()
    return mission


def test_words_find_results_of_one_mission(zoo):
    for text, expected in [
        ("fox", [1, 4]),
        ("RED fox", [1]),
        ("橘猫", [3]),
        ("ЛИСА", [5]),
        ("sku", [1, 2]),
        ("sku-78", [2]),
        ("2041 buro", [1, 2, 3, 5]),
        ("客户甲", [2]),
        ("Approved wolf", [2]),
        ("fox wolf", []),
        ("zebra", []),
        ("!?", []),
        ("   ", [1, 2, 3, 4, 5]),
    ]:
        assert found(zoo, gallery_queries.BATCH_ORDER, text) == expected, text
        assert sorted(found(zoo, gallery_queries.NEWEST, text)) == expected, text


def test_words_are_found_among_the_starred(zoo):
    services.star_results(mission_id=zoo.pk, indexes=[2, 4], is_starred=True)
    for text, expected in (("fox", [4]), ("sku", [2]), ("img", [2, 4]), ("red", [])):
        assert found(zoo, gallery_queries.STARRED, text) == expected, text


def test_words_are_those_of_the_chosen_version(zoo):
    services.make_again(mission_id=zoo.pk, indexes=[1], actor="test", params={"prompt": "an otter"})
    run(zoo, ["a fox that waits"], ["an otter"])
    test_index.index()
    zoo.refresh_from_db()
    for view in (gallery_queries.NEWEST, gallery_queries.BATCH_ORDER):
        assert found(zoo, view, "otter") == [7], view
        assert sorted(found(zoo, view, "fox")) == [4, 6], view
    assert found(zoo, gallery_queries.BATCH_ORDER, "img") == [7, 2, 3, 4, 5, 6]


def test_searches_read_no_table_as_a_whole(zoo):
    with plans() as lines:
        for view in gallery_queries.VIEWS:
            found(zoo, view, "fox")
        page = find_results(zoo.owner, Filters(text="fox", mission=zoo.pk), limit=5)
    assert len(page.items) == 2
    whole = reads_whole(lines, "missions_missionitem", "missions_resultentry", "missions_output")
    assert [line for line in whole if "VIRTUAL TABLE INDEX 0:M" not in line] == []
    assert any("resultentry_words_index" in line for line in lines)
