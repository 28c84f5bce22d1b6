"""CSV cells stay text, whatever separator the spreadsheet expects."""

from __future__ import annotations

import csv
import io

from core import csv_files
from core.csv_files import FORMULA_SIGNS, FORMULA_STARTS, plain_cell, safe_cell

TEXTS = [
    "=cmd|' /C calc'!A0",
    "x;=cmd|' /C calc'!A0",
    "x; =1+1",
    'x;"=1+1"',
    "first line\n=1+1",
    "first line\r\n+1+1",
    "a\t@SUM(1)",
    "x;-2+3+cmd",
    "；＝1+1;＝2",
    "\n=1",
]


def test_no_separator_makes_a_formula():
    table = "".join(csv_files.lines([["index", "text", "more"], *([1, text, "end"] for text in TEXTS)]))
    assert table.startswith("\ufeff")
    for separator in (",", ";", "\t"):
        for row in csv.reader(io.StringIO(table.removeprefix("\ufeff"), newline=""), delimiter=separator):
            for cell in row:
                assert not cell.lstrip(' "').startswith(FORMULA_SIGNS), (separator, row)


def test_other_texts_stay_as_they_are():
    for text in ("a=b", "a fox, -1 degrees", "x;y", "两只狐狸；一只=一", 'say "hi"', "", "00123", "a - b"):
        assert safe_cell(text) == text
        [line] = csv_files.lines([[text]])
        assert next(csv.reader(io.StringIO(line.removeprefix("\ufeff")))) == [text]
    assert safe_cell(None) == ""
    assert safe_cell(12) == "12"
    for start in FORMULA_STARTS:
        assert safe_cell(f"{start}cmd")[0] == "'"


def test_every_cell_is_quoted():
    assert "".join(csv_files.lines([["a", 1, None]])) == '\ufeff"a","1",""\r\n'


def test_a_safe_cell_is_read_back():
    for text in (*TEXTS, "'=1", "''-x", "it's; '=1", "x;''=1", "a;\n@b", "'quoted'", ""):
        assert plain_cell(safe_cell(text)) == text, text
