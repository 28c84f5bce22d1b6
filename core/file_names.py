"""Names of files that every file system takes, and patterns such as ``{index}_{prompt}``.

A name is a *stem* and an ending. The stems here leave room for the endings, so that a whole name
has at most 255 bytes in UTF-8. Letters of all scripts keep their case and their marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from django.utils.translation import gettext as _

from core.csv_files import FORMULA_SIGNS
from core.http.file_names import shorten

MAX_PATTERN = 200
MAX_STEM_BYTES = 210
WORDS_LENGTH = 40  # characters of a long text in a name
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# Names with these endings are those of pictures and clips; a result gets an ending of its own.
_MEDIA_ENDING = re.compile(r"(?i)\.(jpe?g|jfif|png|gif|webp|hei[cf]|hif|avif|bmp|tiff?|mp4|mov|webm|mkv|avi)$")
_REFUSED = re.compile(r'[/\\:*?"<>|;]+')  # by Windows; a semicolon divides cells
# Controls, marks that reverse the direction of writing, and what shows nothing at all.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]+"
)
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?=\.|$)")
_NO_ASCII_WORD = re.compile(r"[^0-9A-Za-z_.]+")
_EMPTY = "\0"  # stands for a placeholder without a value
_NUMBER, _VERSION = re.compile(r"-(?:[2-9]|[1-9][0-9]+)$"), re.compile(r"_v(?:[2-9]|[1-9][0-9]+)$")


def clean_stem(text: str) -> str:
    """Return a text as a stem: "" if nothing is left of it.

    Refused characters become "_", runs of spaces one space. What Windows reserves, and what a
    spreadsheet would take for a formula, gets an underscore.
    """
    text = unicodedata.normalize("NFC", _HIDDEN.sub("", text.encode("utf-8", "ignore").decode()))
    text = " ".join(_REFUSED.sub("_", text).split()).strip(" .")
    text = cut_text(text, MAX_STEM_BYTES).rstrip(" .")
    if text.startswith(FORMULA_SIGNS):
        text = f"_{text}"
    return _RESERVED.sub(lambda match: f"{match[1]}_", text, count=1) if _RESERVED.match(text) else text


def cut_text(text: str, limit: int) -> str:
    """Return the beginning of a text that takes at most ``limit`` bytes in UTF-8.

    A character is not separated from its marks, nor are the parts of a joined one.
    """
    kept = shorten(text, limit)
    end = len(kept)
    while 0 < end < len(text) and (_is_joined(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return text[:end] or kept


def _is_joined(character: str) -> bool:
    """Return True if a character belongs to the one before it."""
    is_skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    return is_skin_tone or character == "\u200d" or unicodedata.category(character).startswith("M")


def words_stem(text: str) -> str:
    """Return the first words of a text, joined by hyphens: ``A-red-fox``."""
    text = unicodedata.normalize("NFC", text[: WORDS_LENGTH * 3])
    if text.isascii():
        words = _NO_ASCII_WORD.sub(" ", text)
    else:
        words = "".join(each if each.isalnum() or each in "_.\u200c" or _is_joined(each) else " " for each in text)
    words = re.sub(r"\.(?!\w)|(?<!\w)\.", " ", words)
    words = "-".join(words.split())
    return cut_text(words, len(words[:WORDS_LENGTH].encode())).strip("-_.")


def base_name(path: str) -> str:
    """Return the last part of a path, with any kind of slash."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def without_ending(name: str) -> str:
    """Return a name without the ending of a picture or clip."""
    return _MEDIA_ENDING.sub("", name)


def comparable(name: str) -> str:
    """Return a name in the form in which file systems without case compare it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def pattern_problem(pattern: str, known: Collection[str] | None = None) -> str:
    """Return what is wrong with a pattern, for people; "" if nothing is.

    ``known`` are the placeholders that have a value; None accepts any.
    """
    if len(pattern) > MAX_PATTERN:
        return _("At most %s characters.") % MAX_PATTERN
    rest = PLACEHOLDER.sub("", pattern)
    if "{" in rest or "}" in rest:
        return _("Write each placeholder in a pair of braces, such as {prompt}.")
    names = PLACEHOLDER.findall(pattern)
    if not names:
        return _("Use at least one placeholder, such as {index}: otherwise all files would have the same name.")
    if known is None:
        return ""
    readable = {plain_name(name) for name in known}
    if unknown := [name for name in names if plain_name(name) not in readable]:
        facts = {
            "unknown": ", ".join(f"{{{name}}}" for name in dict.fromkeys(unknown)),
            "known": ", ".join(f"{{{name}}}" for name in known),
        }
        return _("There is no %(unknown)s here. You can use: %(known)s.") % facts
    return ""


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """Return the form in which names of placeholders are compared."""
    return re.sub(r"[\s_\-]", "", unicodedata.normalize("NFC", name)).casefold()


def fill_pattern(pattern: str, values: Mapping[str, str]) -> str:
    """Return the stem that a pattern makes of values by ``plain_name``; "" if it uses none of them.

    A placeholder without a value is left out, with the separator before it.
    """
    names = [plain_name(name) for name in PLACEHOLDER.findall(pattern)]
    if not any(values.get(name) for name in names):
        return ""
    filled = PLACEHOLDER.sub(lambda match: values.get(plain_name(match[1])) or _EMPTY, pattern)
    filled = re.sub(rf"^(?:{_EMPTY}[-_ .]*)+", "", filled)
    return clean_stem(re.sub(rf"[-_ .]*{_EMPTY}", "", filled))


def distinct_stems(stems: Sequence[str]) -> list[str]:
    """Return the stems so that no two files of them get the same name, whatever the case.

    The first of equal stems keeps its name, the others are numbered. A stem that another one's
    second version (``fox_v2``) or second file (``fox-2``) will have is written as ``fox-v2`` or
    ``fox_2``.
    """
    keys = [comparable(stem) for stem in stems]
    own = set(keys)
    reserved = own.union(*map(_bases_of, own))
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    result = []
    for stem, key in zip(stems, keys, strict=True):
        is_later = not own.isdisjoint(_bases_of(key))
        if is_later:
            number = _NUMBER.search(stem)
            body = stem[: number.start()] if number else stem
            stem = _VERSION.sub(lambda match: match[0].replace("_", "-"), body)
            stem += number[0].replace("-", "_") if number else ""
            key = comparable(stem)
        name, place = stem, numbers.get(key, 1)
        other = key
        while other in taken or (other in reserved and (is_later or name != stem)):
            place += 1
            name = f"{stem}_{place}"
            other = comparable(name)
        numbers[key] = place
        taken.add(other)
        result.append(name)
    return result


def _bases_of(key: str) -> list[str]:
    """Return the stems of which ``key`` would be a second version or file."""
    bases = []
    for later in (_NUMBER, _VERSION):
        if (base := later.sub("", key)) != key and base:
            bases.append(base)
            key = base
    return bases
