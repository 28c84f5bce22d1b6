"""Prompts, images and tables become rows that name their origin."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import User

from batch_input import columns
from batch_input.rows import (
    BatchRows,
    ImportedTable,
    Source,
    build_rows,
    read_batch,
    sources_for,
)
from batch_input.tables import read_table
from providers import catalog
from tests.factories import make_media

TEXT_TO_IMAGE = catalog.get_model("rhart-image-v1/text-to-image")
EDIT = catalog.get_model("rhart-image-v1/edit")
IMAGE_TO_VIDEO = catalog.get_model("rhart-video-s/image-to-video")
URLS = [f"https://a.example/{number}.png" for number in range(1, 6)]


def imported(content: str, model: catalog.Model, name: str = "rows.csv") -> ImportedTable:
    table = read_table(io.BytesIO(content.encode()), name=name)
    header = columns.has_header(table, model)
    return ImportedTable(table, header, columns.match_columns(table, model, header=header))


def build(owner: User, model: catalog.Model, source: str, **texts: Any) -> BatchRows:
    return build_rows(read_batch(model, Source(source), **texts), owner=owner)


def from_table(owner: User, model: catalog.Model, content: str, name: str = "rows.csv") -> BatchRows:
    return build(owner, model, "file", imported=imported(content, model, name))


def test_prompts_are_lines(owner: User) -> None:
    built = build(owner, TEXT_TO_IMAGE, "prompts", prompts="a cat\r\n\r\n  a dog \na cat")

    assert built.rows == [{"prompt": "a cat"}, {"prompt": "a dog"}, {"prompt": "a cat"}]
    assert [str(origin) for origin in built.origins] == ["Line 1", "Line 3", "Line 4"]


@pytest.mark.parametrize(
    "lines, images_per_item, expected",
    [
        (URLS, 1, [1, 1, 1, 1, 1]),
        (URLS, 2, [2, 2, 1]),
        ([" | ".join(URLS[:3]), *URLS[3:]], 1, [3, 1, 1]),
        ([" | ".join(URLS[:3]), *URLS[3:]], 2, [3, 1, 1]),
    ],
)
def test_images_are_grouped(owner: User, lines: list[str], images_per_item: int, expected: list[int]) -> None:
    built = build(owner, EDIT, "images", images="\n".join(lines), images_per_item=images_per_item)

    assert [len(row["imageUrls"]) for row in built.rows] == expected
    assert str(built.origins[1]) == "Image 2"


def test_images_have_a_prompt_each(owner: User) -> None:
    built = build(owner, EDIT, "images", images="\n".join(URLS[:3]), image_prompts="one\n\n")

    assert [row["prompt"] for row in built.rows] == ["one", "", ""]


def test_model_with_one_image_gets_no_list(owner: User) -> None:
    assert build(owner, IMAGE_TO_VIDEO, "images", images=URLS[0]).rows == [{"imageUrl": URLS[0]}]


def test_combinations_are_all_pairs(owner: User) -> None:
    texts: dict[str, Any] = {"prompts": "in ink\nin oil", "images": "\n".join(URLS[:2])}
    built = build(owner, EDIT, "combinations", **texts)

    assert [(row["prompt"], row["imageUrls"]) for row in built.rows] == [
        ("in ink", [URLS[0]]),
        ("in ink", [URLS[1]]),
        ("in oil", [URLS[0]]),
        ("in oil", [URLS[1]]),
    ]
    assert str(built.origins[2]) == "Prompt 2, image 1"
    assert read_batch(EDIT, Source.COMBINATIONS, **texts).row_count == 4


def test_table_names_uploaded_images(owner: User, stranger: User) -> None:
    media = make_media(owner, name="cat.png")
    make_media(stranger, name="dog.png", content=b"dog")

    built = from_table(owner, EDIT, "image,prompt\ncat.png,in ink\ndog.png,in oil\n")

    assert built.rows[0] == {"imageUrls": [media.reference], "prompt": "in ink"}
    assert [(str(problem.origin), problem.value) for problem in built.problems] == [("Line 3", "dog.png")]
    assert built.invalid == {1}


def test_image_columns_are_joined(owner: User) -> None:
    built = from_table(owner, EDIT, "image1,image2,prompt\nmedia:1,https://a.example/2.png | media:3,join\n")

    assert built.rows == [{"imageUrls": ["media:1", "https://a.example/2.png", "media:3"], "prompt": "join"}]


def test_images_in_a_cell_are_divided_visibly(owner: User) -> None:
    fox, owl = make_media(owner, name="fox.png"), make_media(owner, name="owl, grey.png", content=b"owl")
    cells = {
        f"{URLS[0]},{URLS[1]}": URLS[:2],
        f"{URLS[0]}；{URLS[1]} {URLS[2]}": URLS[:3],
        f"fox.png, media:{owl.pk}": [fox.reference, owl.reference],
        "fox.png\nowl, grey.png": [fox.reference, owl.reference],
        "owl, grey.png": [owl.reference],
        "https://a.example/High_Street,_London.png": ["https://a.example/High_Street,_London.png"],
        "https://a.example/w-400,h-300/1.png|fox.png|": ["https://a.example/w-400,h-300/1.png", fox.reference],
    }
    content = "prompt,imageUrls\n" + "".join(f'in ink,"{cell}"\n' for cell in cells)

    built = from_table(owner, EDIT, content)

    assert [row["imageUrls"] for row in built.rows] == list(cells.values())
    assert [(warning.code, warning.params["count"]) for warning in built.warnings] == [("input_lists_divided", 3)]
    assert not built.problems
    assert build(owner, EDIT, "images", images=f"{URLS[0]}, {URLS[1]}\n").rows == [{"imageUrls": URLS[:2]}]
    (problem,) = from_table(owner, IMAGE_TO_VIDEO, f'imageUrl,prompt\n"{URLS[0]},{URLS[1]}",in ink\n').problems
    assert "names 2 files" in problem.message


@pytest.mark.parametrize(
    "content, name, line",
    [
        ('"one"\n{broken\n"two"\n', "rows.jsonl", "Line 2"),
        ("prompt,seed\na cat,1\na dog, brown,2\n", "rows.csv", "Line 3"),
        ("prompt,seed\na cat,1\n“a dog, brown”,2\n", "rows.csv", "Line 3"),
    ],
)
def test_unreadable_lines_are_problems(owner: User, content: str, name: str, line: str) -> None:
    assert [str(problem.origin) for problem in from_table(owner, TEXT_TO_IMAGE, content, name).problems] == [line]


@pytest.mark.parametrize(
    "endpoint, expected",
    [
        ("rhart-image-v1/text-to-image", ["prompts", "file"]),
        ("rhart-image-v1/edit", ["images", "combinations", "file"]),
    ],
)
def test_sources_suit_the_model(endpoint: str, expected: list[str]) -> None:
    assert sources_for(catalog.get_model(endpoint)) == expected


def test_every_model_can_be_filled() -> None:
    for model in catalog.all_models():
        for source in sources_for(model):
            fields = read_batch(model, source, image_prompts="").row_fields
            assert fields <= {field.name for field in model.parameters}
            assert bool(fields) == (source != Source.FILE)


def test_ratios_that_became_times_are_reported(owner: User) -> None:
    content = "prompt,aspectRatio\na seal,16:09\na crab,1:01\nan owl,9:16\na gull,16-Sep\n"
    built = from_table(owner, TEXT_TO_IMAGE, content)

    assert [row["aspectRatio"] for row in built.rows] == ["16:9", "1:1", "9:16", "16-Sep"]
    assert [(warning.code, warning.params) for warning in built.warnings] == [("input_times_as_ratios", {"count": 2})]
    assert [(str(problem.origin), problem.field, problem.value) for problem in built.problems] == [
        ("Line 5", "aspectRatio", "16-Sep")
    ]
    assert built.invalid == {3}
