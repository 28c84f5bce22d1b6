"""Which column of an imported table fills which parameter: the guess that a person sees, and may change."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from missions.batch_input.tables import TEXT_KEY, Record, Table
from providers.catalog import Model, Parameter, ParameterType

CUSTOM_ID = "custom_id"
LOOKED_AT = 50  # rows that show what a column holds
LONG_TEXT = 12  # characters: shorter texts are names or numbers rather than prompts

# Other words that people head their columns with, by what the model's field is for.
_WORDS = {
    "prompt": ("prompts", "text", "description", "caption", "提示词", "描述", "文案", "文本", "内容", "画面"),
    "image": ("images", "picture", "photo", "file", "filename", "url", "imageurl", "imageurls", "图片", "图像", "参考图", "原图"),
    "negativePrompt": ("negative", "反向提示词", "负面提示词"),
    "aspectRatio": ("ratio", "aspect", "比例", "宽高比", "画幅", "尺寸"),
    "duration": ("seconds", "length", "时长", "秒数"),
    "resolution": ("清晰度", "分辨率"),
    "seed": ("种子",),
    CUSTOM_ID: ("id", "name", "number", "no", "sku", "编号", "序号", "名称"),
}  # fmt: skip
_IMAGE = re.compile(r"(?i)(https?://|media:\d|.+\.(png|jpe?g|webp|gif)$)")
_DIGITS = "0123456789０１２３４５６７８９"


def prompt_field(model: Model) -> Parameter | None:
    """The field that a prompt fills: the batch field if it is a text, else the first text."""
    batch = model.parameter(model.batch_field)
    if batch is not None and batch.type is ParameterType.TEXT:
        return batch
    return next((field for field in model.parameters if field.type is ParameterType.TEXT), None)


def image_field(model: Model) -> Parameter | None:
    """The field that an item's image fills: the batch field if it is one, else the first that is needed, else the first."""
    files = sorted((field for field in model.parameters if field.is_file), key=lambda field: not field.is_required)
    return next((field for field in files if field.name == model.batch_field), files[0] if files else None)


def has_header(table: Table, model: Model) -> bool:
    """Whether the first record looks like names of columns."""
    if table.keys is not None:
        return True
    cells = table.records[0].cells if len(table.records) > 1 else []
    return any(_by_name(str(cell), model) for cell in cells)


def guess(table: Table, model: Model, *, header: bool) -> list[str]:
    """A field name, ``custom_id`` or "" for each column.  Only fields that hold lists take more than one column."""
    names = table.names(has_header=header)
    found = [_by_name(name, model) for name in names] if header else [""] * len(names)
    _keep_first(found, model)
    _guess_by_content(found, table.body(has_header=header)[:LOOKED_AT], model)
    return found


def _by_name(name: str, model: Model) -> str:
    if name == TEXT_KEY:
        prompt = model.parameter(model.batch_field)
        return prompt.name if prompt else ""
    plain = _plain(name)
    exact = {_plain(field.name): field.name for field in model.parameters} | {_plain(CUSTOM_ID): CUSTOM_ID}
    known = exact | {_plain(word): target for word, target in _words(model).items() if _plain(word) not in exact}
    unnumbered = plain.rstrip(_DIGITS)
    if plain in known or unnumbered in known:
        return known.get(plain) or known[unnumbered]
    close = difflib.get_close_matches(plain, exact, n=1, cutoff=0.85)
    return exact[close[0]] if close else ""


def _words(model: Model) -> dict[str, str]:
    """The other words for the fields that this model has."""
    prompt, image = prompt_field(model), image_field(model)
    roles = {"prompt": prompt and prompt.name, "image": image and image.name, CUSTOM_ID: CUSTOM_ID}
    roles |= {field.name: field.name for field in model.parameters if field.name not in roles}
    return {word: target for role, words in _WORDS.items() if (target := roles.get(role)) for word in (role, *words)}


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]", "", name).lower()


def _keep_first(found: list[str], model: Model) -> None:
    for place, name in enumerate(found):
        if name in found[:place] and not takes_many(model, name):
            found[place] = ""


def takes_many(model: Model, name: str) -> bool:
    field = model.parameter(name)
    return field is not None and field.type is ParameterType.IMAGES


def _guess_by_content(found: list[str], records: Sequence[Record], model: Model) -> None:
    """Give the prompt and the image a column if no name did: that of images, that of the longest texts."""
    columns = [_column(records, place) for place in range(len(found))]
    free = [place for place, name in enumerate(found) if not name and any(columns[place])]
    image, prompt = image_field(model), prompt_field(model)
    if image and image.name not in found:
        holding = [place for place in free if _are_images(columns[place])]
        for place in holding if takes_many(model, image.name) else holding[:1]:
            found[place] = image.name
    free = [place for place in free if not found[place] and not _are_images(columns[place])]
    if prompt and prompt.name not in found and free:
        longest = max(free, key=lambda place: _mean_length(columns[place]))
        if len(found) == 1 or _mean_length(columns[longest]) >= LONG_TEXT:
            found[longest] = prompt.name


def _column(records: Sequence[Record], place: int) -> list[Any]:
    return [record.cells[place] if place < len(record.cells) else "" for record in records]


def _are_images(cells: Sequence[Any]) -> bool:
    filled = [str(cell) for cell in cells if cell]
    return bool(filled) and all(_IMAGE.match(cell) for cell in filled)


def _mean_length(cells: Sequence[Any]) -> float:
    filled = [len(str(cell)) for cell in cells if cell]
    return sum(filled) / len(filled) if filled else 0.0
