"""The index of the search: filled in the background, whatever program wrote the rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from missions import search, services
from missions.models import Attempt, Mission, MissionItem, PromptEntry, ResultEntry, SearchState
from missions.models.mission import ALL_PARTS
from missions.search import Filters, find_results
from tests.factories import bring_to, claim, commit, make_media, make_mission
from tests.result_factories import run, succeed_with

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def index() -> None:
    while search.catch_up(seconds=60):
        pass
    assert not search.is_behind()


def found(user, text: str = "", **filters) -> list[str]:
    """Return the prompts of the results, newest first."""
    page = find_results(user, Filters(text=text, **filters), limit=100)
    return [(item.mission.params | item.params)["prompt"] for item in page.items]


def missions_with(text: str) -> set[str]:
    return {mission.name for mission in Mission.objects.filter(search.missions_with_words(text))}


def test_completed_items_are_found_newest_first(owner):
    mission = make_mission(owner, ["a red fox", "two red cars", "橘猫坐在窗台上", "a red pending thing"])
    assert search.is_behind()
    run(mission, ["one"], ["two"], ["three"])
    index()
    assert found(owner, "red") == ["two red cars", "a red fox"]
    assert found(owner, "橘猫") == ["橘猫坐在窗台上"]
    assert found(owner, "RE ca") == ["two red cars"]
    assert found(owner, "ed") == found(owner, "red blue") == []
    assert len(found(owner)) == 3
    assert missions_with("pending") == {"Teapots"}


def test_item_that_is_completed_again_comes_first(owner, account):
    mission = make_mission(owner, ["first", "second"])
    run(mission, ["a"], ["b"])
    index()
    assert found(owner) == ["second", "first"]
    item = mission.items.get(index=1)
    later = timezone.now() + timedelta(seconds=1)
    Attempt.objects.create(item=item, number=2, account=account, model="m", status="succeeded", ended_at=later)
    item.params = {"prompt": "first, once more"}
    item.ended_at = later
    item.save()
    index()
    assert found(owner) == ["first, once more", "second"]
    assert found(owner, "more") == ["first, once more"]
    assert ResultEntry.objects.count() == 2


def test_item_with_two_attempts_does_not_end_the_catching_up(owner, account, monkeypatch):
    monkeypatch.setattr("missions.search.indexing.PART", 2)
    mission = make_mission(owner, ["first", "second"])
    run(mission, ["a"], ["b"])
    first, second = mission.items.order_by("index")
    at = timezone.now() - timedelta(minutes=10)
    Attempt.objects.filter(item=first).update(ended_at=at)
    again = at + timedelta(seconds=1)
    Attempt.objects.create(item=first, number=2, account=account, model="m", status="succeeded", ended_at=again)
    Attempt.objects.filter(item=second).update(ended_at=at + timedelta(seconds=2))
    mission.items.update(ended_at=at + timedelta(seconds=2))
    index()
    assert found(owner) == ["second", "first"]


def test_completion_that_is_recorded_late_is_found(owner):
    mission = make_mission(owner, ["early", "late"])
    index()
    run(mission, ["a"], ["b"])
    late = mission.items.get(index=2)
    Attempt.objects.filter(item=late).update(status="running", ended_at=None)
    index()
    assert found(owner) == ["early"]
    just_before = SearchState.objects.get().indexed_to - timedelta(seconds=5)
    Attempt.objects.filter(item=late).update(status="succeeded", ended_at=just_before)
    assert search.is_behind()
    index()
    assert found(owner) == ["late", "early"]


def test_history_is_filled_in_part_by_part(owner, monkeypatch):
    monkeypatch.setattr("missions.search.indexing.PART", 2)
    missions = [make_mission(owner, [f"{name} {number}" for number in range(5)], name=name) for name in ("old", "new")]
    for mission in missions:
        run(mission, *[["text"]] * 5)
    long_ago = timezone.now() - timedelta(days=3)
    for age, item in enumerate(MissionItem.objects.order_by("-pk")):
        ended_at = long_ago - timedelta(minutes=age)
        MissionItem.objects.filter(pk=item.pk).update(ended_at=ended_at)
        Attempt.objects.filter(item=item).update(ended_at=ended_at)
    run(make_mission(owner, ["the newest"]), ["text"])
    index()
    assert found(owner) == [
        "the newest",
        *(f"{name} {number}" for name in ("new", "old") for number in range(4, -1, -1)),
    ]
    assert missions_with("old") == {"old"}
    assert missions_with("4") == {"old", "new"}


def test_rows_of_older_programs_are_indexed(owner):
    mission = make_mission(owner, ["a heron"])
    columns = [
        field.column for field in Mission._meta.concrete_fields if not field.name.startswith(("id", "unindexed"))
    ]
    names = ", ".join(map(connection.ops.quote_name, columns))
    with connection.cursor() as cursor:  # an INSERT that does not know the new column
        cursor.execute(f"INSERT INTO missions_mission ({names}) SELECT {names} FROM missions_mission")  # noqa: S608
    copy = Mission.objects.latest("pk")
    MissionItem.objects.filter(mission=mission).update(mission=copy)
    assert (copy.unindexed_first, copy.unindexed_last) == (0, ALL_PARTS)
    run(copy, ["text"])
    index()
    assert found(owner, "heron") == ["a heron"]
    assert Mission.objects.filter(search.missions_with_words("heron")).get() == copy


def test_names_and_ids_and_files_are_found(owner, account):
    photo = make_media(owner, name="IMG_2034 front.png")
    rows = [{"prompt": "青花瓷", "imageUrls": [photo.reference], "custom_id": "SKU-77/a"}]
    mission = make_mission(owner, rows, task_type="image_to_image", name="Porcelain", description="for the shop")
    for attempt_id in claim(mission, account):
        bring_to("running", attempt_id)
        succeed_with(attempt_id, ["done"])
    index()
    for words in ("img_2034", "front", "sku-77", "花瓷"):
        assert found(owner, words) == ["青花瓷"], words
        assert missions_with(words) == {"Porcelain"}, words
    assert found(owner, custom_id="SKU-77/a") == ["青花瓷"]
    assert found(owner, custom_id="SKU-77") == []
    assert missions_with("shop porc") == {"Porcelain"}


def test_changed_words_replace_the_former(owner, account):
    mission = make_mission(owner, ["a heron", "an owl"], name="Birds")
    index()
    services.change_mission(mission_id=mission.pk, name="Fowl")
    for attempt_id in claim(mission, account):
        bring_to("failed", attempt_id)
    item = mission.items.get(index=1)
    services.retry_item(item=item, actor="test", params={"prompt": "a stork"})
    index()
    assert missions_with("birds") == missions_with("heron") == set()
    assert missions_with("fowl") == missions_with("stork") == missions_with("owl") == {"Fowl"}


def test_change_during_indexing_is_not_lost(owner):
    mission = make_mission(owner, ["a heron"])
    index()
    search.mark_changed(mission.pk)
    before = Mission.objects.get(pk=mission.pk).unindexed_last
    search.mark_changed(mission.pk)  # while a worker indexes it: another number
    assert Mission.objects.get(pk=mission.pk).unindexed_last != before
    index()


def test_stars_are_found_at_once(owner):
    mission = make_mission(owner, ["one", "two", "three"])
    run(mission, ["a"], ["b"], ["c"])
    services.star_results(mission_id=mission.pk, indexes=[1], is_starred=True)
    commit()
    index()
    services.star_results(mission_id=mission.pk, indexes=[3], is_starred=True)
    commit()
    assert found(owner, is_starred=True) == ["three", "one"]
    services.star_results(mission_id=mission.pk, indexes=[1], is_starred=False)
    commit()
    assert found(owner, is_starred=True) == ["three"]


def test_deletion_removes_entries(owner):
    mission = make_mission(owner, ["a heron"])
    run(mission, ["text"])
    index()
    services.delete_mission(mission_id=mission.pk, actor="test")
    assert found(owner, "heron") == []
    assert not ResultEntry.objects.exists()
    assert not PromptEntry.objects.exists()


def test_one_worker_at_a_time_writes(owner):
    make_mission(owner, ["a heron"])
    now = timezone.now()
    times = dict.fromkeys(("started_at", "indexed_to", "checked_at"), now)
    SearchState.objects.create(pk=1, leased_until=now + timedelta(seconds=50), **times)
    assert not search.catch_up(seconds=60)
    assert missions_with("heron") == set()
    SearchState.objects.update(leased_until=now + timedelta(hours=1))  # the clock was set back
    index()
    assert missions_with("heron") == {"Teapots"}


def test_reindex_repairs_the_index(owner, capsys):
    mission = make_mission(owner, ["a heron", "an owl", "a stork"])
    index()
    SearchState.objects.update(started_at=timezone.now() - timedelta(days=9))
    run(mission, ["a"], ["b"], ["c"])
    index()
    orphan = ResultEntry.objects.get(item__index=1)
    ResultEntry.objects.filter(pk=orphan.pk).update(item=999_999)  # an older program has deleted the item
    long_ago = timezone.now() - timedelta(days=3)
    MissionItem.objects.update(ended_at=long_ago)
    Attempt.objects.update(ended_at=long_ago)
    ResultEntry.objects.filter(item__index=2).update(words=["wrong"])
    assert found(owner, "owl") == found(owner, "heron") == []
    call_command("reindex_search")
    assert "1 entries of deleted rows removed. Workers index 1 missions again." in capsys.readouterr().out
    index()
    assert found(owner) == ["a heron", "a stork", "an owl"]
    assert found(owner, "owl") == ["an owl"]
    assert found(owner, "wrong") == []
