"""Searches for results: filters, pages, and who sees what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from missions import search
from missions.models import Attempt, Mission, MissionItem, ResultEntry, SearchState
from missions.search import Filters, find_results
from tests.factories import make_mission
from tests.missions.search.test_index import found, index
from tests.result_factories import run

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def complete(owner, prompts: list[str], **more) -> Mission:
    mission = make_mission(owner, prompts, **more)
    run(mission, *[["text"] for _prompt in prompts])
    return mission


def test_people_find_what_they_may_see(owner, stranger):
    complete(owner, ["a red fox"])
    complete(stranger, ["a red car"])
    index()
    assert found(owner, "red") == found(owner) == ["a red fox"]
    viewer = type(owner).objects.create_user("viewer")
    assert found(viewer, "red") == found(viewer) == []
    viewer.user_permissions.add(Permission.objects.get(codename="view_mission"))
    viewer = type(owner).objects.get(pk=viewer.pk)
    assert found(viewer, "red") == ["a red car", "a red fox"]


def test_filters_narrow_the_results(owner):
    complete(owner, ["a fox"])
    complete(owner, ["an owl"], model="rhart-image-n-pro/text-to-image")
    index()
    assert found(owner, provider="runninghub") == ["an owl", "a fox"]
    assert found(owner, provider="openai") == []
    assert found(owner, provider="runninghub", model="rhart-image-n-pro/text-to-image") == ["an owl"]
    assert found(owner, task_type="text_to_image") == ["an owl", "a fox"]
    assert found(owner, task_type="text_to_video") == []
    assert found(owner, "fox", provider="runninghub", model="rhart-image-n-pro/text-to-image") == []
    assert found(owner, "!?") == []


def test_span_is_exact_to_the_moment(owner):
    mission = complete(owner, ["1", "2", "3", "4", "5"])
    times = [
        datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 2, 14, 12, tzinfo=UTC),
        datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 3, 1, 8, tzinfo=UTC),
    ]
    for item, at in zip(mission.items.order_by("index"), times, strict=True):
        MissionItem.objects.filter(pk=item.pk).update(ended_at=at)
        Attempt.objects.filter(item=item).update(ended_at=at)
    index()
    march, february = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert found(owner, since=february, until=march) == ["4", "3", "2"]
    assert found(owner, until=february) == ["1"]
    assert found(owner, since=march) == ["5"]
    assert found(owner, since=times[2], until=times[4]) == ["4", "3"]
    assert found(owner, since=march, until=february) == []
    assert found(owner, since=timezone.now() + timedelta(days=900)) == []


def test_pages_show_each_result_once(owner, monkeypatch):
    monkeypatch.setattr("missions.search.queries.BUCKET_BITS", 2)
    monkeypatch.setattr("missions.search.indexing.BUCKET_BITS", 2)
    prompts = [f"fox {number}" if number % 3 else f"owl {number}" for number in range(60)]
    complete(owner, prompts)
    index()
    for text in ("", "fox", "owl"):
        seen, cursor = [], ""
        while True:
            page = find_results(owner, Filters(text=text), cursor=cursor, limit=7)
            seen += [item.params["prompt"] for item in page.items]
            cursor = page.next_cursor
            if not cursor:
                break
            assert len(page.items) == 7
        assert seen == [prompt for prompt in reversed(prompts) if text in prompt]


def test_hidden_results_leave_no_gaps(owner):
    kept = complete(owner, ["fox 1"])
    gone = complete(owner, [f"fox {number}" for number in range(2, 40)])
    index()
    Mission.objects.filter(pk=gone.pk).update(delete_requested_at=timezone.now())
    page = find_results(owner, Filters(text="fox"), limit=3)
    assert [item.mission for item in page.items] == [kept]
    assert page.next_cursor == ""


def test_search_before_the_first_index_finds_nothing(owner):
    complete(owner, ["a fox"])
    assert found(owner, "fox") == found(owner) == []
    assert not SearchState.objects.exists()
    assert not ResultEntry.objects.exists()


def test_beginnings_find_the_word_itself_among_many(owner, monkeypatch):
    monkeypatch.setattr("missions.search.queries.BEGINNINGS", 3)
    monkeypatch.setattr("missions.search.queries.FREQUENT_BEGINNINGS", 2)
    monkeypatch.setattr("missions.search.queries.FREQUENT", 1)
    complete(owner, ["number 7", *(f"number {number}" for number in range(70, 90) for _time in range(2))])
    index()
    assert found(owner, "7")[-1] == "number 7"
    assert len(found(owner, "7")) < 20
    assert found(owner, "71") == ["number 71"] * 2


def test_rare_and_frequent_words_find_the_same(owner, monkeypatch):
    monkeypatch.setattr("missions.search.indexing.BUCKET_BITS", 2)
    monkeypatch.setattr("missions.search.queries.BUCKET_BITS", 2)
    complete(owner, [f"red fox {number}" if number % 4 else f"red owl {number}" for number in range(40)])
    index()
    expected = found(owner, "red owl")
    assert len(expected) == 10
    monkeypatch.setattr("missions.search.queries.SORTED", 5)
    assert found(owner, "red owl") == expected
    assert found(owner, "red owl", since=timezone.now() - timedelta(days=1)) == expected


@pytest.mark.parametrize(
    "text", ["'", '"', "fox' OR 1=1", "a:b", "o:1", "(", "*", "\0", "%", "\\", "fox\x00", "NOT fox"]
)
def test_hostile_words_are_only_words(owner, text):
    complete(owner, ["a fox"])
    index()
    assert found(owner, text) in ([], ["a fox"])
    assert list(Mission.objects.filter(search.missions_with_words(text)))[1:] == []


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30, "1.5", "²"])
def test_invalid_cursor_gives_the_first_page(owner, cursor):
    complete(owner, ["a fox"])
    index()
    assert len(find_results(owner, Filters(), cursor=cursor, limit=5).items) == 1
