"""An imported file as a table, before anybody has said what its columns mean.

    .txt     one column, a row per line
    .csv     the cells as they are; .tsv and ; too
    .xlsx    the first sheet that holds something
    .jsonl   a column per name that any object has; bare texts are a column of their own

A file that is partly wrong is still read: what is wrong is told by line, so that a person can use the rest.  The table is
plain JSON values, because it waits in a draft until its mission is submitted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from django.conf import settings
from django.utils.translation import gettext as _

from missions.batch_input import importers
from missions.batch_input.importers import FORMATS, RowError, RowsInvalid
from missions.batch_input.spreadsheets import SheetUnreadable, read_sheet

MAX_BYTES = 32 * 1024 * 1024
MAX_COLUMNS = 60
FILE_ENDINGS = (".txt", ".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson")
TEXT_KEY = ""  # the column of rows that are a bare text


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the file, and the line (of a sheet: the row) on which it begins."""

    line: int
    cells: list[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """``keys`` are the names of the columns if the format gives them; otherwise the first record may hold them."""

    records: list[Record]
    keys: list[str] | None = None
    problems: list[RowError] = field(default_factory=list)

    def names(self, *, has_header: bool) -> list[str]:
        """A name for each column: its own, or its letter."""
        width = max((len(record.cells) for record in self.records), default=0)
        if self.keys is not None:
            return self.keys
        header = self.records[0].cells if has_header and self.records else []
        if header:
            width = len(header)
        own = [str(header[place]).strip() if place < len(header) else "" for place in range(width)]
        return [name or letter(place) for place, name in enumerate(own)]

    def body(self, *, has_header: bool) -> list[Record]:
        return self.records[1:] if has_header and self.keys is None else self.records

    def as_json(self) -> dict[str, Any]:
        return {
            "records": [[record.line, record.cells] for record in self.records],
            "keys": self.keys,
            "problems": [asdict(problem) for problem in self.problems],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            records=[Record(line, cells) for line, cells in value["records"]],
            keys=value["keys"],
            problems=[RowError(**problem) for problem in value["problems"]],
        )


def read_table(file: IO[bytes], *, name: str) -> Table:
    """Read a file by what its name says.  Raises RowsInvalid when nothing of it can be used."""
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        message = _("The file is larger than %(limit)d MB: split it.") % {"limit": MAX_BYTES // 1024**2}
        raise RowsInvalid([RowError(0, message)])
    table = _read(content, Path(name).suffix.lower())
    if not table.records:
        raise RowsInvalid(table.problems or [RowError(0, _("The file has no rows."))])
    _check_size(table)
    return table


def letter(place: int) -> str:
    """The name that a spreadsheet gives a column: A, B, … Z, AA."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(65 + rest) + name
    return name


def _read(content: bytes, ending: str) -> Table:
    if ending == ".xlsx":
        return _read_sheet(content)
    try:
        format_ = FORMATS[ending]
    except KeyError:
        message = _("Give one of these files: %(endings)s.") % {"endings": ", ".join(FILE_ENDINGS)}
        raise RowsInvalid([RowError(0, message)]) from None
    return _READERS[format_](importers.decode(content))


def _check_size(table: Table) -> None:
    known = {"rows": len(table.records), "limit": settings.MISSION_MAX_ITEMS}
    if len(table.records) > settings.MISSION_MAX_ITEMS + 1:
        raise RowsInvalid(
            [RowError(0, _("The file has %(rows)d rows, and a mission holds at most %(limit)d: split it.") % known)]
        )
    width = max(len(record.cells) for record in table.records)
    if width > MAX_COLUMNS:
        message = _("The file has %(width)d columns; at most %(limit)d can be used.")
        raise RowsInvalid([RowError(0, message % {"width": width, "limit": MAX_COLUMNS})])


def _read_txt(text: str) -> Table:
    return Table([Record(line, [cell]) for line, cell in importers.lines_of(text)])


def _read_csv(text: str) -> Table:
    records: list[Record] = []
    problems: list[RowError] = []
    try:
        records.extend(Record(line, cells) for line, cells in importers.csv_records(text))
    except RowsInvalid as broken:
        problems = broken.errors
    return Table(records, problems=problems)


def _read_jsonl(text: str) -> Table:
    found: list[tuple[int, dict[str, Any]]] = []
    problems: list[RowError] = []
    for line, value, problem in importers.read_jsonl(text):
        if problem:
            problems.append(RowError(line, problem))
        else:
            found.append((line, {TEXT_KEY: value} if isinstance(value, str) else value))
    keys = list(dict.fromkeys(key for _line, value in found for key in value))
    records = [Record(line, [value.get(key) for key in keys]) for line, value in found]
    return Table(records, keys=keys, problems=problems[: importers.MAX_ERRORS])


_READERS = {"txt": _read_txt, "csv": _read_csv, "jsonl": _read_jsonl}


def _read_sheet(content: bytes) -> Table:
    try:
        return Table([Record(line, cells) for line, cells in read_sheet(content)])
    except SheetUnreadable as error:
        message = _("The spreadsheet cannot be read (%(reason)s). Save it again as .xlsx or as CSV.")
        reason = str(error) or _("it is damaged, or takes too much memory")
        raise RowsInvalid([RowError(0, message % {"reason": reason})]) from None


def sample_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """A table that Excel opens with its characters intact."""
    out = io.StringIO()
    csv.writer(out).writerows([list(columns), *(list(row) for row in rows)])
    return out.getvalue().encode("utf-8-sig")
