"""Tags: short words of a person, in any alphabet, by which rows are found again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from django.utils.translation import gettext as _

from core.errors import FieldError, Invalid

MAX_LENGTH, MAX_COUNT = 40, 20  # characters of a tag; tags of a row
SEPARATORS = ",，、;；\n"


def comparable(tag: str) -> str:
    """Return a tag as it is compared with others: in any case, width and spacing."""
    return " ".join(unicodedata.normalize("NFKC", tag).casefold().split())


def split_tags(text: str) -> list[str]:
    """Return the tags of a text that a person wrote, with commas or semicolons between them."""
    return [tag for part in re.split(f"[{SEPARATORS}]", text) if (tag := part.strip())]


def clean_tags(texts: Iterable[str]) -> dict[str, str]:
    """Return tags by their comparable form. Raise Invalid with all problems."""
    tags: dict[str, str] = {}
    errors: list[FieldError] = []
    for number, text in enumerate(texts):
        tag = " ".join(unicodedata.normalize("NFC", text).split())
        if not 0 < len(tag) <= MAX_LENGTH:
            message = _("“%(tag)s” has %(length)d characters. A tag has 1 to %(most)d.")
            values = {"tag": tag[:MAX_LENGTH], "length": len(tag), "most": MAX_LENGTH}
            errors.append(FieldError(f"tags.{number}", message % values))
        elif any(character in SEPARATORS or unicodedata.category(character) in ("Cc", "Cs") for character in tag):
            message = _("“%(tag)s” is no tag: remove its commas, semicolons and control characters.")
            errors.append(FieldError(f"tags.{number}", message % {"tag": tag}))
        tags[comparable(tag)] = tag
    if len(tags) > MAX_COUNT:
        errors.append(FieldError("tags", _("Use at most %(count)d tags at once.") % {"count": MAX_COUNT}))
    if errors:
        raise Invalid(errors)
    return tags
