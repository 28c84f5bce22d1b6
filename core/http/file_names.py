"""Names of downloaded files in the header ``Content-Disposition``."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

MAX_BYTES = 255  # of a file name in UTF-8: more is refused by file systems, and then by browsers
ENDING_BYTES = 32

_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\/:*?<>|%]')


def shorten(text: str, limit: int) -> str:
    """Return the beginning of a text that takes at most ``limit`` bytes in UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")


def content_disposition(name: str, *, is_attachment: bool = True) -> str:
    """Return the header for a file of this name.

    A name of more than 255 bytes is cut before its ending. A name that is not plain ASCII is sent
    twice: ``filename*`` for browsers, and ``filename`` with its ASCII characters for programs that
    do not know the former.
    """
    name = "".join(letter for letter in name if letter.isprintable())
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > ENDING_BYTES:
        stem, dot, ending = name, "", ""
    stem = shorten(stem, MAX_BYTES - len(f"{dot}{ending}".encode())).rstrip()
    name = f"{stem}{dot}{ending}"

    letters = unicodedata.normalize("NFKD", stem).encode("ascii", errors="ignore").decode()
    plain_stem = _UNSAFE.sub("_", letters).strip(" ._-") if stem != letters else _UNSAFE.sub("_", stem)
    plain_ending = _UNSAFE.sub("", ending.encode("ascii", errors="ignore").decode())
    plain = f"{plain_stem or 'download'}{dot if plain_ending else ''}{plain_ending}"
    header = f'{"attachment" if is_attachment else "inline"}; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=utf-8''{quote(name)}"
