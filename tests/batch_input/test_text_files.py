"""Text files: their encoding, their delimiter, their quotation marks, their JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_input.delimited import WHOLE_LINES
from batch_input.tables import RowsInvalid, Table, read_pasted, read_table


def read(content: bytes | str, name: str = "a.csv", **options: Any) -> Table:
    return read_table(io.BytesIO(content.encode() if isinstance(content, str) else content), name=name, **options)


def cells(table: Table) -> list[list[Any]]:
    return [record.cells for record in table.records]


def codes(table: Table) -> list[str]:
    return [warning.code for warning in table.report.warnings]


# --- Encodings ---

ENCODED = [
    ("utf-8", "UTF-8", "зимний лес", False),
    ("utf-8-sig", "UTF-8", "一座灯塔", False),
    ("utf-16", "UTF-16", "一座灯塔\n两只海豹", False),
    ("utf-16-le", "UTF-16 LE", "a seal\n一座灯塔", False),
    ("utf-16-be", "UTF-16 BE", "a seal\n一座灯塔", False),
    ("utf-32", "UTF-32", "一座灯塔", False),
    ("gb18030", "GB18030", "黄昏的灯塔，海鸥", False),
    ("gb18030", "GB18030", "刺猬", False),
    ("gb18030", "GB18030", "prompt,比例\na seal 😀,1:1", False),
    ("big5", "Big5", "黃昏的燈塔，兩隻海豹", True),
    ("big5", "Big5", "一間舊書店\n窗外的雨", True),
    ("cp932", "Shift-JIS", "夕暮れの灯台と二匹のアザラシ", True),
    ("euc_jp", "EUC-JP", "夕暮れの灯台と二匹のアザラシ", True),
    ("cp949", "EUC-KR", "해질녘의 등대와 물개 두 마리", True),
    ("cp1252", "Windows-1252", "Ein Leuchtturm bei Dämmerung, zwei Seehunde auf dem Möwenfelsen", True),
    ("cp1252", "Windows-1252", "un phare à l’aube – très détaillé", True),
]


@pytest.mark.parametrize("codec, name, text, is_guess", ENCODED)
def test_encoding_is_found_and_reported(codec: str, name: str, text: str, is_guess: bool) -> None:
    table = read(text.encode(codec), "a.txt", delimiter=WHOLE_LINES)

    assert "\n".join(record.cells[0] for record in table.records) == text
    assert table.report.encoding == name
    assert codes(table) == (["input_encoding_guessed"] if is_guess else [])


@pytest.mark.parametrize(
    "content, line, message",
    [
        ("зимний лес, акварель".encode("cp1251"), 0, "encoding is unknown"),
        ("Żółta łódź".encode("cp1250"), 0, "encoding is unknown"),
        ("a лиса in deep snow at the river".encode("cp1251"), 0, "encoding is unknown"),
        ("Dämmerung über Möwen".encode("mac_roman"), 0, "encoding is unknown"),
        ("一座灯塔，两只海豹\n黄昏".encode()[:-1], 2, "not UTF-8"),
        (b"GIF89a\x01\x00\x01\x00\x80\x00\x00", 0, "not a text file"),
    ],
)
def test_text_of_no_known_encoding_is_refused(content: bytes, line: int, message: str) -> None:
    with pytest.raises(RowsInvalid) as raised:
        read(content, "a.txt")

    assert (raised.value.errors[0].line, message in raised.value.errors[0].message) == (line, True)


# --- Delimiters and quotation marks ---

DIVIDED = [
    ("a.csv", "sep=;\nprompt;aspectRatio\na seal;1:1\n", ";", [["prompt", "aspectRatio"], ["a seal", "1:1"]]),
    ("a.csv", '"sep=|"\r\nprompt|seed\r\na seal|1\r\n', "|", [["prompt", "seed"], ["a seal", "1"]]),
    ("a.csv", "prompt|seed\na seal; a crab, a gull|1\n", "|", [["prompt", "seed"], ["a seal; a crab, a gull", "1"]]),
    ("a.csv", "提示词，比例\n一座灯塔，1:1\n", "，", [["提示词", "比例"], ["一座灯塔", "1:1"]]),
    ("a.csv", "提示词；比例\n灯塔，海鸥；1:1\n", "；", [["提示词", "比例"], ["灯塔，海鸥", "1:1"]]),
    ("a.csv", "提示词｜比例\n灯塔｜1:1\n", "｜", [["提示词", "比例"], ["灯塔", "1:1"]]),
    ("a.csv", '"a seal; a crab; a gull",1:1\n"an owl",16:9\n', ",", [["a seal; a crab; a gull", "1:1"], ["an owl", "16:9"]]),
    ("a.csv", 'x;y\n"one, two";"three, four"\n"five";"six"\n', ";", [["x", "y"], ["one, two", "three, four"], ["five", "six"]]),
    ("a.csv", "Motiv;Format\nein Wal;16:9\n", ";", [["Motiv", "Format"], ["ein Wal", "16:9"]]),
    ("a.csv", "Motiv;Stil\nein Wal im Meer;Aquarell\n", ";", [["Motiv", "Stil"], ["ein Wal im Meer", "Aquarell"]]),
    ("a.txt", "| prompt | seed |\n|:--|--:|\n| a seal, wet | 1 |\n", "|", [["prompt", "seed"], ["a seal, wet", "1"]]),
    ("a.csv", "prompt;strength\na seal;0,5\n", ";", [["prompt", "strength"], ["a seal", "0,5"]]),
    ("a.tsv", "a seal, wet\t1:1\nan owl, dry\t16:9\n", "\t", [["a seal, wet", "1:1"], ["an owl, dry", "16:9"]]),
    ("a.tsv", "prompt,seed\na seal,1\n", ",", [["prompt", "seed"], ["a seal", "1"]]),
    ("a.txt", "prompt\taspectRatio\na seal, wet\t1:1\n", "\t", [["prompt", "aspectRatio"], ["a seal, wet", "1:1"]]),
    ("a.txt", "prompt,aspectRatio\na seal,1:1\n", ",", [["prompt", "aspectRatio"], ["a seal", "1:1"]]),
    ("a.csv", "prompt,seed,,\na seal,1,,\n,,,\n", ",", [["prompt", "seed"], ["a seal", "1"]]),
    ("a.csv", "\ufeff\ufeffprompt,seed\na seal,1\n", ",", [["prompt", "seed"], ["a seal", "1"]]),
    ("a.csv", 'prompt,seed\n"a ""wet"" seal\non a rock", 1\n', ",", [["prompt", "seed"], ['a "wet" seal\non a rock', "1"]]),
    ("a.csv", 'prompt,seed\na 27" screen,1\n', ",", [["prompt", "seed"], ['a 27" screen', "1"]]),
    ("a.csv", '"prompt", "seed"\n"a seal, wet", "1"\n', ",", [["prompt", "seed"], ["a seal, wet", "1"]]),
    ("a.csv", 'prompt\n"a seal, wet"\n', "", [["prompt"], ["a seal, wet"]]),
    ("a.csv", 'prompt;seed\n"\ta seal;wet"\t;1\n', ";", [["prompt", "seed"], ["a seal;wet", "1"]]),
    ("a.csv", "1. May, 99;seal;1:1;\n3. May, 99;owl;4:5\n", ";", [["1. May, 99", "seal", "1:1"], ["3. May, 99", "owl", "4:5"]]),
    ("a.md.txt", "| prompt | seed |\n|--|--|\n| a \\| b, 7\" | 1 |\n", "|", [["prompt", "seed"], ['a | b, 7"', "1"]]),
    ("a.csv", 'sku,prompt\n="07",a seal\n"=""08""",a crab\n', ",", [["sku", "prompt"], ["07", "a seal"], ["08", "a crab"]]),
]  # fmt: skip


@pytest.mark.parametrize("name, content, delimiter, expected", DIVIDED)
def test_cells_are_divided(name: str, content: str, delimiter: str, expected: list[list[str]]) -> None:
    table = read(content, name)

    assert cells(table) == expected
    assert (table.report.delimiter, codes(table)) == (delimiter, [])


@pytest.mark.parametrize(
    "content",
    [
        "a seal on a rock, ink, soft light\nan owl at night, oil\n",
        "a seal, ink, light\nan owl, oil, moon\na crab, ink, noon\n",
        "灯塔，水彩，柔光\n海豹，油画，月光\n",
        "a cat; a dog\nan owl; a crab\n",
        "text, a logo, minimal\n",
        "photo, portrait, style\nimage, logo, text\n",
    ],
)
def test_prompts_are_not_cut_at_their_commas(content: str) -> None:
    table = read(content)

    assert cells(table) == [[line] for line in content.splitlines()]
    assert (table.report.delimiter, codes(table)) == ("", ["input_whole_lines"])


def test_lines_below_one_column_name_are_not_cut() -> None:
    table = read('Prompt\na seal, ink\n"an owl; ""grey"",\nat night"\n\na crab\n')

    assert cells(table) == [["Prompt"], ["a seal, ink"], ['an owl; "grey",\nat night'], ["a crab"]]
    assert ([record.line for record in table.records], codes(table)) == ([1, 2, 3, 6], ["input_one_column"])
    assert codes(read('prompt\n"a seal, ink"\na crab\n')) == []
    for unnamed in ("prompt\na seal,1:1\nan owl,16:9\n", "prompt\na seal,in ink,a.png\nan owl\n"):
        assert [len(row) for row in cells(read(unnamed))][1] > 1  # a column without a name: a problem of its row


@pytest.mark.parametrize(
    "name, content, delimiter",
    [
        ("a.csv", '"prompt;seed"\n"a seal, wet;1"\n"an owl;2"\n', ";"),
        ("a.csv", '"prompt,seed"\n"""a seal, wet"",1"\n"an owl,2"\n', ","),
    ],
)
def test_rows_in_one_cell_are_divided(name: str, content: str, delimiter: str) -> None:
    table = read(content, name)

    assert cells(table) == [["prompt", "seed"], ["a seal, wet", "1"], ["an owl", "2"]]
    assert (table.report.delimiter, codes(table)) == (delimiter, ["input_rows_in_one_cell"])
    broken = read(content + '"""a crab,3"\n', name)
    assert ([error.line for error in broken.problems], broken.report.skipped) == ([4], 1)


def test_name_above_the_lines_is_no_prompt() -> None:
    table = read("Prompt\na seal\nan owl\n", "a.txt")

    assert cells(table) == [["a seal"], ["an owl"]]
    assert (table.report.header_line, codes(table)) == (1, ["input_header_line"])


def test_delimiter_can_be_chosen() -> None:
    content = "a seal, ink\nan owl, oil\n"

    assert cells(read(content, delimiter=",")) == [["a seal", "ink"], ["an owl", "oil"]]
    assert cells(read("prompt,seed\na seal,1\n", delimiter=WHOLE_LINES)) == [["prompt,seed"], ["a seal,1"]]


@pytest.mark.parametrize(
    "line",
    ['"Open" sign on a door,1:1', '"a screen of 27 inches,1:1', '"say \\"hi\\", loud",1:1', 'a seal,"1:1" or so'],
)
def test_stray_quotation_mark_costs_one_line(line: str) -> None:
    table = read(f'prompt,aspectRatio\na seal,1:1\n{line}\n\nan owl,16:9\n"a crab, red",1:1\n')

    assert [record.line for record in table.records] == [1, 2, 5, 6]
    assert [error.line for error in table.problems] == [3]
    assert (table.report.skipped, table.report.blank) == (1, 1)


@pytest.mark.parametrize("value", ["#N/A", "#REF!", "#DIV/0!", "#NAME?", "########", "Err:502"])
def test_error_value_that_was_saved_as_text_is_a_problem(value: str) -> None:
    table = read(f"prompt,note\n{value},x\n#1 on a jersey,{value}\n")

    assert [list(record.problems) for record in table.records] == [[], [0], [1]]
    assert value in table.records[1].problems[0]


def test_invisible_characters_are_blank() -> None:
    blank = ["\u200b", "\ufeff", "\u2060\u200d", "\u3000", "\u00a0", "\u2800", "\ufe0f", "\u3164", "\u202e", "\x1f"]
    visible = ["\u200b a seal\u2060", "❤\ufe0f", "👩\u200d🚀", "é"]

    table = read("\n".join(["first", *blank, *visible]), "a.txt")

    assert cells(table) == [["first"], ["a seal"], ["❤\ufe0f"], ["👩\u200d🚀"], ["é"]]
    assert table.report.blank == len(blank)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a seal\t1:1\nan owl\t16:9", [["a seal", "1:1"], ["an owl", "16:9"]]),
        ('prompt\tseed\n"two\nlines"\t1\n', [["prompt", "seed"], ["two\nlines", "1"]]),
        ("a seal\t\nan owl\t16:9\n", [["a seal", ""], ["an owl", "16:9"]]),
        ("a seal\n\tan owl", None),
        ("a seal, wet\nan owl", None),
        ("", None),
    ],
)
def test_pasted_cells_are_a_table(text: str, expected: Any) -> None:
    table = read_pasted(text)

    assert (table and cells(table)) == expected
    assert table is None or table.report.kind == "pasted"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text('ab ,;|\t"\n，é猫', max_size=8), min_size=2, max_size=4), min_size=1, max_size=5),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_quoted_cells_survive(rows: list[list[str]], delimiter: str) -> None:
    rows = [["prompt", "seed", *[""] * (len(row) - 2)][: len(row)] for row in rows[:1]] + rows
    quoted = ["" if not cell.strip() else '"' + cell.replace('"', '""') + '"' for row in rows for cell in row]
    written, place = [], 0
    for row in rows:
        written.append(delimiter.join(quoted[place : place + len(row)]))
        place += len(row)

    table = read("\n".join(written) + "\n")

    expected = [[cell.strip() for cell in row] for row in rows]
    expected = [row for row in expected if any(row)]
    assert not table.problems
    assert [[cell for cell in row if cell] for row in cells(table)] == [
        [cell for cell in row if cell] for row in expected
    ]


# --- JSON ---


def test_half_of_a_character_is_a_problem_of_its_line() -> None:
    lines = [
        r'{"prompt": "a seal \ud83e"}',
        r'{"prompt": "a seal \ud83e\uddad"}',
        r'{"x\ud83e": 1}',
        r'{"prompt": "\u0000"}',
    ]
    table = read("\n".join(lines), "a.jsonl")

    assert cells(table) == [["a seal 🦭"]]
    assert [error.line for error in table.problems] == [1, 3, 4]
    assert "\\ud83e" in table.problems[0].message


@pytest.mark.parametrize(
    "name, content, lines, problem_lines",
    [
        ("a.jsonl", '{"prompt": "a", "prompt": "b"}\n{"prompt": "c"}\n{"seed": NaN}\n', [2], [1, 3]),
        ("a.jsonl", '"a"\n\n{"prompt": "\\u200b"}\n"b"\n', [1, 4], []),
        ("a.txt", '{"prompt": "a"}\n{"prompt": "b"}\n', [1, 2], []),
        ("a.csv", '[\n{"prompt": "a"}]', [2], []),
        ("a.txt", "{red|blue} seal\n[1] a crab\n", [1, 2], []),
        ("a.jsonl", '[{"prompt": "a"},\n {"prompt": "b"}]', [1, 2], []),
        ("a.json", '[\n  "a",\n  {\n    "prompt": "b"\n  }\n]\n', [2, 3], []),
        ("a.json", '{"items": [{"prompt": "a"}, 7]}', [1], [1]),
        ("a.json", '[{"prompt": "a"},\n{broken}]', [1], [2]),
        ("a.json", '{"prompt": "a"}', [], [0]),
        ("a.json", '["a"], "b"', [1], [1]),
        ("a.json", '{"items": ["a"],\n "negativePrompt": "b"}', [1], [1]),
    ],
)
def test_json_is_read(name: str, content: str, lines: list[int], problem_lines: list[int]) -> None:
    try:
        table = read(content, name)
    except RowsInvalid as invalid:
        table = Table([], problems=invalid.errors)

    assert [record.line for record in table.records] == lines
    assert [error.line for error in table.problems] == problem_lines


def test_stored_half_of_a_character_can_be_shown() -> None:
    stored = {"records": [[1, ["a \ud83e"]]], "keys": ["x\ud83e"], "problems": []}

    table = Table.from_json(json.loads(json.dumps(stored)))

    assert json.dumps(table.as_json(), ensure_ascii=False).encode()
