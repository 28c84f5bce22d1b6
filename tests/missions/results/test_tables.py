"""Results row by row: in order, one per item or per result, and in constant memory."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from missions.api.results import item_row
from missions.models import Mission
from missions.results import tables
from providers import provider_accounts
from tests import result_factories
from tests.factories import claim, make_mission, picture, refuse

RED, BLUE = picture(colour="red"), picture(colour="blue")


def as_objects(mission: Mission) -> list[dict[str, Any]]:
    text = b"".join(tables.as_json_lines(mission, item_row)).decode()
    return [json.loads(line) for line in text.splitlines()]


def as_rows(mission: Mission) -> list[dict[str, str]]:
    text = b"".join(tables.as_csv(mission, item_row)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def url(mission: Mission, index: int, number: int) -> str:
    return f"/api/v1/missions/{mission.pk}/items/{index}/outputs/{number}"


@pytest.fixture
def mission(owner: User) -> Mission:
    rows = ["a red fox", {"prompt": "=1+1", "custom_id": "B-2"}, "an owl"]
    mission = make_mission(owner, rows, params={"aspectRatio": "1:1"})
    result_factories.run(mission, [RED, BLUE], ["a text"])
    return mission


def test_a_line_tells_all_about_an_item_and_its_results(mission: Mission) -> None:
    first, second, third = as_objects(mission)
    assert [line["index"] for line in (first, second, third)] == [1, 2, 3]
    assert first["config"] == {"prompt": "a red fox", "aspectRatio": "1:1"}
    assert [(output["number"], output["file_url"]) for output in first["outputs"]] == [
        (1, url(mission, 1, 1)),
        (2, url(mission, 1, 2)),
    ]
    assert first["outputs"][0]["sha256"] == hashlib.sha256(RED).hexdigest()
    assert second["custom_id"] == "B-2"
    assert second["outputs"][0]["text"] == "a text"
    assert (third["status"], third["outputs"]) == ("pending", [])


def test_a_result_that_is_not_stored_has_no_address(owner: User, mission: Mission) -> None:
    mission.items.get(index=1).outputs.update(status="pending")
    assert [output["file_url"] for output in as_objects(mission)[0]["outputs"]] == [None, None]


def test_table_has_rows_for_results_and_empty_items(mission: Mission) -> None:
    rows = as_rows(mission)
    assert [(row["index"], row["number"], row["file_url"]) for row in rows] == [
        ("1", "1", url(mission, 1, 1)),
        ("1", "2", url(mission, 1, 2)),
        ("2", "1", url(mission, 2, 1)),
        ("3", "", ""),
    ]


def test_cost_of_an_item_is_in_one_row(mission: Mission) -> None:
    mission.items.update(cost="0.25")
    assert [bool(row["cost"]) for row in as_rows(mission)] == [True, False, True, True]


def test_cells_are_never_formulas(owner: User) -> None:
    mission = make_mission(owner, [{"prompt": "fine", "custom_id": "=1+1"}])
    attempt = claim(mission, provider_accounts.environment_account())[0]
    refuse(attempt, again=False)
    mission.items.update(error_message="@SUM(A1)")
    row = as_rows(mission)[0]
    assert (row["custom_id"], row["error_message"]) == ("'=1+1", "'@SUM(A1)")


@pytest.mark.prove
def test_memory_does_not_grow_with_the_mission(owner: User) -> None:
    def peak(write: Callable[..., Iterator[bytes]], mission: Mission) -> int:
        tracemalloc.start()
        try:
            assert sum(piece.count(b"\n") for piece in write(mission, item_row)) >= mission.total_count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = (result_factories.make_large(owner, items) for items in (1000, 2000))  # both longer than a page
    for write in (tables.as_json_lines, tables.as_csv):
        peak(write, few)
        assert peak(write, many) < 1.2 * peak(write, few), write
