"""The commands read prompts files and upload the local images that they name."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from PIL import Image
from pytest_django import Settings

from batch_input.local_files import Row, read_file, read_rows, upload_local_files
from batch_input.rows import RowValue, count_repeats
from batch_input.tables import RowsInvalid
from media.models import MediaFile
from media.services import store_upload
from providers import catalog
from tests.factories import picture
from tests.xlsx_files import row, sheet, workbook

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT_TO_IMAGE = catalog.get_model("rhart-image-v1/text-to-image")
EDIT = catalog.get_model("rhart-image-v1/edit")


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "uploads"
    for name, colour in [("red.png", "red"), ("blue.png", "blue")]:
        Image.new("RGB", (8, 8), colour).save(tmp_path / name)
    return tmp_path


def rows(tmp_path: Path, name: str, content: str, model: catalog.Model = TEXT_TO_IMAGE) -> list[RowValue]:
    (tmp_path / name).write_text(content)
    return [row.value for row in read_rows(tmp_path / name, model=model)]


def uploaded(owner: User, folder: Path, task_type: str, *values: RowValue) -> list[RowValue]:
    numbered = [Row(number, value) for number, value in enumerate(values, start=1)]
    model = catalog.default_model(task_type)
    return [row.value for row in upload_local_files(numbered, model=model, folder=folder, owner=owner)]


def test_rows_are_read_by_format(tmp_path: Path) -> None:
    lists = "imageUrls,prompt,aspectRatio\na.png | b.png,x|y,\n"

    assert rows(tmp_path, "a.txt", "one\n\ntwo\none\n") == ["one", "two", "one"]
    assert rows(tmp_path, "a.csv", "custom_id,prompt\n第一,一只“猫”\n") == [{"custom_id": "第一", "prompt": "一只“猫”"}]
    assert rows(tmp_path, "c.csv", "Prompt,宽高比\na fox,16:9\n") == [{"prompt": "a fox", "aspectRatio": "16:9"}]
    assert rows(tmp_path, "b.csv", lists, EDIT) == [{"imageUrls": ["a.png", "b.png"], "prompt": "x|y"}]
    assert rows(tmp_path, "a.jsonl", '"猫"\n\n{"prompt": "a", "n": 1}\n') == ["猫", {"prompt": "a", "n": 1}]
    assert count_repeats(["one", "two", "one"]) == 1


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.csv", "prompt,\na,b\n", "line 1: A column has no name"),
        ("a.csv", "prompt,prompt\na,b\n", "line 1: Columns are named twice: prompt"),
        ("a.csv", "prompt\na fox, in snow\n", "line 2: 2 cells, but 1 columns"),
        ("a.csv", 'prompt\n"never closed\n', "quotation mark"),
        ("a.csv", "prompt\n", "no rows"),
        ("a.jsonl", '"ok"\n17\n', "line 2: Each line must be"),
        ("a.docx", "x", ".xlsx"),
    ],
)
def test_invalid_file_is_explained(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(RowsInvalid) as raised:
        rows(tmp_path, name, content)
    assert message in str(raised.value.errors[0])


def test_divided_images_are_left_to_a_person(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('prompt,imageUrls\nin ink,"a.png, b.png"\n')

    with pytest.raises(RowsInvalid, match="line 2: Separate several images"):
        read_file(file, model=catalog.default_model("image_to_image"))


def test_guesses_are_left_to_a_person(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("prompt_id,Prompt,ratio\n7,a fox,1:1\n")

    read = read_file(file, model=TEXT_TO_IMAGE)

    assert read.rows[0].value == {"prompt_id": "7", "prompt": "a fox", "ratio": "1:1"}
    assert "columns: Prompt id, Prompt, Aspect ratio" in read.report.line


def test_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(RowsInvalid, match="cannot be read"):
        read_rows(tmp_path / "none.txt", model=TEXT_TO_IMAGE)


# --- Local images ---


def test_paths_are_uploaded_and_urls_stay(owner: User, folder: Path) -> None:
    params = {"imageUrls": ["red.png", "https://example.com/a.png", "media:7"], "prompt": "red.png"}

    (row,) = uploaded(owner, folder, "image_to_image", params)

    red = MediaFile.objects.get()
    assert row == {"imageUrls": [f"media:{red.pk}", "https://example.com/a.png", "media:7"], "prompt": "red.png"}
    assert red.name == "red.png"


def test_files_are_found_as_other_machines_write_them(owner: User, folder: Path) -> None:
    photos = folder / "Fotos"
    photos.mkdir()
    decomposed = unicodedata.normalize("NFD", "Grün.png")
    for place, colour in (
        (photos / "Shoe.JPG", "white"),
        (photos / decomposed, "green"),
        (folder / "two.png", "black"),
    ):
        Image.new("RGB", (8, 8), colour).save(place, "PNG")
    for name in ("two.jpg", "fotos/shoe.jpeg.txt"):
        (folder / name.replace("fotos", "Fotos")).write_bytes(b"other")
    earlier = store_upload(owner=owner, file=io.BytesIO(picture(colour="pink")), name="earlier.png").media.reference
    names = ["RED.PNG", "red", "Fotos\\Shoe.JPG", "fotos/shoe.jpg", "C:\\x\\Fotos\\shoe.JPG", "Fotos/Grün.png"]

    values = uploaded(owner, folder, "image_to_image", *({"imageUrls": [name]} for name in (*names, "EARLIER")))

    references = [value["imageUrls"][0] for value in values if isinstance(value, dict)]
    assert len(set(references[:2])) == len(set(references[2:5])) == 1
    assert MediaFile.objects.get(pk=references[2].removeprefix("media:")).name == "Shoe.JPG.png"
    assert references[6] == earlier
    with pytest.raises(RowsInvalid, match=r"two may be any of two\.jpg, two\.png\. Write the whole name\."):
        uploaded(owner, folder, "image_to_image", {"imageUrls": ["two"]})


def test_bare_line_is_a_path_for_image_models_only(owner: User, folder: Path) -> None:
    several, one = uploaded(owner, folder, "image_to_image", "red.png|blue.png", "red.png")

    assert MediaFile.objects.count() == 2
    assert several == {"imageUrls": [f"media:{media.pk}" for media in MediaFile.objects.order_by("pk")]}
    assert one == {"imageUrls": [f"media:{MediaFile.objects.get(name='red.png').pk}"]}
    assert uploaded(owner, folder, "text_to_image", "red.png") == ["red.png"]


def test_unusable_images_are_named_with_their_lines(owner: User, folder: Path) -> None:
    (folder / "page.png").write_text("<html>")
    names = ["none.png", "page.png", "\0"]

    with pytest.raises(RowsInvalid) as raised:
        uploaded(owner, folder, "image_to_video", *[{"imageUrls": [name]} for name in names])

    assert [error.line for error in raised.value.errors] == [1, 2, 3]
    assert "No such file" in raised.value.errors[0].message


@pytest.mark.parametrize(
    "name, task_type",
    [
        ("text_to_image.txt", "text_to_image"),
        ("image_to_image.csv", "image_to_image"),
        ("text_to_video.jsonl", "text_to_video"),
        ("image_to_video.jsonl", "image_to_video"),
    ],
)
def test_examples_fit_their_default_models(owner: User, folder: Path, name: str, task_type: str) -> None:
    model = catalog.default_model(task_type)
    replaced = upload_local_files(read_rows(EXAMPLES / name, model=model), model=model, folder=EXAMPLES, owner=owner)

    assert len(replaced) == 6
    for entry in replaced:
        params = {model.batch_field: entry.value} if isinstance(entry.value, str) else dict(entry.value)
        params.pop("custom_id", None)
        assert model.clean(params)


# --- Reports ---


def test_file_is_read_with_its_report(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeff\ufeffprompt;aspectRatio;;\r\na seal;16:09;;\r\n;;;\r\n".encode())

    read = read_file(tmp_path / "a.csv", model=TEXT_TO_IMAGE)

    assert [row.value for row in read.rows] == [{"prompt": "a seal", "aspectRatio": "16:9"}]
    assert (read.report.delimiter, read.report.header_line, read.report.rows, read.report.blank) == (";", 1, 1, 1)
    assert [warning.code for warning in read.report.warnings] == ["input_times_as_ratios"]


def test_lines_of_a_csv_file_are_prompts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a seal on a rock, ink\nan owl, oil, moon\n")

    read = read_file(tmp_path / "a.csv", model=TEXT_TO_IMAGE)

    assert [row.value for row in read.rows] == ["a seal on a rock, ink", "an owl, oil, moon"]
    assert [warning.code for warning in read.report.warnings] == ["input_whole_lines"]


def test_cell_without_a_value_is_refused(tmp_path: Path) -> None:
    cell = '<c t="e"><v>#N/A</v></c>'
    rows = row(1, "prompt", "aspectRatio") + row(2, "a seal", cell) + row(3, "a crab", "16-Sep")
    (tmp_path / "a.xlsx").write_bytes(workbook([("Batch", "visible", sheet(rows))]))

    with pytest.raises(RowsInvalid) as raised:
        read_file(tmp_path / "a.xlsx", model=TEXT_TO_IMAGE)

    assert [error.line for error in raised.value.errors] == [2, 3]
    assert "#N/A" in raised.value.errors[0].message
