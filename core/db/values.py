"""JSON values that every database stores unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def storable(value: Any) -> Any:
    """Return JSON data that every database accepts.

    PostgreSQL rejects NUL characters and lone surrogates. The first are removed, the second
    replaced.
    """
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {storable(str(name)): storable(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [storable(entry) for entry in value]
    return value


def is_storable(value: Any) -> bool:
    """Return True if every database stores this JSON value unchanged."""
    try:
        json.dumps(value, allow_nan=False)
        return bool(storable(value) == value)
    except (ValueError, TypeError, RecursionError):
        return False
