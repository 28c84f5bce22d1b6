"""Templates in the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils.translation import gettext as _
from ninja import Field, Schema
from pydantic import ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from core.api.pagination import PageIn, PageOut
from core.file_names import MAX_PATTERN
from providers.catalog.task_types import TaskType
from templates_app import services
from templates_app.models import MissionTemplate

ParameterName = Annotated[str, Field(max_length=100)]


class TemplateConfig(Schema):
    """``model``: an endpoint, or provider:endpoint; blank for the default of the task type.

    ``params`` may lack any parameter, even a required one. ``batch_fields``: the parameters that a
    mission's rows fill; without them, the model's batch field. ``file_name_pattern``: that of the
    missions; its placeholders are checked when it is used.
    """

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=200)] = ""
    params: dict[str, Any] = {}
    batch_fields: Annotated[list[ParameterName], Field(max_length=50)] = []
    file_name_pattern: Annotated[str, Field(max_length=MAX_PATTERN)] = ""

    @model_validator(mode="before")
    @classmethod
    def _require_params(cls, values: Any) -> Any:
        """Refuse parameters beside ``params``, where a mission has them."""
        unknown = [name for name in values if name not in cls.model_fields] if isinstance(values, dict) else []
        if unknown:
            message = _('Unknown name. Put parameters into params: {"params": {…}, "batch_fields": […]}.')
            problem = PydanticCustomError("unknown_name", "{message}", {"message": message})
            errors = [InitErrorDetails(type=problem, loc=(name,), input=values[name]) for name in unknown]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return values


class TemplateIn(Schema):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=10_000)] = ""
    task_type: TaskType
    config: TemplateConfig

    def values(self) -> dict[str, Any]:
        """Return the arguments of ``services.create_template``, but for the owner."""
        return self.dict() | {"task_type": self.task_type.value}


class TemplateErrorOut(Schema):
    field: str
    message: str


class TemplateOut(Schema):
    """A template. ``problems`` says why it cannot be used, and is empty if it can."""

    id: int
    name: str
    description: str
    owner: str
    task_type: str
    config: dict[str, Any] = Field(description="As it was saved: model, params, batch_fields.")
    problems: list[TemplateErrorOut]
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_owner(template: MissionTemplate) -> str:
        return template.owner.get_username()

    @staticmethod
    def resolve_config(template: MissionTemplate) -> dict[str, Any]:
        return template.config if isinstance(template.config, dict) else {}

    @staticmethod
    def resolve_problems(template: MissionTemplate) -> list[Any]:
        return list(services.template_errors(template))


class TemplatePage(PageOut):
    items: list[TemplateOut]


class TemplateFilterIn(PageIn):
    task_type: TaskType | None = None
