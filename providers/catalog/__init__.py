"""The catalogue: every model we know, as data.

``catalog/*.toml`` lists the models.  This module reads those files once, checks them strictly, and answers three
questions about a model: are these parameters valid, what will a call cost, and which are there (as JSON Schema)?
``docs/models.md`` explains the files and how to add a model.
"""

from __future__ import annotations

import difflib
import enum
import functools
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext as _

from core.errors import FieldError
from providers.catalog.task_types import TaskType

DIRECTORY = Path(__file__).parent
CURRENCY = "CNY"  # of the prices, unless a model says otherwise
MEGABYTE = 1024 * 1024
RESERVED = "webhookUrl"  # set by the engine for each attempt, never by a person

# What the names of models are made of, beside the name of the family; task types are translated with their labels.
NAME_PARTS = (
    gettext_noop("edit"),
    gettext_noop("low-price channel"),
    gettext_noop("official channel"),
    gettext_noop("first and last image to video"),
    gettext_noop("reference images to video"),
    gettext_noop("realistic image to video"),
    gettext_noop("image to video (asyn)"),
)

_DEADLINES = {"image": 1800, "video": 3600}
_USUAL_BATCH_FIELDS = {
    TaskType.TEXT_TO_IMAGE: "prompt",
    TaskType.IMAGE_TO_IMAGE: "imageUrls",
    TaskType.TEXT_TO_VIDEO: "prompt",
    TaskType.IMAGE_TO_VIDEO: "imageUrl",
}
_ENDPOINT = re.compile(r"(?!\.+(/|$))[A-Za-z0-9._-]+(/(?!\.+(/|$))[A-Za-z0-9._-]+)*")
_FILE_PATTERN = r"([Hh][Tt][Tt][Pp][Ss]?://[^\s/]\S*|media:[0-9]{1,18})"  # also published in JSON Schema
_FILE = re.compile(_FILE_PATTERN)
_INTEGER = re.compile(r"-?[0-9]{1,18}")


class CatalogError(Exception):
    """A catalogue file is wrong.  The message names the file and the endpoint, for whoever edited it."""


class UnknownModel(LookupError):
    """No model has that endpoint."""


class ParamsInvalid(ValueError):
    """The parameters break the model's rules.  ``errors`` holds everything that is wrong, not only the first."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class ParameterType(enum.StrEnum):
    TEXT = "text"
    CHOICE = "choice"  # one of a few strings, also where they look like numbers
    INTEGER = "integer"
    BOOLEAN = "boolean"
    IMAGE = "image"  # one address
    IMAGES = "images"  # a list of addresses


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model.  Lengths are in characters, ``formats`` are upper case ("JPG").

    ``default`` of a required parameter is sent when the caller gives none, because the provider demands a value.
    ``default`` of an optional one is never sent: the provider's own console preselects it, and a price assumes it.
    """

    name: str
    type: ParameterType
    is_required: bool = False
    choices: tuple[str, ...] = ()
    default: str | int | bool | None = None
    min_length: int | None = None
    max_length: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    max_count: int | None = None
    formats: tuple[str, ...] = ()
    max_bytes: int | None = None

    @property
    def is_file(self) -> bool:
        return self.type in (ParameterType.IMAGE, ParameterType.IMAGES)

    def clean(self, value: Any) -> Any:
        """Return ``value`` as it goes on the wire, or None for a parameter to leave out.

        None, blank text and an empty list count as "not given", as in an empty cell of a spreadsheet.
        Raises ``ValueError`` with a sentence for a person.
        """
        if _is_absent(value):
            return self._when_absent()
        return _CLEANERS[self.type](self, value)

    def _when_absent(self) -> Any:
        if self.is_required and self.default is None:
            raise ValueError(_("This parameter is required and may not be blank."))
        return self.default if self.is_required else None


@dataclass(frozen=True, eq=False)
class PriceRule:
    """What a call costs: ``amounts`` by the values of the fields named in ``by``, per call or per second of result."""

    by: tuple[str, ...]
    amounts: Mapping[tuple[str, ...], Decimal]
    is_per_second: bool


@dataclass(frozen=True)
class Model:
    """One remote endpoint: its parameters, its price, and how long and how often we try.

    ``batch_field``       the parameter that a bare string in a batch fills
    ``deadline_seconds``  after this wait for a result we give up
    ``max_attempts``      paid attempts per item, the first included
    ``is_free_form``      not in the catalogue: parameters pass unchecked and the price is unknown
    """

    provider: str
    endpoint: str
    name: str
    task_type: TaskType
    batch_field: str
    deadline_seconds: int
    parameters: tuple[Parameter, ...] = ()
    price_rule: PriceRule | None = None
    max_attempts: int = 2
    is_default: bool = False
    is_free_form: bool = False
    note: str = ""
    currency: str = CURRENCY

    @property
    def label(self) -> str:
        """Its name in the reader's language: what a model is called stays, what it does and costs is translated."""
        return gettext(", ").join(gettext(part) for part in self.name.split(", "))

    @property
    def result_kind(self) -> str:
        """Either "image" or "video"."""
        return _result_kind(self.task_type)

    @functools.cached_property
    def _by_name(self) -> dict[str, Parameter]:
        return {field.name: field for field in self.parameters}

    def parameter(self, name: str) -> Parameter | None:
        return self._by_name.get(name)

    def clean(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as they go on the wire, with the defaults that the provider demands.

        Raises ``ParamsInvalid`` with all that is wrong.
        """
        return self._clean(params, self.parameters)

    def clean_partial(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """As ``clean``, but only of what is given: nothing is required, and no default is added."""
        _require_object(params)
        return self._clean(params, [field for field in self.parameters if not _is_absent(params.get(field.name))])

    def _clean(self, params: Mapping[str, Any], fields: Iterable[Parameter]) -> dict[str, Any]:
        _require_object(params)
        errors = [FieldError(str(name), problem) for name in params if (problem := self._name_problem(name))]
        cleaned = dict(params) if self.is_free_form else {}
        for field in fields:
            try:
                value = field.clean(params.get(field.name))
            except ValueError as error:
                errors.append(FieldError(field.name, str(error)))
            else:
                if value is not None:
                    cleaned[field.name] = value
        if errors:
            raise ParamsInvalid(errors)
        return cleaned

    def check_shared(self, params: Mapping[str, Any], *, row_names: Collection[str]) -> list[FieldError]:
        """Return what is wrong with parameters that are given once for many rows, whatever the rows hold.

        A needed parameter that is absent is wrong here unless it is one of those that rows give.
        """
        errors = [FieldError(str(name), problem) for name in params if (problem := self._name_problem(name))]
        for field in self.parameters:
            value = params.get(field.name)
            if _is_absent(value) and field.name in row_names:
                continue
            try:
                field.clean(value)
            except ValueError as error:
                errors.append(FieldError(field.name, str(error)))
        return errors

    def _name_problem(self, name: object) -> str:
        if name in self._by_name:
            return ""
        if not isinstance(name, str):
            return _("A parameter's name must be text.")
        if name == RESERVED:
            return _("This parameter is set by the server and cannot be given.")
        return "" if self.is_free_form else self._unknown(name)

    def _unknown(self, name: str) -> str:
        known = {"name": name, "allowed": ", ".join(self._by_name)}
        close = difflib.get_close_matches(name, self._by_name, n=1)
        if close:
            return _('Unknown parameter "%(name)s". Did you mean "%(close)s"? Allowed: %(allowed)s.') % (
                known | {"close": close[0]}
            )
        return _('Unknown parameter "%(name)s". Allowed: %(allowed)s.') % known

    def price(self, params: Mapping[str, Any]) -> Decimal | None:
        """Return the published price of one call in ``currency``, or None when it is not known.

        ``params`` may be cleaned or not; defaults stand in for what is absent.
        """
        rule = self.price_rule
        if rule is None:
            return None
        amount = rule.amounts.get(tuple(self._word(params, name) for name in rule.by))
        if amount is None or not rule.is_per_second:
            return amount
        seconds = self._word(params, "duration")
        return amount * int(seconds) if seconds.isdecimal() else None

    def _word(self, params: Mapping[str, Any], name: str) -> str:
        """A parameter's value, or its default, as price rows spell it: ``true``, ``8``, ``720p``."""
        value = params.get(name)
        return _spelled(self._by_name[name].default if _is_absent(value) else value)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the parameters that a caller gives."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            "type": "object",
            "properties": {field.name: _field_schema(field) for field in self.parameters},
            "required": [field.name for field in self.parameters if field.is_required and field.default is None],
            "additionalProperties": self.is_free_form,
        }


# --- Looking up ---


def get_model(endpoint: str) -> Model:
    """Return a model of the catalogue.  Raises ``UnknownModel``."""
    try:
        return _catalogue()[endpoint]
    except KeyError:
        raise UnknownModel(_('"%(endpoint)s" is not in the catalogue.') % {"endpoint": endpoint}) from None


def find_model(endpoint: str, task_type: str) -> Model:
    """Return the model of the catalogue, or a free-form stand-in for an endpoint that it does not have.

    Raises ``UnknownModel`` when ``endpoint`` cannot be an endpoint.
    """
    known = _catalogue().get(endpoint)
    return known or free_form_model(endpoint, task_type)


def all_models(task_type: str | None = None) -> list[Model]:
    """Return the catalogue's models in its own order: all of them, or those of one task type."""
    return [model for model in _catalogue().values() if task_type in (None, model.task_type)]


def default_model(task_type: str) -> Model:
    """Return the model for a mission that names none: ``settings.DEFAULT_MODELS`` first, else the catalogue's own.

    Raises ``UnknownModel`` when the settings name an endpoint that the catalogue does not have for this task type.
    """
    endpoint = settings.DEFAULT_MODELS.get(task_type)
    for model in all_models(task_type):
        if model.endpoint == endpoint or (model.is_default and not endpoint):
            return model
    raise UnknownModel(
        _('No model "%(endpoint)s" for %(task_type)s in the catalogue.')
        % {"endpoint": endpoint or "", "task_type": task_type}
    )


def find_default(task_type: str) -> Model | None:
    """As ``default_model``, or None when the settings name a model that does not fit."""
    try:
        return default_model(task_type)
    except UnknownModel:
        return None


def price_in_words(model: Model) -> str:
    """What a call costs, for people: ``0.29 to 4.738 CNY per call, by quality, resolution``."""
    rule = model.price_rule
    if rule is None:
        return _("The price is not known.")
    lowest, highest = min(rule.amounts.values()), max(rule.amounts.values())
    amount = f"{lowest:f}"
    if lowest != highest:
        amount = _("%(lowest)s to %(highest)s") % {"lowest": amount, "highest": f"{highest:f}"}
    known = {"amount": amount, "currency": model.currency, "fields": ", ".join(rule.by)}
    if rule.is_per_second:
        words = _("%(amount)s %(currency)s per second of result") % known
    else:
        words = _("%(amount)s %(currency)s per call") % known
    return _("%(words)s, by %(fields)s") % (known | {"words": words}) if rule.by else words


def free_form_model(endpoint: str, task_type: str) -> Model:
    """Return a stand-in for a model that the catalogue does not have: it passes any parameters on and knows no price.

    Raises ``UnknownModel`` when ``endpoint`` cannot be an endpoint, ``ValueError`` for an unknown task type.
    """
    if not _ENDPOINT.fullmatch(endpoint):
        raise UnknownModel(_('"%(endpoint)s" cannot be a model: write it as "family/model".') % {"endpoint": endpoint})
    kind = TaskType(task_type)
    return Model(
        provider="runninghub",
        endpoint=endpoint,
        name=endpoint,
        task_type=kind,
        batch_field=_USUAL_BATCH_FIELDS[kind],
        deadline_seconds=_DEADLINES[_result_kind(kind)],
        is_free_form=True,
    )


@functools.cache
def _catalogue() -> dict[str, Model]:
    return load(sorted(DIRECTORY.glob("*.toml")))


def _result_kind(task_type: TaskType) -> str:
    return "image" if task_type in (TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE) else "video"


# --- Cleaning one value: each returns it as the wire wants it, or raises ValueError with a sentence ---


def _require_object(params: object) -> None:
    if not isinstance(params, Mapping):
        raise ParamsInvalid([FieldError("", _("The parameters must be an object of names and values."))])


def _is_absent(value: object) -> bool:
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or value == []


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _clean_text(field: Parameter, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(_("Must be text."))
    _require_sendable(value)
    length = len(value)
    if field.max_length is not None and length > field.max_length:
        raise ValueError(
            _("Too long: %(length)d characters, at most %(limit)d are allowed.")
            % {"length": length, "limit": field.max_length}
        )
    if field.min_length is not None and length < field.min_length:
        raise ValueError(
            _("Too short: %(length)d characters, at least %(limit)d are needed.")
            % {"length": length, "limit": field.min_length}
        )
    return value


def _require_sendable(text: str) -> None:
    if "\0" in text or not _is_encodable(text):
        raise ValueError(_("Holds a character that cannot be sent: write it again."))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _clean_choice(field: Parameter, value: object) -> str:
    word = str(value) if isinstance(value, int) else value
    if not isinstance(word, str) or word not in field.choices:
        raise ValueError(_("Must be one of: %(allowed)s.") % {"allowed": ", ".join(field.choices)})
    return word


def _clean_integer(field: Parameter, value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(_("Must be a whole number."))
    if field.minimum is not None and value < field.minimum:
        raise ValueError(_("Must be at least %(limit)d.") % {"limit": field.minimum})
    if field.maximum is not None and value > field.maximum:
        raise ValueError(_("Must be at most %(limit)d.") % {"limit": field.maximum})
    return value


def _clean_boolean(_field: Parameter, value: object) -> bool:
    word = value.lower() if isinstance(value, str) else value
    if word in ("true", "false"):
        return word == "true"
    if not isinstance(word, bool):
        raise ValueError(_("Must be true or false."))
    return word


def _clean_image(_field: Parameter, value: object) -> str:
    if not isinstance(value, str) or not _FILE.fullmatch(value):
        raise ValueError(
            _('Must be an http(s) address or "media:" with the id of an uploaded file. Upload the file, then name it.')
        )
    _require_sendable(value)
    return value


def _clean_images(field: Parameter, value: object) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        raise ValueError(_("Must be a list of addresses."))
    if field.max_count is not None and len(values) > field.max_count:
        raise ValueError(
            _("Too many: %(count)d files, at most %(limit)d are allowed.")
            % {"count": len(values), "limit": field.max_count}
        )
    return [_clean_image(field, item) for item in values]


_CLEANERS: dict[ParameterType, Callable[[Parameter, Any], Any]] = {
    ParameterType.TEXT: _clean_text,
    ParameterType.CHOICE: _clean_choice,
    ParameterType.INTEGER: _clean_integer,
    ParameterType.BOOLEAN: _clean_boolean,
    ParameterType.IMAGE: _clean_image,
    ParameterType.IMAGES: _clean_images,
}


# --- JSON Schema ---


def _field_schema(field: Parameter) -> dict[str, Any]:
    schema = {key: value for key, value in _type_schema(field).items() if value is not None}
    if field.default is not None:
        schema["default"] = field.default
    return schema


def _type_schema(field: Parameter) -> dict[str, Any]:
    match field.type:
        case ParameterType.TEXT:
            shortest = field.min_length or (1 if field.is_required else None)
            return {"type": "string", "minLength": shortest, "maxLength": field.max_length}
        case ParameterType.CHOICE:
            return {"type": "string", "enum": list(field.choices)}
        case ParameterType.INTEGER:
            return {"type": "integer", "minimum": field.minimum, "maximum": field.maximum}
        case ParameterType.BOOLEAN:
            return {"type": "boolean"}
        case ParameterType.IMAGE:
            return _file_schema(field)
        case ParameterType.IMAGES:
            return {"type": "array", "items": _file_schema(field), "minItems": 1, "maxItems": field.max_count}


def _file_schema(field: Parameter) -> dict[str, Any]:
    limits = [", ".join(field.formats)] if field.formats else []
    if field.max_bytes:
        limits.append(f"≤ {field.max_bytes // MEGABYTE} MB")
    return {"type": "string", "pattern": f"^{_FILE_PATTERN}$", "description": ", ".join(limits)}


# --- Reading the files ---

_FILE_KEYS = {"provider": str, "choices": dict, "model": list}
_MODEL_KEYS = {
    "endpoint": str,
    "name": str,
    "task_type": str,
    "batch_field": str,
    "fields": dict,
    "price": dict,
    "is_default": bool,
    "deadline_seconds": int,
    "max_attempts": int,
    "note": str,
}
_MODEL_KEYS_NEEDED = ("endpoint", "name", "task_type", "batch_field", "fields")
_PRICE_KEYS = {"amount": str, "by": list, "rows": list, "unit": str}
_COMMON_FIELD_KEYS = {"type": str, "is_required": bool, "default": object}
_FIELD_KEYS: dict[ParameterType, dict[str, type]] = {
    ParameterType.TEXT: {"min_length": int, "max_length": int},
    ParameterType.CHOICE: {"choices": list},
    ParameterType.INTEGER: {"minimum": int, "maximum": int},
    ParameterType.BOOLEAN: {},
    ParameterType.IMAGE: {"formats": list, "max_megabytes": int},
    ParameterType.IMAGES: {"formats": list, "max_megabytes": int, "max_count": int},
}
_Enum = TypeVar("_Enum", bound=enum.Enum)


def load(paths: Iterable[Path]) -> dict[str, Model]:
    """Read catalogue files, in order, into endpoint → model.  Raises ``CatalogError`` for the first mistake."""
    models: dict[str, Model] = {}
    for path in paths:
        for model in _read(path):
            if model.endpoint in models:
                raise CatalogError(f"{path.name}: {model.endpoint}: this endpoint is listed twice")
            models[model.endpoint] = model
    for task_type in TaskType:
        _check_one_default(task_type, models.values())
    return models


def _check_one_default(task_type: TaskType, models: Iterable[Model]) -> None:
    found = [model.endpoint for model in models if model.is_default and model.task_type == task_type]
    if len(found) != 1:
        raise CatalogError(f"{task_type} needs exactly one model with is_default, found: {', '.join(found) or 'none'}")


def _read(path: Path) -> Iterator[Model]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        _check_keys("the file", document, _FILE_KEYS, needed=("provider", "model"))
    except (tomllib.TOMLDecodeError, CatalogError) as error:
        raise CatalogError(f"{path.name}: {error}") from error
    for table in document["model"]:
        try:
            yield _build_model(table, document)
        except CatalogError as error:
            raise CatalogError(f"{path.name}: {table.get('endpoint', 'a model')}: {error}") from error


def _build_model(table: dict[str, Any], document: dict[str, Any]) -> Model:
    _check_keys("the model", table, _MODEL_KEYS, needed=_MODEL_KEYS_NEEDED)
    task_type = _member(TaskType, table["task_type"])
    lists = document.get("choices", {})
    fields = {name: _build_field(name, spec, lists) for name, spec in table["fields"].items()}
    if table["batch_field"] not in fields:
        raise CatalogError(f"batch_field {table['batch_field']!r} is not one of its fields: {', '.join(fields)}")
    given = {"deadline_seconds": _DEADLINES[_result_kind(task_type)]} | table
    given |= {"provider": document["provider"], "task_type": task_type, "parameters": tuple(fields.values())}
    del given["fields"]
    if "price" in given:
        given["price_rule"] = _build_price_rule(given.pop("price"), fields)
    return Model(**given)


def _build_field(name: str, spec: object, lists: Mapping[str, list[str]]) -> Parameter:
    where = f"field {name}"
    if not isinstance(spec, dict):
        raise CatalogError(f"{where} must be a table")
    kind = _member(ParameterType, spec.get("type"))
    given = spec | {"choices": _choices(spec["choices"], lists)} if "choices" in spec else dict(spec)
    _check_keys(where, given, _COMMON_FIELD_KEYS | _FIELD_KEYS[kind])
    if "max_megabytes" in given:
        given["max_bytes"] = given.pop("max_megabytes") * MEGABYTE
    words = {key: _words(f"{where}.{key}", given.get(key, [])) for key in ("choices", "formats")}
    if kind is ParameterType.CHOICE and not words["choices"]:
        raise CatalogError(f"{where} needs choices")
    field = Parameter(name=name, **given | words | {"type": kind})
    _check_default(field)
    return field


def _choices(value: Any, lists: Mapping[str, list[str]]) -> Any:
    """Choices are a list, or the name of one in the file's ``[choices]``."""
    if not isinstance(value, str):
        return value
    if value not in lists:
        raise CatalogError(f"no list of choices is named {value!r}; there are: {', '.join(lists) or 'none'}")
    return lists[value]


def _words(where: str, values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) and value for value in values) or len(set(values)) != len(values):
        raise CatalogError(f"{where} must be different, non-empty strings")
    return tuple(values)


def _check_default(field: Parameter) -> None:
    if field.default is None:
        return
    try:
        cleaned = _CLEANERS[field.type](field, field.default)
    except ValueError as error:
        raise CatalogError(f"field {field.name}: default {field.default!r} is not allowed: {error}") from error
    if cleaned != field.default:
        raise CatalogError(f"field {field.name}: default {field.default!r} should be written {cleaned!r}")


def _build_price_rule(table: dict[str, Any], fields: Mapping[str, Parameter]) -> PriceRule:
    _check_keys("price", table, _PRICE_KEYS)
    if ("amount" in table) == ("rows" in table) or ("by" in table) != ("rows" in table):
        raise CatalogError("price needs either amount, or by and rows")
    by = tuple(table.get("by", ()))
    amounts: dict[tuple[str, ...], Decimal] = {}
    for row in table.get("rows") or [[table["amount"]]]:
        values, amount = _build_price_row(row, by, fields)
        if values in amounts:
            raise CatalogError(f"price has two rows for {', '.join(values)}")
        amounts[values] = amount
    return PriceRule(by, amounts, is_per_second=_is_per_second(table.get("unit", "call"), fields))


def _build_price_row(
    row: list[str], by: tuple[str, ...], fields: Mapping[str, Parameter]
) -> tuple[tuple[str, ...], Decimal]:
    if not isinstance(row, list) or len(row) != len(by) + 1 or not all(isinstance(cell, str) for cell in row):
        raise CatalogError(f"price row {row!r} must be strings: a value for each of {', '.join(by)}, then the amount")
    *values, amount = row
    for name, value in zip(by, values, strict=True):
        _check_price_value(name, value, fields)
    return tuple(values), _amount(amount)


def _check_price_value(name: str, value: str, fields: Mapping[str, Parameter]) -> None:
    if name not in fields:
        raise CatalogError(f"price goes by {name!r}, which is not one of its fields: {', '.join(fields)}")
    try:
        is_known = _spelled(fields[name].clean(value)) == value
    except ValueError:
        is_known = False
    if not is_known:
        raise CatalogError(f"price has a row for {name} = {value!r}, a value that the field cannot have")


def _is_per_second(unit: str, fields: Mapping[str, Parameter]) -> bool:
    if unit not in ("call", "second"):
        raise CatalogError(f"price unit {unit!r} must be call or second")
    if unit == "second" and "duration" not in fields:
        raise CatalogError("price per second needs a field named duration")
    return unit == "second"


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise CatalogError(f"price {text!r} is not a number") from None
    if not amount.is_finite() or amount < 0:
        raise CatalogError(f"price {text!r} is not an amount of money")
    return amount


def _member(kind: type[_Enum], value: object) -> _Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise CatalogError(f"{value!r} is not a {kind.__name__}; there are: {known}") from None


def _check_keys(where: str, table: Mapping[str, Any], known: Mapping[str, type], needed: Iterable[str] = ()) -> None:
    for key, value in table.items():
        if key not in known:
            raise CatalogError(f"{where} has an unknown key {key!r}; there are: {', '.join(known)}")
        if known[key] not in (object, type(value)):
            raise CatalogError(f"{where}: {key} must be a {known[key].__name__}, not {value!r}")
    for key in needed:
        if key not in table:
            raise CatalogError(f"{where} needs {key}")
