"""CSV that spreadsheets show as text: UTF-8 with a mark, every cell quoted, no formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
FORMULA_STARTS = (*FORMULA_SIGNS, "\t", "\r", "\n")
BYTE_ORDER_MARK = "\ufeff"  # by which spreadsheets know UTF-8
# Where a spreadsheet whose separator is a semicolon begins a new cell inside of ours: quotes do not
# help there, because our cells are separated by commas. A run of separators is taken as a whole, so
# that a long one takes no longer than its length.
_INNER_START = re.compile(rf"""([;\t\r\n][;\s"]*+)('*+[{re.escape("".join(FORMULA_SIGNS))}])?""")
_START = re.compile(f"'*+(?:{'|'.join(map(re.escape, FORMULA_STARTS))})")
_GUARDED_INNER_START = re.compile(rf"""([;\t\r\n][;\s"]*+)'('*+[{re.escape("".join(FORMULA_SIGNS))}])""")


class Writer(Protocol):
    def writerow(self, row: Iterable[Any], /) -> Any: ...


def safe_cell(value: Any) -> str:
    """Return a cell that no spreadsheet reads as a formula, whatever separator it expects.

    An apostrophe is put before what could begin one, also if it has one already: so ``plain_cell``
    gets the text back.
    """
    text = "" if value is None else str(value)
    text = _INNER_START.sub(lambda start: f"{start[1]}'{start[2]}" if start[2] else start[0], text)
    return f"'{text}" if _START.match(text) else text


def plain_cell(text: str) -> str:
    """Return a cell that ``safe_cell`` made as it was before."""
    if text.startswith("'") and _START.match(text):
        text = text[1:]
    return _GUARDED_INNER_START.sub(r"\1\2", text)


def writer(file: Any) -> Writer:
    """Return a writer that quotes every cell. The cells come from ``safe_cell``."""
    return csv.writer(file, quoting=csv.QUOTE_ALL)


def lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield each row as a line of a file, with safe cells; the first line begins with the mark."""
    text = io.StringIO()
    table = writer(text)
    text.write(BYTE_ORDER_MARK)
    for row in rows:
        table.writerow([safe_cell(cell) for cell in row])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
