"""Hostile spreadsheets neither exhaust memory nor read files."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from drafts.services import new_key
from tests.xlsx_files import book, sheet, xlsx


def send(web: Client, content: bytes) -> Any:
    file = SimpleUploadedFile("prompts.xlsx", content)
    return web.post("/missions/new", {"draft": new_key(), "action": "import", "file": file})


def cell(place: str, text: str) -> str:
    line = place.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return f'<row r="{line}"><c r="{place}" t="inlineStr"><is><t>{text}</t></is></c></row>'


def far_corner() -> bytes:
    """Return a kilobyte with the first and the last possible cell: half a terabyte as a table."""
    return book(sheet(cell("A1", "prompt") + cell("XFD1048576", "x")))


def swollen() -> bytes:
    """Return three megabytes that unpack to 700."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx([["prompt"]]))) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb,
    ):
        for name in source.namelist():
            if "sheet1" not in name:
                bomb.writestr(name, source.read(name))
        with bomb.open("xl/worksheets/sheet1.xml", "w") as member:
            start, end = sheet(cell("A1", "\0")).split("\0")
            member.write(start.encode())
            for _ in range(700):
                member.write(b"a" * 1024**2)
            member.write(end.encode())
    return out.getvalue()


def billion_laughs() -> bytes:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    head = f'<!DOCTYPE x [<!ENTITY e0 "ha">{levels}]>'
    return book(sheet(cell("A1", "&e9;"), head))


@pytest.mark.parametrize(
    "make, message",
    [(far_corner, "1048576"), (swollen, "cannot be read"), (billion_laughs, "cannot be read")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_zip_bomb_is_harmless(web, make, message):
    page = send(web, make())

    assert page.status_code == 200
    assert message in page.content.decode()
    assert "a cup of tea" in send(web, xlsx([["prompt"], ["a cup of tea"]])).content.decode()


def test_xml_entity_reads_no_file(web):
    rows = cell("A1", "prompt") + cell("A2", "[&e;]")
    for entity in ('SYSTEM "file:///etc/passwd"', '"a text of its own"'):
        head = f"<!DOCTYPE x [<!ENTITY e {entity}>]>"
        for content in (
            sheet(rows, head),
            sheet(rows, f"<!-- {'-=' * 5000} -->{head}"),
            sheet(rows, f'<?xml version="1.0" encoding="utf-16"?>{head}').encode("utf-16"),
        ):
            page = send(web, book(content)).content.decode()
            assert "it has a document type definition" in page, content[:40]
            assert "root:" not in page


DAMAGED = [xlsx([["prompt"]])[:200], b"PK\x03\x04" + bytes(5000), b"\xd0\xcf\x11\xe0" + bytes(4096), b""]


@pytest.mark.parametrize("content", DAMAGED, ids=["half", "zip", "old", "empty"])
def test_damaged_file_is_explained(web, content):
    page = send(web, content)

    assert page.status_code == 200
    assert "prompts.xlsx" in page.content.decode()
