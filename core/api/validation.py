"""Pydantic's validation errors in our own words, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

# Messages by pydantic's error type.  Names in %(…)s are keys of the error's context.
# https://docs.pydantic.dev/latest/errors/validation_errors/
MESSAGES: dict[str, str] = {
    "missing": gettext_noop("Required."),
    "extra_forbidden": gettext_noop("Unknown name. Remove it, or correct its spelling."),
    "string_type": gettext_noop("Must be a text."),
    "string_too_short": gettext_noop("Must have at least %(min_length)s characters."),
    "string_too_long": gettext_noop("Must have at most %(max_length)s characters."),
    "string_pattern_mismatch": gettext_noop("Must match the pattern %(pattern)s."),
    "string_unicode": gettext_noop("Must be valid Unicode."),
    "int_type": gettext_noop("Must be a whole number."),
    "int_parsing": gettext_noop("Must be a whole number."),
    "int_parsing_size": gettext_noop("This number is too large."),
    "int_from_float": gettext_noop("Must be a whole number."),
    "float_type": gettext_noop("Must be a number."),
    "float_parsing": gettext_noop("Must be a number."),
    "finite_number": gettext_noop("Must be a finite number."),
    "bool_type": gettext_noop("Must be true or false."),
    "bool_parsing": gettext_noop("Must be true or false."),
    "json_invalid": gettext_noop("Must be JSON. (%(error)s)"),
    "json_type": gettext_noop("Must be JSON."),
    "dict_type": gettext_noop("Must be an object."),
    "model_type": gettext_noop("Must be an object."),
    "model_attributes_type": gettext_noop("Must be an object."),
    "list_type": gettext_noop("Must be a list."),
    "too_short": gettext_noop("Must have at least %(min_length)s entries."),
    "too_long": gettext_noop("Must have at most %(max_length)s entries."),
    "none_required": gettext_noop("Must be null."),
    "enum": gettext_noop("Must be one of: %(expected)s."),
    "literal_error": gettext_noop("Must be one of: %(expected)s."),
    "greater_than": gettext_noop("Must be greater than %(gt)s."),
    "greater_than_equal": gettext_noop("Must be at least %(ge)s."),
    "less_than": gettext_noop("Must be less than %(lt)s."),
    "less_than_equal": gettext_noop("Must be at most %(le)s."),
    "datetime_type": gettext_noop("Must be a date and time, such as 2026-11-24T10:00:00Z."),
    "datetime_parsing": gettext_noop("Must be a date and time, such as 2026-11-24T10:00:00Z."),
    "datetime_from_date_parsing": gettext_noop("Must be a date and time, such as 2026-11-24T10:00:00Z."),
    "datetime_object_invalid": gettext_noop("Must be a date and time, such as 2026-11-24T10:00:00Z."),
    "timezone_aware": gettext_noop("Add a time zone, such as Z or +08:00."),
    "decimal_type": gettext_noop("Must be a decimal number."),
    "decimal_parsing": gettext_noop("Must be a decimal number."),
}
EMPTY = gettext_noop("Must not be empty.")


def message_of(error: Mapping[str, Any]) -> str:
    """Return the translated message of one of pydantic's errors.

    Errors that our own validators raise, and types without a message here, keep their text.
    """
    context = error.get("ctx") or {}
    if "expected" in context:  # pydantic writes 'a', 'b' or 'c' in English
        context = context | {"expected": str(context["expected"]).replace(" or ", ", ").replace("'", "")}
    template = EMPTY if context.get("min_length") == 1 and "too_short" in error["type"] else MESSAGES.get(error["type"])
    try:
        return _(template) % context if template else str(error["msg"])
    except KeyError:
        return str(error["msg"])


def path_of(location: tuple[int | str, ...]) -> str:
    """Return the name of a field: ``("config", "rows", 17)`` is ``config.rows.17``."""
    return ".".join(map(str, location))
