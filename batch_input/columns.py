"""Match the columns of an imported table with the parameters that they fill.

A column's own name decides first, then its label, then words that people use instead, and last
its cells. Everything but an exact name or label is a guess: it is shown as one, and a person can
change it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from django.utils import translation

from batch_input.headings import CUSTOM_ID, DIGITS, LOCATIONS, SYNONYMS, compact, split_words
from batch_input.report import Basis, ColumnMatch
from batch_input.result_columns import result_columns
from batch_input.tables import TEXT_KEY, Record, Table
from providers.catalog import Model, Parameter, ParameterType
from providers.catalog.labels import parameter_label

SAMPLED_ROWS = 50  # enough to see what a column holds
# In characters: texts that are shorter on average are names or numbers rather than prompts.
PROMPT_LENGTH = 12
LANGUAGES = ("en", "zh-hans")

_PICTURE = re.compile(r"(?i)(media:\d+$|output:\d+|.+\.(png|jpe?g|webp|gif|heic|heif|avif|bmp|tiff?)([?#].*)?$)")
_ADDRESS = re.compile(r"(?i)https?://")
_NUMBER = re.compile(r"\d+([.,]\d+)?")
_DATE = re.compile(r"[A-Za-z]{3,9}\.? \d{1,2}, \d{4}|\d{1,2}\.? [A-Za-z]{3,9}\.?,? \d{4}|[\d\-/.:年月日时分秒 ]+")
_RATIO = re.compile(r"\s*\d{1,2}\s*[:：xX×*]\s*\d{1,2}\s*")


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
    """Return True if the field holds a list, so that several columns may fill it.

    The fields of a free-form model are known by their names only.
    """
    if model.is_free_form:
        return name.endswith("Urls")
    field = model.parameter(name)
    return field is not None and field.type is ParameterType.IMAGES


def has_header(table: Table, model: Model) -> bool:
    """Return True if the first record looks like column names.

    It does if a cell of it is the name of a field or resembles one, as ``prompt_id`` does, or if a
    column holds ratios, numbers or pictures from the second row on but not in the first.
    """
    if table.keys is not None:
        return True
    if len(table.records) < 2:
        return False
    if model.is_free_form:
        return table.report.kind != "text"
    first = [str(cell).strip() for cell in table.records[0].cells]
    names = {compact(field.name) for field in model.parameters}
    for cell in filter(None, first):
        words = split_words(cell)
        is_short = len(words) <= 2 and bool(re.fullmatch(r"\w+(\s?[(（]\w+[)）])?", cell))
        if (is_short and words and compact(words[0]) in names) or _by_name(cell, model) is not None:
            return True
    for place, cell in enumerate(first):
        below = _filled_cells(table.records[1 : SAMPLED_ROWS + 1], place)
        shapes = [_RATIO, _PICTURE, *([_NUMBER] if len(below) > 1 else [])]
        if cell and below and any(all(map(shape.fullmatch, below)) and not shape.fullmatch(cell) for shape in shapes):
            return True
    return False


def match_columns(table: Table, model: Model, *, header: bool) -> list[ColumnMatch]:
    """Return what each column fills, and why: an empty ``field`` for a column that is not used.

    For each field, the clearest name wins: an exact one before a label, a label before a synonym.
    Of equal ones the first wins, but all of them fill a field that holds a list. A column without a
    telling name is matched by its cells: ratios and other choices, then pictures, then the longest
    texts as the prompt. Columns of a free-form model fill the parameters of their names.
    """
    names = table.names(has_header=header)
    records = table.body(has_header=header)[:SAMPLED_ROWS]
    results = result_columns(table) if header else {}
    if model.is_free_form:
        return [
            ColumnMatch(name) if place in results else ColumnMatch(name, name or model.batch_field, "name")
            for place, name in enumerate(names)
        ]
    matches = [ColumnMatch(name) for name in names]
    cells = [[] if place in results else _filled_cells(records, place) for place in range(len(names))]

    claims: dict[str, list[tuple[int, str, int, Basis]]] = {}
    for place, name in enumerate(names if header else ()):
        if place in results or (claim := _by_name(name, model)) is None:
            continue
        field, rank, basis = claim
        base = compact(name).rstrip(DIGITS)
        if base not in LOCATIONS or basis == "name" or (cells[place] and all(map(_PICTURE.match, cells[place]))):
            claims.setdefault(field, []).append((rank, base, place, basis))
    for field, claimants in claims.items():
        best = min(claimants)
        winners = [claim for claim in claimants if claim[:2] == best[:2]] if takes_many(model, field) else [best]
        for _rank, _base, place, basis in winners:
            matches[place] = replace(matches[place], field=field, basis=basis)
    for place, field, basis in _by_cells(matches, cells, model, header=header):
        matches[place] = replace(matches[place], field=field, basis=basis)
    return matches


def _by_cells(
    matches: Sequence[ColumnMatch], cells: Sequence[list[str]], model: Model, *, header: bool
) -> Iterator[tuple[int, str, Basis]]:
    """Yield (place, field, basis) for columns that the cells tell to fill a field that is empty."""
    filled = {match.field for match in matches}
    free = [place for place, match in enumerate(matches) if not match.field and cells[place]]
    choices = [field for field in model.parameters if field.type is ParameterType.CHOICE and field.name not in filled]
    for choice in choices:
        has_ratios = any(map(_RATIO.fullmatch, map(str, choice.choices)))
        options = {str(option).lower() for option in choice.choices if not str(option).isdecimal()}
        for place in free:
            texts = [cell.strip().lower() for cell in cells[place]]
            if all(text in options or (has_ratios and _RATIO.fullmatch(text)) for text in texts):
                free.remove(place)
                yield place, choice.name, "cells"
                break

    image, prompt = image_field(model), prompt_field(model)
    pictures = [place for place in free if all(map(_PICTURE.match, cells[place]))]
    addresses = [place for place in free if all(map(_ADDRESS.match, cells[place]))]
    if image is not None and image.name not in filled:
        places = pictures or (addresses if image.is_required and not header else [])
        for place in places if takes_many(model, image.name) else places[:1]:
            yield place, image.name, "cells"

    dates = [place for place in free if len(matches) > 1 and all(map(_DATE.fullmatch, cells[place]))]
    texts_left = [place for place in free if place not in (*pictures, *addresses, *dates)]
    if prompt is not None and prompt.name not in filled and texts_left:
        mean_length = {place: sum(map(len, cells[place])) / len(cells[place]) for place in texts_left}
        longest = max(texts_left, key=lambda place: mean_length[place])
        if len(matches) == 1 or mean_length[longest] >= PROMPT_LENGTH:
            yield longest, prompt.name, "only" if len(matches) == 1 and not header else "cells"


def _by_name(name: str, model: Model) -> tuple[str, int, Basis] | None:
    """Return the field that a column of this name fills, the rank of the name, and its basis.

    A lower rank is clearer. None: the name says nothing.
    """
    if name == TEXT_KEY:
        batch = model.parameter(model.batch_field)
        return (batch.name, 0, "name") if batch else None
    fields = (*(field.name for field in model.parameters), CUSTOM_ID)
    prompt, image = prompt_field(model), image_field(model)
    words = _words(fields, prompt.name if prompt else "", image.name if image else "")
    plain = compact(name)
    if word := words.get(plain):
        return word
    if (base := plain.rstrip(DIGITS)) != plain and (word := words.get(base)):
        field, rank, basis = word
        return field, rank, basis if takes_many(model, field) else "synonym"
    # A slip of the keyboard, but no longer word such as prompt_id.
    exact = {compact(field): field for field in fields}
    close = [
        word
        for word in difflib.get_close_matches(plain, exact, n=3, cutoff=0.85)
        if abs(len(word) - len(plain)) <= 1 and not plain.startswith(word)
    ]
    return (exact[close[0]], 99, "spelling") if close else None


@lru_cache(maxsize=256)
def _words(fields: tuple[str, ...], prompt: str, image: str) -> dict[str, tuple[str, int, Basis]]:
    """Return the meaning of every known column name: (field, rank, basis)."""
    words: dict[str, tuple[str, int, Basis]] = {}
    for field in fields:
        words[compact(field)] = (field, 0, "name")
    for language in LANGUAGES:
        with translation.override(language):
            for field in fields:
                words.setdefault(compact(parameter_label(field)), (field, 1, "name"))
    targets = {field: field for field in fields} | {"prompt": prompt, "image": image}
    for purpose, synonyms in SYNONYMS.items():
        if target := targets.get(purpose):
            for rank, word in enumerate((purpose, *synonyms), start=2):
                words.setdefault(compact(word), (target, rank, "synonym"))
    for rank, word in enumerate(LOCATIONS, start=60):
        if image:
            words.setdefault(word, (image, rank, "synonym"))
    return words


def _filled_cells(records: Sequence[Record], place: int) -> list[str]:
    cells = (record.cells[place] for record in records if place < len(record.cells))
    return [str(cell) for cell in cells if cell not in (None, "", [])]
