"""A spreadsheet as Excel writes it, as far as reading one needs it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

from batch_input.office_xml import letter

_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def xlsx(*sheets: Iterable[Sequence[object]]) -> bytes:
    return book(*(sheet(_rows(rows)) for rows in sheets))


def book(*sheets: str | bytes) -> bytes:
    """Return a workbook of sheets that are XML."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", _TYPES)
        file.writestr("_rels/.rels", _links(_PACKAGE, [(f"{_RELATIONS}/officeDocument", "xl/workbook.xml")]))
        numbers = range(1, len(sheets) + 1)
        listed = "".join(f'<sheet name="Sheet{number}" sheetId="{number}" r:id="rId{number}"/>' for number in numbers)
        book = f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{listed}</sheets></workbook>'
        file.writestr("xl/workbook.xml", book)
        links = [(f"{_RELATIONS}/worksheet", f"worksheets/sheet{number}.xml") for number in numbers]
        file.writestr("xl/_rels/workbook.xml.rels", _links(_PACKAGE, links))
        for number, written in enumerate(sheets, start=1):
            file.writestr(f"xl/worksheets/sheet{number}.xml", written)
    return out.getvalue()


def workbook(
    sheets: Iterable[tuple[str, str, str]],
    *,
    formats: Sequence[str] = (),
    parts: Mapping[str, str | bytes] | None = None,
) -> bytes:
    """Return a workbook of (name, state, XML) with number formats, and further parts by path.

    Style N of a cell shows its number with ``formats[N - 1]``; style 0 is General.
    """
    sheets = list(sheets)
    out = io.BytesIO(book(*(xml for _name, _state, xml in sheets)))
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" state="{state}" r:id="rId{number}"/>'
        for number, (name, state, _xml) in enumerate(sheets, start=1)
    )
    links = [(f"{_RELATIONS}/worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)]
    written = "".join(
        f'<numFmt numFmtId="{number}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>'
        for number, code in enumerate(formats, start=164)
    )
    styles = "".join(f'<xf numFmtId="{number}"/>' for number in (0, *range(164, 164 + len(formats))))
    new: dict[str, str | bytes] = {
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _links(_PACKAGE, [*links, (f"{_RELATIONS}/styles", "styles.xml")]),
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><numFmts>{written}</numFmts><cellXfs>{styles}</cellXfs></styleSheet>',
        **(parts or {}),
    }
    result = io.BytesIO()
    with zipfile.ZipFile(out) as source, zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            if name not in new:
                target.writestr(name, source.read(name))
        for name, content in new.items():
            target.writestr(name, content)
    return result.getvalue()


def sheet(rows: str, head: str = "", *, before: str = "", after: str = "") -> str:
    """Return a sheet as XML around its rows; ``before`` and ``after`` surround them in it."""
    space = f'xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"'
    return f"{head}<worksheet {space}>{before}<sheetData>{rows}</sheetData>{after}</worksheet>"


def row(line: int, *cells: object, attributes: str = "") -> str:
    """Return a row as XML; a cell that begins with "<" is XML, without its place."""
    written = ""
    for place, cell in enumerate(cells):
        if isinstance(cell, str) and cell.startswith("<c"):
            written += f'<c r="{letter(place)}{line}" {cell[2:]}'
        else:
            written += _cell(place, line, cell)
    return f'<row r="{line}" {attributes}>{written}</row>'


def _links(space: str, targets: Iterable[tuple[str, str]]) -> str:
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{space}">{links}</Relationships>'


def _rows(rows: Iterable[Sequence[object]]) -> str:
    return "".join(
        f'<row r="{line}">{"".join(_cell(place, line, value) for place, value in enumerate(row))}</row>'
        for line, row in enumerate(rows, start=1)
    )


def _cell(place: int, line: int, value: object) -> str:
    if value is None:
        return ""
    where = f"{letter(place)}{line}"
    if isinstance(value, bool):
        return f'<c r="{where}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{where}"><v>{value}</v></c>'
    return f'<c r="{where}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'
