"""``/templates``: named sets of parameters."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Path, Query, Router, Status

from accounts import rights
from accounts.authentication import CREATING
from accounts.rights import Action
from core.api.ids import RowId
from core.api.openapi import refusals
from core.api.pagination import PAGE_RULES, page_of
from templates_app import selectors, services
from templates_app.models import MissionTemplate
from templates_app.schemas import TemplateFilterIn, TemplateIn, TemplateOut, TemplatePage

router = Router(tags=["Templates"])
RULES = refusals(
    name="It is blank, or you have another template of this name.",
    config="There is no such model, or it makes another task type; a parameter does not fit it, or `batch_fields` names "
    "none of its parameters, or one twice.",
)


@router.post(
    "", auth=CREATING, response={201: TemplateOut}, summary="Save a template", openapi_extra={"responses": RULES}
)
def create_template(request: HttpRequest, payload: TemplateIn) -> Status[MissionTemplate]:
    """Names are unique per owner.

    Parameters are checked against the model; any of them may be missing.
    """
    return Status(201, services.create_template(owner=cast(User, request.user), **payload.values()))


@router.get("", response=TemplatePage, summary="List templates", openapi_extra={"responses": refusals(**PAGE_RULES)})
def list_templates(request: HttpRequest, filters: Query[TemplateFilterIn]) -> dict[str, Any]:
    """Sorted by name."""
    templates = MissionTemplate.objects.visible_to(cast(User, request.user))
    return page_of(selectors.find_templates(templates, task_type=filters.task_type), filters, stable=["name"])


@router.get("/{template_id}", response=TemplateOut, summary="Show a template")
def show_template(request: HttpRequest, template_id: Path[RowId]) -> MissionTemplate:
    return _visible(request, template_id)


@router.put("/{template_id}", response=TemplateOut, summary="Replace a template", openapi_extra={"responses": RULES})
def replace_template(request: HttpRequest, template_id: Path[RowId], payload: TemplateIn) -> MissionTemplate:
    return services.update_template(template=_visible(request, template_id, Action.CHANGE), **payload.values())


@router.delete("/{template_id}", response={204: None}, summary="Delete a template")
def delete_template(request: HttpRequest, template_id: Path[RowId]) -> Status[None]:
    """Missions made from it stay as they are."""
    services.delete_template(template=_visible(request, template_id, Action.DELETE))
    return Status(204, None)


def _visible(request: HttpRequest, template_id: int, action: Action = Action.VIEW) -> MissionTemplate:
    templates = MissionTemplate.objects.visible_to(cast(User, request.user)).select_related("owner")
    template = get_object_or_404(templates, pk=template_id)
    rights.require(request.user, action, template)
    return template
