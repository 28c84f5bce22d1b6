"""Reading a spreadsheet, in a process of its own that may use only so much.

A sheet of one kilobyte can name a cell a million rows down and ask for half a terabyte, or unpack to gigabytes, and a reader in
machine code that gets no memory takes its whole process with it.  This way it is a process that nobody else needs.

    python -m missions.batch_input.spreadsheets < prompts.xlsx > rows.json
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

ROOT = Path(__file__).resolve().parents[2]
MAX_MEMORY = 1024**3
MAX_CPU_SECONDS = 60
MAX_SECONDS = 120.0
AT_ONCE = threading.BoundedSemaphore(2)  # in this process

Row = tuple[int, list[str]]


class SheetUnreadable(ValueError):
    """The file is no spreadsheet that can be read.  The message is the reader's own; "" if it is larger than it may be."""


def read_sheet(content: bytes) -> list[Row]:
    """The rows of the first sheet that holds something, as texts, each with its number from 1.  Raises SheetUnreadable."""
    command = [sys.executable, "-m", "missions.batch_input.spreadsheets"]
    options: dict[str, Any] = {"capture_output": True, "timeout": MAX_SECONDS, "check": True}
    try:
        with AT_ONCE:
            done = subprocess.run(command, cwd=ROOT, input=content, **options)  # noqa: S603  not the person's words
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise SheetUnreadable from None
    found = json.loads(done.stdout)
    if "problem" in found:
        raise SheetUnreadable(found["problem"])
    return [(line, cells) for line, cells in found["rows"]]


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        found: dict[str, object] = {"rows": _rows(sys.stdin.buffer.read())}
    except CalamineError as error:
        found = {"problem": str(error)}
    json.dump(found, sys.stdout)


def _rows(content: bytes) -> list[Row]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    sheets = (book.get_sheet_by_index(place) for place in range(len(book.sheet_names)))
    return next((rows for sheet in sheets if (rows := list(_filled(sheet)))), [])


def _filled(sheet: CalamineSheet) -> Iterator[Row]:
    start = sheet.start[0] + 1 if sheet.start else 1
    for line, row in enumerate(sheet.to_python(skip_empty_area=True), start=start):
        cells = [_text(cell) for cell in row]
        if any(cells):
            yield line, _trimmed(cells)


def _trimmed(cells: Sequence[str]) -> list[str]:
    """Without the blank cells at the end, which a sheet has wherever another row is longer."""
    filled = [place for place, cell in enumerate(cells) if cell.strip()]
    return list(cells[: filled[-1] + 1]) if filled else []


def _text(cell: object) -> str:
    """A cell as a person sees it: whole numbers without a decimal point."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return str(cell).strip() if not isinstance(cell, timedelta) else str(cell)


if __name__ == "__main__":
    _main()
