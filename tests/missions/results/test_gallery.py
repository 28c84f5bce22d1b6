"""Pages of results: order, cursors, stars."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from missions import services
from missions.models import MissionItem
from missions.results import gallery
from tests.factories import make_mission
from tests.result_factories import run

pytestmark = pytest.mark.postgresql


@pytest.fixture
def mission(owner):
    mission = make_mission(owner, 7)
    run(mission, *[[f"text {number}"] for number in range(1, 6)])
    now = timezone.now()
    for place, index in enumerate([3, 1, 5, 2, 4]):  # newest first
        mission.items.filter(index=index).update(ended_at=now - timedelta(seconds=place))
    return mission


def walk(mission, view, limit):
    """Return the item indexes of all pages, one list a page."""
    pages, cursor = [], ""
    while True:
        page = gallery.results_page(mission, view=view, cursor=cursor, limit=limit)
        pages.append([item.index for item in page.items])
        cursor = page.next_cursor
        if not cursor:
            return pages


def test_the_newest_results_come_first_page_by_page(mission):
    assert walk(mission, gallery.NEWEST, 2) == [[3, 1], [5, 2], [4]]


def test_results_come_in_the_order_of_the_batch(mission):
    assert walk(mission, gallery.BATCH_ORDER, 3) == [[1, 2, 3], [4, 5]]


def test_results_of_one_moment_are_each_listed_once(mission):
    mission.items.filter(index__lte=5).update(ended_at=timezone.now())
    assert sorted(index for page in walk(mission, gallery.NEWEST, 2) for index in page) == [1, 2, 3, 4, 5]


def test_starred_view_shows_only_starred_results(mission):
    assert services.star_results(mission_id=mission.pk, indexes=[2, 5, 6], is_starred=True) == 2
    assert walk(mission, gallery.STARRED, 1) == [[2], [5]]
    services.star_results(mission_id=mission.pk, indexes=[2], is_starred=False)
    assert walk(mission, gallery.STARRED, 1) == [[5]]


def test_a_star_of_another_mission_is_not_touched(mission, owner):
    other = make_mission(owner, 1)
    run(other, ["text"])
    services.star_results(mission_id=other.pk, indexes=[1], is_starred=True)
    assert walk(mission, gallery.STARRED, 5) == [[]]


@pytest.mark.parametrize("cursor", ["x", "9" * 30, "-1", "12-", "9" * 18 + "-1", "٣"])
@pytest.mark.parametrize("view", gallery.VIEWS)
def test_invalid_cursor_is_no_error(mission, view, cursor):
    gallery.results_page(mission, view=view, cursor=cursor, limit=2)


def test_latest_completions_take_one_statement(mission, owner, django_assert_num_queries):
    other = make_mission(owner, 1)
    run(other, ["text"])
    with django_assert_num_queries(1):
        recent = gallery.recent_completions([mission.pk, other.pk], limit=3)
    indexes = dict(MissionItem.objects.values_list("pk", "index"))
    assert [indexes[completion.item_id] for completion in recent[mission.pk]] == [3, 1, 5]
    assert len(recent[other.pk]) == 1


def test_no_mission_takes_no_statement(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert gallery.recent_completions([], limit=3) == {}
