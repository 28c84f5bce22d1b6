"""Prompts files and local images, for commands that run on the person's own machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _

from batch_input.columns import match_columns, takes_many
from batch_input.report import ONE_COLUMN, TIMES_AS_RATIOS, WHOLE_LINES, ColumnMatch, InputReport
from batch_input.rows import RowValue
from batch_input.tables import (
    MAX_ERRORS,
    TEXT_KEY,
    RowError,
    RowsInvalid,
    Table,
    extra_cells_problem,
    read_table,
    split_list,
)
from batch_input.values import split_images, understand
from core.storage.disk import OutOfSpace
from media import names as media_names
from media.services import UploadInvalid, store_upload
from providers.catalog import Model

_REFERENCE = re.compile(r"(?i)https?://|media:\d+$|output:\d+/\d+$")


@dataclass(frozen=True, slots=True)
class Row:
    """One item, the line on which it begins, and the names of its images by reference."""

    line: int
    value: RowValue
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """Return what an item keeps of its row (``MissionItem.origin``)."""
        return {"row": self.line} | ({"names": dict(self.names)} if self.names else {})


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of a file, and the report of its reading."""

    rows: list[Row]
    report: InputReport


def read_rows(path: Path, *, model: Model) -> list[Row]:
    """Return the rows of a prompts file alone. See ``read_file``."""
    return read_file(path, model=model).rows


def read_file(
    path: Path,
    *,
    model: Model,
    sheet: str = "",
    include_hidden: bool = False,
    owner: AbstractBaseUser | None = None,
) -> FileRows:
    """Return the rows of a prompts file, as ``services.validate`` takes them, and the report.

    A text file has one prompt per line. The first line of a table names the fields (``custom_id``
    is one of them) or has their labels; nothing is guessed, because nobody may look at it before it
    is paid. Lists are written with "|" between their values. The other arguments are
    those of ``read_table``. Raises RowsInvalid with every problem.
    """
    try:
        with path.open("rb") as file:
            options: dict[str, Any] = {"sheet": sheet, "include_hidden": include_hidden, "owner": owner}
            table = read_table(file, name=path.name, **options)
            if any(warning.code == ONE_COLUMN.code for warning in table.report.warnings):
                file.seek(0)
                table = read_table(file, name=path.name, delimiter=",", **options)  # unnamed columns are problems
    except OSError as error:
        raise RowsInvalid([RowError(0, f"{path} cannot be read: {error.strerror}.")]) from error
    if table.problems:
        raise RowsInvalid(table.problems)
    if table.has_plain_lines or any(warning.code == WHOLE_LINES.code for warning in table.report.warnings):
        return FileRows([Row(record.line, record.cells[0]) for record in table.records], table.report)

    matches = _exact_columns(table, model)
    names = [match.field for match in matches]
    rows: list[Row] = []
    errors: list[RowError] = []
    times = 0
    for record in table.body(has_header=True):
        value: dict[str, Any] = {}
        for place, (name, cell) in enumerate(zip(names, record.cells, strict=False)):
            if place in record.problems:
                errors.append(RowError(record.line, record.problems[place]))
            elif cell is None or (table.keys is None and not cell):
                continue
            elif table.keys is None and takes_many(model, name):
                value[name] = split_list(cell)
                if any(len(split_images(part)) > 1 for part in value[name]):
                    message = _("Separate several images in a cell with “|”: %(cell)s.")
                    errors.append(RowError(record.line, message % {"cell": cell}))
            else:
                understood = understand(model.parameter(name), cell)
                value[name] = understood.value
                times += understood.is_time
                if understood.problem:
                    errors.append(RowError(record.line, understood.problem))
        if problem := extra_cells_problem(names, record.cells):
            errors.append(RowError(record.line, problem))
        rows.append(Row(record.line, value.get(TEXT_KEY, value)))
    if errors:
        raise RowsInvalid(errors[:MAX_ERRORS])
    if not rows:
        raise RowsInvalid([RowError(0, _("The file has no rows."))])
    warnings = (*table.report.warnings, *([TIMES_AS_RATIOS(count=times)] if times else []))
    header_line = table.records[0].line if table.keys is None else 0
    report = replace(
        table.report,
        columns=tuple(match.column for match in matches),
        matches=tuple(matches),
        header_line=header_line,
        rows=len(rows),
        warnings=warnings,
    )
    return FileRows(rows, report)


def _exact_columns(table: Table, model: Model) -> list[ColumnMatch]:
    """Return the field of each column: by its exact name or label, else its heading as it is.

    Raises RowsInvalid unless each column has a name of its own.
    """
    headings = table.keys or [str(cell) for cell in table.records[0].cells]
    matches = [
        ColumnMatch(heading, match.field if heading and match.basis == "name" else heading, "name")
        for heading, match in zip(headings, match_columns(table, model, header=True), strict=True)
    ]
    names = [match.field for match in matches]
    repeated = sorted({name for name in names if names.count(name) > 1})
    problem = ""
    if table.keys is None and not all(names):
        problem = _("A column has no name. The first line must name the fields, such as prompt,aspectRatio.")
    elif repeated:
        problem = _("Columns are named twice: %(names)s.") % {"names": ", ".join(repeated)}
    if problem:
        raise RowsInvalid([RowError(table.records[0].line, problem)])
    return matches


class AmbiguousFile(ValueError):
    """Several files on disk fit a name. The message is for people."""


def find_file(folder: Path, name: str) -> Path | None:
    """Return the file that a row names, None if there is none. Raises AmbiguousFile.

    The name as it is written comes first. Otherwise it is compared as names of uploads are
    (``media.names``): without regard to case and encoding, with any slash, with or without the
    ending; and a path of another machine is looked up by its last parts.
    """
    path = folder / Path(name).expanduser()
    if path.is_file():
        return path
    parts = [part for part in media_names.folded(name).split("/") if part not in ("", ".")]
    for start in range(len(parts)):
        found = [folder]
        for part in parts[start:-1]:
            found = [child for place in found for child in _children(place) if media_names.folded(child.name) == part]
            found = [place for place in found if place.is_dir()]
        files = [child for place in found for child in _children(place) if child.is_file()]
        whole = [file for file in files if media_names.folded(file.name) == parts[-1]]
        fitting = whole or [
            file
            for file in files
            if media_names.stem_of(media_names.folded(file.name)) == parts[-1] != media_names.folded(file.name)
        ]
        if len(fitting) > 1:
            names = ", ".join(sorted(file.name for file in fitting))
            raise AmbiguousFile(
                _("%(name)s may be any of %(names)s. Write the whole name.") % {"name": name, "names": names}
            )
        if fitting:
            return fitting[0]
    return None


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def upload_local_files(rows: Sequence[Row], *, model: Model, folder: Path, owner: AbstractBaseUser) -> list[Row]:
    """Upload the local images that rows name, and return the rows with ``media:ID`` instead.

    Paths are relative to ``folder``; a file that is not there may be one that was uploaded before.
    Each file is uploaded once, however many rows name it. Only for commands: over the network it
    would hand out the server's files. Raises RowsInvalid with every problem.
    """
    uploaded: dict[str, str] = {}
    errors: list[RowError] = []

    def reference_to(name: Any, line: int) -> Any:
        if not isinstance(name, str) or not name.strip() or _REFERENCE.match(name):
            return name
        if name not in uploaded:
            uploaded[name] = name
            try:
                path = find_file(folder, name)
                if path is None:
                    resolved = media_names.resolve([name], owner=owner)
                    if name in resolved.references:
                        uploaded[name] = resolved.references[name]
                        return uploaded[name]
                    path = folder / Path(name).expanduser()
                with path.open("rb") as file:
                    shown = name if path.name == Path(name).name else path.name
                    uploaded[name] = store_upload(owner=owner, file=file, name=shown).media.reference
            except AmbiguousFile as error:
                errors.append(RowError(line, str(error)))
            except (UploadInvalid, OutOfSpace) as error:
                errors.append(RowError(line, f"{name}: {error}"))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a path"
                errors.append(RowError(line, f"The image {name} cannot be read: {reason}."))
        return uploaded[name]

    replaced: list[Row] = []
    for row in rows:
        value = row.value
        named: dict[str, str] = {}
        batch_field = model.batch_field
        if isinstance(value, str) and model.file_names({batch_field: value}):
            value = {batch_field: split_list(value) if takes_many(model, batch_field) else value}
        if isinstance(value, dict):
            value = dict(value)
            for name in model.file_names(value):
                files = value[name]
                entries = files if isinstance(files, list) else [files]
                references = [reference_to(entry, row.line) for entry in entries]
                named |= {new: old for old, new in zip(entries, references, strict=True) if new != old}
                value[name] = references if isinstance(files, list) else references[0]
        replaced.append(Row(row.line, value, named))
    if errors:
        raise RowsInvalid(errors[:MAX_ERRORS])
    return replaced
