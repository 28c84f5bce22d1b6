"""Understand the cell of a table as a value of its parameter.

Spreadsheets and people spell values in their own way: Excel turns 16:9 into a time, a Chinese
keyboard types ``16：9``, a number is formatted as 50 %. Only an unmistakable spelling is replaced;
everything else stays as it is, and the parameter says what is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _

from batch_input.tables import split_list
from providers.catalog import Parameter, ParameterType

_PAIR = re.compile(r"(\d{1,5}(?:\.\d+)?)\s*[:x×*∶/]\s*(\d{1,5}(?:\.\d+)?)(?:\s*(?:比例|画幅))?")
_TIME = re.compile(r"(\d{1,3}):(\d{2})(?::00(?:\.0+)?)?(?:\s*([AP])M)?", re.IGNORECASE)
_DATE = re.compile(
    r"\d{4}[-/.年]\d{1,2}([-/.月]\d{1,2}日?)?|\d{1,2}[-/ ](?:\d{1,2}|[A-Za-z]{3,9})([-/ ]\d{2,4})?|\d{1,2}月\d{1,2}日"
    r"|[A-Za-z]{3}[-/ ]\d{2}|\d{1,2}\.\d{1,2}\.\d{2,4}"
)
_UNIT = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*(?:s|sec|secs|seconds?|秒|秒钟)", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_PERCENT = re.compile(r"([-+]?\d+(?:[.,]\d+)?)\s*%")
_WHOLE = re.compile(r"([-+]?\d+)\.0+")
_NOTHING = ("nan", "null", "none", "undefined", "n/a", "#n/a", "<na>", "[object object]")
_WORDS = {"yes": True, "y": True, "是": True, "真": True, "no": False, "n": False, "否": False, "假": False}

# Images in one cell that "|" does not divide.
_BETWEEN_IMAGES = re.compile(r"(?<!\s)\s*[,;，；、]\s*|(?<!\s)\s+(?=https?://)", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://|media:\d+$|output:\d+/\d+$", re.IGNORECASE)
_PICTURE_NAME = re.compile(r".+\.(png|jpe?g|jfif|webp|gif|heic|heif|hif|avif|bmp|tiff?)([?#]\S*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Understood:
    """A value and a problem or "".

    ``is_time``: it was a time that stands for a ratio. ``is_divided``: it is a list that was
    divided at marks which may also stand in a name.
    """

    value: Any
    is_time: bool = False
    is_divided: bool = False
    problem: str = ""


def understand(parameter: Parameter | None, cell: Any) -> Understood:
    """Return the value of a cell for a parameter; the cell itself if it needs no help."""
    if parameter is None or not isinstance(cell, str):
        return Understood(cell)
    text = unicodedata.normalize("NFKC", cell).strip()
    match parameter.type:
        case ParameterType.CHOICE if cell not in parameter.choices:
            return _choice(parameter.choices, cell, text)
        case ParameterType.INTEGER | ParameterType.FLOAT:
            return Understood(_number(cell, text, is_whole=parameter.type is ParameterType.INTEGER))
        case ParameterType.TEXT if parameter.is_required and text.lower() in _NOTHING:
            message = _("“%(value)s” is what programs write for an empty cell. Write a text.")
            return Understood(cell, problem=message % {"value": cell})
        case ParameterType.BOOLEAN:
            return Understood(_WORDS.get(text.lower(), cell))
        case ParameterType.IMAGES:
            entries = split_list(cell)
            images = [image for entry in entries for image in split_images(entry)]
            return Understood(images, is_divided=len(images) > len(entries))
        case ParameterType.IMAGE | ParameterType.VIDEO | ParameterType.AUDIO if (count := len(split_images(cell))) > 1:
            message = _("The cell names %(count)d files, but this parameter takes one.")
            return Understood(cell, problem=message % {"count": count})
    return Understood(cell)


def split_images(text: str) -> list[str]:
    """Split a text of several images that commas, semicolons or spaces divide.

    It is one image unless every part is an address, a reference or the name of a picture: commas
    may stand in addresses and names.
    """
    parts = [part for part in _BETWEEN_IMAGES.split(text.strip()) if part]
    is_name_after_address = any(
        _ADDRESS.match(one) and not _ADDRESS.match(next_) and not _PICTURE_NAME.fullmatch(one)
        for one, next_ in pairwise(parts)
    )
    is_list = all(_ADDRESS.match(part) or _PICTURE_NAME.fullmatch(part) for part in parts)
    return parts if is_list and not is_name_after_address else [text]


def _choice(choices: tuple[str, ...], cell: str, text: str) -> Understood:
    """Return the choice that a text spells. Only one choice may fit."""
    by_text = {choice.lower(): choice for choice in choices}
    spellings = [text.lower()]
    if pair := _PAIR.fullmatch(text.lower()):
        spellings += [f"{pair[1]}{mark}{pair[2]}" for mark in (":", "x", "*", "×")]
    if unit := _UNIT.fullmatch(text):
        spellings += [unit[1], f"{unit[1]}s"]
    if whole := _WHOLE.fullmatch(text):
        spellings.append(whole[1])
    for spelling in spellings:
        if spelling in by_text:
            return Understood(by_text[spelling])
    if time := _TIME.fullmatch(text):
        hours, minutes, half = int(time[1]), int(time[2]), (time[3] or "").upper()
        if half:
            hours = hours % 12 + (12 if half == "P" else 0)
        if (ratio := f"{hours}:{minutes}") in by_text:
            return Understood(by_text[ratio], is_time=True)
    has_ratios = any(re.fullmatch(r"\d+:\d+", choice) for choice in choices)
    if has_ratios and (_TIME.fullmatch(text) or _DATE.fullmatch(text)):
        message = _(
            "“%(value)s” is a time or a date: spreadsheets turn ratios into them. Format the column as text and type the "
            "ratio again. Allowed: %(allowed)s."
        )
        return Understood(cell, problem=message % {"value": cell, "allowed": ", ".join(choices)})
    return Understood(cell)


def _number(cell: str, text: str, *, is_whole: bool) -> str:
    """Return a number as the catalogue reads it: no thousands, percent, unit, decimal comma."""
    if percent := _PERCENT.fullmatch(text):
        if is_whole:
            return cell
        return f"{float(percent[1].replace(',', '.')) / 100:.10g}"
    if unit := _UNIT.fullmatch(text):
        text = unit[1]
    if _THOUSANDS.fullmatch(text):
        # "1,024" may be a thousand or a decimal fraction: only a whole number is beyond doubt.
        text = text.replace(",", "") if is_whole or "." in text or text.count(",") > 1 else text
    elif _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if is_whole and (whole := _WHOLE.fullmatch(text)):
        text = whole[1]
    return text.removeprefix("+")
