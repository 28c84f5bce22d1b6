"""A model: one endpoint of a provider with its parameters, its price and its limits."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, NotRequired, Required, Self

from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext as _
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from core.errors import FieldError, Invalid
from core.money import money_text
from providers.catalog.labels import parameter_label
from providers.catalog.parameters import STRICT, Parameter
from providers.catalog.prices import PriceRule
from providers.catalog.task_types import RESULT_KINDS, TaskType
from providers.catalog.values import is_absent, spelled

# Parts of the names of models, beside the family's name. Task types are translated by their labels.
NAME_PARTS = (
    gettext_noop("edit"),
    gettext_noop("low-price channel"),
    gettext_noop("official channel"),
    gettext_noop("first and last image to video"),
    gettext_noop("reference images to video"),
    gettext_noop("realistic image to video"),
    gettext_noop("image to video (asyn)"),
)
# Notes on models that are shown in the reader's language.
NOTES = (
    gettext_noop("A camera move over an image. Free: it runs on this server, without AI."),
    gettext_noop("Asks the chat server of this site. The cost is shown afterwards, if the operator has set prices."),
    gettext_noop("Leave the aspect ratio open to keep that of the input image."),
    gettext_noop("The price has risen to about 1.50 CNY since April 2026: the estimate may be too low."),
    gettext_noop("OpenAI ended Sora 2 on 2026-09-24, so this model may no longer answer."),
    gettext_noop(
        "OpenAI ended Sora 2 on 2026-09-24, so this model may no longer answer. Its price has also risen since April "
        "2026: the estimate may be too low."
    ),
    gettext_noop(
        "The image must measure exactly 720x1280, 1280x720, 1024x1792 or 1792x1024 pixels. OpenAI ended Sora 2 on "
        "2026-09-24, so this model may no longer answer. Its price has also risen since April 2026: the estimate may be "
        "too low."
    ),
)
# Letters, digits, ".", "_" and "-", in parts separated by "/". No part consists of dots alone.
ENDPOINT_PATTERN = r"(?!\.+(/|$))[A-Za-z0-9._-]+(/(?!\.+(/|$))[A-Za-z0-9._-]+)*"


class ParamsInvalid(Invalid):
    """The parameters break the model's rules. ``errors`` lists all errors, not only the first."""


class Model(BaseModel):
    """One endpoint of a provider: its parameters, its price, and the limits of one task.

    ``batch_field``       the parameter that a bare string in a batch fills
    ``deadline_seconds``  the longest wait for a result
    ``max_attempts``      paid attempts per item, the first included
    ``is_default``        the model of its task type for a mission that names none
    ``is_free_form``      not in the catalogue: parameters pass unchecked and the price is unknown
    ``owner_id``          the person who added it
    ``is_added``          a person added it; ``owner_id`` is None if that person was deleted
    ``has_unique_endpoint``  no other model of the catalogue's files has this endpoint
    ``reserved``          parameters that the engine sets; a caller may not
    ``successor``         the endpoint to use instead of a model that its maker has ended
    ``file_suffixes``     endings of the names of parameters that hold files, for a free-form model
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: StrictStr
    endpoint: StrictStr
    name: StrictStr = Field(min_length=1)
    task_type: TaskType
    batch_field: StrictStr
    deadline_seconds: StrictInt = Field(ge=1)
    parameters_by_name: dict[StrictStr, Parameter] = Field({}, alias="parameters")
    price_rule: PriceRule | None = Field(None, alias="price")
    max_attempts: StrictInt = Field(ge=1, le=10)
    is_default: StrictBool = False
    is_free_form: StrictBool = False
    note: StrictStr = ""
    successor: StrictStr = ""
    currency: StrictStr = ""
    owner_id: int | None = None
    is_added: StrictBool = False
    has_unique_endpoint: StrictBool = False
    reserved: tuple[StrictStr, ...] = ()
    file_suffixes: tuple[StrictStr, ...] = ()

    @field_validator("parameters_by_name", mode="before")
    @classmethod
    def name_parameters(cls, specs: Any) -> Any:
        if not isinstance(specs, Mapping):
            return specs
        return {name: spec | {"name": name} if isinstance(spec, dict) else spec for name, spec in specs.items()}

    @model_validator(mode="after")
    def check_batch_field(self) -> Self:
        if not self.is_free_form and self.batch_field not in self.parameters_by_name:
            names = ", ".join(self.parameters_by_name)
            raise ValueError(f"batch_field {self.batch_field!r} is not one of its parameters: {names}")
        return self

    @model_validator(mode="after")
    def check_price(self) -> Self:
        """Check that the price names parameters of the model, and values that they accept."""
        rule = self.price_rule
        if rule is None:
            return self
        if rule.is_per_second and "duration" not in self.parameters_by_name:
            raise ValueError("a price per second needs a parameter named duration")
        for values in rule.amounts:
            for name, value in zip(rule.by, values, strict=True):
                parameter = self.parameters_by_name.get(name)
                if parameter is None:
                    names = ", ".join(self.parameters_by_name)
                    raise ValueError(f"price goes by {name!r}, which is not one of its parameters: {names}")
                try:
                    is_possible = spelled(parameter.clean(value)) == value
                except ValueError:
                    is_possible = False
                if not is_possible:
                    raise ValueError(f"price has a row for {name} = {value!r}, a value that the parameter cannot have")
        return self

    @property
    def key(self) -> str:
        """The shortest name for ``catalog.get_model``: ``endpoint`` or ``provider:endpoint``."""
        return self.endpoint if self.has_unique_endpoint else f"{self.provider}:{self.endpoint}"

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(self.parameters_by_name.values())

    def parameter(self, name: str) -> Parameter | None:
        return self.parameters_by_name.get(name)

    def file_names(self, params: Mapping[str, Any]) -> list[str]:
        """Return the names of those ``params`` that hold files."""
        if not self.is_free_form:
            return [item.name for item in self.parameters if item.is_file and params.get(item.name)]
        return [
            name
            for name, value in params.items()
            if value
            and name.endswith(self.file_suffixes)
            and (isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value)))
        ]

    @property
    def note_text(self) -> str:
        """The note in the reader's language, if it is translated; "" if there is none."""
        return gettext(self.note.strip()) if self.note.strip() else ""

    @property
    def label(self) -> str:
        """The name in the reader's language. The family's name stays as it is."""
        return self._label(self.name.split(", "))

    @property
    def short_label(self) -> str:
        """The label without the type, for lists of models of one type."""
        type_name = self.task_type.value.replace("_", " ")
        return self._label([part for part in self.name.split(", ") if part != type_name])

    def _label(self, parts: list[str]) -> str:
        return gettext(", ").join(gettext(part) for part in parts)

    @property
    def result_kind(self) -> str:
        """The kind of a result: "image", "video" or "text"."""
        return RESULT_KINDS[self.task_type]

    # --- Parameters of a call ---

    def clean(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as they are sent, with the defaults that the provider demands.

        Raises ParamsInvalid with all errors.
        """
        return self._clean(params, self._defaults, self._params_type)

    def clean_partial(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return those parameters that have a value, as they are sent.

        No parameter is required, and no default is added.
        Raises ParamsInvalid with all errors.
        """
        return self._clean(params, {}, self._partial_params_type)

    def check_shared(self, params: Mapping[str, Any], *, row_names: Collection[str]) -> list[FieldError]:
        """Return the errors in parameters that many rows share, whatever the rows hold.

        A required parameter may be absent here if it is one of ``row_names``, which rows may give.
        """
        try:
            self.clean(params)
        except ParamsInvalid as invalid:
            absent = {name for name in row_names if is_absent(params.get(name))}
            return [
                error
                for error in invalid.errors
                if error.field not in absent or error.field not in self.parameters_by_name
            ]
        return []

    def _clean(
        self, params: Mapping[str, Any], defaults: Mapping[str, Any], params_type: TypeAdapter[dict[str, Any]]
    ) -> dict[str, Any]:
        if type(params) is not dict and not isinstance(params, Mapping):
            raise ParamsInvalid([FieldError("", _("The parameters must be an object of names and values."))])
        names = self.parameters_by_name
        values = {**defaults}
        for name, value in params.items():
            if name not in names or not is_absent(value):
                values[name] = value
        if self.is_free_form:
            wrong = [name for name in values if not isinstance(name, str) or name in self.reserved]
            if wrong:
                raise ParamsInvalid([FieldError(str(name), self._name_problem(name)) for name in wrong])
            return values
        try:
            return params_type.validate_python(values)
        except ValidationError as error:
            problems = error.errors(include_url=False)
        errors: dict[str, str] = {}
        for problem in problems:
            key = problem["loc"][0]
            if key not in names:
                errors[str(key)] = self._name_problem(key)
        for problem in problems:
            name = str(problem["loc"][0])
            if name in names and name not in errors:
                errors[name] = names[name].message(problem)
        raise ParamsInvalid([FieldError(name, message) for name, message in errors.items()])

    def _name_problem(self, name: object) -> str:
        """Return the message about a name that is not one of the model's parameters."""
        if not isinstance(name, str):
            return _("A parameter's name must be text.")
        if name in self.reserved:
            return _("This parameter is set by the server.")
        texts = {"name": name, "allowed": ", ".join(self.parameters_by_name)}
        close = difflib.get_close_matches(name, self.parameters_by_name, n=1)
        if close:
            return _('Unknown parameter "%(name)s". Did you mean "%(close)s"? Allowed: %(allowed)s.') % (
                texts | {"close": close[0]}
            )
        return _('Unknown parameter "%(name)s". Allowed: %(allowed)s.') % texts

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return {item.name: item.default for item in self.parameters if item.is_required and item.default is not None}

    @cached_property
    def _params_type(self) -> TypeAdapter[dict[str, Any]]:
        return _typed_dict(self.name, self.parameters, {item.name for item in self.parameters if item.is_required})

    @cached_property
    def _partial_params_type(self) -> TypeAdapter[dict[str, Any]]:
        return _typed_dict(self.name, self.parameters, set())

    @cached_property
    def params_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of a caller's parameters. Cached: do not modify it."""
        required = {item.name for item in self.parameters if item.is_required and item.default is None}
        schema = _typed_dict(self.name, self.parameters, required).json_schema(schema_generator=_JsonSchema)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            "type": "object",
            "properties": schema.get("properties", {}),
            "required": schema.get("required", []),
            "additionalProperties": self.is_free_form,
        }

    # --- Price ---

    def price(self, params: Mapping[str, Any]) -> Decimal | None:
        """Return the published price of one call in ``currency``, or None when it is unknown.

        ``params`` may be cleaned or not; defaults stand in for what is absent.
        """
        rule = self.price_rule
        if rule is None:
            return None
        amount = rule.amounts.get(tuple(self._spelled(params, name) for name in rule.by))
        if amount is None or not rule.is_per_second:
            return amount
        seconds = self._spelled(params, "duration")
        return amount * Decimal(seconds) if seconds.replace(".", "", 1).isdecimal() else None

    def _spelled(self, params: Mapping[str, Any], name: str) -> str:
        value = params.get(name)
        return spelled(self.parameters_by_name[name].default if is_absent(value) else value)

    @property
    def price_text(self) -> str:
        """The price of a call for people: ``¥0.29 to ¥4.738 each, by quality``."""
        rule = self.price_rule
        if rule is None:
            return _("The price is unknown.")
        lowest, highest = min(rule.amounts.values()), max(rule.amounts.values())
        if not highest:
            return _("Free.")
        amount = money_text(lowest, self.currency)
        if lowest != highest:
            amount = _("%(lowest)s to %(highest)s") % {"lowest": amount, "highest": money_text(highest, self.currency)}
        words = _("%(amount)s per second of result") if rule.is_per_second else _("%(amount)s each")
        words %= {"amount": amount}
        fields = _(", ").join(parameter_label(name).lower() for name in rule.by)
        return _("%(words)s, by %(fields)s") % {"words": words, "fields": fields} if rule.by else words


class _JsonSchema(GenerateJsonSchema):
    """pydantic's JSON Schema without a title for each property."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _typed_dict(name: str, parameters: Iterable[Parameter], required: Collection[str]) -> TypeAdapter[dict[str, Any]]:
    """Return the type of a set of parameters: a dict with these keys and no others."""
    keys: dict[str, Any] = {
        item.name: Required[item.value_type] if item.name in required else NotRequired[item.value_type]
        for item in parameters
    }
    make: Any = TypedDict
    params_type = make(name, keys)
    params_type.__pydantic_config__ = STRICT
    return TypeAdapter(params_type)
