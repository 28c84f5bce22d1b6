"""Columns are matched by exact names, then labels, synonyms and cells; a guess says so."""

from __future__ import annotations

import io

import pytest

from batch_input.columns import has_header
from batch_input.rows import ImportedTable, import_table
from batch_input.tables import read_table
from providers import catalog

TEXT_TO_IMAGE = catalog.get_model("rhart-image-v1/text-to-image")
EDIT = catalog.get_model("rhart-image-v1/edit")
IMAGE_TO_VIDEO = catalog.get_model("rhart-video-s/image-to-video")
PICTURE, PAGE = "https://a.example/1.png", "https://a.example/shoes/1"


def imported(content: str, model: catalog.Model) -> ImportedTable:
    return import_table(read_table(io.BytesIO(content.encode()), name="a.csv"), model)


@pytest.mark.parametrize(
    "content, model, expected",
    [
        ("prompt_no,prompt,aspectRatio\n7,a whale,1:1\n", TEXT_TO_IMAGE, ["", "prompt", "aspectRatio"]),
        ("promptId,text\n7,a whale at dusk\n", TEXT_TO_IMAGE, ["", "prompt?"]),
        ("prompt_id,title\n7,a whale at dusk\n", TEXT_TO_IMAGE, ["", "prompt?"]),
        ("caption,PROMPT\nsummer picture of the shop,a whale\n", TEXT_TO_IMAGE, ["", "prompt"]),
        ("内容,提示词,宽高比\n海报,雪地里的猫,1:1\n", TEXT_TO_IMAGE, ["", "prompt", "aspectRatio"]),
        ("編號,提示詞\nA7,雪地裡的貓\n", TEXT_TO_IMAGE, ["custom_id?", "prompt?"]),
        ("text,caption,prompts\na,b,c\n", TEXT_TO_IMAGE, ["", "", "prompt?"]),
        ("promt,aspectRatoi\na,b\n", TEXT_TO_IMAGE, ["prompt?", "aspectRatio?"]),
        ("prompt (en),prompt (de)\na whale at dusk,ein Wal\n", TEXT_TO_IMAGE, ["prompt?", ""]),
        (f"url,imageUrls,prompt\n{PAGE},{PICTURE},in ink\n", EDIT, ["", "imageUrls", "prompt"]),
        (f"url,prompt\n{PAGE},in ink\n", EDIT, ["", "prompt"]),
        (f"url,prompt\n{PICTURE}?w=20,in ink\n", EDIT, ["imageUrls?", "prompt"]),
        ("image1,image2,prompt\na,b,c\n", EDIT, ["imageUrls?", "imageUrls?", "prompt"]),
        ("image1,image2,prompt\na,b,c\n", IMAGE_TO_VIDEO, ["imageUrl?", "", "prompt"]),
        ("Motiv,Format\nein Wal am Abend,1:1\n", TEXT_TO_IMAGE, ["prompt?", "aspectRatio?"]),
        ("a whale at dusk,1:1\nan owl at night,16:9\n", TEXT_TO_IMAGE, ["prompt?", "aspectRatio?"]),
        ("a whale\nan owl\n", TEXT_TO_IMAGE, ["prompt"]),
        (
            "April 15, 2023;a whale in ink;1:1\n9 September 2023;an owl in oil;4:5\n",
            TEXT_TO_IMAGE,
            ["", "prompt?", "aspectRatio?"],
        ),
    ],
)
def test_clearest_name_wins(content: str, model: catalog.Model, expected: list[str]) -> None:
    matches = imported(content, model).matches

    assert [f"{match.field}?" if match.is_guess else match.field for match in matches] == expected


@pytest.mark.parametrize(
    "content, expected",
    [
        ("prompt_no,title\n7,a whale\n", True),
        ("Motiv,Format\nWal,1:1\n", True),
        ("Motiv,Nummer\nWal,1\nEule,2\n", True),
        ("a whale,1:1\nan owl,16:9\n", False),
        ("image of a whale\nimage of an owl\n", False),
    ],
)
def test_header_is_recognized(content: str, expected: bool) -> None:
    assert has_header(read_table(io.BytesIO(content.encode()), name="a.csv"), TEXT_TO_IMAGE) is expected


def test_chosen_column_is_no_guess() -> None:
    table = read_table(io.BytesIO(b"text,note\na whale,b\n"), name="a.csv")

    report = import_table(table, TEXT_TO_IMAGE, chosen={0: "", 1: "prompt"}).report

    assert [(match.column, match.field, match.basis) for match in report.matches] == [("note", "prompt", "chosen")]
    assert report.warnings == ()


def test_line_names_all_that_was_read_and_not() -> None:
    line = imported("prompt_no,text,aspectRatio,note\n7,a whale,1:1,x\n8,an owl,1:1,y\n", TEXT_TO_IMAGE).report.line

    for part in (
        "2 rows",
        "column names in line 1",
        "columns: text → Prompt (guessed), Aspect ratio",
        "columns not used: prompt_no, note",
        "characters",
    ):
        assert part in line
