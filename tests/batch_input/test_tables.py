"""Files become tables, and the meanings of their columns are guessed."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from pytest_django import Settings

from batch_input import columns
from batch_input.office_xml import letter
from batch_input.tables import Record, RowsInvalid, Table, read_table, sample_csv
from providers import catalog
from tests.xlsx_files import xlsx

TEXT_TO_IMAGE = catalog.get_model("rhart-image-v1/text-to-image")
EDIT = catalog.get_model("rhart-image-v1/edit")
IMAGE_TO_VIDEO = catalog.get_model("rhart-video-s/image-to-video")


def read(content: bytes | str, name: str) -> Table:
    return read_table(io.BytesIO(content.encode() if isinstance(content, str) else content), name=name)


def lines(content: bytes | str, name: str) -> list[tuple[int, list[Any]]]:
    return [(record.line, record.cells) for record in read(content, name).records]


def problem(content: bytes | str, name: str) -> str:
    with pytest.raises(RowsInvalid) as raised:
        read(content, name)
    return str(raised.value)


def meanings(table: Table, model: catalog.Model) -> list[str]:
    return [match.field for match in columns.match_columns(table, model, header=columns.has_header(table, model))]


# --- Reading ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk", "utf-32"])
def test_text_is_decoded(encoding: str) -> None:
    assert lines("一只猫\n江南水乡，薄雾\n".encode(encoding), "a.txt") == [(1, ["一只猫"]), (2, ["江南水乡，薄雾"])]


@pytest.mark.parametrize(
    "content, name, expected",
    [
        ("one\n\n two \n", "prompts.TXT", [(1, ["one"]), (3, ["two"])]),
        ("one\r\n# two\r\none", "a.txt", [(1, ["one"]), (2, ["# two"]), (3, ["one"])]),
        ("one\rtwo", "a.txt", [(1, ["one"]), (2, ["two"])]),
        ("one\u2028still one\x85still", "a.txt", [(1, ["one\u2028still one\x85still"])]),
        ('\n\nprompt,seed\n"a\nb",1\n\nc,2\n', "a.csv", [(3, ["prompt", "seed"]), (4, ["a\nb", "1"]), (7, ["c", "2"])]),
        ("prompt;ratio\n猫, 狗;1:1\n", "a.csv", [(1, ["prompt", "ratio"]), (2, ["猫, 狗", "1:1"])]),
        ("prompt\tratio\r\n猫, 狗\t1:1\r\n", "a.tsv", [(1, ["prompt", "ratio"]), (2, ["猫, 狗", "1:1"])]),
    ],
)
def test_lines_and_cells_are_read(content: str, name: str, expected: list[Any]) -> None:
    assert lines(content, name) == expected


def test_sheet_is_read_as_shown() -> None:
    sheet = xlsx([], [["prompt", "seed", "ok"], ["猫", 7, True], [None], ["dog", 1.5]])

    assert lines(sheet, "prompts.xlsx") == [
        (1, ["prompt", "seed", "ok"]),
        (2, ["猫", "7", "true"]),
        (4, ["dog", "1.5"]),
    ]


def test_json_lines_have_a_column_per_key() -> None:
    values = [{"prompt": "a", "seed": 1}, "bare", {"prompt": "b", "imageUrls": ["media:1", "media:2"]}]
    table = read("\n".join(map(json.dumps, values)), "rows.jsonl")

    assert table.keys == ["prompt", "seed", "", "imageUrls"]
    assert table.records[2] == Record(3, ["b", None, None, ["media:1", "media:2"]])


@pytest.mark.parametrize(
    "content, name, read_lines, problem_lines",
    [
        ('"ok"\n{broken\n17\n["a"]\n"two"\n', "rows.jsonl", [1, 5], [2, 3, 4]),
        ('prompt\none\n"two\n', "rows.csv", [1, 2], [3]),
    ],
)
def test_partly_wrong_file_keeps_the_rest(
    content: str, name: str, read_lines: list[int], problem_lines: list[int]
) -> None:
    table = read(content, name)

    assert [record.line for record in table.records] == read_lines
    assert [error.line for error in table.problems] == problem_lines


@pytest.mark.parametrize(
    "content, name, message",
    [
        (b"\x00\x01\x02\x03binary", "a.txt", "not a text file"),
        (b"\xff\xfea", "a.txt", "not a text file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a.csv", "not a text file"),
        (b"", "a.csv", "no rows"),
        (b"x", "photo.png", ".xlsx"),
        (b"x", "prompts", ".xlsx"),
        (b"x", "prompts.docx", ".xlsx"),
        (b"PK\x03\x04 no sheet", "prompts.xlsx", "cannot be read"),
        (xlsx([]), "prompts.xlsx", "no rows"),
        (b",".join([b"prompt"] * 61) + b"\n", "a.csv", "61 columns"),
        (b"prompt" + b"," * 100_000 + b"x", "a.csv", "1002 columns"),
        (b"prompt\n" + b"\n" * 2_000_001, "a.csv", "1,000,000 lines"),
    ],
)
def test_unusable_file_is_explained(content: bytes, name: str, message: str) -> None:
    assert message in problem(content, name)


def test_file_with_too_many_rows_is_refused(settings: Settings) -> None:
    settings.MISSION_MAX_ITEMS = 2

    assert len(read("prompt\na\nb\n", "rows.csv").records) == 3
    assert "at most 2" in problem("a\nb\nc\nd\n", "rows.txt")


def test_table_survives_json() -> None:
    table = read('"one"\n{broken\n{"seed": 5}\n', "rows.jsonl")

    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table


def test_sample_can_be_read_again() -> None:
    sample = sample_csv(["prompt", "aspectRatio"], [["猫, 水彩", "1:1"]])

    assert lines(sample, "sample.csv") == [(1, ["prompt", "aspectRatio"]), (2, ["猫, 水彩", "1:1"])]


def test_columns_have_letters() -> None:
    assert [letter(place) for place in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


# --- Columns ---


@pytest.mark.parametrize(
    "content, model, expected",
    [
        ("Prompt,aspect_ratio\na,b\n", TEXT_TO_IMAGE, ["prompt", "aspectRatio"]),
        ("text,aspectRatoi\na,b\n", TEXT_TO_IMAGE, ["prompt", "aspectRatio"]),
        ("编号,提示词,比例\na,b,c\n", TEXT_TO_IMAGE, ["custom_id", "prompt", "aspectRatio"]),
        ("图片,提示词\na,b\n", EDIT, ["imageUrls", "prompt"]),
        ("image1,image2,text\na,b,c\n", EDIT, ["imageUrls", "imageUrls", "prompt"]),
        ("image1,image2,text\na,b,c\n", IMAGE_TO_VIDEO, ["imageUrl", "", "prompt"]),
        ("id,prompt,prompt\na,b,c\n", TEXT_TO_IMAGE, ["custom_id", "prompt", ""]),
        ("A7,cat.png,Put a straw hat on it\nA8,dog.JPG,And one on the dog\n", EDIT, ["", "imageUrls", "prompt"]),
        ("a fox\na cat\n", TEXT_TO_IMAGE, ["prompt"]),
    ],
)
def test_columns_are_guessed(content: str, model: catalog.Model, expected: list[str]) -> None:
    assert meanings(read(content, "rows.csv"), model) == expected


def test_header_is_not_a_row() -> None:
    table = read("编号,提示词\r\nA1,薄雾\r\n".encode("gb18030"), "表.csv")

    assert columns.has_header(table, TEXT_TO_IMAGE)
    assert table.names(has_header=True) == ["编号", "提示词"]
    assert table.body(has_header=True) == [Record(2, ["A1", "薄雾"])]
    assert not columns.has_header(read("one\ntwo\n", "a.txt"), TEXT_TO_IMAGE)
