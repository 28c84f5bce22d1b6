"""Names of files: valid everywhere, of any script, and never twice the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.file_names import (
    MAX_STEM_BYTES,
    clean_stem,
    comparable,
    distinct_stems,
    fill_pattern,
    pattern_problem,
    without_ending,
    words_stem,
)

RESERVED = {"con", "prn", "aux", "nul", "com1", "lpt9", "conin$"}


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("IMG_4003", "IMG_4003"),
        ("Shirt.v2 Red", "Shirt.v2 Red"),
        ("商品 02 正面", "商品 02 正面"),
        ("किताब", "किताब"),
        ("ภาพที่หนึ่ง", "ภาพที่หนึ่ง"),
        ("cafe\u0301", "café"),
        ("a/b\\c:d", "a_b_c_d"),
        ("a\n b\t c", "a b c"),
        ("trailing. . ", "trailing"),
        (".hidden", "hidden"),
        ("CON", "CON_"),
        ("nul.photo", "nul_.photo"),
        ("console", "console"),
        ("com¹", "com¹_"),
        ("abc\u202egnp", "abcgnp"),
        ("=cmd()", "_=cmd()"),
        ("?", "_"),
        (" \u200b. ", ""),
        ("\ud800x", "x"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
    ],
)
def test_a_stem_is_cleaned(text: str, stem: str) -> None:
    assert clean_stem(text) == stem
    assert clean_stem(stem) == stem


@given(st.text(max_size=400))
@example("é" * 300)
@example("कि" * 300)
@example("👩‍👩‍👧" * 40)
@example("con" + " " * 300 + ".")
def test_every_stem_fits_every_file_system(text: str) -> None:
    stem = clean_stem(text)
    assert len(stem.encode()) <= MAX_STEM_BYTES + 1
    assert not set(stem) & set('/\\:*?"<>|\0\n\r\t\u202e')
    assert stem == stem.strip(" .")
    assert stem.split(".")[0].strip().lower() not in RESERVED
    assert clean_stem(stem) == stem


def test_a_long_name_is_cut_between_characters() -> None:
    assert clean_stem("图" * 300) == "图" * (MAX_STEM_BYTES // 3)
    assert set(clean_stem("คำ" * 200).replace("คำ", "")) == set()


def test_words_are_joined() -> None:
    table = {
        "a red fox": "a-red-fox",
        "A Red Fox, 3.5 mm. Again…": "A-Red-Fox-3.5-mm-Again",
        "一只猫，在窗台": "一只猫-在窗台",
        "हिन्दी में": "हिन्दी-में",
        "…": "",
        "x" * 100: "x" * 40,
    }
    assert {text: words_stem(text) for text in table} == table


def test_endings_of_pictures_are_dropped() -> None:
    table = {
        "IMG_4003.JPG": "IMG_4003",
        "a/b c.png": "a/b c",
        "shirt.v2.webp": "shirt.v2",
        "IMG.2024": "IMG.2024",
        "A-1": "A-1",
    }
    assert {name: without_ending(name) for name in table} == table


def test_patterns_are_checked() -> None:
    known = ["index", "prompt", "商品名", "Custom ID"]
    for pattern in ("{index}", "{ PROMPT }-{index}", "x_{商品名}", "{custom_id}"):
        assert pattern_problem(pattern, known) == ""
    assert pattern_problem("{sku}_{index}", known) == (
        "There is no {sku} here. You can use: {index}, {prompt}, {商品名}, {Custom ID}."
    )
    assert pattern_problem("{sku}") == ""
    for pattern in ("photo", "{index", "}{", "{{index}}", "{index}" + "x" * 200):
        assert pattern_problem(pattern, known), pattern


def test_a_pattern_without_a_value_leaves_no_gap() -> None:
    values = {"index": "07", "prompt": "fox", "image": ""}
    table = {
        "{index}_{prompt}": "07_fox",
        "{image}_{prompt}": "fox",
        "{prompt}_{image}": "fox",
        "{index}-{image}-{Prompt}": "07-fox",
        "x {image}": "",
        "x {index}": "x 07",
    }
    assert {pattern: fill_pattern(pattern, values) for pattern in table} == table


def test_equal_names_are_numbered() -> None:
    table: dict[tuple[str, ...], list[str]] = {
        ("a", "a", "A", "b"): ["a", "a_2", "A_3", "b"],
        ("a", "a", "a_2"): ["a", "a_3", "a_2"],
        ("é", "e\u0301"): ["é", "e\u0301_2"],
        ("IMG", "IMG-2"): ["IMG", "IMG_2"],
        ("IMG-2", "IMG", "IMG_2"): ["IMG_2_2", "IMG", "IMG_2"],
        ("x", "x_v2", "x_v2-3"): ["x", "x-v2", "x-v2_3"],
        ("IMG-1", "IMG"): ["IMG-1", "IMG"],
        ("A-2", "A-3"): ["A-2", "A-3"],
    }
    assert {stems: distinct_stems(stems) for stems in table} == table


@given(st.lists(st.from_regex(r"[aA](_v[23]|_[23]|-[23]|-v2){0,3}", fullmatch=True), max_size=12))
def test_no_two_files_have_one_name(stems: list[str]) -> None:
    endings = [version + number for version in ("", "_v2", "_v3") for number in ("", "-2", "-3")]
    names = [comparable(stem + ending) for stem in distinct_stems(stems) for ending in endings]
    assert len(set(names)) == len(names)


def test_many_equal_names_take_no_longer_than_their_number() -> None:
    assert distinct_stems(["photo"] * 50_000)[-1] == "photo_50000"
