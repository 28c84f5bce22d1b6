"""JSON answers of servers, read so that nothing in them does harm where they are stored.

A server may send anything: objects nested a thousand levels deep, numbers that are infinite or have
a thousand digits. Databases and JSON writers refuse such values long after the answer was read.
"""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 32
LONGEST_INTEGER = 30  # digits
TOO_DEEP = "…"

# What is kept of a long answer for support cases.
MOST_ENTRIES = 50
LONGEST_TEXT = 2000


def read_object(body: bytes | str) -> dict[str, Any] | None:
    """Return a JSON object; None if ``body`` is not JSON or not an object.

    What lies deeper than DEEPEST becomes a text. Numbers that are not plain (NaN, 1e3, very long
    ones) stay as the text that was sent, so that nobody takes them for an amount.
    """
    try:
        value = json.loads(body, parse_constant=str, parse_float=_float, parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return _without_depths(value, DEEPEST) if isinstance(value, dict) else None


def shortened(value: Any) -> Any:
    """Return the beginning of an answer: MOST_ENTRIES of each list, LONGEST_TEXT of each text."""
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in list(value.items())[:MOST_ENTRIES]}
    if isinstance(value, list):
        left = len(value) - MOST_ENTRIES
        return [shortened(inner) for inner in value[:MOST_ENTRIES]] + ([f"… {left} more"] if left > 0 else [])
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}…"
    return value


def _float(text: str) -> float | str:
    number = float(text)
    is_plain = "e" not in text.lower() or abs(number) < 1  # common writers shorten small numbers: 5e-05
    return number if is_plain and math.isfinite(number) else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= LONGEST_INTEGER else text


def _without_depths(value: Any, levels: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return TOO_DEEP
    if isinstance(value, dict):
        return {name: _without_depths(inner, levels - 1) for name, inner in value.items()}
    return [_without_depths(inner, levels - 1) for inner in value]
