"""Read a file into a table, before its columns have a meaning.

    .txt                  one row per line; a table, if tabs or known column names divide its lines
    .csv .tsv             the cells as they are
    .xlsx .xlsm .xls .ods one sheet, as its program shows it (``spreadsheets``)
    .jsonl .json          one column per key of the objects, and one for bare texts
    pasted cells          lines of cells that tabs divide

Blank lines are skipped and nothing is merged: two equal lines are two rows. ``encodings`` decodes
texts, ``delimited`` divides them into cells.

A partly wrong file is still read: its problems are listed by line, so that the other rows can be
used. ``Table.report`` says what was read and what was not. A table holds plain JSON values only,
because it waits in a draft until the mission is submitted.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _

from batch_input import delimited, encodings, report
from batch_input.delimited import WHOLE_LINES
from batch_input.encodings import EncodingUnknown
from batch_input.headings import is_header, is_name, known_headings
from batch_input.office_xml import FORMULA, letter
from batch_input.report import InputReport
from batch_input.spreadsheets import (
    HEADER_ROWS,
    SPREADSHEETS,
    Sheet,
    SheetNotFound,
    SheetUnreadable,
    read_sheet,
)
from core.db.values import is_storable, storable
from core.reasons import Reason
from core.storage.disk import OutOfSpace
from core.text import is_blank, trim
from media.services import UploadInvalid, store_upload

MAX_BYTES = 32 * 1024 * 1024
MAX_COLUMNS = 60
MAX_LINES = 1_000_000
MAX_PICTURES = 500  # in the cells of one sheet: each is decoded and stored
MAX_ERRORS = 200  # listed for one file
FILE_ENDINGS = (".txt", ".csv", ".tsv", ".xlsx", ".xls", ".ods", ".jsonl", ".ndjson", ".json")
TEXT_KEY = ""  # the name of the column that holds bare texts
SEPARATOR = "|"  # between the values of a cell that holds a list

_OPEN_QUOTE = re.compile(r'^"(?:[^"\n]|"")*\n', re.MULTILINE)  # a cell that goes on in the next line
_LINE_END = re.compile(r"\r\n|\r|\n")
_JSON_GAP = re.compile(r"[\s,]*")
# The texts of error values, also in files that were saved as text.
_ERROR_VALUE = re.compile(
    r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|ERROR!|GETTING_DATA)|#{3,}|Err:\d{3}", re.IGNORECASE
)
_AS_TEXT = re.compile(r'^="([^"]*)"$')  # ="007": a spreadsheet shows 007
_ARCHIVE = b"PK\x03\x04"  # the first bytes of .xlsx and .ods
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"  # of .xls, and of files that a password protects


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
    """One row of the file, and the line (of a sheet: the row) on which it begins.

    ``problems`` are messages by the place of their cell: the row cannot be used if such a cell is.
    """

    line: int
    cells: list[Any]
    problems: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file.

    ``keys`` name the columns if the format does; otherwise the first record may be a header.
    """

    records: list[Record]
    keys: list[str] | None = None
    problems: list[RowError] = field(default_factory=list)
    report: InputReport = field(default_factory=InputReport)

    @property
    def has_plain_lines(self) -> bool:
        """True if each record is a whole line of a text file."""
        return self.report.kind == "text" and not self.report.delimiter

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
            "records": [
                [record.line, record.cells, record.problems] if record.problems else [record.line, record.cells]
                for record in self.records
            ],
            "keys": self.keys,
            "problems": [asdict(problem) for problem in self.problems],
            "report": self.report.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the table of ``as_json``. Characters that cannot be stored are replaced."""
        value = storable(value)
        return cls(
            records=[
                Record(line, cells, {int(place): text for entry in problems for place, text in entry.items()})
                for line, cells, *problems in value["records"]
            ],
            keys=value["keys"],
            problems=[RowError(**problem) for problem in value["problems"]],
            report=InputReport.from_json(value.get("report")),
        )


def read_table(
    file: IO[bytes],
    *,
    name: str,
    sheet: str = "",
    include_hidden: bool = False,
    delimiter: str = "",
    owner: AbstractBaseUser | None = None,
) -> Table:
    """Read a file by its content and the ending of its name.

    ``sheet`` names the sheet of a workbook, else the one that a person would take is read.
    ``include_hidden`` reads hidden rows and columns as well. ``delimiter`` divides the cells of a
    text file, ``delimited.WHOLE_LINES`` does not divide them; else the content decides. Pictures in
    cells are uploaded for ``owner``; without one they are problems of their rows. Raises
    RowsInvalid if nothing of the file can be used.
    """
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _unusable(_("The file is larger than %(limit)d MB. Split it.") % {"limit": MAX_BYTES // 1024**2})
    ending = Path(name).suffix.lower()
    if ending not in (*FILE_ENDINGS, *SPREADSHEETS):
        message = _("This file type is not supported. Use one of these: %(endings)s.")
        raise _unusable(message % {"endings": ", ".join(FILE_ENDINGS)})
    is_text = ending not in SPREADSHEETS and not content.startswith((_ARCHIVE, _OLD_OFFICE))
    if not is_text and not content.startswith((_ARCHIVE, _OLD_OFFICE)):
        is_text = _is_text(content)  # programs write tables as text or HTML and call them .xls
    if is_text:
        decoded = _decode(content)
        table = _read_text(decoded.text, ending=ending, delimiter=delimiter)
        warnings = table.report.warnings
        if decoded.is_guess:
            warnings = (report.ENCODING_GUESSED(encoding=decoded.encoding), *warnings)
        facts = replace(table.report, encoding=decoded.encoding, warnings=warnings)
    else:
        table = _read_sheet(content, ending, name, sheet, include_hidden=include_hidden, owner=owner)
        facts = table.report
    return _checked(replace(table, report=replace(facts, name=name)))


def read_pasted(text: str) -> Table | None:
    """Return the cells of a spreadsheet that were pasted as text, or None for other text.

    Cells are divided by tabs, and every line has as many. A single column is recognized by cells of
    several lines, which spreadsheets put into quotation marks. Raises RowsInvalid for too many rows
    or columns.
    """
    if "\t" not in text and not _OPEN_QUOTE.search(text):
        return None
    divided = delimited.divide(text, "\t")
    widths = {len(cells) for _line, cells in divided.records if not all(map(is_blank, cells))}
    has_breaks = any("\n" in cell for _line, cells in divided.records for cell in cells)
    if len(widths) != 1 or (widths == {1} and (divided.unbalanced or not has_breaks)):
        return None
    return _checked(_table_of(divided, kind="pasted"))


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, trimmed, each with its number from 1."""
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if trimmed := trim(line):
            yield number, trimmed


def split_list(cell: str) -> list[str]:
    """Split a cell that holds a list: ``"a.png | b.png"`` → ``["a.png", "b.png"]``.

    Each line of a cell is an entry, too.
    """
    return [part.strip() for part in re.split(r"[|\r\n]", cell) if part.strip()]


def extra_cells_problem(names: Sequence[str], cells: Sequence[Any]) -> str:
    """Return a message if a row has cells beyond the last column, else ""."""
    if not any(str(cell).strip() for cell in cells[len(names) :]):
        return ""
    message = _("%(cells)d cells, but %(columns)d columns. Put texts that contain commas in quotation marks.")
    if any(mark in str(cell) for cell in cells for mark in "“”„‟＂"):
        message = _(
            '%(cells)d cells, but %(columns)d columns. Only straight quotation marks (") hold a text with commas together.'
        )
    return message % {"cells": len(cells), "columns": len(names)}


def sample_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return a CSV file that Excel opens with all characters intact."""
    out = io.StringIO()
    csv.writer(out).writerows([list(columns), *(list(row) for row in rows)])
    return out.getvalue().encode("utf-8-sig")


def _unusable(message: str) -> RowsInvalid:
    return RowsInvalid([RowError(0, message)])


def _checked(table: Table) -> Table:
    """Return a table that is not empty nor too large, with its counts. Raises RowsInvalid."""
    if not table.records:
        raise RowsInvalid(table.problems or [RowError(0, _("The file has no rows."))])
    if len(table.records) > settings.MISSION_MAX_ITEMS + 1:  # one may be a header
        message = _("The file has %(rows)d rows; a mission holds at most %(limit)d. Split the file.")
        raise _unusable(message % {"rows": len(table.records), "limit": settings.MISSION_MAX_ITEMS})
    width = max(len(record.cells) for record in table.records)
    if width > MAX_COLUMNS:
        message = _("The file has %(width)d columns; at most %(limit)d can be used.")
        raise _unusable(message % {"width": width, "limit": MAX_COLUMNS})
    characters = sum(len(str(cell)) for record in table.records for cell in record.cells if cell is not None)
    facts = replace(table.report, columns=tuple(table.keys or ()), rows=len(table.records), characters=characters)
    return replace(table, problems=table.problems[:MAX_ERRORS], report=facts)


# --- Text ---


def _is_text(content: bytes) -> bool:
    try:
        return bool(encodings.decode(content).text)
    except EncodingUnknown:
        return False


def _decode(content: bytes) -> encodings.Decoded:
    """Decode a text file. Raises RowsInvalid."""
    try:
        return encodings.decode(content)
    except EncodingUnknown as error:
        if error.line:
            message = _("This line is damaged: it holds bytes that are not UTF-8, as the rest of the file is.")
            raise RowsInvalid([RowError(error.line, message)]) from None
        message = _(
            "The file is not a text file, it is damaged, or its encoding is unknown. Save it as UTF-8: in Excel choose "
            "the type “CSV UTF-8”, in a text editor “Save as” with the encoding UTF-8."
        )
        raise _unusable(message) from None


def _read_text(text: str, *, ending: str, delimiter: str) -> Table:
    """Read a text file by its ending, and by its content where that says more."""
    if text.count("\n") + text.count("\r") > 2 * MAX_LINES:
        raise _unusable(_("The file has more than %(limit)s lines. Split it.") % {"limit": f"{MAX_LINES:,}"})
    start = text.lstrip()[:200].lower()
    if start.startswith(("<!doctype", "<html", "<table", "<?xml", "<meta", "<div")):
        message = _(
            "This is a web page or XML, not a table, although it is called %(ending)s. Open it in a spreadsheet program "
            "and save it as .xlsx."
        )
        raise _unusable(message % {"ending": ending})
    if ending in (".jsonl", ".ndjson", ".json") or (start.startswith(("{", "[")) and _is_json(text)):
        return _read_json(text, kind="json" if ending == ".json" else "jsonl")
    is_framed = start.startswith("|")  # a Markdown table
    if ending == ".txt" and not delimiter and not is_framed:
        delimiter = _delimiter_of_lines(text)
    kind = "text" if ending == ".txt" else "tsv" if ending == ".tsv" else "csv"
    return _table_of(delimited.divide(text, delimiter, is_tsv=ending == ".tsv"), kind=kind)


def _delimiter_of_lines(text: str) -> str:
    """Return the delimiter of a .txt file that holds a table: saved by Excel, or with a header."""
    if (pasted := read_pasted(text[: 1024 * 1024])) is not None and pasted.records:
        return "\t"
    first = next((line for _number, line in lines_of(text)), "")
    found = delimited.header_delimiter(first)
    return found or WHOLE_LINES


def _table_of(divided: delimited.Divided, *, kind: str) -> Table:
    """Return the table of divided lines, without blank records and trailing empty columns."""
    records = [(line, [_AS_TEXT.sub(r"\1", trim(cell)) for cell in cells]) for line, cells in divided.records]
    filled = [(line, cells) for line, cells in records if any(cells)]
    width = max((place for _line, cells in filled for place, cell in enumerate(cells, start=1) if cell), default=0)
    problems = [RowError(line, _quote_message()) for line in divided.unbalanced]
    facts = InputReport(
        kind=kind,
        delimiter=divided.delimiter,
        lines=divided.lines,
        blank=len(records) - len(filled) + divided.blank,
        skipped=len(problems),
        warnings=_line_warnings(divided) if kind != "text" else (),
    )
    table = Table([Record(line, cells[:width]) for line, cells in filled], problems=problems, report=facts)
    if table.has_plain_lines and len(table.records) > 1 and is_name(first := table.records[0].cells[0]):
        facts = replace(facts, header_line=table.records[0].line, warnings=(report.HEADER_LINE(name=first),))
        return replace(table, records=table.records[1:], report=facts)
    return _from_header(_divided_rows(table)) if not divided.is_whole_lines else table


def _line_warnings(divided: delimited.Divided) -> tuple[Reason, ...]:
    if divided.is_whole_lines:
        return (report.WHOLE_LINES(),)
    return (report.ONE_COLUMN(),) if divided.is_one_column else ()


def _divided_rows(table: Table) -> Table:
    """Return the table with columns if each row stands in one cell, as programs save CSV that they
    did not divide: ``"prompt,seed"``. Rows that cannot be divided become problems.
    """
    header = table.records[0].cells if table.records else []
    delimiter = delimited.header_delimiter(header[0]) if len(header) == 1 else ""
    if not delimiter or any(len(record.cells) > 1 for record in table.records):
        return table
    records, problems = [], list(table.problems)
    for record in table.records:
        divided = delimited.divide(str(record.cells[0]), delimiter)
        if len(divided.records) == 1 and not divided.unbalanced:
            records.append(Record(record.line, [trim(cell) for cell in divided.records[0][1]], record.problems))
        else:
            problems.append(RowError(record.line, _quote_message()))
    names = ", ".join(records[0].cells) if records else ""
    facts = replace(
        table.report,
        delimiter=delimiter,
        skipped=table.report.skipped + len(table.records) - len(records),
        warnings=(*table.report.warnings, report.ROWS_IN_ONE_CELL(names=names)),
    )
    return replace(table, records=records, problems=problems, report=facts)


def _quote_message() -> str:
    return _(
        "A quotation mark opens or ends a cell in the wrong place, so this line was not read. Put the whole cell in "
        'quotation marks and double those inside ("" for "), or remove the mark.'
    )


def _from_header(table: Table) -> Table:
    """Return the table from its row of column names on, without repetitions of that row.

    Titles often stand above the names. Only the clearest row of the first ten counts as such. Cells
    that show an error value become problems.
    """
    counts = [known_headings(record.cells) for record in table.records[:HEADER_ROWS]]
    best = max(counts, default=0)
    first = counts.index(best) if best > 1 and best > counts[0] else 0
    warnings: list[Reason] = list(table.report.warnings)
    if first:
        warnings.append(report.ABOVE_HEADER(count=first, line=table.records[first].line))
    records = table.records[first:]
    for record in records:
        for place, cell in enumerate(record.cells):
            if _ERROR_VALUE.fullmatch(cell):
                record.problems.setdefault(place, _error_message(letter(place), cell))
    header = records[0].cells if records and is_header(records[0].cells) else None
    if header is not None:
        repeated = [record for record in records[1:] if record.cells == header]
        if repeated:
            warnings.append(report.REPEATED_HEADER(count=len(repeated)))
            records = [records[0], *(record for record in records[1:] if record.cells != header)]
    skipped = len(table.records) - len(records)
    facts = replace(table.report, skipped=table.report.skipped + skipped, warnings=tuple(warnings))
    return replace(table, records=records, report=facts)


def _error_message(column: str, value: str) -> str:
    message = _("Column %(column)s shows %(value)s. Correct the cell in the spreadsheet.")
    return message % {"column": column, "value": value}


# --- JSON ---


class _JsonInvalid(ValueError):
    """A value is JSON, but not one that a row can hold."""


def _read_json(text: str, *, kind: str) -> Table:
    """Read a text or an object per line, or the entries of one list."""
    entries: list[tuple[int, Any]] = []
    problems: list[RowError] = []
    wrong = _("Each line must be a text in quotes or an object.")
    stripped = text.strip()
    is_whole = kind == "json" or (stripped.startswith("[") and stripped.endswith("]") and not _is_json_lines(text))
    if is_whole:
        kind = "json"
        entries, problems = _json_entries(text)
    else:
        for line, source in lines_of(text):
            try:
                entries.append((line, _load(source)))
            except (ValueError, RecursionError) as error:
                message = _("This is not JSON (%(reason)s). Each line must be a text in quotes or an object.")
                problems.append(
                    RowError(line, str(error) if isinstance(error, _JsonInvalid) else message % {"reason": error})
                )
    values: list[tuple[int, dict[str, Any]]] = []
    for line, value in entries:
        if not is_storable(value):
            message = _(
                "This line holds half of a character, such as half an emoji (\\ud83e), or a character that cannot be "
                "stored. Write the text again."
            )
            problems.append(RowError(line, message))
        elif isinstance(value, str):
            values.append((line, {TEXT_KEY: value}))
        elif isinstance(value, dict):
            values.append((line, value))
        else:
            problems.append(RowError(line, wrong))
    kept = [(line, value) for line, value in values if any(not _is_empty(cell) for cell in value.values())]
    keys = list(dict.fromkeys(key for _line, value in kept for key in value))
    records = [Record(line, [value.get(key) for key in keys]) for line, value in kept]
    lines = len(_LINE_END.split(text.rstrip()))
    blank = (0 if is_whole else lines - len(entries) - len(problems)) + len(values) - len(kept)
    problems.sort(key=lambda problem: problem.line)
    facts = InputReport(kind=kind, lines=lines, blank=max(blank, 0), skipped=len(problems))
    return Table(records, keys=keys, problems=problems, report=facts)


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and is_blank(value))


def _is_json(text: str) -> bool:
    """Return True if a text of another ending is JSON: an object in its first line, or a list."""
    first = next((line for _number, line in lines_of(text)), "")
    for source in (first, text):
        try:
            value = json.loads(source)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict | str)):
            return True
    return False


def _is_json_lines(text: str) -> bool:
    """Return True if the first line is a JSON value by itself."""
    first = next((line for _number, line in lines_of(text)), "")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return "\n" in text.strip()


def _load(source: str) -> Any:
    """Return a JSON value. Raises ValueError for one that a mission would not keep as it is."""
    return json.loads(source, object_pairs_hook=_object, parse_constant=_no_number)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _value in pairs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise _JsonInvalid(_("This name is in the object twice: %(names)s.") % {"names": ", ".join(repeated)})
    return dict(pairs)


def _no_number(name: str) -> Any:
    raise _JsonInvalid(_("%(value)s is not a number that can be sent.") % {"value": name})


def _json_entries(text: str) -> tuple[list[tuple[int, Any]], list[RowError]]:
    """Return the entries of a JSON list with their lines, and the problem that ended the reading.

    An object that holds nothing but a list, such as ``{"items": […]}``, is read as that list.
    """
    opening = re.match(r'\s*(\{\s*"[^"]*"\s*:\s*)?\[', text)
    wrong = _('The file must hold a list and nothing else: ["a text", {"prompt": "a text"}].')
    if opening is None:
        return [], [RowError(0, wrong)]
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)
    entries: list[tuple[int, Any]] = []
    position, line, counted = opening.end(), 1, 0
    while True:
        start = _JSON_GAP.match(text, position).end()  # type: ignore[union-attr]
        line += text.count("\n", counted, start)
        counted = start
        if text[start : start + 1] == "]":
            rest = text[start + 1 :].split()
            is_complete = rest == (["}"] if opening[1] else [])
            return entries, [] if is_complete else [RowError(line, wrong)]
        try:
            value, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            message = _("This is not JSON (%(reason)s). Nothing after this line was read.") % {"reason": error}
            return entries, [RowError(line, message)]
        entries.append((line, value))


# --- Spreadsheets ---


def _read_sheet(
    content: bytes, ending: str, name: str, sheet_name: str, *, include_hidden: bool, owner: AbstractBaseUser | None
) -> Table:
    """Read a sheet of a workbook. Raises RowsInvalid."""
    try:
        sheet = read_sheet(content, ending=ending, sheet=sheet_name, include_hidden=include_hidden)
    except SheetNotFound as error:
        message = _("The file has no sheet “%(sheet)s”. Choose one of these: %(sheets)s.")
        raise _unusable(message % {"sheet": sheet_name, "sheets": _listed(error.names)}) from None
    except SheetUnreadable as error:
        message = _("The spreadsheet cannot be read (%(reason)s). Save it again as .xlsx or as CSV.")
        reason = str(error) or _("it is damaged or needs too much memory")
        raise _unusable(message % {"reason": reason}) from None
    if not sheet.rows:
        raise _unusable(_empty_sheet_message(sheet))
    records = {line: Record(line, cells) for line, cells in sheet.rows}
    for problem in sheet.problems:
        message = _error_message(problem.column, problem.value)
        if problem.kind == FORMULA:
            message = _(
                "Column %(column)s has a formula whose result is not in the file. Open the file in the spreadsheet "
                "program and save it, or paste the values."
            ) % {"column": problem.column}
        records[problem.line].problems[problem.place] = message
    stored = _place_pictures(content, sheet, records, name, owner)
    text_places = {problem.place for problem in sheet.problems}
    for record in records.values():
        for place, cell in enumerate(record.cells):
            if isinstance(cell, str) and cell.startswith("=DISPIMG(") and place not in text_places:
                record.problems.setdefault(
                    place,
                    _(
                        "This cell shows a picture that is not in the file. Upload the picture and write its name or "
                        "its address into the cell."
                    ),
                )
    facts_of_sheet = InputReport(
        kind="xls" if content.startswith(_OLD_OFFICE) else "ods" if ending == ".ods" else "xlsx",
        sheet=sheet.name,
        other_sheets=tuple(sheet.other_sheets),
        lines=sheet.lines,
        blank=sheet.lines - len(sheet.rows) - sheet.hidden_rows - sheet.total_rows,
        hidden=sheet.hidden_rows,
        skipped=sheet.total_rows,
        warnings=_sheet_warnings(sheet, stored),
    )
    return _from_header(_divided_rows(Table(list(records.values()), report=facts_of_sheet)))


def _sheet_warnings(sheet: Sheet, pictures: int) -> tuple[Reason, ...]:
    """Return what a person should know of a sheet; ``pictures`` is how many were uploaded."""
    warnings: list[Reason] = []
    if sheet.other_sheets:
        warnings.append(report.OTHER_SHEETS(sheet=sheet.name, others=_listed(sheet.other_sheets)))
    if sheet.is_hidden:
        warnings.append(report.HIDDEN_SHEET(sheet=sheet.name))
    if sheet.hidden_rows:
        warnings.append(report.HIDDEN_ROWS(count=sheet.hidden_rows))
    if sheet.hidden_columns:
        warnings.append(report.HIDDEN_COLUMNS(columns=_listed(sheet.hidden_columns)))
    if sheet.total_rows:
        warnings.append(report.TOTAL_ROWS(count=sheet.total_rows))
    if sheet.merged:
        warnings.append(report.MERGED_CELLS(count=sheet.merged))
    if sheet.rounded:
        warnings.append(report.ROUNDED_NUMBERS(count=sheet.rounded))
    if sheet.is_plain:
        warnings.append(report.FORMATS_UNREADABLE())
    if pictures:
        warnings.append(report.PICTURES_STORED(count=pictures))
    return tuple(warnings)


def _empty_sheet_message(sheet: Sheet) -> str:
    """Return why no row was read: everything is hidden, or nothing is there."""
    if sheet.hidden_rows:
        return _("All rows of the sheet “%(sheet)s” are hidden. Show them in the spreadsheet program.") % {
            "sheet": sheet.name
        }
    if sheet.hidden_sheets:
        message = _("Only hidden sheets hold something: %(sheets)s. Show one in the spreadsheet program.")
        return message % {"sheets": _listed(sheet.hidden_sheets)}
    return _("The file has no rows.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _place_pictures(
    content: bytes, sheet: Sheet, records: Mapping[int, Record], name: str, owner: AbstractBaseUser | None
) -> int:
    """Upload the pictures in cells, put ``media:ID`` there, and return how many were uploaded."""
    references: dict[str, str] = {}
    failures: dict[str, str] = {}
    if not sheet.pictures:
        return 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = {entry.lower(): entry for entry in archive.namelist()}
        for picture in sheet.pictures:
            record = records[picture.line]
            path = picture.path
            if len(references) >= MAX_PICTURES:
                failures.setdefault(
                    path, _("at most %(limit)d pictures of one file are uploaded") % {"limit": MAX_PICTURES}
                )
            if owner is not None and path not in references and path not in failures:
                shown = f"{Path(name).stem}-{picture.column}{picture.line}{Path(path).suffix}"
                try:
                    with archive.open(names[path.lower()]) as file:
                        references[path] = store_upload(owner=owner, file=file, name=shown).media.reference
                except (UploadInvalid, OutOfSpace) as error:
                    failures[path] = str(error)
                except (zipfile.BadZipFile, OSError, EOFError) as error:
                    failures[path] = str(error)
            record.cells.extend([""] * (picture.place + 1 - len(record.cells)))
            record.cells[picture.place] = references.get(path, Path(path).name)
            if path not in references:
                message = _(
                    "The picture in column %(column)s cannot be used (%(reason)s). Upload it and write its name or its "
                    "address into the cell."
                )
                reason = failures.get(path) or _("pictures in cells are not read here")
                record.problems[picture.place] = message % {"column": picture.column, "reason": reason}
    return len(references)
