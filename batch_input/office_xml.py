"""Read the sheets of .xlsx and .ods files as their program shows them.

Both are ZIP archives of XML. A general reader gives values; here hidden rows, merged cells, number
formats, error values and pictures in cells count as well. The XML is read piece by piece, so a
sheet needs the memory of its texts only. Runs inside the process of ``spreadsheets``.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from batch_input import number_formats
from core.text import trim

ERROR = "error"  # the cell shows an error such as #N/A
FORMULA = "formula"  # the file holds a formula without its result
STORED_DIGITS = 15  # of a number in a spreadsheet
MAX_REPEATED = 200_000  # equal rows that .ods stores as one

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_CELL = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")
_WPS_PICTURE = re.compile(r'DISPIMG\(\s*"([^"]+)"', re.IGNORECASE)
_WEB_PICTURE = re.compile(r'^=?(?:_xlfn\.)?IMAGE\(\s*"(https?://[^"]+)"', re.IGNORECASE)


class SheetUnreadable(ValueError):
    """The file is not a readable spreadsheet.

    The message is the reader's, or "" if a limit was exceeded.
    """


@dataclass(slots=True)
class RawSheet:
    """All of a sheet, hidden parts included. Rows count from 1, columns from 0.

    ``merged`` holds (first row, first column, last row, last column). ``problems`` maps a cell to
    (kind, shown text), ``pictures`` to a path in the archive. ``total_rows`` are the rows of totals
    below tables.
    """

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    problems: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    pictures: dict[tuple[int, int], str] = field(default_factory=dict)
    total_rows: set[int] = field(default_factory=set)
    rounded: int = 0

    def add(self, line: int, place: int, text: str) -> None:
        if text := trim(text):
            self.rows.setdefault(line, {})[place] = text

    def add_number(self, line: int, place: int, number: str, code: str, *, is_1904: bool = False) -> None:
        """Add a number as its format shows it."""
        digits = re.sub(r"[^0-9]", "", number.lower().partition("e")[0]).strip("0")
        is_long = len(digits) > STORED_DIGITS or "e+" in number.lower()
        if is_long and abs(float(number)) >= 10**STORED_DIGITS:
            self.rounded += 1
        self.add(line, place, number_formats.shown(number, code, is_1904=is_1904))

    def add_problem(self, line: int, place: int, kind: str, shown: str) -> None:
        self.add(line, place, shown)
        self.problems[line, place] = (kind, shown)


@dataclass(slots=True)
class Book:
    """The sheets of a workbook as (name, is visible), and a function that reads one of them.

    ``is_plain`` says that the reader gives values alone, without their formats.
    """

    sheets: list[tuple[str, bool]]
    read: Callable[[int], RawSheet]
    is_plain: bool = False


def letter(place: int) -> str:
    """Return the name that a spreadsheet gives a column: A, B, … Z, AA."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(65 + rest) + name
    return name


class _FirstElement(Exception):
    """The prolog of a file has ended."""


def _refuse_document_type(part: IO[bytes]) -> None:
    """Read a file up to its first element. Raises SheetUnreadable if it has a document type."""

    def refuse(*_facts: object) -> None:
        raise SheetUnreadable("it has a document type definition")

    def stop(*_facts: object) -> None:
        raise _FirstElement

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, stop
    with suppress(_FirstElement, expat.ExpatError):  # the reader reports what is wrong with it
        while chunk := part.read(4096):
            parser.Parse(chunk)


class Archive:
    """The parts of a workbook. Paths are those of the ZIP archive."""

    def __init__(self, content: bytes) -> None:
        self.zip = zipfile.ZipFile(io.BytesIO(content))
        self.names = {name.lower().replace("\\", "/").lstrip("/"): name for name in self.zip.namelist()}

    def __contains__(self, path: str) -> bool:
        return path.lower() in self.names

    def elements(self, path: str, *, end: tuple[str, ...]) -> Iterator[tuple[str, Element]]:
        """Yield the elements of these local names when they end, and forget them afterwards.

        Raises SheetUnreadable for a file with a document type: workbooks have none, attacks do.
        """
        with self.zip.open(self.names[path.lower()]) as part:
            _refuse_document_type(part)
        with self.zip.open(self.names[path.lower()]) as part:
            parents: list[Element] = []
            for event, element in ElementTree.iterparse(part, events=("start", "end")):  # noqa: S314  see above
                if event == "start":
                    parents.append(element)
                    continue
                parents.pop()
                name = local(element)
                if name in end:
                    yield name, element
                    element.clear()
                    if parents:
                        parents[-1].remove(element)

    def tree(self, path: str) -> Element:
        """Return a small part as a whole."""
        content = self.zip.read(self.names[path.lower()])
        _refuse_document_type(io.BytesIO(content))
        return ElementTree.fromstring(content)  # noqa: S314  see above

    def relations(self, path: str) -> dict[str, tuple[str, str]]:
        """Return the relations of a part by id: (type, path of the target)."""
        folder, name = posixpath.split(path)
        relations = posixpath.join(folder, "_rels", f"{name}.rels")
        found: dict[str, tuple[str, str]] = {}
        if relations not in self:
            return found
        for element in self.tree(relations):
            target = element.get("Target", "")
            target = (
                target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            )
            found[element.get("Id", "")] = (element.get("Type", "").rpartition("/")[2], target)
        return found


def local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def attribute(element: Element, name: str) -> str:
    """Return an attribute by its local name: its namespace differs between programs."""
    return next((value for key, value in element.items() if key.rpartition("}")[2] == name), "")


def descend(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element.iter() if local(child) == name)


def is_true(text: str | None) -> bool:
    return text in ("1", "true", "on")


# --- .xlsx ---


def open_xlsx(content: bytes) -> Book:
    """Open a workbook of Excel, WPS, Numbers or LibreOffice."""
    archive = Archive(content)
    root = next((path for kind, path in archive.relations("").values() if kind == "officeDocument"), "xl/workbook.xml")
    workbook = archive.tree(root)
    relations = archive.relations(root)
    by_kind = dict(relations.values())
    is_1904 = any(is_true(element.get("date1904")) for element in descend(workbook, "workbookPr"))
    sheets = [
        (element.get("name", ""), element.get("state", "visible") == "visible", relations[attribute(element, "id")][1])
        for element in descend(workbook, "sheet")
        if relations[attribute(element, "id")][0] == "worksheet"
    ]
    formats = _formats(archive, by_kind["styles"]) if by_kind.get("styles", "") in archive else []
    strings: list[str] = []
    if by_kind.get("sharedStrings", "") in archive:
        strings += [_text(item) for _name, item in archive.elements(by_kind["sharedStrings"], end=("si",))]
    pictures = _WorkbookPictures(archive, posixpath.dirname(root))

    def read(number: int) -> RawSheet:
        return _read_xlsx_sheet(archive, sheets[number][2], formats, strings, pictures, is_1904=is_1904)

    return Book([(name, is_visible) for name, is_visible, _path in sheets], read)


def _formats(archive: Archive, path: str) -> list[str]:
    """Return the number format of each cell style."""
    styles = archive.tree(path)
    codes = number_formats.BUILT_IN | {
        int(element.get("numFmtId", "0")): element.get("formatCode", "") for element in descend(styles, "numFmt")
    }
    return [
        codes.get(int(style.get("numFmtId", "0")), number_formats.GENERAL)
        for styles_of_cells in descend(styles, "cellXfs")
        for style in styles_of_cells
        if local(style) == "xf"
    ]


def _text(item: Element) -> str:
    """Return the text of a string, without the reading aids of East Asian characters."""
    parts = []
    for child in item:
        name = local(child)
        if name == "t":
            parts.append(child.text or "")
        elif name == "r":
            parts += [text.text or "" for text in child if local(text) == "t"]
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), "".join(parts))


def _place(reference: str) -> tuple[int, int] | None:
    """Return the row and the column of "B7", or None."""
    match = _CELL.fullmatch(reference)
    if match is None:
        return None
    place = 0
    for character in match[1]:
        place = place * 26 + ord(character) - 64
    return int(match[2]), place - 1


def _read_xlsx_sheet(
    archive: Archive,
    path: str,
    formats: list[str],
    strings: list[str],
    workbook_pictures: _WorkbookPictures,
    *,
    is_1904: bool,
) -> RawSheet:
    raw = RawSheet()
    for kind, target in archive.relations(path).values():
        if kind == "table" and target in archive:
            table = archive.tree(target)
            end = _place(table.get("ref", "").rpartition(":")[2])
            if end and table.get("totalsRowCount", "0") != "0":
                raw.total_rows.add(end[0])
    line = 0
    wanted = ("row", "col", "mergeCell", "drawing")
    for name, element in archive.elements(path, end=wanted):
        if name == "col" and (is_true(element.get("hidden")) or element.get("width") == "0"):
            first, last = int(element.get("min", "1")), int(element.get("max", "1"))
            raw.hidden_columns.update(range(first - 1, min(last, 16384)))
        elif name == "mergeCell":
            first_cell, _colon, last_cell = element.get("ref", "").partition(":")
            corner, opposite = _place(first_cell), _place(last_cell or first_cell)
            if corner and opposite:
                raw.merged.append((*corner, *opposite))
        elif name == "drawing":
            drawing = archive.relations(path).get(attribute(element, "id"), ("", ""))[1]
            if drawing in archive:
                for cell, picture in _floating_pictures(archive, drawing):
                    raw.pictures.setdefault(cell, picture)
        elif name == "row":
            line = int(element.get("r", "0")) or line + 1
            if is_true(element.get("hidden")) or element.get("ht") == "0":
                raw.hidden_rows.add(line)
            place = -1
            for child in element if any(map(len, element)) else ():  # else nothing but formats, perhaps a million times
                if local(child) != "c":
                    continue
                position = _place(child.get("r", ""))
                place = position[1] if position else place + 1
                _add_cell(raw, line, place, child, formats, strings, workbook_pictures, is_1904=is_1904)
    return raw


def _add_cell(
    raw: RawSheet,
    line: int,
    place: int,
    cell: Element,
    formats: list[str],
    strings: list[str],
    pictures: _WorkbookPictures,
    *,
    is_1904: bool,
) -> None:
    parts = {local(part): part for part in cell}
    value = parts["v"].text if "v" in parts else None
    formula = (parts["f"].text or "") if "f" in parts else None
    kind = cell.get("t", "n")
    source = formula or value or ""
    if match := _WPS_PICTURE.search(source):
        if picture := pictures.by_wps_id.get(match[1]):
            raw.pictures[line, place] = picture
        else:
            raw.add(line, place, f"=DISPIMG({match[1]})")
        return
    if match := _WEB_PICTURE.search(formula or ""):
        raw.add(line, place, match[1])
        return
    if picture := pictures.by_value_metadata.get(cell.get("vm", "")):
        raw.pictures[line, place] = picture
        return
    if kind == "inlineStr" and "is" in parts:
        raw.add(line, place, _text(parts["is"]))
    elif kind == "e":
        raw.add_problem(line, place, ERROR, value or "#ERROR!")
    elif formula is not None and not value and kind != "str":
        raw.add_problem(line, place, FORMULA, f"={formula}")
    elif not value:
        return
    elif kind == "s":
        raw.add(line, place, strings[int(value)])
    elif kind == "b":
        raw.add(line, place, "true" if is_true(value.strip()) else "false")
    elif kind == "n":
        style = int(cell.get("s", "0"))
        code = formats[style] if style < len(formats) else number_formats.GENERAL
        raw.add_number(line, place, value.strip(), code, is_1904=is_1904)
    else:
        raw.add(line, place, _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value))


def _floating_pictures(archive: Archive, path: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Yield the cell below the upper left corner of each picture of a drawing, and its path."""
    relations = archive.relations(path)
    for _name, anchor in archive.elements(path, end=("oneCellAnchor", "twoCellAnchor")):
        corner = next(descend(anchor, "from"), None)
        blip = next(descend(anchor, "blip"), None)
        if corner is None or blip is None:
            continue
        numbers = {local(child): int(child.text or 0) for child in corner}
        target = relations.get(attribute(blip, "embed"), ("", ""))[1]
        if target in archive:
            yield (numbers["row"] + 1, numbers["col"]), target


class _WorkbookPictures:
    """Pictures placed in cells: those of WPS by their id, those of Excel by value metadata."""

    def __init__(self, archive: Archive, folder: str) -> None:
        self.by_wps_id: dict[str, str] = {}
        self.by_value_metadata: dict[str, str] = {}
        cell_images = posixpath.join(folder, "cellimages.xml")
        if cell_images in archive:
            relations = archive.relations(cell_images)
            for _name, picture in archive.elements(cell_images, end=("cellImage",)):
                names = [element.get("name", "") for element in descend(picture, "cNvPr")]
                targets = [relations.get(attribute(blip, "embed"), ("", ""))[1] for blip in descend(picture, "blip")]
                if names and targets and targets[0] in archive:
                    self.by_wps_id[names[0]] = targets[0]
        metadata = posixpath.join(folder, "metadata.xml")
        values = posixpath.join(folder, "richData/rdrichvalue.xml")
        links = posixpath.join(folder, "richData/richValueRel.xml")
        structures = posixpath.join(folder, "richData/rdrichvaluestructure.xml")
        if all(path in archive for path in (metadata, values, links, structures)):
            self._read_rich_values(archive, metadata, values, links, structures)

    def _read_rich_values(self, archive: Archive, metadata: str, values: str, links: str, structures: str) -> None:
        """Follow a cell's ``vm`` number to its picture: metadata, rich value, relation, file."""
        relations = archive.relations(links)
        targets = [relations.get(attribute(element, "id"), ("", ""))[1] for element in archive.tree(links)]
        keys = [
            [key.get("n", "") for key in structure if local(key) == "k"]
            for structure in descend(archive.tree(structures), "s")
        ]
        pictures: list[str] = []
        for value in descend(archive.tree(values), "rv"):
            names = keys[int(value.get("s", "0"))]
            texts = [child.text or "" for child in value if local(child) == "v"]
            facts = dict(zip(names, texts, strict=False))
            place = facts.get("_rvRel:LocalImageIdentifier", "")
            pictures.append(targets[int(place)] if place.isdecimal() and int(place) < len(targets) else "")
        tree = archive.tree(metadata)
        rich = [int(element.get("i", "0")) for element in descend(tree, "rvb")]
        blocks = next(descend(tree, "valueMetadata"), Element("none"))
        for number, block in enumerate((child for child in blocks if local(child) == "bk"), start=1):
            record = next(descend(block, "rc"), Element("none"))
            index = int(record.get("v", "0"))
            if index < len(rich) and rich[index] < len(pictures) and pictures[rich[index]] in archive:
                self.by_value_metadata[str(number)] = pictures[rich[index]]


# --- .ods ---


def open_ods(content: bytes) -> Book:
    """Open a spreadsheet of LibreOffice. Its cells hold the texts that they show."""
    archive = Archive(content)
    hidden_styles: set[str] = set()
    sheets: list[tuple[str, bool, RawSheet]] = []
    for name, element in archive.elements("content.xml", end=("style", "table")):
        if name == "style":
            if any(attribute(properties, "display") == "false" for properties in descend(element, "table-properties")):
                hidden_styles.add(attribute(element, "name"))
            continue
        is_visible = attribute(element, "style-name") not in hidden_styles
        sheets.append((attribute(element, "name"), is_visible, _read_ods_sheet(element)))
    return Book([(name, is_visible) for name, is_visible, _raw in sheets], lambda number: sheets[number][2])


def _read_ods_sheet(table: Element) -> RawSheet:
    raw = RawSheet()
    place = 0
    for column in descend(table, "table-column"):
        count = int(attribute(column, "number-columns-repeated") or 1)
        if attribute(column, "visibility") in ("collapse", "filter"):
            raw.hidden_columns.update(range(place, min(place + count, 16384)))
        place += count
    line = 0
    for row in descend(table, "table-row"):
        repeated = int(attribute(row, "number-rows-repeated") or 1)
        is_hidden = attribute(row, "visibility") in ("collapse", "filter")
        place = 0
        texts: dict[int, str] = {}
        for cell in row:
            if local(cell) not in ("table-cell", "covered-table-cell"):
                continue
            count = int(attribute(cell, "number-columns-repeated") or 1)
            paragraphs = ["".join(_ods_text(child)) for child in cell if local(child) == "p"]
            text = trim("\n".join(paragraphs))
            if text and local(cell) == "table-cell":
                texts.update(dict.fromkeys(range(place, place + min(count, 1024)), text))
                spanned = int(attribute(cell, "number-rows-spanned") or 1)
                if spanned > 1:
                    raw.merged.append((line + 1, place, line + spanned, place))
                is_error = re.fullmatch(r"#[A-Z/0-9]+[!?]?|Err:\d+", text) and attribute(cell, "formula")
                if is_error:
                    raw.problems[line + 1, place] = (ERROR, text)
            place += count
        if texts:
            for number in range(line + 1, line + 1 + min(repeated, MAX_REPEATED)):
                raw.rows[number] = dict(texts)
                if is_hidden:
                    raw.hidden_rows.add(number)
        line += repeated
    return raw


def _ods_text(paragraph: Element) -> Iterator[str]:
    """Yield the pieces of a paragraph; repeated spaces and tabs are elements of their own."""
    yield paragraph.text or ""
    for child in paragraph:
        match local(child):
            case "s":
                yield " " * int(attribute(child, "c") or 1)
            case "tab":
                yield "\t"
            case "line-break":
                yield "\n"
            case "annotation" | "ruby-text":
                pass
            case _:
                yield from _ods_text(child)
        yield child.tail or ""
