"""A mission as a spreadsheet, and its corrected rows back onto the same items."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batch_input.report import ColumnMatch, InputReport
from batch_input.rows import Source, build_rows, import_table, read_batch
from batch_input.tables import Table, read_table
from missions import services
from missions.models import Attempt, Mission, MissionItem
from missions.results import sheets
from missions.services import MissionInvalid
from providers import catalog, provider_accounts
from tests import result_factories
from tests.factories import accept, begin, claim, fail, make_media, make_mission, picture


def failed_mission(owner: User, rows: list[Any], **more: Any) -> Mission:
    """Create a mission whose items have all failed."""
    mission = make_mission(owner, rows, **more)
    for attempt in claim(mission, provider_accounts.environment_account(), len(rows)):
        begin(attempt)
        accept(attempt)
        fail(attempt)
    mission.refresh_from_db()
    return mission


def as_rows(mission: Mission) -> list[dict[str, str]]:
    text = b"".join(sheets.as_csv(sheets.Sheet(mission))).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def table_of(rows: list[dict[str, str]]) -> Table:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return read_table(io.BytesIO(text.getvalue().encode("utf-8-sig")), name="rows.csv")


def params_of(mission: Mission) -> list[Mapping[str, Any]]:
    return [mission.params | own for own in mission.items.order_by("index").values_list("params", flat=True)]


def test_sheet_has_the_input_and_what_became_of_it(owner: User) -> None:
    content = "编号,提示词,比例,备注\nA1,a red fox,16:9,gift\nA2,=1+1,1:1,\n".encode()
    imported = import_table(read_table(io.BytesIO(content), name="x.csv"), catalog.default_model("text_to_image"))
    built = build_rows(read_batch(catalog.default_model("text_to_image"), Source.FILE, imported=imported), owner=owner)
    draft = services.validate_mission(
        owner=owner, name="x", task_type="text_to_image", rows=built.rows,
        headings=built.headings, origins=[origin.facts for origin in built.origins],
    )  # fmt: skip
    mission = services.create_mission(draft, input_report=imported.report.to_json())
    result_factories.run(mission, [picture(), picture()])
    first, second = as_rows(mission)
    assert list(first)[:5] == ["Item number", "编号", "提示词", "比例", "备注"]
    assert first == {
        "Item number": f"{mission.pk}#1", "编号": "A1", "提示词": "a red fox", "比例": "16:9", "备注": "gift",
        "Result status": "completed", "Reason of the failure": "", "Result file": "A1.png | A1-2.png", "Charged": "0.00",
    }  # fmt: skip
    assert (second["提示词"], second["Result status"]) == ("'=1+1", "pending")


def test_sheet_is_input_of_a_new_mission(owner: User) -> None:
    photo = make_media(owner, name="IMG_1.png")
    make_media(owner, content=b"other", name="IMG_2.png")
    rows = [
        {"imageUrls": [photo.reference], "prompt": text, "aspectRatio": "1:1"} for text in ("-5 °C", "a\n;=b", "'tis")
    ]
    mission = make_mission(owner, rows, task_type="image_to_image")
    result_factories.run(mission, [picture()])
    model = catalog.model_of(mission)
    for blocks, name in (
        (sheets.as_csv(sheets.Sheet(mission)), "sheet.csv"),
        (sheets.as_xlsx(sheets.Sheet(mission)), "sheet.xlsx"),
    ):
        imported = import_table(read_table(io.BytesIO(b"".join(blocks)), name=name), model)
        assert {match.column: match.field for match in imported.matches if match.field} == {
            "imageUrls": "imageUrls", "prompt": "prompt", "aspectRatio": "aspectRatio",
        }  # fmt: skip
        built = build_rows(read_batch(model, Source.FILE, imported=imported), owner=owner)
        assert not built.problems
        assert built.rows == params_of(mission)
        assert not any(origin.cells for origin in built.origins)


def test_a_heading_with_the_name_of_another_parameter_hides_none(owner: User) -> None:
    mission = make_mission(owner, ["a fox"], params={"aspectRatio": "1:1"})
    mission.input = InputReport(matches=(ColumnMatch("aspectRatio", "prompt", "name"),)).to_json()
    (row,) = as_rows(mission)
    assert (row["prompt"], row["aspectRatio"]) == ("a fox", "1:1")


def test_corrected_rows_change_and_retry_their_items(owner: User) -> None:
    photos = [make_media(owner, content=name.encode(), name=name) for name in ("a.png", "b.png", "c.png")]
    rows = [{"imageUrls": [photo.reference], "prompt": f"bad {photo.name}"} for photo in photos]
    mission = failed_mission(owner, rows, task_type="image_to_image", params={"aspectRatio": "1:1"})
    cells = as_rows(mission)
    cells[0]["prompt"] = "good"
    cells[0]["imageUrls"] = "c.png"
    cells[2]["aspectRatio"] = "16:9"
    found = services.read_corrections(mission, table_of(cells))
    assert not found.problems
    assert found.params == {
        1: {"prompt": "good", "imageUrls": [photos[2].reference]},
        3: {"aspectRatio": "16:9"},
    }
    assert [(heading, before) for heading, before, _after in found.changed[0].cells] == [
        ("prompt", "bad a.png"),
        ("imageUrls", "a.png"),
    ]
    assert found.unchanged == [2]
    assert found.estimate is not None
    before = params_of(mission)
    assert params_of(Mission.objects.get(pk=mission.pk)) == before  # reading stores nothing

    done = services.apply_corrections(mission_id=mission.pk, params=found.params, actor="user:1", is_retried=True)
    assert (done.count, done.estimate) == (2, found.estimate)
    assert list(mission.items.order_by("index").values_list("status", flat=True)) == ["pending", "failed", "pending"]
    assert params_of(mission)[0] == {**before[0], "prompt": "good", "imageUrls": [photos[2].reference]}
    assert Attempt.objects.count() == 3  # nothing is sent by this step


def test_what_a_sheet_cannot_change_is_named(owner: User) -> None:
    mission = failed_mission(owner, ["a", "b", "c", "d"])
    cells = as_rows(mission)
    MissionItem.objects.filter(index=2).update(status="completed", error_code="")
    cells[1]["prompt"] = "too late"
    cells[2]["prompt"] = ""
    other = {**cells[0], "Item number": f"{mission.pk + 1}#1"}
    lost = {**cells[0], "Item number": ""}
    again = {**cells[0], "prompt": "second"}
    found = services.read_corrections(mission, table_of([*cells, other, lost, again]))
    assert found.changed == []
    assert (found.unchanged, found.not_failed) == ([1, 4], [2])
    assert (found.unknown, found.repeated) == ([6, 7], [8])
    assert [error.field for error in found.problems] == ["file.4.prompt"]
    with pytest.raises(MissionInvalid, match="no column"):
        services.read_corrections(mission, table_of([{"prompt": "x"}]))


def test_ratios_that_excel_reads_as_times_are_no_change(owner: User) -> None:
    mission = failed_mission(owner, ["a"], params={"aspectRatio": "16:9"})
    (row,) = as_rows(mission)
    found = services.read_corrections(mission, table_of([row | {"aspectRatio": "16:09:00"}]))
    assert (found.changed, found.unchanged, found.problems) == ([], [1], [])


def test_saved_corrections_wait_for_a_retry(owner: User) -> None:
    mission = failed_mission(owner, ["a", "b"])
    services.apply_corrections(mission_id=mission.pk, params={1: {"prompt": "A"}}, actor="user:1", is_retried=False)
    item = mission.items.get(index=1)
    assert (item.status, item.params["prompt"], bool(item.edited_at)) == ("failed", "A", True)


def test_pages_show_changes_before_anything_happens(web: Client, owner: User) -> None:
    mission = failed_mission(owner, ["bad", "worse"])
    url = f"/missions/{mission.pk}/failures/sheet"
    assert "sheet.xlsx?status=failed" in web.get(url).content.decode()
    cells = as_rows(mission)
    cells[1]["prompt"] = "better"
    text = io.StringIO()
    writer = csv.DictWriter(text, list(cells[0]))
    writer.writeheader()
    writer.writerows(cells)
    file = io.BytesIO(text.getvalue().encode("utf-8-sig"))
    file.name = "rows.csv"
    page = web.post(url, {"action": "read", "file": file}).content.decode()
    assert "<del>worse</del>" in page
    assert "Change and retry 1 (about ¥0.05)" in page
    assert "1 row is unchanged" in page
    assert mission.items.get(index=2).params["prompt"] == "worse"

    web.post(url, {"action": "retry", "changes": '{"2": {"prompt": "better"}}'})
    assert mission.items.get(index=2).status == "pending"
    assert mission.items.get(index=2).params["prompt"] == "better"
    for broken in ("", "[1]", '{"a": {}}', '{"1": 3}', f'{{"{10**30}": {{}}}}'):
        assert web.post(url, {"action": "save", "changes": broken}).status_code == 302
    assert mission.items.get(index=1).params["prompt"] == "bad"
    assert web.post(url, {"action": "read"}).status_code == 422


def test_api_corrects_and_retries(web: Client, owner: User) -> None:
    mission = failed_mission(owner, ["bad", "worse"])
    base = f"/api/v1/missions/{mission.pk}"
    content = web.get(f"{base}/sheet.csv?status=failed").getvalue().replace(b"worse", b"better")
    assert web.get(f"{base}/sheet.xlsx").getvalue().startswith(b"PK")

    def send(query: str = "", **form: Any) -> Any:
        file = io.BytesIO(content)
        file.name = "rows.csv"
        return web.post(f"{base}/items/sheet{query}", {"file": file, **form})

    checked = send("?validate_only=true", retry=True).json()["data"]
    assert checked["changed"] == [{"line": 3, "index": 2, "config": {"prompt": "better"}}]
    assert (checked["unchanged"], checked["retry_count"], checked["estimate"]["amount"]) == ([1], 0, "0.05")
    assert mission.items.get(index=2).params["prompt"] == "worse"
    assert send(retry=True).json()["data"]["retry_count"] == 1
    assert mission.items.get(index=2).status == "pending"
    content = content.replace(b"better", b"")
    mission.items.filter(index=2).update(status="failed")
    assert send().status_code == 422
