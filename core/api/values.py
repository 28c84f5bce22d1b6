"""Types of single values, shared by the schemas."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from django.utils.translation import gettext as _
from ninja import Field, Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.money import amount_text

MAX_INDEX = 2**31 - 1
_MONEY = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


class Strict(Schema):
    """A body in which an unknown name is an error: a typo must never cost money."""

    model_config = ConfigDict(extra="forbid")


def _require_date_time(value: Any) -> Any:
    """Reject bare numbers, which pydantic would read as seconds since 1970."""
    if not isinstance(value, str) or not _DATE_TIME.match(value):
        raise PydanticCustomError("date_time", _("Use the format 2026-11-24T10:00:00Z."))
    return value


def _to_utc(value: datetime) -> datetime:
    if not 1970 <= value.year <= 2200:
        raise PydanticCustomError("date_time", _("Use a year between 1970 and 2200."))
    return value.astimezone(UTC)


def _require_money(value: Any) -> Any:
    """Reject numbers: in many languages they would not be exact."""
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise PydanticCustomError("money", _('Use the format "20.00".'))
    return value


def _accept_whole_float(value: Any) -> Any:
    """Take 3.0 for 3, as JSON Schema does. A strict integer still refuses texts and booleans."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _write_amount(value: Any) -> Any:
    """Take the amounts of our rows as well as their texts."""
    return amount_text(value) if isinstance(value, Decimal) else value


DateTime = Annotated[
    AwareDatetime,
    BeforeValidator(_require_date_time),
    AfterValidator(_to_utc),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
WHOLE = BeforeValidator(_accept_whole_float)  # stands behind the constraints of a strict integer
Priority = Annotated[int, Field(strict=True, ge=-100, le=100, description="Higher goes first."), WHOLE]
ErrorCode = Annotated[str, Field(min_length=1, max_length=64)]
Index = Annotated[int, Field(strict=True, ge=1, le=MAX_INDEX), WHOLE]
Cursor = Annotated[str, Field(pattern=r"^[0-9]{1,9}$", description="The next_cursor of the page before.")]
Money = Annotated[
    Decimal,
    BeforeValidator(_require_money),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(?=.*[1-9])[0-9]{1,10}(\.[0-9]{1,6})?$", "examples": ["20.00"]}  # above 0
    ),
]
Amount = Annotated[str, BeforeValidator(_write_amount), Field(pattern=r"^-?[0-9]+\.[0-9]{2,6}$", examples=["12.50"])]
