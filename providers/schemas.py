"""The catalogue in responses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ninja import Field, Schema

from providers import catalog
from providers.catalog.task_types import TaskType


class FieldOut(Schema):
    """One parameter.  ``default`` of a required one is sent when none is given; of an optional one, a price assumes it."""

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


class PriceRowOut(Schema):
    """``amount`` holds when the parameters named in ``when`` have these values."""

    when: dict[str, str]
    amount: Decimal


class PriceOut(Schema):
    """``words`` is for people.  ``unit``: per ``call``, or per ``second`` of the parameter ``duration``.  No rows: not known."""

    words: str
    currency: str
    unit: str = Field(examples=["call", "second"])
    by: list[str]
    rows: list[PriceRowOut]


class ModelOut(Schema):
    """A model.  ``deadline_seconds``: the longest wait for a result.  ``max_attempts``: paid attempts per item, at most."""

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
    params_schema: dict[str, Any] = Field(description="JSON Schema (2020-12) of an item's parameters.")

    @staticmethod
    def resolve_is_default(model: catalog.Model) -> bool:
        return catalog.find_default(model.task_type) is model

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
