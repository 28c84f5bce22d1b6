"""Reasons stored in columns (text, code, parameters) and shown in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils.translation import gettext

from core import reasons
from core.db.values import storable


def code_field() -> models.CharField[str | None, str | None]:
    """Return the column for a reason's code.

    It is NULL for a plain sentence and in rows of older versions.
    """
    return models.CharField(max_length=64, null=True, blank=True, editable=False)


def params_field() -> models.JSONField[Any, Any]:
    """Return the column for a reason's parameters."""
    return models.JSONField(null=True, blank=True, editable=False)


def columns(reason: str, *, text: str, code: str, params: str) -> dict[str, Any]:
    """Return the values of the three columns of these names for a reason or a plain sentence."""
    reason_code, reason_params = reasons.stored(reason)
    return {text: storable(str(reason)), code: reason_code, params: storable(reason_params)}


def display(text: str, code: str | None, params: Mapping[str, Any] | None) -> str:
    """Return a stored reason in the reader's language; ``text`` if the code is not defined."""
    return (reasons.render(code, params or {}, gettext) if code else "") or text


def translate(reason: str) -> str:
    """Return a reason that is not stored, such as an error's text, in the reader's language."""
    return display(str(reason), *reasons.stored(reason))
