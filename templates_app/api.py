"""``/templates``: named sets of parameters.

It stands here and not in the templates app because parameters are checked against the catalogue, and the templates app knows no
models.  Checking first and storing then are two plain calls; handing the rules down as an argument would hide the order.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Path, Query, Router, Status

from core.api.ids import RowId
from core.api.pagination import page_of
from missions import selectors
from templates_app import rules, services
from templates_app.models import MissionTemplate
from templates_app.schemas import TemplateFilterIn, TemplateIn, TemplateOut, TemplatePage

router = Router(tags=["Templates"])


@router.post("", response={201: TemplateOut}, summary="Save a template")
def create(request: HttpRequest, payload: TemplateIn) -> Status[MissionTemplate]:
    """Names are unique per owner.  Each parameter that is given is checked against the model."""
    owner = cast(User, request.user)
    return Status(201, services.create_template(owner=owner, **_checked(owner, payload)))


@router.get("", response=TemplatePage, summary="List templates")
def list_templates(request: HttpRequest, wanted: Query[TemplateFilterIn]) -> dict[str, Any]:
    """By name."""
    templates = MissionTemplate.objects.visible_to(cast(User, request.user))
    return page_of(selectors.find_templates(templates, task_type=wanted.task_type), wanted)


@router.get("/{template_id}", response=TemplateOut, summary="Show a template")
def show(request: HttpRequest, template_id: Path[RowId]) -> MissionTemplate:
    return _visible(request, template_id)


@router.put("/{template_id}", response=TemplateOut, summary="Replace a template")
def replace(request: HttpRequest, template_id: Path[RowId], payload: TemplateIn) -> MissionTemplate:
    template = _visible(request, template_id)
    return services.update_template(template=template, **_checked(template.owner, payload))


@router.delete("/{template_id}", response={204: None}, summary="Delete a template")
def delete(request: HttpRequest, template_id: Path[RowId]) -> Status[None]:
    """Missions made from it stay as they are."""
    services.delete_template(template=_visible(request, template_id))
    return Status(204, None)


def _checked(owner: User, payload: TemplateIn) -> dict[str, Any]:
    """What to store, once its config was found to be valid for its owner."""
    config = rules.clean_config(owner=owner, task_type=payload.task_type, config=payload.config.dict())
    return payload.dict() | {"config": config, "task_type": payload.task_type.value}


def _visible(request: HttpRequest, template_id: int) -> MissionTemplate:
    templates = MissionTemplate.objects.visible_to(cast(User, request.user)).select_related("owner")
    return get_object_or_404(templates, pk=template_id)
