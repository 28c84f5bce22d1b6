"""Words of texts in any script, for a search that both databases can index.

Letters are compared as a reader compares them: in any case, in full or half width, and without
accents where those are an addition to a letter (Latin, Greek, Cyrillic, Hebrew, Arabic). Vowel
signs of Indic scripts are part of the word. Scripts that are written without spaces, such as
Chinese or Thai, are cut into characters and pairs of characters, so that any part of a sentence is
found. Hangul is cut as well, because Korean joins particles to words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

MAX_LENGTH = 40  # characters of a word that are compared
MAX_TOKENS = 4000  # of one text: about 2,000 Chinese characters, or 4,000 words
MAX_QUERY_WORDS = 20

# Blocks of scripts without spaces between words.
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b"  # radicals, iteration marks
    "\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001b000-\U0001b16f"  # kana
    "\u3100-\u312f\u31a0-\u31bf"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\ua000-\ua4cf"  # Yi
)
_PICTURES = "\u2600-\u27bf\U0001f000-\U0001faff"  # emoji, one word each
_IGNORED = re.compile("[\u00ad\u0640\u200b-\u200f\u2060\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def _ranges(codes: Iterable[int]) -> str:
    """Return code points in ascending order as the content of a regular expression's class."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges)


_MARKS = _ranges(code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
_PART = re.compile(f"(?P<run>[{_UNSPACED}]+)|(?P<word>(?:[^\\W_{_UNSPACED}]|[{_MARKS}])+)|(?P<picture>[{_PICTURES}])")
_ASCII_WORD = re.compile("[a-z0-9]+")
# Accents that are dropped: marks behind a letter of these scripts.
_ACCENT = re.compile(f"(?<=[a-z\u00c0-\u06ff\u0750-\u077f\u1e00-\u1fff])[{_MARKS}]+")
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"})


@dataclass(frozen=True, slots=True)
class TextWords:
    """The words of a text.

    ``words`` are written with spaces between them, so that their beginnings are searched as well.
    ``pieces`` are characters and pairs of characters of other scripts, and emoji.
    """

    words: frozenset[str]
    pieces: frozenset[str]

    @property
    def tokens(self) -> frozenset[str]:
        return self.words | self.pieces


def words_of(texts: Iterable[str]) -> TextWords:
    """Return the words of texts, for an index. Beyond MAX_TOKENS, words are left out."""
    words: set[str] = set()
    pieces: set[str] = set()
    for text in texts:
        for kind, part in _parts(text):
            if len(words) + len(pieces) >= MAX_TOKENS:
                break
            if kind == "word":
                words.add(part[:MAX_LENGTH])
            else:
                pieces.update(part)
                pieces.update(map("".join, pairwise(part)))
    return TextWords(frozenset(words), frozenset(pieces))


def query_words(text: str) -> TextWords:
    """Return the words that a search text asks for: all must occur.

    Of a script without spaces these are the pairs of characters, and a single character only if it
    stands alone.
    """
    words: dict[str, None] = {}
    pieces: dict[str, None] = {}
    for kind, part in _parts(text):
        if kind == "word":
            words[part[:MAX_LENGTH]] = None
        elif len(part) == 1:
            pieces[part] = None
        else:
            pieces |= dict.fromkeys(map("".join, pairwise(part)))
    return TextWords(frozenset([*words][:MAX_QUERY_WORDS]), frozenset([*pieces][:MAX_QUERY_WORDS]))


def _parts(text: str) -> Iterable[tuple[str, str]]:
    """Yield the words, runs and pictures of a text, in their comparable form."""
    if text.isascii():
        for word in _ASCII_WORD.findall(text.lower()):
            yield "word", word
        return
    for match in _PART.finditer(_comparable(text)):
        yield match.lastgroup or "", match[0]


def _comparable(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = _ACCENT.sub("", unicodedata.normalize("NFD", _IGNORED.sub("", folded)))
    return unicodedata.normalize("NFC", plain.translate(_LETTERS))
