"""The catalogue in the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, cast

from django.http import HttpRequest
from ninja import Field, Schema
from pydantic import ConfigDict, WithJsonSchema

from core.api.openapi import without_defaults
from providers import catalog
from providers.adapters.registry import PROVIDERS
from providers.catalog.models import ENDPOINT_PATTERN
from providers.catalog.task_types import TaskType

Definition = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "The keys of a block in docs/models.md.",
            "required": ["task_type", "batch_field", "parameters"],
            "additionalProperties": False,
            "properties": {
                "task_type": {"enum": TaskType.values},
                "batch_field": {"type": "string", "description": "The parameter that a bare string in a batch fills."},
                "parameters": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {
                        "type": "object",
                        "required": ["type"],
                        "properties": {"type": {"enum": [kind.value for kind in catalog.ParameterType]}},
                    },
                },
                "note": {"type": "string"},
                "deadline_seconds": {"type": "integer", "minimum": 1},
                "max_attempts": {"type": "integer", "minimum": 1, "maximum": 10},
                "price": {"description": "Operators only."},
                "currency": {"type": "string", "description": "Operators only."},
            },
            "examples": [
                {
                    "task_type": "text_to_image",
                    "batch_field": "prompt",
                    "parameters": {"prompt": {"type": "text", "is_required": True, "max_length": 4000}},
                }
            ],
        }
    ),
]


class ModelFilterIn(Schema):
    model_config = ConfigDict(extra="forbid")

    task_type: TaskType | None = None
    provider: Annotated[str, Field(max_length=32)] = ""


class ModelIn(Schema):
    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, WithJsonSchema({"type": "string", "enum": list(PROVIDERS)})]
    endpoint: Annotated[
        str, Field(min_length=1, max_length=200, json_schema_extra={"pattern": f"^{ENDPOINT_PATTERN}$"})
    ]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    definition: Definition
    is_shared: Annotated[bool, Field(strict=True, description="Operators only: everybody may use it.")] = False
    is_enabled: Annotated[bool, Field(strict=True, description="False: no new missions with it.")] = True


class ModelPatch(Schema):
    model_config = ConfigDict(extra="forbid", json_schema_extra=without_defaults)

    name: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    definition: Definition | None = None
    is_shared: Annotated[bool | None, Field(strict=True)] = None
    is_enabled: Annotated[bool | None, Field(strict=True)] = None


class FieldOut(Schema):
    """One parameter.

    ``default`` of a required one is sent when none is given; of an optional one, a price assumes
    it.
    """

    name: str
    type: catalog.ParameterType
    is_required: bool
    choices: list[str]
    default: str | int | float | bool | list[Any] | dict[str, Any] | None
    min_length: int | None
    max_length: int | None
    minimum: int | float | None
    maximum: int | float | None
    max_count: int | None
    formats: list[str]
    max_bytes: int | None
    max_side: int | None


class PriceRowOut(Schema):
    """``amount`` holds when the parameters named in ``when`` have these values."""

    when: dict[str, str]
    amount: Decimal


class PriceOut(Schema):
    """``words`` is for people. ``unit``: per ``call``, or per ``second`` of ``duration``.

    No rows: the price is unknown.
    """

    words: str
    currency: str
    unit: str = Field(examples=["call", "second"])
    by: list[str]
    rows: list[PriceRowOut]


class ModelOut(Schema):
    """A model.

    ``deadline_seconds``: the longest wait for a result. ``max_attempts``: paid attempts per item.
    """

    provider: str
    endpoint: str
    name: str
    task_type: TaskType
    result_kind: str = Field(examples=["image", "video", "text"])
    batch_field: str
    is_default: bool
    note: str
    deadline_seconds: int
    max_attempts: int
    price: PriceOut
    fields: list[FieldOut]
    source: str = Field(
        examples=["catalogue", "own", "shared"],
        description="Who added it: the program, you, or somebody who shares it.",
    )
    params_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of an item's parameters.")

    @staticmethod
    def resolve_is_default(model: catalog.Model) -> bool:
        return catalog.find_default(model.task_type) is model

    @staticmethod
    def resolve_source(model: catalog.Model, context: Any) -> str:
        if not model.is_added:
            return "catalogue"
        return "own" if model.owner_id == cast(HttpRequest, context["request"]).user.pk else "shared"

    @staticmethod
    def resolve_price(model: catalog.Model) -> dict[str, Any]:
        rule = model.price_rule
        by = rule.by if rule else ()
        return {
            "words": model.price_text,
            "currency": model.currency,
            "unit": "second" if rule and rule.is_per_second else "call",
            "by": list(by),
            "rows": [
                {"when": dict(zip(by, values, strict=True)), "amount": amount}
                for values, amount in (rule.amounts.items() if rule else ())
            ],
        }

    @staticmethod
    def resolve_fields(model: catalog.Model) -> list[catalog.Parameter]:
        return list(model.parameters)


class ModelsOut(Schema):
    items: list[ModelOut]
    total: int


class TaskTypeOut(Schema):
    """``default_model`` is null when the settings name one that the catalogue does not have."""

    task_type: TaskType
    label: str
    result_kind: str = Field(examples=["image", "video", "text"])
    default_model: str | None
    batch_field: str


class TaskTypesOut(Schema):
    items: list[TaskTypeOut]
    total: int
