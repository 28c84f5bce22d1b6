"""The facts of reading an input file: what was read, what was not, and what to look at.

The page, the API and ``run_mission`` show the same report, and a mission keeps it. It holds plain
JSON values; its warnings are reasons (``core.reasons``), translated when shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.db.reasons import translate
from core.reasons import TEMPLATES, Reason, define, stored
from providers.catalog.labels import parameter_label

ENCODING_GUESSED = define(
    "input_encoding_guessed",
    "The file does not name its encoding. It was read as %(encoding)s: look at the texts before you continue.",
)
WHOLE_LINES = define(
    "input_whole_lines",
    "The file has no column names, so each line is one prompt, with everything in it: commas do not separate columns.",
)
ONE_COLUMN = define(
    "input_one_column",
    "The file has one column name, so each line below it is one prompt, with everything in it: commas do not separate "
    "columns.",
)
ROWS_IN_ONE_CELL = define(
    "input_rows_in_one_cell",
    "Each row stood in one cell. It was divided into columns as its column names show (%(names)s).",
)
LISTS_DIVIDED = define(
    "input_lists_divided",
    "Cells with several images that were divided at commas, semicolons or spaces: %(count)s. Check the images of each row.",
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
    "The formats of the cells could not be read: numbers, dates, errors and hidden rows may differ from what the "
    "spreadsheet shows. Save it again as .xlsx.",
)
TIMES_AS_RATIOS = define(
    "input_times_as_ratios",
    "Cells that a spreadsheet turned into a time and that were read as a ratio, such as 16:09 as 16:9: %(count)s.",
)
TOTAL_ROWS = define("input_total_rows", "Rows of totals below a table that were left out: %(count)s.")
HEADER_LINE = define(
    "input_header_line", "The first line, “%(name)s”, was taken as the name of the column and is not a prompt."
)
ABOVE_HEADER = define(
    "input_above_header", "Lines above the column names that were not read: %(count)s. The names are in line %(line)s."
)
REPEATED_HEADER = define("input_repeated_header", "Repetitions of the column names that were left out: %(count)s.")
PICTURES_STORED = define("input_pictures_stored", "Pictures in cells that were uploaded to the library: %(count)s.")
COLUMNS_UNUSED = define("input_columns_unused", "Columns that were not used: %(columns)s.")
COLUMNS_GUESSED = define("input_columns_guessed", "Guessed: %(columns)s. Check what each column fills.")

SHOWN_NAMES = 12  # of sheets and columns in the line; the report has all
WITH_HEADER = ("csv", "tsv", "xlsx", "xls", "ods", "pasted")  # kinds whose first row may hold names

# Why a column fills a field: its name or label, a word that people use instead, a slip of the
# keyboard, its cells, because it is the only column, or because a person chose it.
Basis = Literal["", "name", "synonym", "spelling", "cells", "only", "chosen"]


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """A column and the field that it fills, "" if it is not used."""

    column: str
    field: str = ""
    basis: Basis = ""

    @property
    def is_guess(self) -> bool:
        return self.basis in ("synonym", "spelling", "cells")

    def __str__(self) -> str:
        """Return ``text → Prompt``, or the label alone if the column has the name of its field."""
        label = parameter_label(self.field)
        return label if self.column in (self.field, label) else f"{self.column or '…'} → {label}"


@dataclass(frozen=True, slots=True)
class InputReport:
    """The facts of one file or pasted text.

    ``kind`` is text, csv, tsv, xlsx, xls, ods, jsonl, json or pasted. ``header_line`` is the line
    of the column names, 0 if there is none. ``lines`` counts the lines of a text or the rows of a
    sheet; ``rows`` those that became rows, without the header; ``blank``, ``hidden`` and
    ``skipped`` those that did not, because they were empty, hidden in the spreadsheet, or faulty.
    ``characters`` counts the texts of the rows. ``columns`` and ``unused_columns`` are the names
    of the columns that fill a field and of those that do not; a reader puts all into ``columns``.
    ``matches`` says which field each used column fills, and why.
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
    matches: tuple[ColumnMatch, ...] = ()
    lines: int = 0
    rows: int = 0
    blank: int = 0
    hidden: int = 0
    skipped: int = 0
    characters: int = 0
    warnings: tuple[Reason, ...] = ()

    @property
    def is_imported(self) -> bool:
        """True if the rows come from a file, from pasted cells or from another mission."""
        return bool(self.name) or self.kind == "pasted"

    @property
    def warning_texts(self) -> list[str]:
        """Return the warnings in the reader's language."""
        return [translate(warning) for warning in self.warnings]

    @property
    def line(self) -> str:
        """Return one line for people: what was read and what was not."""
        is_text = self.kind in ("text", "typed")
        parts = []
        if self.sheet:
            parts.append(_("sheet “%(sheet)s”") % {"sheet": self.sheet})
        if self.other_sheets:
            parts.append(_("not read: %(sheets)s") % {"sheets": _listed(self.other_sheets)})
        rows = ngettext("%(n)s row", "%(n)s rows", self.rows)
        if self.kind == "images":
            rows = ngettext("%(n)s image", "%(n)s images", self.rows)
        elif is_text:
            rows = ngettext("%(n)s line", "%(n)s lines", self.rows)
        parts.append(rows % {"n": f"{self.rows:,}"})
        if self.header_line:
            parts.append(_("column names in line %(line)s") % {"line": self.header_line})
        elif self.kind in WITH_HEADER and self.rows:
            parts.append(_("no column names"))
        counts = [
            (self.blank, ngettext("%(n)s blank line", "%(n)s blank lines", self.blank)),
            (self.hidden, ngettext("%(n)s hidden row not read", "%(n)s hidden rows not read", self.hidden)),
            (self.skipped, ngettext("%(n)s faulty line not read", "%(n)s faulty lines not read", self.skipped)),
        ]
        parts += [text % {"n": f"{count:,}"} for count, text in counts if count]
        if self.matches and not is_text:
            used = [
                (_("%(match)s (guessed)") if match.is_guess else "%(match)s") % {"match": match}
                for match in self.matches
            ]
            parts.append(_("columns: %(columns)s") % {"columns": _listed(used)})
        if self.unused_columns:
            parts.append(_("columns not used: %(columns)s") % {"columns": _listed(self.unused_columns)})
        if self.characters:
            characters = ngettext("%(n)s character", "%(n)s characters", self.characters)
            parts.append(characters % {"n": f"{self.characters:,}"})
        if self.encoding:
            parts.append(self.encoding)
        if self.delimiter:
            parts.append(_("separator %(delimiter)s") % {"delimiter": _delimiter_name(self.delimiter)})
        return " · ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, for a draft or a mission."""
        value = {field.name: getattr(self, field.name) for field in fields(self)}
        value["matches"] = [asdict(match) for match in self.matches]
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
        values["matches"] = tuple(ColumnMatch(**match) for match in values.get("matches", ()))
        values["warnings"] = tuple(
            Reason(warning["code"], warning["params"] or {})
            for warning in values.get("warnings", ())
            if warning["code"] in TEMPLATES
        )
        return cls(**values)


def _listed(names: Sequence[object]) -> str:
    shown = [" ".join(str(name).split()) for name in names[:SHOWN_NAMES]]
    return _(", ").join([*shown, "…"] if len(names) > SHOWN_NAMES else shown)


def _delimiter_name(delimiter: str) -> str:
    names = {",": _("comma"), ";": _("semicolon"), "\t": _("tab"), "|": _("vertical bar")}
    return names.get(delimiter, f"“{delimiter}”")
