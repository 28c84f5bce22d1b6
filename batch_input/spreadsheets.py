"""Read a spreadsheet in a separate process with limited memory and time.

A small file can unpack to gigabytes, and a reader in native code ends its whole process when it
gets no memory. So the process that reads is one that nothing else needs.

    python -m batch_input.spreadsheets .xlsx < prompts.xlsx > sheet.json

The rule is: read what a person sees. Hidden sheets, rows (filtered ones, too) and columns are left
out and reported; a merged cell holds for every row that it covers; numbers, dates and times are
texts as the cell shows them; an error value, and a formula whose result is not in the file, are
problems of their cell.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Self

import xlrd
from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from batch_input import number_formats, office_xml
from batch_input.headings import is_header
from batch_input.office_xml import ERROR, Book, RawSheet, letter
from batch_input.office_xml import SheetUnreadable as SheetUnreadable

ROOT = Path(__file__).resolve().parents[1]
MAX_MEMORY = 1024**3
MAX_CPU_SECONDS = 60
MAX_SECONDS = 120.0
PROCESS_SLOTS = threading.BoundedSemaphore(2)  # readers that this process runs at the same time
SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".et", ".ods")
HEADER_ROWS = 10  # the names of the columns are looked for in as many rows

_NUMBERS_SUMMARY = "exported from numbers"  # the first sheet of a workbook that Apple's Numbers exports


@dataclass(slots=True)
class CellProblem:
    """A cell whose value cannot be used: its row, its place in the row, and its column's letter.

    ``kind`` is ``error`` or ``formula`` (see ``office_xml``); ``value`` is what the cell shows.
    """

    line: int
    place: int
    column: str
    kind: str
    value: str


@dataclass(slots=True)
class SheetPicture:
    """A picture that stands for the value of a cell; ``path`` is its place in the ZIP archive."""

    line: int
    place: int
    column: str
    path: str


@dataclass(slots=True)
class Sheet:
    """The visible rows of one sheet, and what was seen beside them."""

    name: str = ""
    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    problems: list[CellProblem] = field(default_factory=list)
    pictures: list[SheetPicture] = field(default_factory=list)
    other_sheets: list[str] = field(default_factory=list)
    hidden_sheets: list[str] = field(default_factory=list)
    is_hidden: bool = False
    is_plain: bool = False  # formats, hidden rows and merged cells could not be read
    lines: int = 0
    hidden_rows: int = 0
    hidden_columns: list[str] = field(default_factory=list)
    total_rows: int = 0
    merged: int = 0
    rounded: int = 0

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        sheet = cls(**value)
        sheet.rows = [(line, cells) for line, cells in value["rows"]]
        sheet.problems = [CellProblem(**problem) for problem in value["problems"]]
        sheet.pictures = [SheetPicture(**picture) for picture in value["pictures"]]
        return sheet


def read_sheet(content: bytes, *, ending: str, sheet: str = "", include_hidden: bool = False) -> Sheet:
    """Return a sheet of a workbook: the named one, else the one that a person would take.

    That is the first visible sheet with known column names, else the first that holds something.
    ``ending`` is the file's (".xlsx"). ``include_hidden`` reads hidden rows and columns as well.
    Raises SheetUnreadable, and SheetNotFound for a name that the workbook does not have.
    """
    command = [
        sys.executable,
        "-m",
        "batch_input.spreadsheets",
        ending,
        sheet,
        "all" if include_hidden else "",
    ]
    options: dict[str, Any] = {"capture_output": True, "timeout": MAX_SECONDS, "check": True}
    try:
        with PROCESS_SLOTS:
            process = subprocess.run(command, cwd=ROOT, input=content, **options)  # noqa: S603  fixed command
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, ValueError):
        raise SheetUnreadable from None
    answer = json.loads(process.stdout)
    if "names" in answer:
        raise SheetNotFound(answer["names"])
    if "problem" in answer:
        raise SheetUnreadable(answer["problem"])
    return Sheet.from_json(answer)


class SheetNotFound(ValueError):
    """The workbook has no sheet of this name. ``names`` are those that it has."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def main() -> None:
    """Read a workbook from standard input and write a sheet, or the problem, as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ending, sheet, hidden = sys.argv[1:]
    try:
        content = sys.stdin.buffer.read()
        answer = asdict(read_content(content, ending, sheet, include_hidden=bool(hidden)))
    except SheetNotFound as error:
        answer = {"names": error.names}
    except (SheetUnreadable, CalamineError) as error:
        answer = {"problem": str(error)}
    json.dump(answer, sys.stdout)


def read_content(content: bytes, ending: str, name: str, *, include_hidden: bool) -> Sheet:
    """Return a sheet of a workbook, in this process; the ending says what an archive is.

    What the exact readers do not understand is read by calamine, without formats.
    """
    try:
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            book = _open_xls(content)
        else:
            book = office_xml.open_ods(content) if ending == ".ods" else office_xml.open_xlsx(content)
        return choose_sheet(book, name, include_hidden=include_hidden)
    except (SheetUnreadable, SheetNotFound, MemoryError):
        raise
    except Exception:  # noqa: BLE001  whatever it was: calamine may still read the values
        return choose_sheet(_open_plain(content), name, include_hidden=include_hidden)


def choose_sheet(book: Book, name: str, *, include_hidden: bool) -> Sheet:
    """Return the named sheet, else the one that a person would take. Raises SheetNotFound."""
    names = [sheet_name for sheet_name, _is_visible in book.sheets]
    if name and name not in names:
        raise SheetNotFound(names)
    read: dict[int, Sheet] = {}
    for number, (sheet_name, is_visible) in enumerate(book.sheets):
        sheet = visible_part(book.read(number), include_hidden=include_hidden)
        sheet.name, sheet.is_hidden, sheet.is_plain = sheet_name, not is_visible, book.is_plain
        if sheet.rows or sheet.hidden_rows or sheet_name == name:
            read[number] = sheet
    shown = [number for number, sheet in read.items() if not sheet.is_hidden and not _is_numbers_summary(sheet)]
    headed = [number for number in shown if any(is_header(cells) for _line, cells in read[number].rows[:HEADER_ROWS])]
    filled = [number for number in shown if read[number].rows]
    best = names.index(name) if name else next(iter(headed or filled or shown), None)
    chosen = Sheet() if best is None else read[best]
    others = [(place, sheet) for place, sheet in read.items() if place != best]
    chosen.other_sheets = [sheet.name for _place, sheet in others if not sheet.is_hidden]
    chosen.hidden_sheets = [sheet.name for _place, sheet in others if sheet.is_hidden]
    return chosen


def _is_numbers_summary(sheet: Sheet) -> bool:
    return bool(sheet.rows) and _NUMBERS_SUMMARY in " ".join(sheet.rows[0][1]).lower()


def visible_part(raw: RawSheet, *, include_hidden: bool) -> Sheet:
    """Return what a person sees of a sheet, and count what was left out.

    A row that holds only the rest of merged cells is blank. Columns without any content are
    dropped.
    """
    sheet = Sheet(rounded=raw.rounded)
    rows = {line: {place: text for place, text in cells.items() if text} for line, cells in raw.rows.items()}
    for line, place in raw.pictures:
        rows.setdefault(line, {}).setdefault(place, "")
    lines = sorted(line for line, cells in rows.items() if cells)
    sheet.lines = max(lines, default=0)
    sheet.merged = _fill_merged(raw, rows, lines)
    sheet.total_rows = sum(1 for line in lines if line in raw.total_rows)
    lines = [line for line in lines if line not in raw.total_rows]
    if not include_hidden:
        hidden = [line for line in lines if line in raw.hidden_rows]
        sheet.hidden_rows = len(hidden)
        lines = [line for line in lines if line not in raw.hidden_rows]
    places = sorted({place for line in lines for place in rows[line]})
    if not include_hidden:
        header = rows[lines[0]] if lines else {}
        concealed = [place for place in places if place in raw.hidden_columns]
        sheet.hidden_columns = [header.get(place) or letter(place) for place in concealed]
        places = [place for place in places if place not in raw.hidden_columns]
    position = {place: number for number, place in enumerate(places)}
    for line in lines:
        cells = [rows[line].get(place, "") for place in places]
        while cells and not cells[-1] and (line, places[len(cells) - 1]) not in raw.pictures:
            cells.pop()
        if cells:
            sheet.rows.append((line, cells))
    shown = set(lines)
    for (line, place), (kind, value) in raw.problems.items():
        if line in shown and place in position:
            sheet.problems.append(CellProblem(line, position[place], letter(place), kind, value))
    for (line, place), path in raw.pictures.items():
        if line in shown and place in position and not rows[line].get(place):
            sheet.pictures.append(SheetPicture(line, position[place], letter(place), path))
    return sheet


def _fill_merged(raw: RawSheet, rows: dict[int, dict[int, str]], lines: list[int]) -> int:
    """Copy the value of merged cells to the rows that they cover. Return how many were copied."""
    count = 0
    for first, left, last, _right in raw.merged:
        covered = [line for line in lines if first < line <= last]
        value = rows.get(first, {}).get(left)
        if value is None or not covered:
            continue
        count += 1
        for line in covered:
            rows[line].setdefault(left, value)
            if problem := raw.problems.get((first, left)):
                raw.problems.setdefault((line, left), problem)
            if picture := raw.pictures.get((first, left)):
                raw.pictures.setdefault((line, left), picture)
    return count


def _open_xls(content: bytes) -> Book:
    """Open a workbook of Excel 97–2003."""
    try:
        book = xlrd.open_workbook(file_contents=content, formatting_info=True, logfile=io.StringIO())
    except xlrd.XLRDError as error:
        if "encrypted" in str(error).lower():
            raise SheetUnreadable("it is protected by a password") from error
        raise

    def read(number: int) -> RawSheet:
        sheet = book.sheet_by_index(number)
        raw = RawSheet()
        raw.hidden_rows = {line + 1 for line, info in sheet.rowinfo_map.items() if info.hidden or info.height == 0}
        raw.hidden_columns = {place for place, info in sheet.colinfo_map.items() if info.hidden or info.width == 0}
        raw.merged = [(first + 1, left, last, right - 1) for first, last, left, right in sheet.merged_cells]
        for line in range(sheet.nrows):
            for place, cell in enumerate(sheet.row(line)):
                match cell.ctype:
                    case xlrd.XL_CELL_NUMBER | xlrd.XL_CELL_DATE:
                        code = book.format_map[book.xf_list[cell.xf_index].format_key].format_str
                        raw.add_number(line + 1, place, repr(cell.value), code, is_1904=bool(book.datemode))
                    case xlrd.XL_CELL_BOOLEAN:
                        raw.add(line + 1, place, "true" if cell.value else "false")
                    case xlrd.XL_CELL_ERROR:
                        raw.add_problem(line + 1, place, ERROR, xlrd.error_text_from_code.get(cell.value, "#ERROR!"))
                    case xlrd.XL_CELL_TEXT:
                        raw.add(line + 1, place, cell.value)
        return raw

    return Book([(sheet.name, sheet.visibility == 0) for sheet in book.sheets()], read)


def _open_plain(content: bytes) -> Book:
    """Open a workbook that only calamine understands. Raises CalamineError."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    sheets = [meta for meta in book.sheets_metadata if meta.typ is SheetTypeEnum.WorkSheet]

    def read(number: int) -> RawSheet:
        sheet = book.get_sheet_by_name(sheets[number].name)
        raw = RawSheet()
        top, left = sheet.start or (0, 0)
        for line, values in enumerate(sheet.to_python(skip_empty_area=True), start=top + 1):
            for place, value in enumerate(values, start=left):
                raw.add(line, place, text_of(value))
        raw.merged = [(a + 1, b, c + 1, d) for (a, b), (c, d) in sheet.merged_cell_ranges or []]
        return raw

    return Book([(meta.name, meta.visible is SheetVisibleEnum.Visible) for meta in sheets], read, is_plain=True)


def text_of(value: object) -> str:
    """Return a value of calamine as text: whole numbers have no decimal point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_formats.plain(repr(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


if __name__ == "__main__":
    main()
