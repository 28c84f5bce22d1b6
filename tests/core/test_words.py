"""Words of texts in many scripts."""

from __future__ import annotations

import pytest

from core.words import MAX_TOKENS, query_words, words_of

# A text, searches that find it, and searches that do not.
CASES = [
    ("A Lighthouse, at DUSK", ["lighthouse", "Dusk lighthouse", "ａｔ"], ["light", "dawn"]),
    ("一只橘猫坐在窗台上，4K", ["橘猫", "猫", "窗台", "4k", "橘猫坐在"], ["猫橘", "白猫"]),
    ("カフェのﾈｺ", ["ネコ", "カフェ", "ねこ カフェ"[3:]], ["ねこ"]),
    ("고양이가 앉아 있다", ["고양이", "앉아"], ["강아지"]),
    ("แมวสีส้มนั่ง", ["แมว", "สีส้ม"], ["หมา"]),
    ("हिन्दी में बिल्ली", ["बिल्ली", "हिन्दी"], ["बल"]),
    ("Crème brûlée, Łódź, smørbrød", ["creme BRULEE", "lodz", "smorbrod", "crème"], ["brul"]),
    ("Ёжик в тумане", ["ежик", "ТУМАНЕ"], ["еж"]),
    ("ΆΝΘΡΩΠΟΣ", ["άνθρωπος", "ανθρωποσ"], []),
    ("قِطَّة برتقالية", ["قطة", "برتقالية"], []),
    ("Straße in İstanbul", ["strasse", "STRASSE", "istanbul"], []),
    ("SKU-0012_front.JPG", ["sku 0012", "front.jpg", "SKU-0012"], ["12"]),
    ("a fox 🦊❤️", ["🦊", "❤"], ["🐈"]),
]


@pytest.mark.parametrize(("text", "found", "missed"), CASES, ids=[text for text, *_rest in CASES])
def test_words_compare_as_a_reader_does(text: str, found: list[str], missed: list[str]):
    tokens = words_of([text]).tokens
    for search in found:
        assert query_words(search).tokens <= tokens, search
        assert query_words(search).tokens
    for search in missed:
        assert not query_words(search).tokens <= tokens, search


def test_words_of_long_texts_are_bounded():
    numbers = words_of([" ".join(map(str, range(10**5)))])
    assert len(numbers.words) == MAX_TOKENS
    assert max(map(len, words_of(["a" * 10**6]).words)) == max(map(len, query_words("a" * 10**6).words))
    assert len(query_words(" ".join(map(str, range(1000)))).words) < 100


@pytest.mark.parametrize("text", ["", " \t", "·—!?", "\0", "\ud800", "ـ\u200d"])
def test_text_without_words_has_none(text: str):
    assert not words_of([text]).tokens
