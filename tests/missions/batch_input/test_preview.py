"""What was entered becomes rows, and everything is told before anything is made."""

from __future__ import annotations

import io
import time
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from missions import selectors
from missions.batch_input import columns, composition
from missions.batch_input.composition import Entry, Import, Source
from missions.batch_input.preview import Preview, Wanted, preview
from missions.batch_input.tables import read_table
from missions.models import Mission
from providers import catalog
from providers.models import ProviderAccount
from tests.factories import Workers, make_media, make_mission

TEXT_TO_IMAGE = catalog.get_model("rhart-image-v1/text-to-image")
EDIT = catalog.get_model("rhart-image-v1/edit")
IMAGE_TO_VIDEO = catalog.get_model("rhart-video-s/image-to-video")


def look(owner: User, model: catalog.Model = TEXT_TO_IMAGE, **more: Any) -> Preview:
    own = {"params": {}, "repeat": 1, "leave_out": False, "name": "Teapots"}
    given = {name: more.pop(name, value) for name, value in own.items()}
    return preview(Wanted(owner=owner, model=model, entry=Entry(**({"source": "prompts"} | more)), **given))


def imported(content: str, model: catalog.Model, name: str = "rows.csv") -> Import:
    table = read_table(io.BytesIO(content.encode()), name=name)
    header = columns.has_header(table, model)
    return Import(table, header, columns.guess(table, model, header=header))


def told(found: Preview) -> list[tuple[str, str, str]]:
    return [(str(problem.place), problem.field, problem.value) for problem in found.row_problems]


def test_each_line_is_an_item_with_its_price(owner: User) -> None:
    found = look(owner, prompts="a cat\r\n\r\n  a dog \na cat", params={"aspectRatio": "1:1"})

    assert found.is_ready
    assert (found.count, found.estimate, found.repeated) == (3, Decimal("0.15"), 1)
    assert found.first_items[1] == {"prompt": "a dog", "aspectRatio": "1:1"}


def test_nothing_entered_is_no_mistake(owner: User) -> None:
    found = look(owner)

    assert found.is_empty
    assert not found.is_ready


def test_repeats_multiply_items_and_price(owner: User) -> None:
    found = look(owner, prompts="a cat\na dog", repeat=3)

    assert (found.count, found.estimate) == (6, Decimal("0.30"))


def test_the_error_of_a_row_names_its_line(owner: User) -> None:
    lines = ["fine"] * 216 + ["x" * 20_001] + ["fine"] * 3

    found = look(owner, prompts="\n".join(lines))

    assert [(str(problem.place), problem.field) for problem in found.row_problems] == [("Line 217", "prompt")]
    assert len(found.row_problems[0].value) <= 80
    assert not found.is_ready


def test_the_rows_with_errors_can_be_left_out(owner: User) -> None:
    lines = ["fine"] * 216 + ["x" * 20_001] + ["fine"] * 3

    found = look(owner, prompts="\n".join(lines), leave_out=True)

    assert found.is_ready
    assert (found.count, found.left_out, len(found.rows)) == (219, 1, 219)


def test_more_wrong_rows_than_are_told_at_once_can_be_left_out_too(owner: User) -> None:
    lines = (["x" * 20_001] * 1500) + ["fine"]

    found = look(owner, prompts="\n".join(lines), leave_out=True)

    assert (found.count, found.left_out) == (1, 1500)


def test_when_no_row_is_right_nothing_is_ready(owner: User) -> None:
    assert not look(owner, prompts="x" * 20_001, leave_out=True).is_ready


def test_an_error_that_all_rows_share_is_told_once(owner: User) -> None:
    found = look(owner, prompts="a\nb\nc", params={"aspectRatio": "7:7"})

    assert [error.field for error in found.problems] == ["params.aspectRatio"]
    assert not found.row_problems


def test_images_take_one_prompt_for_all_or_one_each(owner: User) -> None:
    first, second = make_media(owner), make_media(owner, content=b"other")
    images = f"{first.reference}\n{second.reference}"

    shared = look(owner, EDIT, source="images", images=images, params={"prompt": "in ink"})
    each = look(owner, EDIT, source="images", images=images, has_prompt_each=True, image_prompts="in ink\nin oil")

    assert [item["prompt"] for item in shared.first_items] == ["in ink", "in ink"]
    assert [(item["imageUrls"], item["prompt"]) for item in each.first_items] == [
        ([first.reference], "in ink"),
        ([second.reference], "in oil"),
    ]


def test_an_image_without_its_prompt_is_named(owner: User) -> None:
    images = "https://a.example/1.png\nhttps://a.example/2.png\nhttps://a.example/3.png"

    found = look(owner, EDIT, source="images", images=images, has_prompt_each=True, image_prompts="one\n\n")

    assert [(place, name) for place, name, _value in told(found)] == [("Image 2", "prompt"), ("Image 3", "prompt")]


def test_several_images_may_go_into_one_item(owner: User) -> None:
    images = "\n".join(f"https://a.example/{number}.png" for number in range(1, 6))

    found = look(owner, EDIT, source="images", images=images, images_per_item=2, params={"prompt": "join"})
    grouped = look(owner, EDIT, source="images", images=images.replace("\n", " | ", 2), params={"prompt": "join"})

    assert [len(item["imageUrls"]) for item in found.first_items] == [2, 2, 1]
    assert [len(item["imageUrls"]) for item in grouped.first_items] == [3, 1, 1]


def test_a_file_that_the_model_does_not_take_is_named(owner: User) -> None:
    media = make_media(owner, name="loop.gif", content_type="image/gif")

    found = look(owner, EDIT, source="images", images=media.reference, params={"prompt": "in ink"})

    assert "loop.gif is GIF" in found.row_problems[0].message


def test_a_model_that_takes_one_image_gets_one(owner: User) -> None:
    found = look(
        owner,
        IMAGE_TO_VIDEO,
        source="images",
        images="https://a.example/1.png",
        params={"prompt": "pan", "duration": "10"},
    )

    assert found.first_items[0]["imageUrl"] == "https://a.example/1.png"


def test_combinations_are_every_prompt_with_every_image(owner: User) -> None:
    images = "https://a.example/1.png\nhttps://a.example/2.png"

    found = look(owner, EDIT, source="combinations", prompts="in ink\nin oil\nin chalk", images=images, repeat=2)

    assert (found.count, found.estimate) == (12, Decimal("0.60"))
    assert [(item["prompt"], item["imageUrls"][0][-5]) for item in found.first_items] == [
        ("in ink", "1"),
        ("in ink", "2"),
        ("in oil", "1"),
    ]


def test_too_many_combinations_are_counted_but_not_made(owner: User) -> None:
    many = "\n".join(f"https://a.example/{number}.png" for number in range(5000))

    began = time.monotonic()
    found = look(owner, EDIT, source="combinations", prompts=many, images=many)

    assert found.count == 25_000_000
    assert "more than one mission may hold" in found.problems[0].message
    assert time.monotonic() - began < 20


def test_an_error_in_a_file_names_line_column_and_value(owner: User) -> None:
    found = look(owner, source="file", imported=imported("编号,提示词,比例\n1,cat,1:1\n2,dog,16x9\n", TEXT_TO_IMAGE))

    problem = found.row_problems[0]
    assert (str(problem.place), problem.column, problem.value) == ("Line 3", "比例", "16x9")


def test_a_file_may_name_uploaded_images_as_they_were_called(owner: User, stranger: User) -> None:
    media = make_media(owner, name="cat.png")
    make_media(stranger, name="dog.png", content=b"dog")
    table = "image,prompt\ncat.png,in ink\ndog.png,in oil\n"

    found = look(owner, EDIT, source="file", imported=imported(table, EDIT), leave_out=True)

    assert told(found) == [("Line 3", "imageUrls", "dog.png")]
    assert found.rows == [{"imageUrls": [media.reference], "prompt": "in ink"}]


def test_two_columns_of_images_go_into_one_list(owner: User) -> None:
    table = "image1,image2,prompt\nmedia:1,https://a.example/2.png | media:3,join\n"

    rows = composition.compose(Entry(source="file", imported=imported(table, EDIT)), EDIT, owner=owner).rows

    assert rows == [{"imageUrls": ["media:1", "https://a.example/2.png", "media:3"], "prompt": "join"}]


def test_lines_that_could_not_be_read_are_left_out_only_when_that_is_wanted(owner: User) -> None:
    lines = imported('"one"\n{broken\n"two"\n', TEXT_TO_IMAGE, "rows.jsonl")

    assert not look(owner, source="file", imported=lines).is_ready
    assert look(owner, source="file", imported=lines, leave_out=True).count == 2


def test_cells_beyond_the_last_column_are_told(owner: User) -> None:
    found = look(owner, source="file", imported=imported("prompt\na cat\na dog, brown\n", TEXT_TO_IMAGE))

    assert [str(problem.place) for problem in found.row_problems] == ["Line 3"]


@pytest.mark.parametrize(
    "endpoint, expected",
    [
        ("rhart-image-v1/text-to-image", ["prompts", "file"]),
        ("rhart-image-v1/edit", ["images", "combinations", "file"]),
    ],
)
def test_a_model_offers_the_ways_that_it_can_take(endpoint: str, expected: list[str]) -> None:
    assert composition.sources_for(catalog.get_model(endpoint)) == expected


def test_every_model_of_the_catalogue_can_be_filled_by_each_of_its_ways() -> None:
    for model in catalog.all_models():
        for source in composition.sources_for(model):
            filled = composition.filled_by_rows(Entry(source=source, has_prompt_each=True), model)
            assert filled <= {field.name for field in model.parameters}
            assert bool(filled) == (source != Source.FILE)


def test_the_duration_is_unknown_until_the_model_was_seen_and_then_follows_the_slots(
    owner: User, workers: Workers, account: ProviderAccount
) -> None:
    assert look(owner, prompts="a cat").seconds is None

    workers.finish(make_mission(owner, 6))
    selectors._expectations.clear()  # kept for a moment
    ProviderAccount.objects.update(concurrency=2)
    few, many = look(owner, prompts="a cat"), look(owner, prompts="a cat\n" * 200)

    assert few.seconds is not None
    assert many.seconds == pytest.approx(few.seconds * 100, rel=0.6)


def test_a_preview_makes_nothing(owner: User) -> None:
    look(owner, prompts="a cat")

    assert not Mission.objects.exists()


def test_ten_thousand_prompts_are_checked_quickly(owner: User) -> None:
    text = "\n".join(f"A red fox number {number} in fresh snow" for number in range(10_000))

    began = time.monotonic()
    assert look(owner, prompts=text).count == 10_000
    assert time.monotonic() - began < 30


def test_a_size_beyond_the_limit_is_told_without_reading_the_rows(owner: User, settings: Settings) -> None:
    settings.MISSION_MAX_ITEMS = 3

    assert look(owner, prompts="a\nb", repeat=2).problems[0].field == "batch_input"
