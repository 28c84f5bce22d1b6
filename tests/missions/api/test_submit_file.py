"""A file of rows becomes a mission, and the answer says what was read of it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from missions.models import Mission
from tests.api_client import caller
from tests.factories import make_media
from tests.missions.api.client import errors_of, nothing_is_stored
from tests.xlsx_files import xlsx

ROOT = "/api/v1/missions"
MISSION = {"name": "Whales", "task_type": "text_to_image"}


def send(owner: User, content: bytes | str, name: str = "rows.csv", *, check: bool = False, **form: Any) -> Any:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    file.name = name
    mission = MISSION | form.pop("mission", {})
    headers = form.pop("headers", {})
    body = {"file": file, "mission": json.dumps(mission), **form}
    return caller(owner).post(f"{ROOT}/file{'?validate_only=true' if check else ''}", body, headers=headers)


def test_file_becomes_a_traced_mission(owner: User) -> None:
    content = "编号,提示词,比例,备注\r\n甲,一头鲸鱼在黄昏,16:9,x\r\n乙,一只猫头鹰在夜里,,y\r\n".encode("gb18030")

    answer = send(owner, content, "表.csv")

    data = answer.json()["data"]
    assert answer.status_code == 202, data
    mission = Mission.objects.get()
    assert answer["Location"] == f"{ROOT}/{mission.pk}"
    assert [item.custom_id for item in mission.items.order_by("index")] == ["甲", "乙"]
    assert data["input"]["name"] == "表.csv"
    assert data["input"]["unused_columns"] == ["备注"]
    assert {column["column"]: (column["field"], column["is_guess"]) for column in data["input"]["columns"]} == {
        "编号": ("custom_id", True),
        "提示词": ("prompt", False),
        "比例": ("aspectRatio", True),
    }
    assert {warning["code"] for warning in data["warnings"]} >= {"input_columns_guessed", "input_columns_unused"}
    assert caller(owner).get(f"{ROOT}/{mission.pk}").json()["data"]["input"] == data["input"]


def test_check_of_a_file_creates_nothing(owner: User) -> None:
    data = send(owner, "prompt\na whale\nan owl --ar 16:9\n", check=True).json()["data"]

    assert (data["valid"], data["total_count"], data["estimate"]["amount"]) == (True, 2, "0.10")
    assert [warning["code"] for warning in data["warnings"]] == ["hint_options"]
    assert "2 rows" in data["input"]["summary"]
    assert nothing_is_stored()


def test_columns_and_sheet_can_be_named(owner: User) -> None:
    book = xlsx([["prompt"], ["of the first sheet"]], [["title", "text"], ["a whale", "not this"]])

    data = send(owner, book, "a.xlsx", sheet="Sheet2", columns=json.dumps({"title": "prompt", "text": ""})).json()

    item = Mission.objects.get().items.get()
    assert item.params["prompt"] == "a whale"
    assert data["data"]["input"]["sheet"] == "Sheet2"


@pytest.mark.parametrize(
    "content, form, field",
    [
        ("prompt,aspectRatio\na whale,1:1\nan owl,7:7\n", {}, "file.3.aspectRatio"),
        ("prompt\na whale\n", {"columns": '{"text": "prompt"}'}, "columns.text"),
        ("prompt\na whale\n", {"columns": '{"prompt": "colour"}'}, "columns.prompt"),
        ("prompt\na whale\n", {"mission": {"model": "unknown"}}, "mission.model"),
        ("prompt\na whale\n", {"mission": {"name": ""}}, "mission.name"),
        ("prompt\na whale\n", {"mission": {"config": {"batch_input": ["b"]}}}, "mission.config.batch_input"),
        ("prompt\na whale\n", {"mission": {"config": {"aspectRatio": "7:7"}}}, "mission.config.aspectRatio"),
        ("", {}, "file"),
        ("\x00\x01", {}, "file"),
    ],
)
def test_error_names_its_place(owner: User, content: str, form: dict[str, Any], field: str) -> None:
    assert list(errors_of(send(owner, content, **form))) == [field]
    checked = send(owner, content, check=True, **form)
    assert checked.status_code == 200, checked.content
    assert [error["field"] for error in checked.json()["data"]["errors"]] == [field]
    assert nothing_is_stored()


@pytest.mark.parametrize(
    "form, field",
    [
        ({"colums": '{"text": "prompt"}'}, "colums"),
        ({"columns": '{"prompt": 1}'}, "columns.prompt"),
        ({"columns": "prompt"}, "columns"),
        ({"mission": "{"}, "mission"),
        ({"files": "b"}, "files"),
    ],
)
def test_wrong_form_is_refused(owner: User, form: dict[str, Any], field: str) -> None:
    file = io.BytesIO(b"prompt\na whale\n")
    file.name = "a.csv"
    body = {"file": file, "mission": json.dumps(MISSION)} | form

    assert list(errors_of(caller(owner).post(f"{ROOT}/file", body))) == [field]
    assert nothing_is_stored()


def test_second_file_is_refused(owner: User) -> None:
    files = [io.BytesIO(b"prompt\na whale\n") for _ in range(2)]
    for number, file in enumerate(files):
        file.name = f"{number}.csv"

    answer = caller(owner).post(f"{ROOT}/file", {"file": files, "mission": json.dumps(MISSION)})

    assert list(errors_of(answer)) == ["file"]


def test_missing_image_names_its_line(owner: User) -> None:
    media = make_media(owner, name="whale.png")
    mission = {"task_type": "image_to_image"}
    content = "image,prompt\nwhale.png,in ink\nowl.png,in oil\n"

    assert list(errors_of(send(owner, content, mission=mission))) == ["file.3.imageUrls"]
    assert send(owner, content.replace("owl", "whale"), mission=mission).status_code == 202
    assert Mission.objects.get().items.first().params["imageUrls"] == [media.reference]


def test_repeated_request_creates_one_mission(owner: User) -> None:
    headers = {"Idempotency-Key": "whales-1"}

    first, again = (send(owner, "prompt\na whale\n", headers=headers) for _ in range(2))

    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Mission.objects.count() == 1


def test_json_rows_get_hints(owner: User) -> None:
    rows = [{"prompt": "a whale", "custom_id": "A"}, {"prompt": "# owls", "custom_id": "A"}]
    body = MISSION | {"config": {"batch_input": rows}}

    data = caller(owner).post(ROOT, body, content_type="application/json").json()["data"]

    assert [warning["code"] for warning in data["warnings"]] == ["hint_comments", "hint_repeated_ids"]
    assert data["input"] is None
    assert caller(owner).get(f"{ROOT}/{data['api_mission_id']}").json()["data"]["input"] is None
