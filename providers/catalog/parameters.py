"""Parameters of a model: their types and limits, and the checks of a value.

A ``Parameter`` is data. Its ``value_type`` is the type that pydantic validates values with, so that
cleaning, error lists and JSON Schema come from one place. Messages for people are made from
pydantic's error codes, in the reader's language.
"""

from __future__ import annotations

import enum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from django.utils.translation import gettext, gettext_noop
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from providers.catalog.values import (
    choice_text,
    decimal_number,
    file_list,
    is_absent,
    json_value,
    one_address,
    sendable_json,
    sendable_text,
    true_or_false,
    whole_number,
)

MEGABYTE = 1024 * 1024
STRICT = ConfigDict(extra="forbid", strict=True)
# A web address, an uploaded file, or result N of an item. Also published in JSON Schema.
FILE_PATTERN = r"^([Hh][Tt][Tt][Pp][Ss]?://[^\s/]\S*|media:[0-9]{1,18}|output:[0-9]{1,18}/[0-9]{1,5})$"


class ParameterType(enum.StrEnum):
    TEXT = "text"
    CHOICE = "choice"  # one of a few strings, even where they look like numbers
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    IMAGE = "image"  # one file: a web address, media:ID or output:ITEM/N
    IMAGES = "images"  # a list of files
    VIDEO = "video"
    AUDIO = "audio"
    OBJECT = "object"  # a JSON object, or its text
    LIST = "list"  # a JSON list, or its text


FILE_TYPES = (ParameterType.IMAGE, ParameterType.IMAGES, ParameterType.VIDEO, ParameterType.AUDIO)
_FILE_LIMITS = {"formats", "max_bytes"}
_IMAGE_LIMITS = _FILE_LIMITS | {"max_side"}
_LIMITS: dict[ParameterType, set[str]] = {
    ParameterType.TEXT: {"min_length", "max_length"},
    ParameterType.CHOICE: {"choices"},
    ParameterType.INTEGER: {"minimum", "maximum"},
    ParameterType.FLOAT: {"minimum", "maximum"},
    ParameterType.BOOLEAN: set(),
    ParameterType.IMAGE: _IMAGE_LIMITS,
    ParameterType.IMAGES: _IMAGE_LIMITS | {"max_count"},
    ParameterType.VIDEO: _FILE_LIMITS,
    ParameterType.AUDIO: _FILE_LIMITS,
    ParameterType.OBJECT: set(),
    ParameterType.LIST: {"max_count"},
}


class Parameter(BaseModel):
    """One parameter of a model. Lengths are in characters; ``formats`` are upper case ("JPG"),
    ``max_side`` is in pixels of an image's longer side.

    ``default`` of a required parameter is sent when the caller gives no value, because the provider
    demands one. ``default`` of an optional parameter is never sent: the provider's own console
    preselects it, and a price assumes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: StrictStr
    type: ParameterType
    is_required: StrictBool = False
    choices: tuple[Annotated[StrictStr, Field(min_length=1)], ...] = ()
    default: Any = None
    min_length: StrictInt | None = None
    max_length: StrictInt | None = None
    minimum: StrictInt | StrictFloat | None = None
    maximum: StrictInt | StrictFloat | None = None
    max_count: StrictInt | None = None
    formats: tuple[Annotated[StrictStr, Field(min_length=1)], ...] = ()
    max_bytes: StrictInt | None = None
    max_side: Annotated[StrictInt, Field(ge=64)] | None = None

    @model_validator(mode="before")
    @classmethod
    def read_megabytes(cls, spec: Any) -> Any:
        """Accept ``max_megabytes``, the spelling of the catalogue files."""
        if isinstance(spec, dict) and type(spec.get("max_megabytes")) is int:
            spec = {**spec, "max_bytes": spec["max_megabytes"] * MEGABYTE}
            del spec["max_megabytes"]
        return spec

    @model_validator(mode="after")
    def check_limits(self) -> Self:
        for key in self.model_fields_set - {"name", "type", "is_required", "default"} - _LIMITS[self.type]:
            raise ValueError(f"{key} does not apply to type {self.type}")
        if self.type is ParameterType.CHOICE and not self.choices:
            raise ValueError("a choice needs choices")
        for key in ("choices", "formats"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must be different strings")
        if self.default is not None:
            if is_absent(self.default):
                raise ValueError(f"default {self.default!r} is not allowed: leave it out")
            try:
                cleaned = self.clean(self.default)
            except ValueError as error:
                raise ValueError(f"default {self.default!r} is not allowed: {error}") from None
            if cleaned != self.default or type(cleaned) is not type(self.default):
                raise ValueError(f"default {self.default!r} should be written {cleaned!r}")
        return self

    @property
    def is_file(self) -> bool:
        return self.type in FILE_TYPES

    @cached_property
    def value_type(self) -> Any:
        """The type of a value, with its limits, for pydantic in strict mode."""
        value: Any
        match self.type:
            case ParameterType.TEXT:
                shortest = self.min_length or (1 if self.is_required else None)
                length = Field(min_length=shortest, max_length=self.max_length)
                value = Annotated[str, length, AfterValidator(sendable_text)]
            case ParameterType.CHOICE:
                literal: Any = Literal
                value = Annotated[literal[self.choices], BeforeValidator(choice_text)]
            case ParameterType.INTEGER:
                value = Annotated[int, Field(ge=self.minimum, le=self.maximum), BeforeValidator(whole_number)]
            case ParameterType.FLOAT:
                number = Field(ge=self.minimum, le=self.maximum, allow_inf_nan=False)
                value = Annotated[float, number, BeforeValidator(decimal_number)]
            case ParameterType.BOOLEAN:
                value = Annotated[bool, BeforeValidator(true_or_false)]
            case ParameterType.IMAGE | ParameterType.VIDEO | ParameterType.AUDIO:
                value = _file_type(self.formats, self.max_bytes)
            case ParameterType.IMAGES:
                count = Field(min_length=1, max_length=self.max_count)
                file: Any = _file_type(self.formats, self.max_bytes)
                value = Annotated[list[file], count, BeforeValidator(file_list)]
            case ParameterType.OBJECT:
                value = Annotated[dict[str, Any], BeforeValidator(json_value), AfterValidator(sendable_json)]
            case ParameterType.LIST:
                count = Field(max_length=self.max_count)
                value = Annotated[list[Any], count, BeforeValidator(json_value), AfterValidator(sendable_json)]
        return value if self.default is None else Annotated[value, Field(json_schema_extra={"default": self.default})]

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.value_type, config=ConfigDict(strict=True))

    def clean(self, value: Any) -> Any:
        """Return ``value`` as it is sent, or None for a parameter to leave out.

        None, blank text and an empty list count as absent, like an empty cell of a spreadsheet.
        Raises ValueError with a sentence for a person.
        """
        if is_absent(value):
            if self.is_required and self.default is None:
                raise ValueError(gettext(_MISSING))
            return self.default if self.is_required else None
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(self.message(error.errors(include_url=False)[0])) from None

    def message(self, error: ErrorDetails) -> str:
        """Return the sentence for people about one of pydantic's errors in a value."""
        template = _MESSAGES.get(error["type"]) or _TYPE_MESSAGES[self.type]
        if self.type is ParameterType.IMAGES and error["type"] == "list_type":
            template = _NO_LIST
        elif self.type is ParameterType.LIST and error["type"] == "too_long":
            template = _TOO_MANY_ENTRIES
        limits = error.get("ctx", {})
        value = error["input"]
        return gettext(template) % {
            "length": len(value) if isinstance(value, str) else 0,
            "count": limits.get("actual_length", 0),
            "limit": f"{next((limits[key] for key in _LIMIT_KEYS if key in limits), 0):g}",
            "allowed": ", ".join(self.choices),
        }


_LIMIT_KEYS = ("max_length", "min_length", "ge", "le")  # of pydantic's errors
_MISSING = gettext_noop("Required. Fill this in.")
_UNSENDABLE = gettext_noop("Contains a character that cannot be sent. Type the text again.")
_NO_LIST = gettext_noop("Must be a list of addresses.")
_NO_FILE = gettext_noop(
    "Must be an http(s) address, media:ID of an uploaded file, or output:ITEM/N of an earlier result."
)
_SEVERAL_ADDRESSES = gettext_noop("Holds several addresses. Give each of them by itself.")
_TOO_MANY_ENTRIES = gettext_noop("Too many: %(count)d entries, at most %(limit)s are allowed.")
_MESSAGES = {
    "missing": _MISSING,
    "string_unicode": _UNSENDABLE,
    "unsendable": _UNSENDABLE,
    "several_addresses": _SEVERAL_ADDRESSES,
    "string_too_long": gettext_noop("Too long: %(length)d characters, at most %(limit)s are allowed."),
    "string_too_short": gettext_noop("Too short: %(length)d characters, at least %(limit)s are needed."),
    "too_long": gettext_noop("Too many: %(count)d files, at most %(limit)s are allowed."),
    "greater_than_equal": gettext_noop("Must be at least %(limit)s."),
    "less_than_equal": gettext_noop("Must be at most %(limit)s."),
}
_TYPE_MESSAGES = {
    ParameterType.TEXT: gettext_noop("Must be text."),
    ParameterType.CHOICE: gettext_noop("Must be one of: %(allowed)s."),
    ParameterType.INTEGER: gettext_noop("Must be a whole number."),
    ParameterType.FLOAT: gettext_noop("Must be a number."),
    ParameterType.BOOLEAN: gettext_noop("Must be true or false."),
    ParameterType.IMAGE: _NO_FILE,
    ParameterType.IMAGES: _NO_FILE,
    ParameterType.VIDEO: _NO_FILE,
    ParameterType.AUDIO: _NO_FILE,
    ParameterType.OBJECT: gettext_noop("Must be a JSON object."),
    ParameterType.LIST: gettext_noop("Must be a JSON list."),
}


def _file_type(formats: tuple[str, ...], max_bytes: int | None) -> Any:
    limits = [", ".join(formats)] if formats else []
    if max_bytes:
        limits.append(f"≤ {max_bytes // MEGABYTE} MB")
    text = Field(pattern=FILE_PATTERN, description=", ".join(limits) or None)
    return Annotated[str, text, AfterValidator(sendable_text), AfterValidator(one_address)]
