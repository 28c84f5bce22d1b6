"""Read a file into a table, before its columns have a meaning.

    .txt     one column, one row per line
    .csv     the cells as they are; the separator may be a comma, a tab (.tsv) or a semicolon
    .xlsx    the first sheet that is not empty
    .jsonl   one column per key of the objects; bare texts go into a column of their own

Blank lines are skipped and nothing is merged: two equal lines are two rows. Text is decoded by its
byte order mark, else as UTF-8, else as GB18030, because Chinese spreadsheet programs save CSV that
way.

A partly wrong file is still read: its problems are listed by line, so that the other rows can be
used. A table holds plain JSON values only, because it waits in a draft until the mission is
submitted.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Self

from django.conf import settings
from django.utils.translation import gettext as _

from missions.batch_input.report import InputReport
from missions.batch_input.spreadsheets import SheetUnreadable, read_sheet

MAX_BYTES = 32 * 1024 * 1024
MAX_COLUMNS = 60
MAX_ERRORS = 200  # listed for one file
FILE_ENDINGS = (".txt", ".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson")
TEXT_KEY = ""  # the name of the column that holds bare texts
SEPARATOR = "|"  # between the values of a cell that holds a list

_LINE_END = re.compile(r"\r\n|\r|\n")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class RowError:
    """A problem in one line of the file. Lines count from 1; 0 is the file as a whole."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class RowsInvalid(ValueError):
    """The file cannot be used. ``errors`` lists every problem, up to MAX_ERRORS."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        super().__init__("; ".join(str(error) for error in errors[:5]))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the file, and the line (of a sheet: the row) on which it begins."""

    line: int
    cells: list[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file.

    ``keys`` name the columns if the format does; otherwise the first record may be a header.
    """

    records: list[Record]
    keys: list[str] | None = None
    problems: list[RowError] = field(default_factory=list)
    report: InputReport = field(default_factory=InputReport)

    def names(self, *, has_header: bool) -> list[str]:
        """Return a name for each column: its key or heading, else its letter."""
        if self.keys is not None:
            return self.keys
        header = self.records[0].cells if has_header and self.records else []
        width = len(header) or max((len(record.cells) for record in self.records), default=0)
        headings = [str(header[place]).strip() if place < len(header) else "" for place in range(width)]
        return [heading or letter(place) for place, heading in enumerate(headings)]

    def body(self, *, has_header: bool) -> list[Record]:
        """Return the records without the header."""
        return self.records[1:] if has_header and self.keys is None else self.records

    def as_json(self) -> dict[str, Any]:
        return {
            "records": [[record.line, record.cells] for record in self.records],
            "keys": self.keys,
            "problems": [asdict(problem) for problem in self.problems],
            "report": self.report.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            records=[Record(line, cells) for line, cells in value["records"]],
            keys=value["keys"],
            problems=[RowError(**problem) for problem in value["problems"]],
            report=InputReport.from_json(value.get("report")),
        )


def read_table(file: IO[bytes], *, name: str) -> Table:
    """Read a file in the format of its name. Raises RowsInvalid if none of it can be used."""
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _unusable(_("The file is larger than %(limit)d MB. Split it.") % {"limit": MAX_BYTES // 1024**2})
    ending = Path(name).suffix.lower()
    match ending:
        case ".txt":
            table = Table([Record(line, [text]) for line, text in lines_of(decode(content))])
        case ".csv" | ".tsv":
            table = _read_csv(decode(content))
        case ".jsonl" | ".ndjson":
            table = _read_jsonl(decode(content))
        case ".xlsx":
            try:
                table = Table([Record(line, cells) for line, cells in read_sheet(content)])
            except SheetUnreadable as error:
                message = _("The spreadsheet cannot be read (%(reason)s). Save it again as .xlsx or as CSV.")
                reason = str(error) or _("it is damaged or needs too much memory")
                raise _unusable(message % {"reason": reason}) from None
        case _:
            message = _("This file type is not supported. Use one of these: %(endings)s.")
            raise _unusable(message % {"endings": ", ".join(FILE_ENDINGS)})
    if not table.records:
        raise RowsInvalid(table.problems or [RowError(0, _("The file has no rows."))])
    if len(table.records) > settings.MISSION_MAX_ITEMS + 1:  # one may be a header
        message = _("The file has %(rows)d rows; a mission holds at most %(limit)d. Split the file.")
        raise _unusable(message % {"rows": len(table.records), "limit": settings.MISSION_MAX_ITEMS})
    width = max(len(record.cells) for record in table.records)
    if width > MAX_COLUMNS:
        message = _("The file has %(width)d columns; at most %(limit)d can be used.")
        raise _unusable(message % {"width": width, "limit": MAX_COLUMNS})
    report = InputReport(
        name=name,
        kind={".txt": "text", ".ndjson": "jsonl"}.get(ending, ending[1:]),
        columns=tuple(table.keys or ()),
        lines=max(record.line for record in table.records),
        rows=len(table.records),
        skipped=len(table.problems),
        characters=sum(len(str(cell)) for record in table.records for cell in record.cells if cell is not None),
    )
    return replace(table, report=report)


def decode(content: bytes) -> str:
    """Decode the text of a file. Raises RowsInvalid if it is not text."""
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    for encoding in [marked] if marked else ["utf-8", "gb18030"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _unusable(_("The file is not a text file, or it is damaged. Save it as UTF-8."))


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, stripped, each with its number from 1."""
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line.strip():
            yield number, line.strip()


def split_list(cell: str) -> list[str]:
    """Split a cell that holds a list: ``"a.png | b.png"`` → ``["a.png", "b.png"]``."""
    return [part.strip() for part in cell.split(SEPARATOR) if part.strip()]


def extra_cells_problem(names: Sequence[str], cells: Sequence[Any]) -> str:
    """Return a message if a row has cells beyond the last column, else ""."""
    if not any(str(cell).strip() for cell in cells[len(names) :]):
        return ""
    message = _("%(cells)d cells, but %(columns)d columns. Put texts that contain commas in quotation marks.")
    return message % {"cells": len(cells), "columns": len(names)}


def letter(place: int) -> str:
    """Return the name that a spreadsheet gives a column: A, B, … Z, AA."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(65 + rest) + name
    return name


def sample_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return a CSV file that Excel opens with all characters intact."""
    out = io.StringIO()
    csv.writer(out).writerows([list(columns), *(list(row) for row in rows)])
    return out.getvalue().encode("utf-8-sig")


def _unusable(message: str) -> RowsInvalid:
    return RowsInvalid([RowError(0, message)])


def _read_csv(text: str) -> Table:
    """Read the records that are not blank, each with the line on which it begins."""
    stripped = text.lstrip("\r\n")
    skipped = len(_LINE_END.findall(text[: len(text) - len(stripped)]))
    first_line = _LINE_END.split(stripped, maxsplit=1)[0]
    delimiter = max(",\t;", key=first_line.count)
    reader = csv.reader(io.StringIO(stripped, newline=""), delimiter=delimiter, strict=True)
    records: list[Record] = []
    problems: list[RowError] = []
    start = 1
    try:
        for cells in reader:
            line, start = start + skipped, reader.line_num + 1
            if any(cell.strip() for cell in cells):
                records.append(Record(line, cells))
    except csv.Error as error:
        message = _("This is not a valid CSV line (%(reason)s). A quotation mark may be missing.") % {"reason": error}
        problems.append(RowError(reader.line_num + skipped, message))
    return Table(records, problems=problems)


def _read_jsonl(text: str) -> Table:
    """Read a text or an object per line."""
    values: list[tuple[int, dict[str, Any]]] = []
    problems: list[RowError] = []
    for line, source in lines_of(text):
        try:
            value = json.loads(source)
        except (ValueError, RecursionError) as error:
            message = _("This is not JSON (%(reason)s). Each line must be a text in quotes or an object.")
            problems.append(RowError(line, message % {"reason": error}))
            continue
        if isinstance(value, str):
            values.append((line, {TEXT_KEY: value}))
        elif isinstance(value, dict):
            values.append((line, value))
        else:
            problems.append(RowError(line, _("Each line must be a text in quotes or an object.")))
    keys = list(dict.fromkeys(key for _line, value in values for key in value))
    records = [Record(line, [value.get(key) for key in keys]) for line, value in values]
    return Table(records, keys=keys, problems=problems[:MAX_ERRORS])
