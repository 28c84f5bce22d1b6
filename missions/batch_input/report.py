"""The facts of reading an input file: what was read, what was not, and what to look at.

The page, the API and ``run_mission`` show the same report, and a mission keeps it. It holds plain
JSON values; its warnings are reasons (``core.reasons``), translated when shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from core.db.reasons import translate
from core.reasons import TEMPLATES, Reason, define, stored

ENCODING_GUESSED = define(
    "input_encoding_guessed",
    "The file does not name its encoding. It was read as %(encoding)s: look at the texts before you continue.",
)
WHOLE_LINES = define(
    "input_whole_lines",
    "The file has no column names, so each line is one prompt, with everything in it: commas do not separate columns.",
)
OTHER_SHEETS = define(
    "input_other_sheets", "Only the sheet “%(sheet)s” was read. Other sheets that hold something: %(others)s."
)
HIDDEN_SHEET = define("input_hidden_sheet", "The sheet “%(sheet)s” is hidden in the workbook.")
HIDDEN_ROWS = define(
    "input_hidden_rows",
    "Hidden rows were left out: %(count)s, filtered rows included. Show them in the spreadsheet to use them.",
)
HIDDEN_COLUMNS = define(
    "input_hidden_columns", "Hidden columns were left out: %(columns)s. Show them in the spreadsheet to use them."
)
MERGED_CELLS = define(
    "input_merged_cells", "Merged cells: %(count)s. Their value is used for every row that they cover."
)
ROUNDED_NUMBERS = define(
    "input_rounded_numbers",
    "Numbers of more than 15 digits: %(count)s. Spreadsheets store only 15; format such cells as text.",
)
FORMATS_UNREADABLE = define(
    "input_formats_unreadable",
    "The formats of the cells could not be read: numbers, dates and hidden rows may differ from what the spreadsheet "
    "shows.",
)
PICTURES_STORED = define("input_pictures_stored", "Pictures in cells that were uploaded to the library: %(count)s.")


@dataclass(frozen=True, slots=True)
class InputReport:
    """The facts of one file or pasted text.

    ``kind`` is text, csv, tsv, xlsx, xls, ods, jsonl, json or pasted. ``header_line`` is the line
    of the column names, 0 if there is none. ``lines`` counts the lines of a text or the rows of a
    sheet; ``rows`` those that became rows, without the header; ``blank``, ``hidden`` and
    ``skipped`` those that did not, because they were empty, hidden in the spreadsheet, or faulty.
    ``characters`` counts the texts of the rows. ``columns`` and ``unused_columns`` are the names
    of the columns that fill a field and of those that do not; a reader puts all into ``columns``.
    """

    name: str = ""
    kind: str = ""
    encoding: str = ""
    delimiter: str = ""
    sheet: str = ""
    other_sheets: tuple[str, ...] = ()
    header_line: int = 0
    columns: tuple[str, ...] = ()
    unused_columns: tuple[str, ...] = ()
    lines: int = 0
    rows: int = 0
    blank: int = 0
    hidden: int = 0
    skipped: int = 0
    characters: int = 0
    warnings: tuple[Reason, ...] = ()

    @property
    def warning_texts(self) -> list[str]:
        """Return the warnings in the reader's language."""
        return [translate(warning) for warning in self.warnings]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, for a draft or a mission."""
        value = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("other_sheets", "columns", "unused_columns"):
            value[name] = list(value[name])
        value["warnings"] = [dict(zip(("code", "params"), stored(warning), strict=True)) for warning in self.warnings]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Self:
        """Return the report of ``to_json``. Facts that another version stored are ignored."""
        known = {field.name for field in fields(cls)}
        values = {name: item for name, item in (value or {}).items() if name in known}
        for name in ("other_sheets", "columns", "unused_columns"):
            values[name] = tuple(values.get(name, ()))
        values["warnings"] = tuple(
            Reason(warning["code"], warning["params"] or {})
            for warning in values.get("warnings", ())
            if warning["code"] in TEMPLATES
        )
        return cls(**values)
