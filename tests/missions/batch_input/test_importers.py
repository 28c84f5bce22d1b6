"""Prompts files, as people really save them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from PIL import Image
from pytest_django import Settings

from media.models import MediaFile
from missions.batch_input import importers
from missions.batch_input.importers import Row, RowsInvalid, read_lines, read_rows
from providers import catalog

EXAMPLES = Path(__file__).parents[3] / "examples"
CHINESE = "一只猫\n江南水乡，薄雾\n"


def rows(content: bytes | str, kind: str) -> list[importers.RowValue]:
    return read_rows(io.BytesIO(content.encode() if isinstance(content, str) else content), format=kind)


def errors(content: bytes | str, kind: str) -> list[str]:
    with pytest.raises(RowsInvalid) as raised:
        rows(content, kind)
    return [str(error) for error in raised.value.errors]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk", "utf-32"])
def test_chinese_text_is_read_in_every_encoding_that_office_programs_write(encoding: str) -> None:
    assert rows(CHINESE.encode(encoding), "txt") == ["一只猫", "江南水乡，薄雾"]


def test_a_chinese_spreadsheet_saved_by_excel_is_read() -> None:
    table = "custom_id,prompt\r\n第一,一只“猫”\r\n"

    assert rows(table.encode("gb18030"), "csv") == [{"custom_id": "第一", "prompt": "一只“猫”"}]


def test_a_spreadsheet_saved_as_unicode_text_is_read() -> None:
    table = "prompt\taspectRatio\r\n猫, 狗\t1:1\r\n"

    assert rows(table.encode("utf-16"), "csv") == [{"prompt": "猫, 狗", "aspectRatio": "1:1"}]


@pytest.mark.parametrize("content", [b"\x00\x01\x02\x03binary", b"\xff\xfea", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"])
def test_a_file_that_is_not_text_is_refused(content: bytes) -> None:
    assert "not a text file" in errors(content, "txt")[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system_and_blank_ones_are_skipped(end: str) -> None:
    content = end.join(["one", "", "   ", "# two is no comment", "one"])

    assert rows(content, "txt") == ["one", "# two is no comment", "one"]
    assert importers.duplicates(rows(content, "txt")) == 1


def test_a_line_separator_inside_a_prompt_does_not_split_it() -> None:
    assert rows("one\u2028still one\x85still", "txt") == ["one\u2028still one\x85still"]


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    lines = read_lines(io.BytesIO(b'\n\nprompt,seed\n"a\nb",1\n\nc,2\n'), format="csv")

    assert [row.value for row in lines] == [{"prompt": "a\nb", "seed": "1"}, {"prompt": "c", "seed": "2"}]
    assert [row.line for row in read_lines(io.BytesIO(b"\n one\n\ntwo"), format="txt")] == [2, 4]


def test_list_columns_hold_several_values_and_blank_cells_are_not_given() -> None:
    assert rows("imageUrls,prompt,aspectRatio\na.png | b.png,x|y,\n", "csv") == [
        {"imageUrls": ["a.png", "b.png"], "prompt": "x|y"}
    ]


def test_each_json_line_is_a_text_or_an_object() -> None:
    assert rows('"猫"\n\n{"prompt": "a", "n": 1}\n', "jsonl") == ["猫", {"prompt": "a", "n": 1}]


def test_every_bad_line_is_named() -> None:
    found = errors('"ok"\n{broken\n17\n["a"]\n', "jsonl")

    assert [message.split(":")[0] for message in found] == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("prompt,\na,b\n", "line 1: A column has no name"),
        ("prompt,prompt\na,b\n", "line 1: Columns are named twice: prompt"),
        ("prompt\na fox, in snow\n", "line 2: 2 cells, but 1 columns"),
        ('prompt\n"never closed\n', "quotation mark"),
        ("", "no rows"),
        ("prompt\n", "no rows"),
    ],
)
def test_a_bad_table_is_explained(content: str, words: str) -> None:
    assert words in errors(content, "csv")[0]


def test_a_missing_file_and_an_unknown_ending_are_explained(tmp_path: Path) -> None:
    with pytest.raises(RowsInvalid, match="cannot be read"):
        read_rows(tmp_path / "none.txt", format="txt")
    with pytest.raises(RowsInvalid, match=r"\.txt, \.csv or \.jsonl"):
        importers.format_of("prompts.docx")


# --- Local image files ---


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "uploads"
    for name, colour in [("red.png", "red"), ("blue.png", "blue")]:
        Image.new("RGB", (8, 8), colour).save(tmp_path / name)
    return tmp_path


def uploaded(owner: User, folder: Path, task_type: str, *values: importers.RowValue) -> list[importers.RowValue]:
    lines = [Row(number, value) for number, value in enumerate(values, start=1)]
    model = catalog.default_model(task_type)
    return [row.value for row in importers.upload_local_files(lines, model=model, folder=folder, owner=owner)]


def test_paths_become_uploaded_files_and_addresses_stay(owner: User, folder: Path) -> None:
    given = {"imageUrls": ["red.png", "https://example.com/a.png", "media:7"], "prompt": "red.png"}

    (row,) = uploaded(owner, folder, "image_to_image", given)

    red = MediaFile.objects.get()
    assert row == {"imageUrls": [f"media:{red.pk}", "https://example.com/a.png", "media:7"], "prompt": "red.png"}
    assert red.name == "red.png"


def test_a_bare_line_of_an_image_mission_is_a_path(owner: User, folder: Path) -> None:
    several, one = uploaded(owner, folder, "image_to_image", "red.png|blue.png", "red.png")

    assert MediaFile.objects.count() == 2
    assert several == {"imageUrls": [f"media:{media.pk}" for media in MediaFile.objects.order_by("pk")]}
    assert one == {"imageUrls": [f"media:{MediaFile.objects.get(name='red.png').pk}"]}


def test_a_bare_line_of_a_text_mission_stays_text(owner: User, folder: Path) -> None:
    assert uploaded(owner, folder, "text_to_image", "red.png") == ["red.png"]


def test_files_that_cannot_be_used_are_named_with_their_lines(owner: User, folder: Path) -> None:
    (folder / "page.png").write_text("<html>")

    with pytest.raises(RowsInvalid) as raised:
        uploaded(
            owner, folder, "image_to_video", {"imageUrl": "none.png"}, {"imageUrl": "page.png"}, {"imageUrl": "\0"}
        )

    assert [error.line for error in raised.value.errors] == [1, 2, 3]
    assert "No such file" in raised.value.errors[0].message
    assert "not a JPEG" in raised.value.errors[1].message


@pytest.mark.parametrize(
    ("name", "task_type"),
    [
        ("text_to_image.txt", "text_to_image"),
        ("image_to_image.csv", "image_to_image"),
        ("text_to_video.jsonl", "text_to_video"),
        ("image_to_video.jsonl", "image_to_video"),
    ],
)
def test_the_examples_fit_their_default_models(owner: User, folder: Path, name: str, task_type: str) -> None:
    model = catalog.default_model(task_type)
    lists = importers.list_fields(model)
    lines = read_lines(EXAMPLES / name, format=importers.format_of(name), lists=lists)
    taken = importers.upload_local_files(lines, model=model, folder=EXAMPLES, owner=owner)

    assert len(taken) == 6
    for row in taken:
        value = {model.batch_field: row.value} if isinstance(row.value, str) else dict(row.value)
        value.pop("custom_id", None)
        assert model.clean(value)
