"""Values of parameters, as people, forms and spreadsheets give them, made ready for pydantic.

A function that cannot make sense of a value returns it unchanged: pydantic then says what is wrong.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import PydanticCustomError

from core.text import is_blank

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_NUL_IN_JSON = re.compile(r"(?<!\\)(\\\\)*\\u0000")
_SECOND_ADDRESS = re.compile(r"[,;|，；]https?://", re.IGNORECASE)


def is_absent(value: object) -> bool:
    """Return True when a value counts as "no value": None, blank text or an empty list."""
    if isinstance(value, str):
        return is_blank(value)
    return value is None or value == []


def spelled(value: object) -> str:
    """Return a value as rows of prices spell it: ``true``, ``8``, ``2.5``, ``720p``."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def sendable_text(text: str) -> str:
    """Refuse NUL, which PostgreSQL cannot store. pydantic refuses halves of surrogate pairs."""
    if "\0" in text:
        raise PydanticCustomError("unsendable", "contains a character that cannot be sent")
    return text


def one_address(text: str) -> str:
    """Refuse ``https://a.example/1.png,https://a.example/2.png``, which no provider could fetch."""
    if _SECOND_ADDRESS.search(text):
        raise PydanticCustomError("several_addresses", "holds several addresses")
    return text


def choice_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


def whole_number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def decimal_number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else value


def true_or_false(value: Any) -> Any:
    word = value.lower() if isinstance(value, str) else value
    return word == "true" if word in ("true", "false") else word


def file_list(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, tuple) else value


def json_value(value: Any) -> Any:
    """Read JSON text, as a form or a spreadsheet has it."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return list(value) if isinstance(value, tuple) else value


def sendable_json(value: Any) -> Any:
    """Refuse what JSON or a database cannot hold: NaN, NUL, halves of surrogate pairs."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        raise PydanticCustomError("unsendable", "is not plain JSON") from None
    if _NUL_IN_JSON.search(text):
        raise PydanticCustomError("unsendable", "contains a character that cannot be sent")
    return value
