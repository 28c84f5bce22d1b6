"""Read a spreadsheet in a separate process with limited memory and time.

A sheet of one kilobyte can name a cell a million rows down and ask for half a terabyte, or unpack
to gigabytes, and the reader's native code ends its whole process when it gets no memory. So the
process that reads is one that nothing else needs.

    python -m missions.batch_input.spreadsheets < prompts.xlsx > rows.json
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import threading
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

ROOT = Path(__file__).resolve().parents[2]
MAX_MEMORY = 1024**3
MAX_CPU_SECONDS = 60
MAX_SECONDS = 120.0
PROCESS_SLOTS = threading.BoundedSemaphore(2)  # readers that this process runs at the same time

Row = tuple[int, list[str]]


class SheetUnreadable(ValueError):
    """The file is not a readable spreadsheet.

    The message is the reader's, or "" if a limit was exceeded.
    """


def read_sheet(content: bytes) -> list[Row]:
    """Return the rows of the first sheet that is not empty, as texts, each with its number from 1.

    Raises SheetUnreadable.
    """
    command = [sys.executable, "-m", "missions.batch_input.spreadsheets"]
    options: dict[str, Any] = {"capture_output": True, "timeout": MAX_SECONDS, "check": True}
    try:
        with PROCESS_SLOTS:
            process = subprocess.run(command, cwd=ROOT, input=content, **options)  # noqa: S603  fixed command
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise SheetUnreadable from None
    answer = json.loads(process.stdout)
    if "problem" in answer:
        raise SheetUnreadable(answer["problem"])
    return [(line, cells) for line, cells in answer["rows"]]


def main() -> None:
    """Read a workbook from standard input and write its rows, or the problem, as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer: dict[str, object] = {"rows": []}
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
        for place in range(len(book.sheet_names)):
            if rows := rows_of(book.get_sheet_by_index(place)):
                answer = {"rows": rows}
                break
    except CalamineError as error:
        answer = {"problem": str(error)}
    json.dump(answer, sys.stdout)


def rows_of(sheet: CalamineSheet) -> list[Row]:
    """Return the rows that are not blank, without the blank cells at their end."""
    rows = []
    start = sheet.start[0] + 1 if sheet.start else 1
    for line, values in enumerate(sheet.to_python(skip_empty_area=True), start=start):
        cells = [text_of(value) for value in values]
        while cells and not cells[-1].strip():
            cells.pop()
        if cells:
            rows.append((line, cells))
    return rows


def text_of(value: object) -> str:
    """Return a cell as a person sees it: whole numbers have no decimal point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else str(value).strip()


if __name__ == "__main__":
    main()
