"""What rows say to people: ``reason``, ``pause_reason``, ``error_message``.

A worker does not know who will read, and a person's click is read by others.  So what is stored is English, never passed through
gettext before, and translated when it is shown: sentence by sentence, as far as translators know them.  They are marked where
they are written, by ``gettext_noop`` or, in the providers' tables, which know no Django, as the second argument of ``Row``.
What a provider says in its own words, and sentences with numbers in them, stay as they are: pages explain by ``error_code``.
"""

from __future__ import annotations

import re

from django.utils.translation import gettext, gettext_noop

# What a provider's adapter adds to the sentences of its tables.
ADDED = (
    gettext_noop("The task may exist and may be charged: look for it on RunningHub before you send it again."),
    gettext_noop("RunningHub reports no charge for it."),
    gettext_noop("RunningHub says:"),
    gettext_noop("The server says:"),
    gettext_noop('No model is chosen: set CHAT_MODEL or the parameter "model".'),
    gettext_noop("The base URL of the account is not a web address. Set OPENAI_BASE_URL, or correct the account."),
    gettext_noop("The clip could not be made."),
    gettext_noop("The picture cannot be opened. Use a PNG, JPEG, WebP or GIF file."),
    gettext_noop("The picture could not be fetched."),
    gettext_noop("The picture cannot be used. Upload a file or give an http address."),
)
_AFTER_A_PART = re.compile(r"(?<=[.:]) ")


def in_readers_language(text: str) -> str:
    """A stored text with every sentence translated that is known."""
    parts = _AFTER_A_PART.split(text)
    shown = ""
    while parts:
        words, count = _longest_known(parts)
        shown += ("" if not shown or shown.endswith(("。", "：")) else " ") + words
        del parts[:count]
    return shown


def _longest_known(parts: list[str]) -> tuple[str, int]:
    """The translation of as many parts as one message has, and how many these are; the first as it is when none is known."""
    for count in range(len(parts), 0, -1):
        words = " ".join(parts[:count])
        translated = gettext(words)
        if translated != words:
            return translated, count
    return parts[0], 1
