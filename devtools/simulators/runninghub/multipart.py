"""The one file in a ``multipart/form-data`` body."""

from __future__ import annotations

import re
from dataclasses import dataclass

BOUNDARY = re.compile(rb'boundary="?([^";,]+)"?', re.IGNORECASE)
FILENAME = re.compile(rb'filename="([^"]*)"', re.IGNORECASE)
FIELD = re.compile(rb'[;\s]name="?([^";]+)"?', re.IGNORECASE)
CONTENT_TYPE = re.compile(rb"^content-type:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    filename: str
    content_type: str
    body: bytes


def file_part(content_type: bytes, body: bytes, name: bytes) -> Part | None:
    """Return the part called ``name`` if it carries a file name, else None."""
    boundary = BOUNDARY.search(content_type)
    if boundary is None:
        return None
    for piece in body.split(b"--" + boundary[1])[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        field, filename = FIELD.search(head), FILENAME.search(head)
        if field and field[1] == name and filename:
            header = CONTENT_TYPE.search(head)
            part_type = header[1].decode("latin-1") if header else "application/octet-stream"
            return Part(filename[1].decode("utf-8", "replace"), part_type, content.removesuffix(b"\r\n"))
    return None
