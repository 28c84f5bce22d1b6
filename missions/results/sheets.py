"""A mission as a spreadsheet that can be corrected and read again.

It has the columns of the input, with images as they were named, and what became of each row. The
column *Item number* says which item a row is (``batch_input.result_columns``).
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import xlsxwriter
from django.db.models import QuerySet

from batch_input.headings import CUSTOM_ID
from batch_input.report import InputReport
from batch_input.result_columns import HEADINGS, ITEM, item_cell
from core import csv_files
from core.money import amount_text
from missions import selectors
from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus
from missions.results.export import SEPARATOR
from missions.results.names import file_name, references_in
from missions.results.tables import in_blocks
from providers import catalog

BLOCK_BYTES = 256 * 1024
MAX_CELL = 32_767  # characters of a cell in a workbook
PARAMS_PER_READ = 2000
WIDTHS = {ITEM: 10, "prompt": 60, "error": 50}


class Sheet:
    """The spreadsheet of a mission. ``fields`` are the parameters of its columns, by heading."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission
        self.model = catalog.model_of(mission)
        self._names = {parameter.name for parameter in self.model.parameters}
        report = InputReport.from_json(mission.input) if mission.input else InputReport()
        headings: dict[str, str] = {}
        for match in report.matches:
            if match.column:
                headings.setdefault(match.field, match.column)
        taken = {str(heading) for heading in HEADINGS.values()}
        present = set(mission.params)
        for own in mission.items.order_by().values_list("params", flat=True).iterator(PARAMS_PER_READ):
            present |= own.keys()
        ordered = [*(parameter.name for parameter in self.model.parameters if parameter.name in present)]
        ordered += sorted(present - set(ordered))
        if mission.items.exclude(custom_id="").exists():
            ordered.insert(0, CUSTOM_ID)
        self.fields: dict[str, str] = {}
        for name in ordered:
            heading = headings.get(name, name)
            if heading in {*taken, *self.fields, *ordered}:  # another column has it, or will
                heading = name
            self.fields[heading] = name
        self.cells = [name for name in report.unused_columns if name not in taken | self.fields.keys()]

    @property
    def headings(self) -> list[str]:
        """The headings in the reader's language where they are not those of the input."""
        results = [str(heading) for key, heading in HEADINGS.items() if key != ITEM]
        return [str(HEADINGS[ITEM]), *self.fields, *self.cells, *results]

    def row(self, item: MissionItem, outputs: Sequence[Output]) -> list[str]:
        """Return the cells of an item."""
        stored = [file_name(item, output) for output in outputs if output.status == OutputStatus.STORED]
        cells = (item.origin or {}).get("cells") or {}
        error = "" if item.status == ItemStatus.COMPLETED else item.error_display
        return [
            item_cell(self.mission.pk, item.index),
            *self.input_cells(item).values(),
            *(str(cells.get(name, "")) for name in self.cells),
            str(ItemStatus(item.status).label),
            error,
            SEPARATOR.join(stored),
            str(amount_text(item.cost)),
        ]

    def input_cells(self, item: MissionItem) -> dict[str, str]:
        """Return the cells of an item's input by their fields."""
        params = self.mission.params | item.params
        names = (item.origin or {}).get("names") or {}
        files = set(references_in(self.model, params))
        return {
            name: cell_text(item.custom_id if name == CUSTOM_ID else params.get(name), names if files else {})
            for name in self.fields.values()
        }


def cell_text(value: Any, names: Mapping[str, str]) -> str:
    """Return a parameter as a cell; ``names`` replace references to files."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(entry, list | dict) for entry in value):
        return SEPARATOR.join(names.get(str(entry), str(entry)) for entry in value)[:MAX_CELL]
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)[:MAX_CELL]
    return names.get(str(value), str(value))[:MAX_CELL]


def as_csv(sheet: Sheet, indexes: QuerySet[MissionItem, int] | None = None) -> Iterator[bytes]:
    """Yield the sheet as CSV: all rows, or those at ``indexes``. Cells never run as formulas."""
    rows = itertools.chain([sheet.headings], _rows(sheet, indexes))
    yield from in_blocks(csv_files.lines(rows))


def as_xlsx(sheet: Sheet, indexes: QuerySet[MissionItem, int] | None = None) -> Iterator[bytes]:
    """Yield the sheet as a workbook. All its cells are texts. It is made in a temporary file."""
    with tempfile.TemporaryFile() as file:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        book = xlsxwriter.Workbook(file, options)
        page = book.add_worksheet()
        bold = book.add_format({"bold": True})
        wrapped = book.add_format({"text_wrap": True, "valign": "top", "num_format": "@"})
        page.freeze_panes(1, 1)
        keys = [ITEM, *sheet.fields.values(), *sheet.cells, *(key for key in HEADINGS if key != ITEM)]
        for place, key in enumerate(keys):
            page.set_column(place, place, WIDTHS.get(key, 18))
        for place, heading in enumerate(sheet.headings):
            page.write_string(0, place, heading, bold)
        for number, row in enumerate(_rows(sheet, indexes), start=1):
            for place, text in enumerate(row):
                page.write_string(number, place, text, wrapped)
        book.close()
        file.seek(0)
        while block := file.read(BLOCK_BYTES):
            yield block


def _rows(sheet: Sheet, indexes: QuerySet[MissionItem, int] | None) -> Iterator[list[str]]:
    for item, outputs in selectors.items_with_outputs(sheet.mission, indexes):
        yield sheet.row(item, outputs)
