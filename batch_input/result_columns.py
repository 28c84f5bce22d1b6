"""The columns that a spreadsheet of results has besides those of its input.

Such a sheet can be corrected and read again: ``Item number`` says which item a row is, as ``12#7``
for item 7 of mission 12. The other columns are what became of it, and are never read as input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from django.utils import translation
from django.utils.translation import gettext_lazy as _

from batch_input.tables import Table
from core import csv_files

ITEM = "item"
HEADINGS = {
    ITEM: _("Item number"),
    "status": _("Result status"),
    "error": _("Reason of the failure"),
    "file": _("Result file"),
    "cost": _("Charged"),
}
LANGUAGES = ("en", "zh-hans")
_ITEM = re.compile(r"\s*'?([0-9]{1,18})#([0-9]{1,9})\s*")


def item_cell(mission_id: int, index: int) -> str:
    """Return the cell that names an item: a text in every spreadsheet program."""
    return f"{mission_id}#{index}"


def item_of(cell: object) -> tuple[int, int] | None:
    """Return the mission's id and the item's number that a cell names; None if it names none."""
    match = _ITEM.fullmatch(str(cell or ""))
    return (int(match[1]), int(match[2])) if match else None


def result_columns(table: Table) -> Mapping[int, str]:
    """Return the result columns of a table by their places; none if no column names items."""
    names = table.keys or ([str(cell).strip() for cell in table.records[0].cells] if table.records else [])
    known = {place: key for place, name in enumerate(names) if (key := _keys_by_heading().get(name))}
    item = next((place for place, key in known.items() if key == ITEM), None)
    body = table.records if table.keys else table.records[1:]
    if item is None or not any(item < len(record.cells) and item_of(record.cells[item]) for record in body):
        return {}
    return known


def without_guards(table: Table) -> Table:
    """Return a table of results without the apostrophes that keep spreadsheets from running cells.

    Other tables are returned as they are.
    """
    if table.report.kind not in ("csv", "tsv", "text", "pasted") or not result_columns(table):
        return table
    records = [
        replace(record, cells=[csv_files.plain_cell(cell) if isinstance(cell, str) else cell for cell in record.cells])
        for record in table.records
    ]
    return replace(table, records=records)


@cache
def _keys_by_heading() -> dict[str, str]:
    """Return the keys of the columns by their headings in all languages."""
    found: dict[str, str] = {}
    for language in LANGUAGES:
        with translation.override(language):
            found |= {str(heading): key for key, heading in HEADINGS.items()}
    return found
