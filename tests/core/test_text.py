"""Text without a shape is blank."""

from __future__ import annotations

import pytest

from core.text import is_blank, trim


@pytest.mark.parametrize(
    "text, trimmed",
    [
        ("", ""),
        (" \t\r\n\u3000\xa0", ""),
        ("\u200b\ufeff\u2060\u2800", ""),
        ("\ufe0f\u200d\u034f\u115f\u3164\uffa0\U000e0101", ""),
        ("\x00\x1f\x7f\u202e\u2069", ""),
        ("\u200b a fox \u2060\ufeff", "a fox"),
        ("a\u200bfox", "a\u200bfox"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("👩\u200d🚀 ", "👩\u200d🚀"),
        ("\u2800猫\u2800", "猫"),
        ("\u0301", "\u0301"),
    ],
)
def test_invisible_characters_are_blank(text: str, trimmed: str) -> None:
    assert trim(text) == trimmed
    assert is_blank(text) == (not trimmed)
