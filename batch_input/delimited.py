"""Divide a text into records and cells, as spreadsheets and people write CSV.

The delimiter is named by a line ``sep=;``, or found by content: column names that it separates,
quoted cells around it, columns of ratios, numbers or file names, or a semicolon or pipe that no
space follows. Without such evidence commas belong to the texts: a list of prompts, one per line, is
not cut, and neither is one below a single column name.

A line whose quotation marks do not match is left out; the next line is read as usual.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from re import Pattern

from batch_input.headings import is_header, is_name, known_headings
from core.text import is_blank, trim

DELIMITERS = ("\t", ",", ";", "|", "，", "；", "｜")
WHOLE_LINES = "\n"  # as a delimiter: every line is one cell
ONE_COLUMN = "\0"  # as a delimiter: quoted cells may go on in the next line, and nothing divides them
SAMPLE_CHARACTERS = 64 * 1024
SAMPLE_RECORDS = 50
MAX_CELLS = 1000  # of a record; the rest of its line is one more, and the record is too wide anyway

Cells = tuple[int, list[str]]

_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANK_LINES = re.compile(r"(?:[ \t]*+(?:\r\n|\r|\n))++")
_REST_OF_LINE = re.compile(r"[^\r\n]*")
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(?P<delimiter>[^\s"]|\t)"?[,;\t ]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_RULE = re.compile(r"[|:\s-]+")
_PIPE = re.compile(r"(?<!\\)\|")  # not one that Markdown escapes
# Contents that tell a column from a part of a sentence.
_TYPED = re.compile(
    r"""\s*(?:
        \d{1,4}\s*[:：xX×]\s*\d{1,4}        # a ratio or a size
        | [-+]?\d+(?:[.,]\d+)?\s*(?:%|s|秒|k|p)?  # a number, a duration, a resolution
        | https?://\S+ | media:\d+ | output:\d+/\d+
        | \S+\.(?:png|jpe?g|webp|gif|bmp|tiff?|heic|avif|mp4|mov|mp3|wav)
        | true | false
    )\s*""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Divided:
    """The records of a text, each with its line from 1.

    ``unbalanced`` are the lines left out for their quotation marks. ``delimiter`` is "" if nothing
    was divided; if that was a decision, ``is_whole_lines`` is True, or ``is_one_column`` below a
    single column name. ``lines`` and ``blank`` count the lines of the text and those that hold
    nothing.
    """

    records: list[Cells]
    unbalanced: list[int]
    delimiter: str
    is_whole_lines: bool
    is_one_column: bool
    lines: int
    blank: int


def divide(text: str, delimiter: str = "", *, is_tsv: bool = False) -> Divided:
    """Divide a text by a delimiter, or by the one that its content shows."""
    lines = len(_LINE_END.split(text.rstrip("\r\n"))) if text else 0
    first_line = 1
    body = text
    if match := _SEPARATOR_LINE.match(text):
        delimiter = delimiter or match["delimiter"]
        body = text[match.end() :]
        first_line += len(_LINE_END.findall(match[0]))
    framed = _without_frame(body) if delimiter in ("", "|") else None
    if framed is not None:
        body, delimiter = framed, "|"
    delimiter = delimiter or _find_delimiter(body, is_tsv=is_tsv)
    if delimiter == WHOLE_LINES:
        whole = [(number, [_unquoted(line)]) for number, line in enumerate(_LINE_END.split(body), start=first_line)]
        records = [(number, cells) for number, cells in whole if not is_blank(cells[0])]
        has_delimiters = any(mark in cells[0] for _line, cells in records for mark in ",;|，；")
        blank = lines - len(records) - (first_line - 1)
        return Divided(records, [], "", has_delimiters, False, lines, max(blank, 0))
    records, unbalanced, blank = _records(body, delimiter, first_line)
    is_divided = any(len(cells) > 1 for _line, cells in records)
    is_one_column = delimiter == ONE_COLUMN
    return Divided(records, unbalanced, delimiter if is_divided else "", False, is_one_column, lines, blank)


def _without_frame(text: str) -> str | None:
    """Return a Markdown table as quoted cells, without its rule of dashes, or None."""
    lines = [line.strip() for line in _LINE_END.split(text)]
    filled = [line for line in lines if not is_blank(line)]
    if len(filled) < 2 or not all(line.startswith("|") and line.endswith("|") for line in filled):
        return None
    rows = [[] if _RULE.fullmatch(line) else _PIPE.split(line[1:-1]) for line in lines]
    return "\n".join(
        "|".join('"' + cell.strip().replace("\\|", "|").replace('"', '""') + '"' for cell in cells) for cells in rows
    )


def header_delimiter(line: str) -> str:
    """Return the delimiter between the column names of a line, or "" if it holds no such names."""
    for delimiter in DELIMITERS:
        records, _unbalanced, _blank = _records(line, delimiter, 1)
        cells = records[0][1] if records else []
        if len(cells) > 1 and is_header(cells) and known_headings(cells) > 1:
            return delimiter
    return ""


def _find_delimiter(text: str, *, is_tsv: bool) -> str:
    """Return the delimiter that the content shows, or WHOLE_LINES."""
    sample = text[:SAMPLE_CHARACTERS]
    if len(sample) < len(text):
        sample = sample[: max(sample.rfind("\n"), 1)]
    divided = {}
    for delimiter in DELIMITERS:
        records = [cells for _line, cells in _records(sample, delimiter, 1)[0][:SAMPLE_RECORDS]]
        divided[delimiter] = [_without_empty_end(cells) for cells in records]
    several = {delimiter: records for delimiter, records in divided.items() if any(len(cells) > 1 for cells in records)}
    if is_tsv and "\t" in several:
        return "\t"
    headed = {
        delimiter: known_headings(records[0])
        for delimiter, records in several.items()
        if len(records[0]) > 1 and _is_headed(records)
    }
    if headed:
        return max(headed, key=lambda delimiter: headed[delimiter])
    if any(is_header(records[0]) for records in divided.values() if records and len(records[0]) == 1):
        has_columns = any(map(_has_unnamed_column, several.values()))
        return "," if has_columns or not several else ONE_COLUMN  # unnamed columns are problems of their rows
    if "\t" in several and _is_even(several["\t"]):
        return "\t"
    for delimiter, records in several.items():
        is_tight = delimiter in ";|｜" and len(records) > 1 and f"{delimiter} " not in sample
        is_table = _is_even(records) and (is_tight or _has_typed_column(records) or _is_quoted(sample, delimiter))
        if is_table:
            return delimiter
    has_titles = any(_has_late_header(records) for records in several.values())
    if has_titles:
        return next(delimiter for delimiter, records in several.items() if _has_late_header(records))
    return WHOLE_LINES if several else ","


def _is_headed(records: Sequence[list[str]]) -> bool:
    """Return True if the first record holds column names."""
    names = records[0]
    if any(cell.startswith(" ") for cell in names[1:]):  # "photo, portrait, style" may be a prompt
        return any(map(is_name, names)) and known_headings(names) == len(names)
    return is_header(names) or (bool(known_headings(names)) and len(records) > 1 and _is_even(records))


def _has_late_header(records: Sequence[list[str]]) -> bool:
    return any(known_headings(cells) > 1 and any(map(is_name, cells)) for cells in records[1:10])


def _is_even(records: Sequence[list[str]]) -> bool:
    """Return True if all records have the same number of cells, at least two."""
    widths = {len(cells) for cells in records}
    return len(widths) == 1 and widths != {1}


def _has_typed_column(records: Sequence[list[str]]) -> bool:
    """Return True if a column holds ratios, numbers or file names; its first cell may be a name."""
    rows = records[1:] if len(records) > 1 else records
    columns = zip(*rows, strict=True)
    return any(all(_TYPED.fullmatch(cell) for cell in column) for column in columns)


def _has_unnamed_column(records: Sequence[list[str]]) -> bool:
    """Return True if the cells behind the first hold ratios, numbers or file names at a place."""
    rows = records[1:]
    cells = [[row[place] for row in rows if place < len(row)] for place in range(1, max(map(len, records)))]
    return any(all(_TYPED.fullmatch(cell) for cell in column) for column in cells)


def _without_empty_end(cells: list[str]) -> list[str]:
    width = max((place for place, cell in enumerate(cells, start=1) if not is_blank(cell)), default=1)
    return cells[:width]


def _is_quoted(text: str, delimiter: str) -> bool:
    """Return True if quoted cells stand beside the delimiter."""
    mark = re.escape(delimiter)
    return (
        re.search(rf'(?m)(?:^[ ]*"(?:[^"\r\n]|"")+"[ ]*{mark}|{mark}[ ]*"(?:[^"\r\n]|"")+"[ ]*(?:{mark}|\r?$))', text)
        is not None
    )


def _unquoted(line: str) -> str:
    """Return a line without the quotation marks around all of it."""
    match = re.fullmatch(r'"((?:[^"]|"")*)"', trim(line))
    return match[1].replace('""', '"') if match else line


@lru_cache(maxsize=32)
def _cell(delimiter: str) -> Pattern[str]:
    mark = re.escape(delimiter)
    space = "[ ]*" if delimiter == "\t" else "[ \t]*"
    return re.compile(rf'{space}"(?P<quoted>(?:[^"]++|"")*+)"{space}(?=[{mark}\r\n]|\Z)|(?P<bare>[^{mark}\r\n]*+)')


def _records(text: str, delimiter: str, line: int) -> tuple[list[Cells], list[int], int]:
    """Return the records, the lines with unmatched quotation marks, and the count of blank ones."""
    cell = _cell(delimiter)
    records: list[Cells] = []
    unbalanced: list[int] = []
    blank = position = 0
    while position < len(text):
        if skipped := _BLANK_LINES.match(text, position):
            count = len(_LINE_END.findall(skipped[0]))
            blank, line, position = blank + count, line + count, skipped.end()
            continue
        start = line
        cells: list[str] = []
        is_sound = True
        while True:
            match = cell.match(text, position)
            assert match is not None  # the second alternative matches anything
            position = match.end()
            if match["quoted"] is not None:
                cells.append(match["quoted"].replace('""', '"'))
                line += len(_LINE_END.findall(match["quoted"]))
            else:
                cells.append(match["bare"])
                is_sound = is_sound and not match["bare"].lstrip().startswith('"')
            if text[position : position + 1] != delimiter:
                break
            position += 1
            if len(cells) > MAX_CELLS:
                rest = _REST_OF_LINE.match(text, position)
                assert rest is not None  # it matches anything
                cells.append(rest[0])
                position = rest.end()
                break
        if end := _LINE_END.match(text, position):
            position = end.end()
        line += 1
        if all(map(is_blank, cells)):
            blank += 1
        elif is_sound:
            records.append((start, cells))
        else:
            unbalanced.append(start)
    return records, unbalanced, blank
