"""Texts around prompts."""

from __future__ import annotations


def join_texts(prefix: str, text: str, suffix: str) -> str:
    """Return a text between a prefix and a suffix, with a space where two words would touch."""
    joined = ""
    for part in (prefix, text, suffix):
        last, first = joined[-1:], part[:1]
        touches = (
            last.isascii() and not last.isspace() and last not in "([{'\"-/" and first.isascii() and first.isalnum()
        )
        joined += f" {part}" if last and touches else part
    return joined
