"""``/models`` and ``/task_types``: what can be made, with which parameters, at what price."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest
from ninja import Query, Router, Status

from accounts.authentication import CREATING
from core.api.openapi import refusals
from providers import added_models, catalog
from providers.catalog.task_types import RESULT_KINDS
from providers.models import ProviderModel
from providers.schemas import ModelFilterIn, ModelIn, ModelOut, ModelPatch, ModelsOut, TaskTypesOut

router = Router(tags=["Catalogue"])
RULES = {
    "name": "It is blank.",
    "definition": "It breaks a rule of docs/models.md, or is larger than 64 KiB. Only operators may set a price, or "
    "change the definition of a shared model.",
    "is_shared": "Only operators may share a model.",
}


@router.get("/models", response=ModelsOut, summary="List models")
def list_models(request: HttpRequest, filters: Query[ModelFilterIn]) -> dict[str, Any]:
    """All models in one page: those of the catalogue, your own, and those that others share."""
    models = catalog.all_models(filters.task_type, provider=filters.provider, owner_id=request.user.pk)
    return {"items": models, "total": len(models)}


@router.post(
    "/models",
    auth=CREATING,
    response={201: ModelOut},
    summary="Add a model",
    openapi_extra={"responses": refusals(endpoint="The catalogue has it already, or you have.", **RULES)},
)
def add_model(request: HttpRequest, payload: ModelIn) -> Status[catalog.Model]:
    """Only you see it, unless an operator shares it. Only operators may set a price.

    `definition` holds `task_type`, `batch_field`, `parameters`, and if you like `note`,
    `deadline_seconds`, `max_attempts`: see docs/models.md.
    """
    row = added_models.create_model(user=cast(User, request.user), **payload.dict())
    return Status(201, catalog.model_of_row(row))


# The cost of a mission is answered by submitting it with validate_only: it depends on every row.
@router.get("/models/{path:endpoint}", response=ModelOut, summary="Show a model")
def show_model(request: HttpRequest, endpoint: str, provider: str = "") -> catalog.Model:
    """Give `provider`, or `provider:endpoint`, where several providers have the endpoint."""
    try:
        return catalog.get_model(endpoint, provider, owner_id=request.user.pk)
    except catalog.UnknownModel as error:
        raise Http404 from error


@router.patch(
    "/models/{path:endpoint}",
    response=ModelOut,
    summary="Change a model of your own",
    openapi_extra={"responses": refusals(**RULES)},
)
def change_model(request: HttpRequest, endpoint: str, payload: ModelPatch, provider: str = "") -> catalog.Model:
    """Replace its name, definition or switches.

    A definition is replaced as a whole, and not while an open mission uses the model.
    """
    row = _own_model(request, endpoint, provider)
    user = cast(User, request.user)
    return catalog.model_of_row(
        added_models.update_model(user=user, model=row, **payload.dict(exclude_unset=True, exclude_none=True))
    )


@router.delete("/models/{path:endpoint}", response={204: None}, summary="Remove a model of your own")
def remove_model(request: HttpRequest, endpoint: str, provider: str = "") -> Status[None]:
    """Missions that use it go on."""
    added_models.remove_model(model=_own_model(request, endpoint, provider))
    return Status(204, None)


@router.get("/task_types", response=TaskTypesOut, summary="List task types")
def list_task_types(request: HttpRequest) -> dict[str, Any]:
    """Those that at least one model has."""
    items = []
    for task_type in catalog.offered_task_types():
        default = catalog.find_default(task_type)
        items.append(
            {
                "task_type": task_type,
                "label": str(task_type.label),
                "result_kind": RESULT_KINDS[task_type],
                "default_model": default.key if default else None,
                "batch_field": (default or catalog.free_form_model("any", task_type)).batch_field,
            }
        )
    return {"items": items, "total": len(items)}


def _own_model(request: HttpRequest, endpoint: str, provider: str) -> ProviderModel:
    """Return the caller's own model. An endpoint at several providers needs the provider."""
    provider, endpoint = catalog.split(endpoint, provider)
    own = ProviderModel.objects.current().filter(owner_id=request.user.pk, endpoint=endpoint)
    matches = list(own.filter(provider=provider) if provider else own)
    if len(matches) != 1:
        raise Http404
    return matches[0]
