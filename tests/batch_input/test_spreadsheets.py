"""Spreadsheets are read as their program shows them."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from batch_input import number_formats
from batch_input.report import ColumnMatch
from batch_input.rows import ImportedTable, Source, build_rows, read_batch
from batch_input.tables import RowsInvalid, Table, read_table
from media.models import MediaFile
from providers import catalog
from tests.factories import picture
from tests.xls_files import xls
from tests.xlsx_files import row, sheet, workbook, xlsx

EDIT = catalog.get_model("rhart-image-v1/edit")
HEADER = row(1, "prompt", "aspectRatio")
NUMBER = '<c s="{style}"><v>{value}</v></c>'


def read(content: bytes, name: str = "a.xlsx", **options: Any) -> Table:
    return read_table(io.BytesIO(content), name=name, **options)


def one(rows: str, *, before: str = "", after: str = "", **options: Any) -> bytes:
    """Return a workbook of one visible sheet."""
    return workbook([("Batch", "visible", sheet(rows, before=before, after=after))], **options)


def cells(table: Table) -> list[list[str]]:
    return [record.cells for record in table.records]


def codes(table: Table) -> list[str]:
    return [warning.code for warning in table.report.warnings]


@pytest.fixture
def png(settings: Settings, tmp_path: Any) -> bytes:
    settings.MEDIA_ROOT = tmp_path / "uploads"
    return picture(size=(8, 8))


# --- Sheets ---

FILLED = sheet(HEADER + row(2, "a seal", "1:1"))
NOTES = sheet(row(1, "How to fill this in") + row(2, "One row for each picture"))


@pytest.mark.parametrize(
    "sheets, chosen, others",
    [
        ([("Lists", "hidden", NOTES), ("Mine", "visible", FILLED)], "Mine", ()),
        ([("Lists", "veryHidden", FILLED), ("Mine", "visible", NOTES)], "Mine", ()),
        ([("Read me", "visible", NOTES), ("Mine", "visible", FILLED)], "Mine", ("Read me",)),
        ([("Empty", "visible", sheet("")), ("Mine", "visible", NOTES)], "Mine", ()),
        ([("One", "visible", FILLED), ("Two", "visible", FILLED)], "One", ("Two",)),
        (
            [
                ("Export Summary", "visible", sheet(row(1, "This document was exported from Numbers."))),
                ("Mine", "visible", NOTES),
            ],
            "Mine",
            ("Export Summary",),
        ),
    ],
)
def test_sheet_is_the_one_that_a_person_means(sheets: Any, chosen: str, others: tuple[str, ...]) -> None:
    report = read(workbook(sheets)).report

    assert (report.sheet, report.other_sheets) == (chosen, others)


def test_sheet_can_be_chosen() -> None:
    book = workbook([("One", "visible", FILLED), ("Two", "hidden", NOTES)])

    chosen = read(book, sheet="Two")

    assert cells(chosen)[0] == ["How to fill this in"]
    assert codes(chosen) == ["input_other_sheets", "input_hidden_sheet"]
    with pytest.raises(RowsInvalid, match=r"no sheet “Three”.*One, Two"):
        read(book, sheet="Three")


def test_workbook_without_visible_content_is_explained() -> None:
    with pytest.raises(RowsInvalid, match="Only hidden sheets hold something: Lists"):
        read(workbook([("Lists", "hidden", FILLED), ("Empty", "visible", sheet(""))]))
    with pytest.raises(RowsInvalid, match="All rows of the sheet “Batch” are hidden"):
        read(one(row(1, "prompt", attributes='hidden="1"')))


# --- Rows and columns ---


def test_hidden_rows_and_columns_are_left_out() -> None:
    rows = (
        row(1, "prompt", "note", "seed") + row(2, "a seal", "x", 1) + row(3, "a crab", "y", 2, attributes='hidden="1"')
    )
    book = one(rows + row(4, "a gull", "z", 3), before='<cols><col min="2" max="2" hidden="1"/></cols>')

    table = read(book)

    assert cells(table) == [["prompt", "seed"], ["a seal", "1"], ["a gull", "3"]]
    assert (table.report.rows, table.report.hidden, table.report.lines) == (3, 1, 4)
    assert codes(table) == ["input_hidden_rows", "input_hidden_columns"]
    assert "note" in str(table.report.warnings[1])
    assert len(read(book, include_hidden=True).records) == 4
    assert cells(read(book, include_hidden=True))[2] == ["a crab", "y", "2"]


def test_merged_cell_holds_for_its_rows() -> None:
    rows = HEADER + row(2, "a seal", "16:9") + row(3, "a crab") + row(4, None, None) + row(5, "a gull", "1:1")
    merges = '<mergeCells><mergeCell ref="B2:B4"/><mergeCell ref="A7:B7"/></mergeCells>'

    table = read(one(rows, after=merges))

    assert cells(table)[1:] == [["a seal", "16:9"], ["a crab", "16:9"], ["a gull", "1:1"]]
    assert codes(table) == ["input_merged_cells"]


def test_csv_in_a_single_column_is_divided() -> None:
    table = read(xlsx([["prompt;aspectRatio"], ['"a seal; wet";1:1'], ["an owl;16:9"]]))

    assert cells(table) == [["prompt", "aspectRatio"], ["a seal; wet", "1:1"], ["an owl", "16:9"]]
    assert codes(table) == ["input_rows_in_one_cell"]


def test_names_may_stand_below_a_title() -> None:
    rows = row(1, "Campaign of spring") + row(3, "prompt", "aspectRatio") + row(4, "a seal", "1:1")
    rows += row(5, "prompt", "aspectRatio") + row(6, "a crab", "1:1")

    table = read(one(rows))

    assert [record.line for record in table.records] == [3, 4, 6]
    assert codes(table) == ["input_above_header", "input_repeated_header"]


# --- Values ---


@pytest.mark.parametrize(
    "code, value, shown",
    [
        ("General", "7", "7"),
        ("General", "0.30000000000000004", "0.3"),
        ("General", "4006381333931", "4006381333931"),
        ("00000", "42", "00042"),
        ("000-0000", "5551234", "555-1234"),
        ('"SKU-"0000', "12", "SKU-0012"),
        ("0%", "0.35", "35%"),
        ("0.0%", "0.125", "12.5%"),
        ("#,##0", "1234567", "1,234,567"),
        ("#,##0.00", "1234.5", "1,234.50"),
        ("[$¥-804]#,##0.00", "9.9", "¥9.90"),
        ("0.00E+00", "1500", "1.50E+03"),
        ("0;(0)", "-5", "(5)"),
        ("@", "3", "3"),
        ("h:mm", "0.6729166666666667", "16:09"),
        ("h:mm:ss", "0.16875", "4:03:00"),
        ("h:mm AM/PM", "0.6729166666666667", "4:09 PM"),
        ("[h]:mm", "1.339583333333", "32:09"),
        ("yyyy-mm-dd", "45352", "2024-03-01"),
        ("d-mmm", "45551", "16-Sep"),
        ('yyyy"年"m"月"d"日"', "45352", "2024年3月1日"),
        ("m/d/yy h:mm", "45352.5", "3/1/24 12:00"),
        ("yyyy-mm-dd", "59", "1900-02-28"),
    ],
)
def test_number_is_read_as_shown(code: str, value: str, shown: str) -> None:
    assert number_formats.shown(value, code) == shown


def test_formats_of_the_workbook_are_used() -> None:
    rows = row(1, "custom_id", "prompt") + row(2, '<c s="1"><v>7</v></c>', "a seal")
    rows += row(3, "<c><v>98765432109876543210</v></c>", "a crab") + row(
        4, '<c s="2"><v>0.6729166666666667</v></c>', "x"
    )

    table = read(one(rows, formats=["00000", "h:mm"]))

    assert [record.cells[0] for record in table.records[1:]] == ["00007", "98765432109876543210", "16:09"]
    assert codes(table) == ["input_rounded_numbers"]


def test_cell_without_a_value_is_a_problem_of_its_row() -> None:
    rows = HEADER + row(2, "a seal", '<c t="e"><f>A1</f><v>#REF!</v></c>') + row(3, "a crab", "<c><f>A1</f></c>")
    rows += row(4, "a gull", '<c t="str"><f>IF(1,"")</f><v></v></c>') + row(5, '<c t="e"><v>#N/A</v></c>', "1:1")

    table = read(one(rows))

    assert [record.problems for record in table.records[1:]] == [
        {1: "Column B shows #REF!. Correct the cell in the spreadsheet."},
        {
            1: "Column B has a formula whose result is not in the file. Open the file in the spreadsheet program and save "
            "it, or paste the values."
        },
        {},
        {0: "Column A shows #N/A. Correct the cell in the spreadsheet."},
    ]
    assert Table.from_json(table.as_json()) == table


@pytest.mark.django_db
def test_problem_of_an_unused_cell_does_not_matter(owner: User) -> None:
    rows = row(1, "prompt", "total") + row(2, "a seal", '<c t="e"><v>#DIV/0!</v></c>')
    model = catalog.get_model("rhart-image-v1/text-to-image")
    table = read(one(rows))

    def problems(*fields: str) -> list[str]:
        matches = [ColumnMatch(name, name) for name in fields]
        batch = read_batch(model, Source.FILE, imported=ImportedTable(table, True, matches))
        return [problem.field for problem in build_rows(batch, owner=owner).problems]

    assert problems("prompt", "") == []
    assert problems("prompt", "aspectRatio") == ["aspectRatio"]


# --- Pictures ---

DRAWING = "http://schemas.openxmlformats.org/drawingml/2006"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PICTURE = f'<a:blip xmlns:a="{DRAWING}/main" xmlns:r="{RELATIONS}" r:embed="rId1"/>'


def links(kind: str, target: str) -> str:
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    link = f'<Relationship Id="rId1" Type="{RELATIONS}/{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{space}">{link}</Relationships>'


def floating(png: bytes) -> bytes:
    anchor = "<from><col>0</col><colOff>9</colOff><row>1</row><rowOff>9</rowOff></from>"
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": links("drawing", "../drawings/drawing1.xml"),
        "xl/drawings/drawing1.xml": f"<wsDr><twoCellAnchor>{anchor}<pic>{PICTURE}</pic></twoCellAnchor></wsDr>",
        "xl/drawings/_rels/drawing1.xml.rels": links("image", "../media/image1.png"),
        "xl/media/image1.png": png,
    }
    rows = row(1, "image", "prompt") + row(2, None, "in ink")
    return one(rows, after='<drawing r:id="rId1"/>', parts=parts)


def of_wps(png: bytes) -> bytes:
    picture = f'<cellImage><pic><nvPicPr><cNvPr id="2" name="ID_5F"/></nvPicPr>{PICTURE}</pic></cellImage>'
    parts = {
        "xl/cellimages.xml": f"<cellImages>{picture}</cellImages>",
        "xl/_rels/cellimages.xml.rels": links("image", "media/image1.png"),
        "xl/media/image1.png": png,
    }
    cell = '<c t="str"><f>_xlfn.DISPIMG("ID_5F",1)</f><v>=DISPIMG("ID_5F",1)</v></c>'
    return one(row(1, "image", "prompt") + row(2, cell, "in ink"), parts=parts)


def in_cell_of_excel(png: bytes) -> bytes:
    parts = {
        "xl/metadata.xml": '<metadata><futureMetadata><bk><ext><rvb i="0"/></ext></bk></futureMetadata>'
        '<valueMetadata><bk><rc t="1" v="0"/></bk></valueMetadata></metadata>',
        "xl/richData/rdrichvalue.xml": '<rvData><rv s="0"><v>0</v><v>5</v></rv></rvData>',
        "xl/richData/rdrichvaluestructure.xml": '<rvStructures><s t="_localImage">'
        '<k n="_rvRel:LocalImageIdentifier" t="i"/><k n="CalcOrigin" t="i"/></s></rvStructures>',
        "xl/richData/richValueRel.xml": f'<richValueRels xmlns:r="{RELATIONS}"><rel r:id="rId1"/></richValueRels>',
        "xl/richData/_rels/richValueRel.xml.rels": links("image", "../media/image1.png"),
        "xl/media/image1.png": png,
    }
    cell = '<c t="e" vm="1"><v>#VALUE!</v></c>'
    return one(row(1, "image", "prompt") + row(2, cell, "in ink"), parts=parts)


@pytest.mark.django_db
@pytest.mark.parametrize("make", [floating, of_wps, in_cell_of_excel], ids=lambda make: make.__name__)
def test_picture_in_a_cell_is_uploaded(owner: User, png: bytes, make: Any) -> None:
    table = read(make(png), name="seals.xlsx", owner=owner)

    media = MediaFile.objects.get()
    assert (media.name, media.size_bytes) == ("seals-A2.png", len(png))
    assert table.records[1].cells == [media.reference, "in ink"]
    assert (codes(table), table.records[1].problems) == (["input_pictures_stored"], {})


@pytest.mark.django_db
def test_unusable_picture_is_a_problem_of_its_row(owner: User, png: bytes) -> None:
    damaged = read(of_wps(png[:30]), owner=owner).records[1]
    unknown = read(of_wps(png).replace(b"cellimages", b"cellimagez"), owner=owner).records[1]
    without_owner = read(floating(png)).records[1]

    assert "Upload it" in damaged.problems[0]
    assert "not in the file" in unknown.problems[0]
    assert "Upload it" in without_owner.problems[0]
    assert not MediaFile.objects.exists()


def test_rows_of_formats_alone_are_blank() -> None:
    blank = "".join(row(line, '<c s="0"/>', '<c s="0"/>') for line in range(3, 9))
    table = read(one(HEADER + row(2, "a seal", "1:1") + blank + row(9, None, "16:9", "an owl")))

    assert [record.line for record in table.records] == [1, 2, 9]


def test_picture_by_formula_is_its_address() -> None:
    cell = '<c t="e"><f>_xlfn.IMAGE("https://example.com/seal.png")</f><v>#VALUE!</v></c>'

    table = read(one(row(1, "image", "prompt") + row(2, cell, "in ink")))

    assert table.records[1].cells == ["https://example.com/seal.png", "in ink"]


# --- Other formats ---


def ods(content: str) -> bytes:
    out = io.BytesIO()
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text", "style")
    )
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("content.xml", f"<office:document-content{spaces}>{content}</office:document-content>")
    return out.getvalue()


def test_ods_is_read_as_shown() -> None:
    def line(*texts: str, attributes: str = "") -> str:
        written = "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in texts)
        return f"<table:table-row {attributes}>{written}</table:table-row>"

    style = '<style:style style:name="h"><style:table-properties table:display="false"/></style:style>'
    hidden = f'<table:table table:name="Lists" table:style-name="h">{line("prompt")}{line("x")}</table:table>'
    spanned = '<table:table-cell table:number-rows-spanned="2"><text:p>16:9</text:p></table:table-cell>'
    rows = line("prompt", "aspectRatio", "custom_id")
    rows += f"<table:table-row><table:table-cell><text:p>a<text:s/>seal</text:p></table:table-cell>{spanned}"
    rows += (
        '<table:table-cell table:number-columns-repeated="1"><text:p>007</text:p></table:table-cell></table:table-row>'
    )
    rows += "<table:table-row><table:table-cell><text:p>a crab</text:p></table:table-cell><table:covered-table-cell/>"
    rows += "</table:table-row>" + line("a gull", attributes='table:visibility="filter"')
    rows += '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/></table:table-row>'

    table = read(ods(f'{style}{hidden}<table:table table:name="Mine">{rows}</table:table>'), "a.ods")

    assert cells(table)[1:] == [["a seal", "16:9", "007"], ["a crab", "16:9"]]
    assert (table.report.kind, table.report.sheet, table.report.hidden) == ("ods", "Mine", 1)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.xls", b"<html><table><tr><td>prompt</td></tr></table></html>", "web page"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), "cannot be read"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), "cannot be read"),
        ("a.xlsx", xlsx([["prompt"]])[:300], "cannot be read"),
    ],
)
def test_unreadable_workbook_is_explained(name: str, content: bytes, message: str) -> None:
    with pytest.raises(RowsInvalid, match=message):
        read(content, name)


def test_content_decides_over_the_ending() -> None:
    assert read(b"prompt\taspectRatio\na seal\t1:1\n", "export.xls").report.delimiter == "\t"
    assert read(xlsx([["prompt"], ["a seal"]]), "a.csv").report.kind == "xlsx"


def test_xls_is_read_as_shown() -> None:
    rows: list[list[object]] = [["custom_id", "prompt", "aspectRatio", "note"]]
    rows += [
        [(7.0, 0), "一只海豹", (0.6729166666666667, 1), "x"],
        [8.0, "a crab", None, "y"],
        [9.0, "a gull", b"\x2a", "z"],
    ]
    rows += [[10.0, "a whale, rejected", "1:1", "x"]]

    book = xls(
        [("Lists", False, [["prompt", "seed"]]), ("Mine", True, rows), ("Other", True, [["x"]])],
        formats=["00000", "h:mm"],
        hidden_rows=[4],
        hidden_columns=[3],
        merged=[(1, 2, 2, 2)],
    )
    table = read(book, "a.xls")

    assert cells(table)[1:] == [["00007", "一只海豹", "16:09"], ["8", "a crab", "16:09"], ["9", "a gull", "#N/A"]]
    assert table.records[3].problems == {2: "Column C shows #N/A. Correct the cell in the spreadsheet."}
    assert (table.report.kind, table.report.sheet, table.report.other_sheets) == ("xls", "Mine", ("Other",))
    assert codes(table) == ["input_other_sheets", "input_hidden_rows", "input_hidden_columns", "input_merged_cells"]


def test_row_of_totals_is_left_out() -> None:
    table_xml = '<table ref="A1:B3" totalsRowCount="1"/>'
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": links("table", "../tables/table1.xml"),
        "xl/tables/table1.xml": table_xml,
    }
    table = read(one(row(1, "prompt", "seed") + row(2, "a seal", 4) + row(3, "Total", 4), parts=parts))

    assert cells(table) == [["prompt", "seed"], ["a seal", "4"]]
    assert (codes(table), table.report.skipped) == (["input_total_rows"], 1)


def test_workbook_that_only_calamine_reads_has_no_formats() -> None:
    broken = [("Batch", "visible", sheet(row(1, "prompt", "seed") + row(2, "a seal", '<c s="none"><v>7</v></c>')))]

    table = read(workbook(broken))

    assert cells(table) == [["prompt", "seed"], ["a seal", "7"]]
    assert codes(table) == ["input_formats_unreadable"]
