"""A mission's results row by row, for programs (JSON Lines) and spreadsheets (CSV).

Rows come in the order of the batch and are read in pages, so that 50,000 items take no more memory
than 500.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ninja.responses import NinjaJSONEncoder

from core import csv_files
from missions import selectors
from missions.models import Mission, MissionItem, Output
from missions.results.export import SEPARATOR

BLOCK_CHARACTERS = 64 * 1024
ITEM_COLUMNS = (
    "index", "first_index", "version", "custom_id", "source_names", "status", "config", "cost", "currency", "error_code",
    "error_message", "tags",
)  # fmt: skip
OUTPUT_COLUMNS = (
    "number", "file_name", "file_url", "text", "content_type", "size_bytes", "sha256", "width", "height", "duration_seconds",
)  # fmt: skip
COLUMNS = (*ITEM_COLUMNS, *OUTPUT_COLUMNS)


# Returns an item and its outputs as plain values, by the names of COLUMNS.
ItemRenderer = Callable[[MissionItem, Sequence[Output]], dict[str, Any]]


def as_json_lines(mission: Mission, render: ItemRenderer, *, has_all_versions: bool = False) -> Iterator[bytes]:
    """Yield a JSON object per item, each with the list of its outputs, as ``render`` makes it.

    Of a row with several versions it is the chosen one, or all of them with ``has_all_versions``.
    """
    rows = selectors.items_with_outputs(mission, has_all_versions=has_all_versions)
    items = (render(item, outputs) for item, outputs in rows)
    yield from in_blocks(json.dumps(item, ensure_ascii=False, cls=NinjaJSONEncoder) + "\n" for item in items)


def as_csv(mission: Mission, render: ItemRenderer, *, has_all_versions: bool = False) -> Iterator[bytes]:
    """Yield a row per output, or one for an item that has none. Versions as in ``as_json_lines``.

    Cells are safe to open in a spreadsheet.
    """
    pairs = selectors.items_with_outputs(mission, has_all_versions=has_all_versions)
    items = (render(item, outputs) for item, outputs in pairs)
    rows = ([row.get(name) for name in COLUMNS] for item in items for row in _rows(item))
    yield from in_blocks(csv_files.lines(itertools.chain([COLUMNS], rows)))


def _rows(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the rows of an item.

    Its cost is in the first row only, so that a column can be summed up.
    """
    item |= {name: SEPARATOR.join(item[name]) for name in ("source_names", "tags")}
    item["config"] = json.dumps(item["config"], ensure_ascii=False, sort_keys=True)
    for output in item["outputs"]:
        facts = {name: output[name] for name in OUTPUT_COLUMNS}
        error = {"error_message": output["error_message"]} if output["error_message"] else {}
        yield item | facts | error
        item["cost"] = ""
    if not item["outputs"]:
        yield item


def in_blocks(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield the lines in larger pieces."""
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= BLOCK_CHARACTERS:
            yield "".join(held).encode()
            held, size = [], 0
    yield "".join(held).encode()
