"""What a person has entered becomes the rows of a mission: ``services`` checks them, this module only puts them together.

    prompts        a row per line
    images         a row per line of images, with one prompt for all or one prompt each
    combinations   every prompt with every line of images
    file           a row per record of an imported table, by the columns' meaning

Every row knows where it came from, so that an error can be shown at its line, image or cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from media.models import MediaFile
from missions.batch_input import columns, importers
from missions.batch_input.tables import Record, Table
from providers.catalog import Model

NAMES_AT_ONCE = 2000

_REFERENCE = re.compile(r"(?i)https?://|media:\d+$")


class Source(models.TextChoices):
    PROMPTS = "prompts", gettext_lazy("Prompts")
    IMAGES = "images", gettext_lazy("Images")
    COMBINATIONS = "combinations", gettext_lazy("Prompts × images")
    FILE = "file", gettext_lazy("File")


@dataclass(frozen=True, slots=True)
class Import:
    """An imported table, and what its columns mean: a field, ``custom_id`` or "" for each."""

    table: Table
    has_header: bool
    meaning: Sequence[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the form holds for the rows.  The texts are as they were typed; a line of ``images`` may name several by "|"."""

    source: str
    prompts: str = ""
    images: str = ""
    images_per_item: int = 1
    has_prompt_each: bool = False
    image_prompts: str = ""
    imported: Import | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row came from: a line of the prompts or of the file, an image, or both.  0: not from there."""

    line: int = 0
    image: int = 0

    def __str__(self) -> str:
        known = {"line": self.line, "image": self.image}
        if self.line and self.image:
            return _("Prompt %(line)d, image %(image)d") % known
        return _("Image %(image)d") % known if self.image else _("Line %(line)d") % known


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with one row: in which field, in which column of the file, with which value."""

    place: Place
    message: str
    field: str = ""
    column: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Composed:
    """The rows, each with its place.  ``problems`` are those of rows that could not be put together."""

    rows: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    broken: frozenset[int] = frozenset()  # rows that are here but named in ``problems``
    columns: Mapping[str, str] = field(default_factory=dict)  # which column of the file fills a field


def sources_for(model: Model) -> list[Source]:
    """What can be entered for a model, the most natural first."""
    if columns.image_field(model) is None:
        return [Source.PROMPTS, Source.FILE]
    if columns.prompt_field(model) is None:
        return [Source.IMAGES, Source.FILE]
    return [Source.IMAGES, Source.COMBINATIONS, Source.FILE]


def filled_by_rows(entry: Entry, model: Model) -> set[str]:
    """The parameters that the rows give, so that the form does not ask for them again."""
    prompt, image = columns.prompt_field(model), columns.image_field(model)
    fields = {
        Source.PROMPTS: [prompt],
        Source.IMAGES: [image, prompt if entry.has_prompt_each else None],
        Source.COMBINATIONS: [prompt, image],
        Source.FILE: [],
    }[Source(entry.source)]
    return {field.name for field in fields if field is not None}


def count(entry: Entry) -> int:
    """How many rows there will be, told without making them."""
    match entry.source:
        case Source.PROMPTS:
            return len(prompt_lines(entry.prompts))
        case Source.IMAGES:
            return len(image_groups(entry))
        case Source.COMBINATIONS:
            return len(prompt_lines(entry.prompts)) * len(image_groups(entry))
    imported = entry.imported
    return len(imported.table.body(has_header=imported.has_header)) if imported else 0


def compose(entry: Entry, model: Model, *, owner: AbstractBaseUser) -> Composed:
    """The rows for ``services.draft_mission``."""
    match entry.source:
        case Source.PROMPTS:
            return _from_prompts(entry, model)
        case Source.IMAGES:
            return _from_images(entry, model)
        case Source.COMBINATIONS:
            return _from_combinations(entry, model)
    return _from_file(entry.imported, model, owner) if entry.imported else Composed()


# --- Texts ---


def prompt_lines(text: str) -> list[tuple[int, str]]:
    """The prompts, each with the number of its line."""
    return list(importers.lines_of(text))


def without_repeats(text: str) -> str:
    """The lines of a text, each only the first time that it occurs."""
    return "\n".join(dict.fromkeys(line for _number, line in importers.lines_of(text)))


def image_groups(entry: Entry) -> list[list[str]]:
    """The images of each item.  ``images_per_item`` puts lines together that name one image each."""
    groups = [importers.split(line) for _number, line in importers.lines_of(entry.images)]
    groups = [group for group in groups if group]
    size = max(entry.images_per_item, 1)
    if size == 1 or any(len(group) > 1 for group in groups):
        return groups
    return [[name for group in groups[start : start + size] for name in group] for start in range(0, len(groups), size)]


def without_image(text: str, number: int) -> str:
    """The images without the one of that line, counted from 1."""
    lines = [line for _number, line in importers.lines_of(text)]
    return "\n".join(line for place, line in enumerate(lines, start=1) if place != number)


# --- The four ways ---


def _from_prompts(entry: Entry, model: Model) -> Composed:
    field_ = columns.prompt_field(model)
    lines = prompt_lines(entry.prompts) if field_ else []
    rows = [{field_.name: text} for _line, text in lines] if field_ else []
    return Composed(rows, [Place(line=line) for line, _text in lines])


def _from_images(entry: Entry, model: Model) -> Composed:
    groups = image_groups(entry)
    rows = [_with_images(model, group) for group in groups]
    prompt = columns.prompt_field(model)
    if entry.has_prompt_each and prompt is not None:
        texts = re.split(r"\r\n|\r|\n", entry.image_prompts)
        for row, text in zip(rows, texts, strict=False):
            row[prompt.name] = text.strip()
        for row in rows[len(texts) :]:
            row[prompt.name] = ""
    return Composed(rows, [Place(image=number) for number in range(1, len(rows) + 1)])


def _from_combinations(entry: Entry, model: Model) -> Composed:
    prompt, groups = columns.prompt_field(model), image_groups(entry)
    if prompt is None:
        return Composed()
    pairs = [
        ({prompt.name: text} | _with_images(model, group), Place(line=line, image=number))
        for line, text in prompt_lines(entry.prompts)
        for number, group in enumerate(groups, start=1)
    ]
    return Composed([row for row, _place in pairs], [place for _row, place in pairs])


def _with_images(model: Model, group: Sequence[str]) -> dict[str, Any]:
    field_ = columns.image_field(model)
    if field_ is None:
        return {}
    if columns.takes_many(model, field_.name):
        return {field_.name: list(group)}
    return {field_.name: group[0] if len(group) == 1 else list(group)}


def _from_file(imported: Import, model: Model, owner: AbstractBaseUser) -> Composed:
    names = imported.table.names(has_header=imported.has_header)
    reader = _RecordReader(imported.meaning, names, model)
    records = imported.table.body(has_header=imported.has_header)
    rows = [reader.read(record) for record in records]
    files = [field_.name for field_ in model.parameters if field_.is_file]
    _name_files(rows, files, owner)
    found = [
        (number, problem)
        for number, (record, row) in enumerate(zip(records, rows, strict=True))
        for problem in _record_problems(record, row, names, files)
    ]
    unread = [RowProblem(Place(line=error.line), error.message) for error in imported.table.problems]
    return Composed(
        rows,
        [Place(line=record.line) for record in records],
        unread + [problem for _number, problem in found],
        frozenset(number for number, _problem in found),
        columns=reader.column_of,
    )


def _record_problems(
    record: Record, row: Mapping[str, Any], names: Sequence[str], files: Iterable[str]
) -> Iterator[RowProblem]:
    """What is wrong with a record before any model is asked."""
    if problem := importers.width_problem(names, [str(cell) for cell in record.cells]):
        yield RowProblem(Place(line=record.line), problem)
    for name in files:
        for unknown in _names_in(row.get(name)):
            message = _("You have no uploaded image of this name: upload it to the media library first.")
            yield RowProblem(Place(line=record.line), message, field=name, value=unknown)


class _RecordReader:
    """Turns records into rows, by the meaning of the columns."""

    def __init__(self, meaning: Sequence[str], names: Sequence[str], model: Model) -> None:
        self._fields = [(place, name) for place, name in enumerate(meaning) if name]
        self._lists = {name for name in meaning if name and columns.takes_many(model, name)}
        self.column_of = {name: names[place] for place, name in self._fields if place < len(names)}

    def read(self, record: Record) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for place, name in self._fields:
            cell = record.cells[place] if place < len(record.cells) else None
            if cell is None or (isinstance(cell, str) and not cell.strip()):
                continue
            if name in self._lists:
                row[name] = [*row.get(name, []), *_as_list(cell)]
            else:
                row[name] = cell.strip() if isinstance(cell, str) else cell
        return row


def _as_list(cell: Any) -> list[Any]:
    if isinstance(cell, list):
        return cell
    return importers.split(cell) if isinstance(cell, str) else [cell]


def _name_files(rows: Iterable[dict[str, Any]], fields: Sequence[str], owner: AbstractBaseUser) -> None:
    """Put ``media:ID`` where a cell names an uploaded image as it was called on the person's machine."""
    cells = [(row, name) for row in rows for name in fields if name in row]
    known = _references({text for row, name in cells for text in _names_in(row[name])}, owner)
    for row, name in cells:
        value = row[name]
        row[name] = [_known(known, text) for text in value] if isinstance(value, list) else _known(known, value)


def _known(known: Mapping[str, str], value: Any) -> Any:
    return known.get(value, value) if isinstance(value, str) else value


def _names_in(value: Any) -> Iterator[str]:
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str) and not _REFERENCE.match(entry):
            yield entry


def _references(names: set[str], owner: AbstractBaseUser) -> dict[str, str]:
    """The owner's newest image of each name."""
    found: dict[str, str] = {}
    wanted = sorted(names)
    for start in range(0, len(wanted), NAMES_AT_ONCE):
        part = wanted[start : start + NAMES_AT_ONCE]
        files = MediaFile.objects.filter(owner_id=owner.pk, name__in=part).order_by("created_at", "pk")
        found |= {file.name: file.reference for file in files}
    return found
