"""Text as a person sees it: characters without a shape are blank, words are no patterns."""

from __future__ import annotations

import re
import unicodedata

# Shapeless characters that Unicode does not class as spaces or controls: combining grapheme joiner,
# Hangul and Khmer fillers, Mongolian and other variation selectors, the blank braille pattern.
_SHAPELESS = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)
# At the end of a text these belong to the character before them: a flag, a family, a red heart.
_JOINED = frozenset("\u200c\u200d") | {chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0020, 0xE0080))}


def is_shapeless(character: str) -> bool:
    """Return True if a character shows nothing: spaces, controls, joiners, selectors, fillers."""
    return character.isspace() or character in _SHAPELESS or unicodedata.category(character) in ("Cc", "Cf")


def is_blank(text: str) -> bool:
    """Return True if nothing of the text is visible."""
    return not text or all(map(is_shapeless, text))


def trim(text: str) -> str:
    """Return the text without the invisible characters around it; "" if it is blank.

    Joiners and variation selectors after a visible character stay, because they change its shape.
    """
    stripped = text.strip()
    if not stripped or (not is_shapeless(stripped[0]) and not is_shapeless(stripped[-1])):
        return stripped
    visible = [place for place, character in enumerate(stripped) if not is_shapeless(character)]
    if not visible:
        return ""
    end = visible[-1] + 1
    while end < len(stripped) and stripped[end] in _JOINED:
        end += 1
    return stripped[visible[0] : end]


def replace_words(text: str, find: str, replacement: str, *, match_case: bool) -> str:
    """Return the text with ``replacement`` wherever it contains ``find``, which is no pattern."""
    return re.sub(re.escape(find), lambda _match: replacement, text, flags=0 if match_case else re.IGNORECASE)
