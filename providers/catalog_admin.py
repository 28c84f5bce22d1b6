"""``/admin/models/``: the catalogue, which is data in files and no table."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from providers import catalog
from providers.catalog.labels import parameter_label
from providers.catalog.task_types import TaskType


@require_safe
def show_models(request: HttpRequest) -> HttpResponse:
    """Every model by task type, with its address, its price, and its parameters."""
    groups = []
    for task_type in TaskType:
        default = catalog.find_default(task_type)
        models = [
            {
                "model": model,
                "price": model.price_text,
                "is_default": default is not None and model.endpoint == default.endpoint,
                "parameters": [(field, parameter_label(field.name)) for field in model.parameters],
            }
            for model in catalog.all_models(task_type)
        ]
        groups.append((task_type, models))
    context = admin.site.each_context(request) | {"title": _("Models"), "groups": groups}
    return TemplateResponse(request, "admin/providers/models.html", context)
