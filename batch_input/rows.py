"""Build the rows of a mission from prompts, images or a table.

The services validate them later.

    prompts        one row per prompt
    images         one row per line of images, with one prompt for all or one prompt each
    combinations   every prompt with every line of images
    file           one row per record of an imported table, by the meanings of its columns

Every row keeps its origin, so that an error can be shown at its line, image or cell.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batch_input import columns
from batch_input.columns import image_field, prompt_field, takes_many
from batch_input.report import COLUMNS_GUESSED, LISTS_DIVIDED, TIMES_AS_RATIOS, ColumnMatch, InputReport
from batch_input.result_columns import result_columns, without_guards
from batch_input.tables import Record, Table, extra_cells_problem, lines_of, split_list
from batch_input.values import split_images, understand
from core.reasons import Reason
from core.text import trim
from media import names as media_names
from providers.catalog import Model, Parameter, ParameterType

RowValue = str | dict[str, Any]
MAX_CELL = 2000  # characters of a cell that fills no parameter


class Source(models.TextChoices):
    """The source of a mission's rows."""

    PROMPTS = "prompts", gettext_lazy("Prompts")
    IMAGES = "images", gettext_lazy("Images")
    COMBINATIONS = "combinations", gettext_lazy("Prompts × images")
    FILE = "file", gettext_lazy("File")


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """A table and what each of its columns fills."""

    table: Table
    has_header: bool
    matches: Sequence[ColumnMatch]

    @property
    def meanings(self) -> list[str]:
        """Return a field name, ``custom_id`` or "" for each column."""
        return [match.field for match in self.matches]

    @property
    def records(self) -> list[Record]:
        """Return the records without the header."""
        return self.table.body(has_header=self.has_header)

    @property
    def report(self) -> InputReport:
        """Return the table's report with the header and the columns that are used."""
        is_headed = self.has_header and self.table.keys is None
        guessed = ", ".join(str(match) for match in self.matches if match.is_guess)
        return replace(
            self.table.report,
            header_line=self.table.records[0].line if is_headed and self.table.records else 0,
            columns=tuple(match.column for match in self.matches if match.field),
            unused_columns=tuple(match.column for match in self.matches if not match.field),
            matches=tuple(match for match in self.matches if match.field),
            rows=len(self.records),
            warnings=(*self.table.report.warnings, *([COLUMNS_GUESSED(columns=guessed)] if guessed else [])),
        )


def import_table(
    table: Table, model: Model, *, has_header: bool | None = None, chosen: Mapping[int, str] | None = None
) -> ImportedTable:
    """Return the table with its header recognized and its columns matched.

    ``has_header`` and ``chosen``, the field of a column by its place from 0, are a person's choice
    and replace a guess.
    """
    table = without_guards(table)
    if has_header is None or table.keys is not None:
        has_header = columns.has_header(table, model)
    matches = columns.match_columns(table, model, header=has_header)
    for place, field_name in (chosen or {}).items():
        if matches[place].field != field_name:
            matches[place] = replace(matches[place], field=field_name, basis="chosen" if field_name else "")
    return ImportedTable(table, has_header, matches)


@dataclass(frozen=True, slots=True)
class BatchInput:
    """The contents of the form that become rows, read once.

    ``prompts`` are (line number, text); ``image_groups`` holds the images of each item;
    ``image_prompts`` has a prompt per image, or is None if one prompt serves all.
    """

    source: Source
    model: Model
    prompt: Parameter | None
    image: Parameter | None
    prompts: list[tuple[int, str]] = field(default_factory=list)
    image_groups: list[list[str]] = field(default_factory=list)
    image_prompts: list[str] | None = None
    imported: ImportedTable | None = None

    @property
    def row_fields(self) -> set[str]:
        """Return the fields that every row fills, so that the form does not ask for them again."""
        fields = {
            Source.PROMPTS: [self.prompt],
            Source.IMAGES: [self.image, None if self.image_prompts is None else self.prompt],
            Source.COMBINATIONS: [self.prompt, self.image],
            Source.FILE: [],
        }[self.source]
        return {field.name for field in fields if field is not None}

    @property
    def row_count(self) -> int:
        """Return the number of rows without building them."""
        match self.source:
            case Source.PROMPTS:
                return len(self.prompts)
            case Source.IMAGES:
                return len(self.image_groups)
            case Source.COMBINATIONS:
                return len(self.prompts) * len(self.image_groups)
            case Source.FILE:
                return len(self.imported.records) if self.imported else 0


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that a row came from: a line of the prompts or of the file, an image, or both.

    0 means none. ``cells`` are the cells of columns that fill no parameter, by heading; ``names``
    are the names of images as the row has them, by reference.
    """

    line: int = 0
    image: int = 0
    cells: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        numbers = {"line": self.line, "image": self.image}
        if self.line and self.image:
            return _("Prompt %(line)d, image %(image)d") % numbers
        return _("Image %(image)d") % numbers if self.image else _("Line %(line)d") % numbers

    @property
    def facts(self) -> dict[str, Any]:
        """Return what an item keeps of it (``MissionItem.origin``), as plain JSON values."""
        facts = {"row": self.line, "cells": dict(self.cells), "names": dict(self.names)}
        return {name: value for name, value in facts.items() if value}


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A problem of one row, in which field and column, and with which value."""

    origin: Origin
    message: str
    field: str = ""
    column: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class BatchRows:
    """The rows with their origins.

    ``invalid`` holds the numbers of the rows that ``problems`` already name; ``columns`` maps a
    field to the heading of the column that fills it, ``headings`` every heading to the field that
    it fills, "" for none. ``warnings`` are reasons about cells that were
    understood in another way than they are written.
    """

    rows: list[Any] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    invalid: frozenset[int] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    headings: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Reason, ...] = ()


def sources_for(model: Model) -> list[Source]:
    """Return the sources that suit a model, the usual one first."""
    image, prompt = image_field(model), prompt_field(model)
    if image is None:
        return [Source.PROMPTS, Source.FILE]
    if prompt is None:
        return [Source.IMAGES, Source.FILE]
    if model.batch_field == prompt.name and not image.is_required:
        return [Source.PROMPTS, Source.IMAGES, Source.COMBINATIONS, Source.FILE]
    return [Source.IMAGES, Source.COMBINATIONS, Source.FILE]


def read_batch(
    model: Model,
    source: Source,
    *,
    prompts: str = "",
    images: str = "",
    images_per_item: int = 1,
    image_prompts: str | None = None,
    imported: ImportedTable | None = None,
) -> BatchInput:
    """Read the texts of the form.

    A line of ``images`` may name several, separated by "|". ``images_per_item`` joins lines only if
    every line names one.
    """
    lines = [split_list(line) for _number, line in lines_of(images)]
    groups = [group for parts in lines if (group := [image for part in parts for image in split_images(part)])]
    size = max(images_per_item, 1)
    if size > 1 and all(len(group) == 1 for group in groups):
        names = [group[0] for group in groups]
        groups = [names[start : start + size] for start in range(0, len(names), size)]
    prompt = prompt_field(model)
    has_prompt_each = image_prompts is not None and prompt is not None
    return BatchInput(
        source=source,
        model=model,
        prompt=prompt,
        image=image_field(model),
        prompts=list(lines_of(prompts)),
        image_groups=groups,
        image_prompts=[trim(line) for line in re.split(r"\r\n|\r|\n", image_prompts or "")]
        if has_prompt_each
        else None,
        imported=imported,
    )


def build_rows(batch: BatchInput, *, owner: AbstractBaseUser) -> BatchRows:
    """Return the rows for ``services.validate``.

    Names of uploaded images are looked up among the owner's.
    """
    prompt, image = batch.prompt, batch.image
    image_params: list[dict[str, Any]] = []
    if image is not None:
        is_list = image.type is ParameterType.IMAGES
        for group in batch.image_groups:
            image_params.append({image.name: group if is_list or len(group) > 1 else group[0]})

    match batch.source:
        case Source.PROMPTS if prompt is not None:
            rows = [{prompt.name: text} for _line, text in batch.prompts]
            return BatchRows(rows, [Origin(line=line) for line, _text in batch.prompts])
        case Source.IMAGES:
            rows = image_params
            if batch.image_prompts is not None and prompt is not None:
                texts = batch.image_prompts + [""] * len(rows)
                rows = [row | {prompt.name: text} for row, text in zip(rows, texts, strict=False)]
            return BatchRows(rows, [Origin(image=number) for number in range(1, len(rows) + 1)])
        case Source.COMBINATIONS if prompt is not None:
            rows = [{prompt.name: text} | images for _line, text in batch.prompts for images in image_params]
            numbers = range(1, len(image_params) + 1)
            return BatchRows(
                rows, [Origin(line=line, image=number) for line, _text in batch.prompts for number in numbers]
            )
        case Source.FILE if batch.imported is not None:
            return _rows_of_table(batch.imported, batch.model, owner)
    return BatchRows()


def table_columns(imported: ImportedTable) -> list[dict[str, Any]]:
    """Return the cells of each row by the names of their columns, also those that fill nothing."""
    names = imported.table.names(has_header=imported.has_header)
    return [dict(itertools.zip_longest(names, record.cells[: len(names)])) for record in imported.records]


def count_repeats(rows: Sequence[RowValue]) -> int:
    """Return how many rows equal an earlier one. Each of them is generated and paid for."""
    return len(rows) - len({json.dumps(row, sort_keys=True) for row in rows})


def _rows_of_table(imported: ImportedTable, model: Model, owner: AbstractBaseUser) -> BatchRows:
    """Return a row per record.

    A cell may name an uploaded image by its file name: ``media:ID`` replaces it.
    """
    names = imported.table.names(has_header=imported.has_header)
    records = imported.records
    results = result_columns(imported.table)
    unused = [
        (place, match.column)
        for place, match in enumerate(imported.matches)
        if match.column and not match.field and place not in results
    ]
    meanings = [(place, name) for place, name in enumerate(imported.meanings) if name]
    list_fields = {name for _place, name in meanings if takes_many(model, name)}
    parameters = {name: model.parameter(name) for _place, name in meanings}
    rows: list[dict[str, Any]] = []
    cell_problems: list[list[tuple[str, str, str]]] = []  # of each row: (field, message, value)
    times = lists = 0
    for record in records:
        row: dict[str, Any] = {}
        found: list[tuple[str, str, str]] = []
        for place, name in meanings:
            cell = record.cells[place] if place < len(record.cells) else None
            cell = trim(cell) if isinstance(cell, str) else cell
            if place in record.problems:
                found.append((name, record.problems[place], str(cell or "")))
                continue
            if cell is None or cell == "":
                continue
            understood = understand(parameters[name], cell)
            cell = understood.value
            times += understood.is_time
            lists += understood.is_divided
            if understood.problem:
                found.append((name, understood.problem, str(cell)))
            if name in list_fields:
                values = cell if isinstance(cell, list) else split_list(cell) if isinstance(cell, str) else [cell]
                row[name] = [*row.get(name, []), *values]
            else:
                row[name] = cell
        rows.append(row)
        cell_problems.append(found)

    file_fields = [field.name for field in model.parameters if field.is_file]
    cells = [(row, name) for row in rows for name in file_fields if name in row]
    resolved = media_names.resolve({text for row, name in cells for text in _file_names(row[name])}, owner=owner)
    references = resolved.references
    image_names: dict[int, dict[str, str]] = {}
    for row, name in cells:
        value = row[name]
        named = {references[text]: text for text in _file_names(value) if text in references}
        image_names.setdefault(id(row), {}).update(named)
        if isinstance(value, list):
            row[name] = [references.get(entry, entry) if isinstance(entry, str) else entry for entry in value]
        elif isinstance(value, str):
            row[name] = references.get(value, value)

    problems = [RowProblem(Origin(line=error.line), error.message) for error in imported.table.problems]
    invalid = set()
    for number, (record, row) in enumerate(zip(records, rows, strict=True)):
        origin = Origin(line=record.line)
        row_problems = [
            RowProblem(origin, message, field=name, value=value) for name, message, value in cell_problems[number]
        ]
        row_problems += [
            RowProblem(
                origin,
                resolved.problems[text],
                field=name,
                value=text,
            )
            for name in file_fields
            for text in _file_names(row.get(name))
        ]
        if message := extra_cells_problem(names, record.cells):
            row_problems.insert(0, RowProblem(origin, message))
        if row_problems:
            problems += row_problems
            invalid.add(number)
    warnings = [
        *([TIMES_AS_RATIOS(count=times)] if times else []),
        *([LISTS_DIVIDED(count=lists)] if lists else []),
        *resolved.warnings,
    ]
    return BatchRows(
        rows,
        [
            Origin(record.line, cells=_unused_cells(record, unused), names=image_names.get(id(row), {}))
            for record, row in zip(records, rows, strict=True)
        ],
        problems,
        frozenset(invalid),
        columns={name: names[place] for place, name in meanings if place < len(names)},
        headings={match.column: match.field for match in imported.matches if match.column},
        warnings=tuple(warnings),
    )


def _unused_cells(record: Record, columns: Sequence[tuple[int, str]]) -> dict[str, str]:
    """Return the cells of columns that fill no parameter, by heading."""
    cells = ((heading, record.cells[place]) for place, heading in columns if place < len(record.cells))
    return {heading: str(cell)[:MAX_CELL] for heading, cell in cells if cell not in (None, "")}


def _file_names(value: Any) -> Iterator[str]:
    """Yield the texts of a cell that are neither an address nor a reference."""
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str) and media_names.is_name(entry):
            yield entry
