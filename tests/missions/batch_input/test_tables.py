"""Imported files as tables, and the guess what their columns mean."""

from __future__ import annotations

import io
import json

import pytest
from pytest_django import Settings

from missions.batch_input import columns
from missions.batch_input.importers import RowsInvalid
from missions.batch_input.tables import Record, Table, letter, read_table, sample_csv
from providers import catalog
from tests.xlsx_files import xlsx

TEXT_TO_IMAGE = catalog.get_model("rhart-image-v1/text-to-image")
EDIT = catalog.get_model("rhart-image-v1/edit")
IMAGE_TO_VIDEO = catalog.default_model("image_to_video")


def read(content: bytes | str, name: str) -> Table:
    return read_table(io.BytesIO(content.encode() if isinstance(content, str) else content), name=name)


def problem(content: bytes | str, name: str) -> str:
    with pytest.raises(RowsInvalid) as raised:
        read(content, name)
    return str(raised.value)


def meaning(table: Table, model: catalog.Model) -> list[str]:
    return columns.guess(table, model, header=columns.has_header(table, model))


def test_a_text_file_is_one_column() -> None:
    table = read("one\n\n two \n", "prompts.TXT")

    assert table.records == [Record(1, ["one"]), Record(3, ["two"])]
    assert not columns.has_header(table, TEXT_TO_IMAGE)
    assert meaning(table, TEXT_TO_IMAGE) == ["prompt"]


def test_a_chinese_csv_from_excel_is_read_and_its_columns_are_guessed() -> None:
    table = read("编号,提示词,比例\r\nA1,江南水乡，薄雾,16:9\r\n".encode("gb18030"), "表.csv")

    assert meaning(table, TEXT_TO_IMAGE) == ["custom_id", "prompt", "aspectRatio"]
    assert table.names(has_header=True) == ["编号", "提示词", "比例"]
    assert table.body(has_header=True) == [Record(2, ["A1", "江南水乡，薄雾", "16:9"])]


def test_a_sheet_is_read_as_a_person_sees_it() -> None:
    table = read(xlsx([], [["prompt", "seed", "ok"], ["猫", 7, True], [None], ["dog", 1.5]]), "prompts.xlsx")

    assert table.records == [
        Record(1, ["prompt", "seed", "ok"]),
        Record(2, ["猫", "7", "true"]),
        Record(4, ["dog", "1.5"]),
    ]


def test_what_is_no_sheet_is_refused_in_words() -> None:
    assert "cannot be read" in problem(b"PK\x03\x04 no sheet", "prompts.xlsx")
    assert "no rows" in problem(xlsx([]), "prompts.xlsx")


def test_a_file_of_objects_has_a_column_for_every_name() -> None:
    lines = [{"prompt": "a", "seed": 1}, "bare", {"prompt": "b", "imageUrls": ["media:1", "media:2"]}]
    table = read("\n".join(map(json.dumps, lines)), "rows.jsonl")

    assert table.keys == ["prompt", "seed", "", "imageUrls"]
    assert table.records[2] == Record(3, ["b", None, None, ["media:1", "media:2"]])


def test_a_file_that_is_partly_wrong_keeps_the_rest() -> None:
    table = read('"one"\n{broken\n"two"\n', "rows.jsonl")

    assert [record.line for record in table.records] == [1, 3]
    assert [error.line for error in table.problems] == [2]


def test_a_quotation_mark_left_open_keeps_the_lines_before_it() -> None:
    table = read('prompt\none\n"two\n', "rows.csv")

    assert [record.cells for record in table.records] == [["prompt"], ["one"]]
    assert table.problems[0].line == 3


@pytest.mark.parametrize("name", ["photo.png", "prompts", "prompts.docx"])
def test_another_kind_of_file_is_refused_with_those_that_work(name: str) -> None:
    assert ".xlsx" in problem("x", name)


def test_a_file_with_more_rows_than_a_mission_holds_is_refused(settings: Settings) -> None:
    settings.MISSION_MAX_ITEMS = 2
    assert len(read("prompt\na\nb\n", "rows.csv").records) == 3
    assert "at most 2" in problem("a\nb\nc\nd\n", "rows.txt")


def test_a_file_with_too_many_columns_is_refused() -> None:
    assert "61 columns" in problem(",".join("x" * 61) + "\n", "rows.csv")


def test_a_table_comes_through_json_as_it_was() -> None:
    table = read('"one"\n{broken\n{"seed": 5}\n', "rows.jsonl")

    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table


def test_columns_have_letters_as_in_a_sheet() -> None:
    assert [letter(place) for place in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


@pytest.mark.parametrize(
    "header, model, expected",
    [
        ("Prompt,aspect_ratio", TEXT_TO_IMAGE, ["prompt", "aspectRatio"]),
        ("text,aspectRatoi", TEXT_TO_IMAGE, ["prompt", "aspectRatio"]),
        ("图片,提示词", EDIT, ["imageUrls", "prompt"]),
        ("image1,image2,text", EDIT, ["imageUrls", "imageUrls", "prompt"]),
        ("image1,image2,text", IMAGE_TO_VIDEO, ["imageUrl", "", "prompt"]),
        ("id,prompt,prompt", TEXT_TO_IMAGE, ["custom_id", "prompt", ""]),
    ],
)
def test_columns_are_guessed_by_their_names(header: str, model: catalog.Model, expected: list[str]) -> None:
    assert meaning(read(f"{header}\na,b,c\n", "rows.csv"), model) == expected


def test_columns_without_names_are_guessed_by_what_they_hold() -> None:
    table = read("A7,cat.png,Put a straw hat on the cat\nA8,dog.JPG,And one on the dog\n", "rows.csv")

    assert meaning(table, EDIT) == ["", "imageUrls", "prompt"]


def test_a_sample_can_be_opened_by_excel_and_read_again() -> None:
    table = read(sample_csv(["prompt", "aspectRatio"], [["猫, 水彩", "1:1"]]), "sample.csv")

    assert table.records == [Record(1, ["prompt", "aspectRatio"]), Record(2, ["猫, 水彩", "1:1"])]
