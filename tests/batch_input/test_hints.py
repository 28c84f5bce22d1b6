"""Texts that mean something to other tools get a hint before they are paid."""

from __future__ import annotations

from typing import Any

import pytest

from batch_input.hints import hints_of_rows
from providers import catalog

TEXT_TO_IMAGE = catalog.get_model("rhart-image-v1/text-to-image")
PLAIN = "a whale in the evening light, seen from above"


def codes(rows: list[Any]) -> list[str]:
    return [hint.code for hint in hints_of_rows(rows, TEXT_TO_IMAGE)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ('--prompt "a whale" --steps 20', "hint_options"),
        ("a whale at dusk --ar 16:9 --v 6", "hint_options"),
        ("a whale at dusk —ar 16:9", "hint_options"),
        ("# animals", "hint_comments"),
        ("// birds", "hint_comments"),
        ("#animals", "hint_comments"),
        ("---", "hint_comments"),
        ("Negative prompt: blurry, text", "hint_infotext"),
        ("Steps: 20, Sampler: Euler a, CFG scale: 7", "hint_infotext"),
        ("a {red|blue} whale", "hint_markup"),
        ("a __colour__ whale", "hint_markup"),
        ("a (whale:1.3), <lora:sea:0.8>", "hint_markup"),
        ("a {colour} whale by $ARTIST", "hint_markup"),
        ("positive: a whale", "hint_infotext"),
        ('{"prompt": "a whale"}', "hint_json"),
        ("1. a whale", "hint_list_marks"),
        ("- a whale", "hint_list_marks"),
        ("a whale | 16:9", "hint_table"),
        ("einÃ¼ben am Meer, fÃ¼r Gäste", "hint_garbled"),
        ("the whaleâ€™s tail", "hint_garbled"),
        ("榛勬槒鐨勬捣", "hint_garbled"),  # 黄昏的海
        ("Éa\ufffdt", "hint_garbled"),
        ("??????", "hint_wordless"),
        ("0", "hint_wordless"),
        ("FALSCH", "hint_wordless"),
        ("ba&ntilde;o&#8217;s", "hint_html"),
        ("<p>whale</p>", "hint_html"),
        ("=A2&B2", "hint_formulas"),
        ('=CONCAT(A1,"whale")', "hint_formulas"),
    ],
)
def test_foreign_text_gets_a_hint(text: str, expected: str) -> None:
    (hint,) = hints_of_rows([PLAIN, {"prompt": text}, PLAIN], TEXT_TO_IMAGE)

    assert hint.code == expected
    assert text.split()[0] in hint
    assert hint.params["count"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "#3 on a jersey of a football player",
        "3 dogs in a 1.5 m wide boat",
        "a well-known whale - seen from above",
        "a whale — the last of its kind",
        "12:30 on a station clock",
        "a $100 bill, folded into a whale",
        "whale (blue) and/or orca",
        "R&D; a <heart> of H&M;",
        "« café\xa0», MAÇÃ”, Spaß“, 25 °C",
        "1 + 1 = 2 whales",
        "🐋🌊",
        "图片信息：选择图片",
        "一只鲸鱼，黄昏，俯视",
    ],
)
def test_plain_prompt_gets_no_hint(text: str) -> None:
    assert codes([PLAIN, text, PLAIN]) == []


def test_heading_and_repeated_ids_get_a_hint() -> None:
    for first in ("Beschreibung", "question,answer", "Prompts:"):
        assert codes([first, PLAIN, PLAIN]) == ["hint_heading"]
    assert codes(["text:style", "a whale:oil", "an owl:ink"]) == ["hint_heading"]
    assert codes(["whale:blue", "owl", "fox"]) == []
    assert codes(["whale", "owl", "fox"]) == []
    assert codes(["提示词，风格", PLAIN, PLAIN]) == ["hint_heading"]
    assert codes(["白色背景，柔和阴影，产品摄影", PLAIN, PLAIN]) == []
    rows = [{"prompt": PLAIN, "custom_id": name} for name in ("a", "b", "a", "", "")]
    assert [str(hint) for hint in hints_of_rows(rows, TEXT_TO_IMAGE)] == [
        "custom_id is not unique: a. Results of these items cannot be told apart by it."
    ]
    ids = [{"prompt": PLAIN, "custom_id": name} for name in ("4.5E+15", "8,97E+19", "E+1", "4711")]
    (hint,) = hints_of_rows(ids, TEXT_TO_IMAGE)
    assert (hint.code, hint.params["ids"]) == ("hint_shortened_ids", "4.5E+15, 8,97E+19")
