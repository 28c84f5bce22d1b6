"""Tags of results: given, removed, found and limited."""

from __future__ import annotations

import pytest

from core import tags
from core.errors import Invalid
from missions import search, selectors, services
from missions.models import ItemTag
from missions.search import Filters, find_results
from tests.factories import commit, make_mission
from tests.result_factories import run

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


@pytest.fixture
def mission(owner):
    """Return a mission with three indexed results and an item that waits."""
    mission = make_mission(owner, ["a red fox", "a grey owl", "一只橘猫", "not made yet"])
    run(mission, ["one"], ["two"], ["three"])
    search.catch_up(seconds=60)
    return mission


def change(mission, *indexes, add=(), remove=()) -> int:
    ids = list(mission.items.filter(index__in=indexes).values_list("pk", flat=True))
    changed = services.tag_items(item_ids=ids, add=add, remove=remove)
    commit()
    return changed


def tags_of(mission) -> list[list[str]]:
    return [[tag.name for tag in item.tags.all()] for item in mission.items.order_by("index")]


def found(user, text="", **filters) -> list[int]:
    return [item.index for item in find_results(user, Filters(text=text, **filters), limit=100).items]


def test_tags_are_given_and_removed(mission, owner):
    assert change(mission, 1, 2, add=["hero shot", "客户甲"]) == 2
    assert change(mission, 2, 3, 4, add=["客户甲"]) == 2
    assert tags_of(mission) == [["hero shot", "客户甲"], ["hero shot", "客户甲"], ["客户甲"], ["客户甲"]]
    assert change(mission, 1, 3, 4, remove=["hero shot"]) == 1
    assert change(mission, 1, 3, add=["new"], remove=["客户甲", "never given"]) == 2
    assert tags_of(mission) == [["new"], ["hero shot", "客户甲"], ["new"], ["客户甲"]]
    assert selectors.known_tags(owner.pk) == selectors.known_tags() == ["hero shot", "new", "客户甲"]


def test_results_are_found_by_their_tags(mission, owner, stranger):
    change(mission, 1, 3, add=["Spring sale", "客户甲"])
    for filters, expected in (
        ({"tag": "spring SALE"}, [3, 1]),
        ({"tag": "客户甲", "text": "fox"}, [1]),
        ({"tag": "spring"}, []),
        ({"text": "spri"}, [3, 1]),
        ({"text": "客户 fox"}, [1]),
    ):
        assert found(owner, **filters) == expected, filters
    assert found(stranger, tag="客户甲") == []
    change(mission, 3, remove=["spring sale"])
    assert found(owner, tag="spring sale") == found(owner, "sale") == [1]


def test_tags_are_indexed_with_a_later_completion(mission, owner):
    change(mission, 4, add=["patience"])
    run(mission, ["four"])
    search.catch_up(seconds=60)
    assert found(owner, tag="patience") == found(owner, "patien") == [4]


def test_tag_is_written_as_before(mission, owner, stranger):
    change(mission, 1, add=["Approved"])
    assert change(mission, 1, 2, add=["  APPROVED ", "approved"]) == 1
    assert tags_of(mission)[:2] == [["Approved"], ["Approved"]]
    other = make_mission(stranger, ["a kite"])
    change(other, 1, add=["approved"])
    assert tags_of(other) == [["approved"]]
    assert selectors.known_tags(stranger.pk) == ["approved"]
    assert change(mission, 1, 2, remove=["approved"]) == 2
    assert tags_of(mission)[:2] == [[], []]


def test_impossible_tags_are_refused_with_their_place(mission):
    for given, field, words in (
        (["fine", ""], "tags.1", "1 to 40"),
        (["x" * 41], "tags.0", "has 41 characters"),
        (["one, two"], "tags.0", "commas"),
        (["甲；乙"], "tags.0", "semicolons"),
        (["bell\a"], "tags.0", "control"),
        ([f"tag {number}" for number in range(21)], "tags", "at most 20"),
    ):
        with pytest.raises(Invalid) as refusal:
            change(mission, 1, add=given)
        (error,) = refusal.value.errors
        assert error.field == field, given
        assert words in error.message, given
    assert not ItemTag.objects.exists()


def test_item_has_a_limited_number_of_tags(mission):
    many = [f"tag {number}" for number in range(tags.MAX_COUNT)]
    change(mission, 1, add=many)
    assert change(mission, 1, 2, add=many[:3]) == 1
    with pytest.raises(Invalid, match="Remove some"):
        change(mission, 1, 2, 3, add=["one more"])
    assert [len(names) for names in tags_of(mission)] == [20, 3, 0, 0]
    change(mission, 1, add=["one more"], remove=["tag 0"])
    assert len(tags_of(mission)[0]) == 20


def test_person_has_a_limited_number_of_tags(mission, monkeypatch):
    monkeypatch.setattr(selectors, "MAX_TAGS", 2)
    change(mission, 1, add=["a", "b"])
    with pytest.raises(Invalid, match="There are 2 different tags"):
        change(mission, 2, add=["c"])
    change(mission, 2, add=["B"])
    change(mission, 1, 2, remove=["b"])
    change(mission, 2, add=["c"])
    assert tags_of(mission)[:2] == [["a"], ["c"]]


def test_deleted_mission_takes_its_tags_along(mission, owner):
    change(mission, 1, 4, add=["gone"])
    kept = make_mission(owner, ["a kite"])
    change(kept, 1, add=["kept"])
    services.cancel_mission(mission_id=mission.pk, actor="user:1")
    services.delete_mission(mission_id=mission.pk, actor="user:1")
    commit()
    services.purge_mission(mission.pk)
    assert list(ItemTag.objects.values_list("name", flat=True)) == ["kept"]
    assert selectors.known_tags(owner.pk) == ["kept"]
