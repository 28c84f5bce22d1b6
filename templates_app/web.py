"""Pages of templates: list, create, edit, delete.

A template is used by opening a new mission with it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts import rights
from accounts.rights import Action
from media.models import MediaFile
from providers import catalog
from providers.catalog.labels import parameter_label
from providers.catalog.task_types import TaskType
from templates_app import selectors, services
from templates_app.forms import TemplateFilterForm, TemplateForm, references_in, values_of
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid

PAGE_SIZE = 24
IMAGES_OFFERED = 24
REDRAW = "redraw"  # posted by a button, or by htmx, to show another model's fields without saving


@login_required
@require_safe
def show_list(request: HttpRequest) -> HttpResponse:
    """Show a page of templates. The filters are part of the URL."""
    templates = MissionTemplate.objects.visible_to(cast(User, request.user))
    filters = TemplateFilterForm(request.GET).filters()
    page = Paginator(selectors.find_templates(templates, **filters), PAGE_SIZE).get_page(request.GET.get("page"))
    task_types = catalog.offered_task_types()
    chips = [
        {
            "value": value,
            "text": text,
            "url": "?" + urlencode({"type": value, "search": filters["search"]}),
            "is_current": value == filters["task_type"],
        }
        for value, text in [("", _("All")), *((each.value, capfirst(each.label)) for each in task_types)]
    ]
    context = {
        "page": page,
        "cards": [_card(template) for template in page],
        "filters": filters,
        "chips": chips,
        "has_any": bool(page.paginator.count) or templates.exists(),
    }
    return render(request, "templates_app/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Ask for the task type first, then show the form."""
    task_type = request.GET.get("type", "")
    if task_type not in catalog.offered_task_types():
        return render(request, "templates_app/choose_type.html", {"task_types": catalog.offered_task_types()})
    return _form_page(request, task_type)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, template_id: int) -> HttpResponse:
    """Show the form of a template; save it on POST."""
    template = _visible(request, template_id)
    if request.method == "POST" and REDRAW not in request.POST:
        rights.require(request.user, Action.CHANGE, template)
    is_offered = template.task_type in catalog.offered_task_types()
    return _form_page(request, template.task_type if is_offered else TaskType.TEXT_TO_IMAGE, template)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, template_id: int) -> HttpResponse:
    """Ask for confirmation, then delete."""
    template = _visible(request, template_id)
    rights.require(request.user, Action.DELETE, template)
    if request.method != "POST":
        return render(request, "templates_app/delete.html", {"template": template})
    services.delete_template(template=template)
    messages.success(request, _("Template “%s” deleted.") % template.name)
    return redirect("templates:list")


def _form_page(request: HttpRequest, task_type: str, template: MissionTemplate | None = None) -> HttpResponse:
    """Show the form, or save what was posted. Invalid values are shown again with all errors."""
    owner = template.owner if template else cast(User, request.user)
    status = 200
    if request.method == "POST":
        images = _images(owner, references_in(request.POST))
        form = TemplateForm(task_type, data=request.POST, owner_id=owner.pk, images=images)
        if REDRAW in request.POST:
            form = TemplateForm(task_type, values=form.posted_values(), owner_id=owner.pk, images=images)
        elif saved := _save(form, owner, template):
            messages.success(request, _("Template “%s” saved.") % saved.name)
            return redirect("templates:list")
        else:
            status = 422
    else:
        values = values_of(template) if template else None
        images = _images(owner, references_in(values or {}))
        form = TemplateForm(task_type, values=values, owner_id=owner.pk, images=images)
    context = {
        "form": form,
        "template": template,
        "task_type": TaskType(form.task_type),
        "price": form.chosen_model.price_text,
        "problems": _problems(template) if template and not form.is_bound else [],
        "redraw": REDRAW,
        "may_save": template is None or rights.may(request.user, Action.CHANGE, template),
    }
    return render(request, "templates_app/form.html", context, status=status)


def _save(form: TemplateForm, owner: User, template: MissionTemplate | None) -> MissionTemplate | None:
    """Store a posted form. Return None if it is invalid; then the form holds all errors."""
    form.is_valid()
    values = {
        "name": form.cleaned_data.get("name", ""),
        "description": form.cleaned_data.get("description", ""),
        "task_type": form.task_type,
        "config": form.config(),
    }
    try:
        if form.errors:
            services.clean_config(owner=owner, task_type=form.task_type, config=values["config"])
            return None
        if template is None:
            return services.create_template(owner=owner, **values)
        return services.update_template(template=template, **values)
    except TemplateInvalid as invalid:
        form.show_errors(invalid.errors)
        return None


def _card(template: MissionTemplate) -> dict[str, Any]:
    """Return the facts of a template that the list shows. Its config may be anything."""
    config = template.config if isinstance(template.config, dict) else {}
    name, params = config.get("model"), config.get("params")
    try:
        model = (
            catalog.get_model(name, owner_id=template.owner_id) if name else catalog.find_default(template.task_type)
        )
    except (catalog.UnknownModel, TypeError):
        model = None
    texts = []
    for key, value in params.items() if isinstance(params, dict) else ():
        if isinstance(value, bool):
            text = _("Yes") if value else _("No")
        elif isinstance(value, list) or (isinstance(value, str) and value.startswith("media:")):
            count = len(value) if isinstance(value, list) else 1
            text = ngettext("%(count)d image", "%(count)d images", count) % {"count": count}
        else:
            text = str(value)
        texts.append((parameter_label(key), text))
    return {
        "template": template,
        "type": TaskType(template.task_type) if template.task_type in TaskType.values else None,
        "model": model,
        "params": texts,
        "problems": _problems(template),
    }


def _problems(template: MissionTemplate) -> list[dict[str, str]]:
    """Return why a stored template cannot be used, with the labels of its parameters."""
    problems = []
    for error in services.template_errors(template):
        _before, is_parameter, name = error.field.partition("config.params.")
        problems.append({"label": parameter_label(name) if is_parameter else "", "message": error.message})
    return problems


def _images(owner: User, first_ids: Collection[int] = ()) -> list[MediaFile]:
    """Return the images that the form offers: those with ``first_ids``, then the owner's newest."""
    mine = MediaFile.objects.filter(owner=owner)
    return [*mine.filter(pk__in=first_ids), *mine.exclude(pk__in=first_ids)[:IMAGES_OFFERED]]


def _visible(request: HttpRequest, template_id: int) -> MissionTemplate:
    templates = MissionTemplate.objects.visible_to(cast(User, request.user)).select_related("owner")
    return get_object_or_404(templates, pk=template_id)
