"""A workbook of Excel 97–2003, as far as reading one needs it: BIFF8 records in OLE2."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def xls(
    sheets: Iterable[tuple[str, bool, Sequence[Sequence[object]]]],
    *,
    formats: Sequence[str] = (),
    hidden_rows: Iterable[int] = (),
    hidden_columns: Iterable[int] = (),
    merged: Sequence[tuple[int, int, int, int]] = (),
) -> bytes:
    """Return a workbook of (name, is visible, rows). Rows and columns count from 0.

    A cell is a text, a number, a (number, N) with the format ``formats[N]``, or bytes of one error
    code. The facts about rows, columns and merged cells hold for every sheet.
    """
    sheets = list(sheets)
    facts = _record(0x0022, struct.pack("<H", 0)) + _record(
        0x0031, struct.pack("<HHHHHBBBBB", 200, 0, 8, 400, 0, 0, 0, 0, 0, 0)
    )
    for number, code in enumerate(formats, start=164):
        facts += _record(0x041E, struct.pack("<H", number) + _text(code, "<H"))
    for number in (0, *range(164, 164 + len(formats))):
        facts += _record(0x00E0, struct.pack("<HHHBBBBIIH", 0, number, 1, 0x20, 0, 0, 0, 0, 0, 0x20C0))
    bodies = [_sheet(rows, set(hidden_rows), hidden_columns, merged) for _name, _is_visible, rows in sheets]
    head = _begin(0x0005) + facts
    offset = len(head) + sum(len(_listed(name, is_visible, 0)) for name, is_visible, _rows in sheets) + 4
    for (name, is_visible, _rows), body in zip(sheets, bodies, strict=True):
        head += _listed(name, is_visible, offset)
        offset += len(body)
    return _container(head + _record(0x000A) + b"".join(bodies))


def _record(number: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", number, len(content)) + content


def _begin(kind: int) -> bytes:
    return _record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))


def _text(text: str, length: str) -> bytes:
    return struct.pack(length, len(text)) + b"\x01" + text.encode("utf-16-le")


def _listed(name: str, is_visible: bool, offset: int) -> bytes:
    return _record(0x0085, struct.pack("<IBB", offset, 0 if is_visible else 1, 0) + _text(name, "<B"))


def _sheet(
    rows: Sequence[Sequence[object]],
    hidden_rows: set[int],
    hidden_columns: Iterable[int],
    merged: Sequence[tuple[int, int, int, int]],
) -> bytes:
    body = _begin(0x0010)
    for place in hidden_columns:
        body += _record(0x007D, struct.pack("<HHHHHH", place, place, 2000, 0, 1, 0))
    for line, cells in enumerate(rows):
        flags = 0x0100 | (0x20 if line in hidden_rows else 0)
        body += _record(0x0208, struct.pack("<HHHHHHI", line, 0, len(cells), 300, 0, 0, flags))
    for line, cells in enumerate(rows):
        for place, cell in enumerate(cells):
            where = struct.pack("<HH", line, place)
            if isinstance(cell, str):
                body += _record(0x0204, where + struct.pack("<H", 0) + _text(cell, "<H"))
            elif isinstance(cell, bytes):
                body += _record(0x0205, where + struct.pack("<H", 0) + cell + b"\x01")
            elif cell is not None:
                value, style = cell if isinstance(cell, tuple) else (cell, -1)
                body += _record(0x0203, where + struct.pack("<Hd", style + 1, value))
    if merged:
        ranges = b"".join(struct.pack("<HHHH", first, last, left, right) for first, left, last, right in merged)
        body += _record(0x00E5, struct.pack("<H", len(merged)) + ranges)
    return body + _record(0x000A)


def _container(stream: bytes) -> bytes:
    """Return an OLE2 file of one stream, which follows its table and its directory."""
    stream = stream.ljust(4096, b"\0")
    size = len(stream)
    stream += bytes(-size % SECTOR)
    count = len(stream) // SECTOR
    table = [_FAT, _END, *range(3, count + 2), _END]
    table += [_FREE] * (SECTOR // 4 - len(table))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<109I", 0, *[_FREE] * 108)
    entries: Mapping[str, tuple[int, int, int, int]] = {
        "Root Entry": (5, 1, _END, 0),
        "Workbook": (2, _FREE, 2, size),
        "": (0, _FREE, 0, 0),
        " ": (0, _FREE, 0, 0),
    }
    directory = b"".join(_entry(name.strip(), *facts) for name, facts in entries.items())
    return header + struct.pack("<128I", *table) + directory + stream


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    spelled = name.encode("utf-16-le")
    length = len(spelled) + 2 if name else 0
    links = struct.pack("<HBBIII", length, kind, 1, _FREE, _FREE, child)
    return spelled.ljust(64, b"\0") + links + bytes(36) + struct.pack("<III", start, size, 0)
