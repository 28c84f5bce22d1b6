"""Guess which parameter each column of an imported table fills.

A person sees the guess and can change it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from missions.batch_input.tables import TEXT_KEY, Record, Table
from providers.catalog import Model, Parameter, ParameterType

CUSTOM_ID = "custom_id"
SAMPLED_ROWS = 50  # enough to see what a column holds
# In characters: texts that are shorter on average are names or numbers rather than prompts.
PROMPT_LENGTH = 12

# Headings that people use, by the purpose of the field or by its name.
_HEADINGS = {
    "prompt": ("prompts", "text", "description", "caption", "提示词", "描述", "文案", "文本", "内容", "画面"),
    "image": ("images", "picture", "photo", "file", "filename", "url", "imageurl", "imageurls", "图片", "图像", "参考图", "原图"),
    "negativePrompt": ("negative", "反向提示词", "负面提示词"),
    "aspectRatio": ("ratio", "aspect", "比例", "宽高比", "画幅", "尺寸"),
    "duration": ("seconds", "length", "时长", "秒数"),
    "resolution": ("清晰度", "分辨率"),
    "seed": ("种子",),
    CUSTOM_ID: ("id", "name", "number", "no", "sku", "编号", "序号", "名称"),
}  # fmt: skip
_IMAGE = re.compile(r"(?i)(https?://|media:\d|output:\d|.+\.(png|jpe?g|webp|gif)$)")
_DIGITS = "0123456789０１２３４５６７８９"


def prompt_field(model: Model) -> Parameter | None:
    """Return the field of the prompt: the batch field if it is a text, else the first text."""
    batch = model.parameter(model.batch_field)
    if batch is not None and batch.type is ParameterType.TEXT:
        return batch
    return next((field for field in model.parameters if field.type is ParameterType.TEXT), None)


def image_field(model: Model) -> Parameter | None:
    """Return the field of an item's image.

    That is the batch field if it takes files, else the first required file field, else any.
    """
    files = sorted((field for field in model.parameters if field.is_file), key=lambda field: not field.is_required)
    return next((field for field in files if field.name == model.batch_field), files[0] if files else None)


def takes_many(model: Model, name: str) -> bool:
    """Return True if the field holds a list, so that several columns may fill it."""
    field = model.parameter(name)
    return field is not None and field.type is ParameterType.IMAGES


def has_header(table: Table, model: Model) -> bool:
    """Return True if the first record looks like column headings."""
    if table.keys is not None:
        return True
    cells = table.records[0].cells if len(table.records) > 1 else []
    return any(_by_heading(str(cell), model) for cell in cells)


def guess(table: Table, model: Model, *, header: bool) -> list[str]:
    """Return a field name, ``custom_id`` or "" for each column.

    Headings decide first. If none of them names the image or the prompt, the contents do: images
    look like addresses or file names, prompts are the longest texts. Only fields that hold lists
    take more than one column.
    """
    names = table.names(has_header=header)
    meanings = [_by_heading(name, model) for name in names] if header else [""] * len(names)
    for place, name in enumerate(meanings):
        if name in meanings[:place] and not takes_many(model, name):
            meanings[place] = ""

    records = table.body(has_header=header)[:SAMPLED_ROWS]
    columns = [_filled_cells(records, place) for place in range(len(meanings))]
    free = [place for place, name in enumerate(meanings) if not name and columns[place]]
    image_places = [place for place in free if all(_IMAGE.match(cell) for cell in columns[place])]
    image, prompt = image_field(model), prompt_field(model)
    if image and image.name not in meanings:
        for place in image_places if takes_many(model, image.name) else image_places[:1]:
            meanings[place] = image.name
    text_places = [place for place in free if place not in image_places]
    if prompt and prompt.name not in meanings and text_places:
        mean_length = {place: sum(map(len, columns[place])) / len(columns[place]) for place in text_places}
        longest = max(text_places, key=lambda place: mean_length[place])
        if len(meanings) == 1 or mean_length[longest] >= PROMPT_LENGTH:
            meanings[longest] = prompt.name
    return meanings


def _by_heading(heading: str, model: Model) -> str:
    """Return the field that a column of this heading fills, or ""."""
    if heading == TEXT_KEY:
        batch = model.parameter(model.batch_field)
        return batch.name if batch else ""
    exact = {_plain(field.name): field.name for field in model.parameters} | {_plain(CUSTOM_ID): CUSTOM_ID}
    prompt, image = prompt_field(model), image_field(model)
    targets = {field.name: field.name for field in model.parameters} | {CUSTOM_ID: CUSTOM_ID}
    targets |= {"prompt": prompt.name if prompt else "", "image": image.name if image else ""}
    usual = {
        _plain(word): targets[purpose]
        for purpose, words in _HEADINGS.items()
        if targets.get(purpose)
        for word in (purpose, *words)
    }
    meanings = usual | exact
    plain = _plain(heading)
    if meaning := meanings.get(plain) or meanings.get(plain.rstrip(_DIGITS)):
        return meaning
    close = difflib.get_close_matches(plain, exact, n=1, cutoff=0.85)
    return exact[close[0]] if close else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]", "", name).lower()


def _filled_cells(records: Sequence[Record], place: int) -> list[str]:
    cells: list[Any] = [record.cells[place] for record in records if place < len(record.cells)]
    return [str(cell) for cell in cells if cell]
