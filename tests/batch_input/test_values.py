"""Cells are understood as people and spreadsheets spell them."""

from __future__ import annotations

import pytest

from batch_input.values import understand
from providers.catalog import Parameter, ParameterType

RATIO = Parameter(name="r", type=ParameterType.CHOICE, choices=("auto", "1:1", "16:9", "9:16", "4:5", "21:9"))
SIZE = Parameter(name="s", type=ParameterType.CHOICE, choices=("1K", "1024x1024", "5", "10"))
WHOLE = Parameter(name="n", type=ParameterType.INTEGER)
DECIMAL = Parameter(name="f", type=ParameterType.FLOAT)
SWITCH = Parameter(name="b", type=ParameterType.BOOLEAN)
TEXT = Parameter(name="t", type=ParameterType.TEXT)


@pytest.mark.parametrize(
    "parameter, spellings",
    [
        (RATIO, {"16：9": "16:9", "16 : 9": "16:9", "16x9": "16:9", "16×9": "16:9", "16*9": "16:9", "１６:９": "16:9"}),
        (RATIO, {"16/9": "16:9", "16:9比例": "16:9", "16:9": "16:9", "AUTO": "auto", "7:3": "7:3", "wide": "wide"}),
        (RATIO, {"16:09": "16:9", "1:01": "1:1", "9:16": "9:16", "4:05:00": "4:5", "21:09": "21:9", "4:09 PM": "16:9"}),
        (
            SIZE,
            {"1k": "1K", "1024×1024": "1024x1024", "1024 * 1024": "1024x1024", "5s": "5", "5 秒": "5", "10.0": "10"},
        ),
        (
            WHOLE,
            {"1,024": "1024", "42.0": "42", "８": "8", "8 秒": "8", "50%": "50%", "1,02": "1.02", "x": "x", "": ""},
        ),
        (DECIMAL, {"0,5": "0.5", "50%": "0.5", "12,5 %": "0.125", "1,234.5": "1234.5", "1,024": "1,024", "+3": "3"}),
        (SWITCH, {"是": True, "No": False, "true": "true", "maybe": "maybe"}),
        (TEXT, {"16：9": "16：9", "50%": "50%", "1,024": "1,024"}),
        (None, {"16：9": "16：9"}),
    ],
)
def test_cell_is_understood(parameter: Parameter | None, spellings: dict[str, object]) -> None:
    assert {cell: understand(parameter, cell).value for cell in spellings} == spellings


def test_ratio_that_became_a_time_is_reported() -> None:
    assert [understand(RATIO, cell).is_time for cell in ("16:09", "9:16", "16x9")] == [True, False, False]


@pytest.mark.parametrize("cell", ["16-Sep", "2026-09-16", "9月16日", "2026/9/16", "16.09.2026", "15:40"])
def test_ratio_that_became_a_date_is_a_problem(cell: str) -> None:
    assert "Format the column as text" in understand(RATIO, cell).problem
    assert not understand(SIZE, cell).problem


@pytest.mark.parametrize("cell", ["nan", "NULL", "None", "undefined", "[object Object]"])
def test_word_for_an_empty_cell_is_no_prompt(cell: str) -> None:
    prompt = Parameter(name="prompt", type=ParameterType.TEXT, is_required=True)

    assert "empty cell" in understand(prompt, cell).problem
    assert not understand(TEXT, cell).problem


def test_other_values_stay() -> None:
    assert understand(WHOLE, 7).value == 7
    assert understand(RATIO, None).value is None
