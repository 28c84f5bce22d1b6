"""``/models``, ``/task_types``: the models, their parameters and prices."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from ninja import Router

from providers import catalog
from providers.catalog.task_types import TaskType
from providers.schemas import ModelOut, ModelsOut, TaskTypesOut

router = Router(tags=["Catalogue"])


@router.get("/models", response=ModelsOut, summary="List models")
def list_models(request: HttpRequest, task_type: TaskType | None = None) -> dict[str, Any]:
    """All of them, not in pages: the catalogue is a few dozen models long."""
    found = catalog.all_models(task_type)
    return {"items": found, "total": len(found)}


# What a mission will cost is answered by submitting it with validate_only: a price depends on every row's parameters.
@router.get("/models/{path:endpoint}", response=ModelOut, summary="Show a model")
def show_model(request: HttpRequest, endpoint: str) -> catalog.Model:
    try:
        return catalog.get_model(endpoint)
    except catalog.UnknownModel as error:
        raise Http404 from error


@router.get("/task_types", response=TaskTypesOut, summary="List task types")
def list_task_types(request: HttpRequest) -> dict[str, Any]:
    found = [_task_type(task_type) for task_type in TaskType]
    return {"items": found, "total": len(found)}


def _task_type(task_type: TaskType) -> dict[str, Any]:
    shown = catalog.find_default(task_type)
    usual = catalog.free_form_model("any", task_type)
    return {
        "task_type": task_type,
        "label": str(task_type.label),
        "result_kind": usual.result_kind,
        "default_model": shown.endpoint if shown else None,
        "batch_field": (shown or usual).batch_field,
    }
