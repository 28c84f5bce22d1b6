"""Variables in prompts: alternatives, columns, texts around them, and what stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from batch_input.variables import PromptRules, columns_in, count_items, count_varied, expand, expand_rows, join_texts
from providers import catalog

ON = PromptRules(has_variables=True)


def expanded(rows: list[Any], rules: PromptRules = ON, **more: Any) -> Any:
    model = catalog.get_model("rhart-image-v1/text-to-image")
    return expand_rows(
        rows, model=model, rules=rules, shared=more.pop("shared", {}), limit=more.pop("limit", 100), **more
    )


def prompts(rows: list[Any], rules: PromptRules = ON, **more: Any) -> list[str]:
    result = expanded(rows, rules, **more)
    assert not result.errors
    return [row["prompt"] for row in result.rows]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a {red|blue} car", ["a red car", "a blue car"]),
        ("{a|b}{1|2}", ["a1", "a2", "b1", "b2"]),
        ("{|very }big", ["big", "very big"]),
        ("｛红｜蓝｝色的猫", ["红色的猫", "蓝色的猫"]),
        (r"\{red|blue} car", ["{red|blue} car"]),
        (r"{a\|b|c\}}", ["a|b", "c}"]),
        ("plain", ["plain"]),
        ("", [""]),
        # Braces of other kinds stay as they are.
        ('{"mode": "a|b"}', ['{"mode": "a|b"}']),
        ('{"a": {"b": [1, 2]}}', ['{"a": {"b": [1, 2]}}']),
        ("{x} and {} | or", ["{x} and {} | or"]),
        ("{open | end", ["{open | end"]),
        (r"C:\dir\new", [r"C:\dir\new"]),
        (r"{a|b\} car", [r"{a|b\} car"]),  # its last brace is escaped
    ],
)
def test_alternatives_are_combined_and_other_braces_stay(text, texts):
    assert list(expand(text)) == texts
    assert count_items(text) == len(texts)


def test_the_items_are_counted_without_making_them():
    assert count_items("{a|b|c|d|e|f|g|h|i|j}" * 60) == 10**60
    assert count_varied(["{a|b}", "x", "{1|2|3}"]) == (2, 6)


@pytest.mark.timeout(20)  # linear patterns take milliseconds, others minutes or years
def test_hostile_prompts_are_read_at_once():
    for text in ("{" + r"\|" * 20_000, "{{" + " " * 20_000, "{" * 20_000, r"\{" * 20_000, "{{a" * 20_000):
        assert (count_items(text), columns_in(text)) == (1, [])


def test_columns_are_filled_and_their_marks_mean_nothing():
    table = [{"Colour": "red", "n": 3.0, "odd": r"{x|y} \{"}]
    for text, filled in (
        ("a {{colour}} car", "a red car"),
        ("{{ COLOUR }}, {{n}}", "red, 3"),
        ("{{odd}}!", r"{x|y} \{!"),
        (r"\{{colour}}", "{{colour}}"),
    ):
        assert prompts([text], columns=table) == [filled]
    assert prompts(["{a {{colour}} car|a van}"], columns=table) == ["a red car", "a van"]


def test_an_unknown_column_is_an_error_with_the_known_ones():
    [error] = expanded(["a cat", "{{color}}"], columns=[{"colour": "red", "size": "L"}] * 2).errors
    assert (error.field, error.message) == (
        "batch_input.1.prompt",
        "There is no column “color”. Columns: colour, size.",
    )
    [error] = expanded(["{{color}}"]).errors
    assert "Import a table" in error.message


def test_fields_of_a_row_are_its_columns():
    rows = [{"prompt": "a {{animal}}, {{aspectRatio}}", "animal": "fox", "aspectRatio": "1:1", "unused": 1}]
    assert expanded(rows).rows == [{"prompt": "a fox, 1:1", "aspectRatio": "1:1", "unused": 1}]


def test_rows_without_a_prompt_use_the_shared_one():
    result = expanded([{"custom_id": "a"}, "own"], shared={"prompt": "{x|y} {{custom_id}}"})
    assert [row["prompt"] for row in result.rows] == ["x a", "y a", "own"]
    assert result.numbers == [0, 0, 1]


def test_no_more_rows_are_made_than_may_be():
    for texts, count, made in ((["{a|b}"] * 3, 6, 4), (["{a|b}" * 40], 2**40, 0)):
        result = expanded(texts, limit=5)
        assert (result.count, len(result.rows)) == (count, made)


def test_texts_around_need_no_variables():
    rules = PromptRules(prefix="photo of", suffix=", {4k|8k}")
    assert prompts(["a {red|blue} fox"], rules) == ["photo of a {red|blue} fox, {4k|8k}"]
    assert not PromptRules(prefix=" ")


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("oil painting of", "a fox", ", 4k"), "oil painting of a fox, 4k"),
        (("watercolour,", "a fox", "night"), "watercolour, a fox night"),
        (("水彩，", "狐狸", "，夜晚"), "水彩，狐狸，夜晚"),
        (("(", "fox", ")"), "(fox)"),
        (("a ", "fox", ""), "a fox"),
        (("", "fox", ""), "fox"),
    ],
)
def test_words_of_joined_texts_do_not_touch(parts, joined):
    assert join_texts(*parts) == joined
