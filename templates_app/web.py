"""Templates: list, make, change, remove.  A template is used by opening a new mission with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from core.errors import FieldError
from media.models import MediaFile
from missions import selectors
from providers import catalog
from providers.catalog import Model
from providers.catalog.labels import parameter_label
from providers.catalog.task_types import TaskType
from templates_app import rules, services
from templates_app.forms import TemplateFilterForm, TemplateForm, references_in, values_of
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid

PAGE_SIZE = 24
IMAGES_OFFERED = 24
REDRAW = "redraw"  # the button, and htmx, that ask for another model's fields without saving


@login_required
@require_safe
def show_list(request: HttpRequest) -> HttpResponse:
    templates = MissionTemplate.objects.visible_to(_user(request))
    wanted = TemplateFilterForm(request.GET).found()
    found = selectors.find_templates(templates, **wanted)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "cards": _cards(page),
        "wanted": wanted,
        "chips": _chips(wanted),
        "has_any": bool(page.paginator.count) or templates.exists(),
    }
    return render(request, "templates_app/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """First which type, then its form."""
    task_type = request.GET.get("type", "")
    if task_type not in catalog.offered_task_types():
        return render(request, "templates_app/choose_type.html", {"task_types": catalog.offered_task_types()})
    if request.method == "POST":
        return _answer(request, task_type)
    return _show_form(request, TemplateForm(task_type, images=_images(_user(request))))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, template_id: int) -> HttpResponse:
    template = _visible(request, template_id)
    task_type = template.task_type if template.task_type in TaskType.values else TaskType.TEXT_TO_IMAGE
    if request.method == "POST":
        return _answer(request, task_type, template)
    values = values_of(template)
    images = _images(template.owner, chosen=references_in(values))
    return _show_form(request, TemplateForm(task_type, values=values, images=images), template)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, template_id: int) -> HttpResponse:
    """Asked first."""
    template = _visible(request, template_id)
    if request.method != "POST":
        return render(request, "templates_app/delete.html", {"template": template})
    services.delete_template(template=template)
    messages.success(request, _("The template “%s” was deleted.") % template.name)
    return redirect("templates:list")


def _answer(request: HttpRequest, task_type: str, template: MissionTemplate | None = None) -> HttpResponse:
    """Save what was sent, or show it again: with another model's fields, or with all that is wrong with it."""
    images = _images(_owner(request, template), chosen=references_in(request.POST))
    form = TemplateForm(task_type, data=request.POST, images=images)
    if REDRAW in request.POST:
        return _show_form(request, TemplateForm(task_type, values=form.typed(), images=images), template)
    saved = _save(request, form, template)
    if saved is None:
        return _show_form(request, form, template, status=422)
    messages.success(request, _("The template “%s” was saved.") % saved.name)
    return redirect("templates:list")


def _save(request: HttpRequest, form: TemplateForm, template: MissionTemplate | None) -> MissionTemplate | None:
    """Store what the form holds.  None when it cannot be stored: then the form says why, all of it."""
    form.is_valid()
    owner = _owner(request, template)
    try:
        config = rules.clean_config(owner=owner, task_type=form.task_type, config=form.config())
        if form.errors:
            return None
        texts = {"name": form.cleaned_data["name"], "description": form.cleaned_data["description"]}
        if template is None:
            return services.create_template(owner=owner, task_type=form.task_type, config=config, **texts)
        return services.update_template(template=template, task_type=form.task_type, config=config, **texts)
    except TemplateInvalid as invalid:
        form.show_problems(invalid.errors)
        return None


def _show_form(
    request: HttpRequest, form: TemplateForm, template: MissionTemplate | None = None, *, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "template": template,
        "task_type": TaskType(form.task_type),
        "price": form.chosen.price_text,
        "problems": _explained(template) if template and not form.is_bound else [],
        "redraw": REDRAW,
    }
    return render(request, "templates_app/form.html", context, status=status)


def _chips(wanted: dict[str, str]) -> list[dict[str, Any]]:
    """The types to choose from.  Each keeps the words that are searched for."""
    choices = [("", _("All")), *((value, capfirst(label)) for value, label in TaskType.choices)]
    return [
        {
            "value": value,
            "text": text,
            "url": "?" + urlencode({"type": value, "search": wanted["search"]}),
            "is_current": value == wanted["task_type"],
        }
        for value, text in choices
    ]


def _cards(page: Page[MissionTemplate]) -> list[dict[str, Any]]:
    """Each template of a page with what is told about it."""
    return [
        {
            "template": template,
            "type": TaskType(template.task_type) if template.task_type in TaskType.values else None,
            "model": _model_of(template),
            "params": _params_of(template),
            "problems": _explained(template),
        }
        for template in page
    ]


def _explained(template: MissionTemplate) -> list[dict[str, str]]:
    """What is wrong with a stored template; a parameter by the name that people see."""
    return [{"label": _label(problem), "message": problem.message} for problem in rules.problems(template)]


def _label(problem: FieldError) -> str:
    _before, is_parameter, name = problem.field.partition("config.params.")
    return parameter_label(name) if is_parameter else ""


def _model_of(template: MissionTemplate) -> Model | None:
    """The model that a mission from the template would use; None when there is no such model (any more)."""
    endpoint = template.config.get("model") if isinstance(template.config, dict) else ""
    try:
        return catalog.get_model(endpoint) if endpoint else catalog.find_default(template.task_type)
    except (catalog.UnknownModel, TypeError):
        return None


def _params_of(template: MissionTemplate) -> list[tuple[str, str]]:
    """What is fixed, for people."""
    params = template.config.get("params") if isinstance(template.config, dict) else {}
    return (
        [(parameter_label(name), _in_words(value)) for name, value in params.items()]
        if isinstance(params, dict)
        else []
    )


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, list):
        return ngettext("%(count)d image", "%(count)d images", len(value)) % {"count": len(value)}
    if isinstance(value, str) and value.startswith("media:"):
        return ngettext("%(count)d image", "%(count)d images", 1) % {"count": 1}
    return str(value)


def _images(owner: User, chosen: Collection[int] = ()) -> list[MediaFile]:
    """What the form offers to choose from: those that are chosen already, and the owner's newest images."""
    mine = MediaFile.objects.filter(owner=owner)
    return [*mine.filter(pk__in=chosen), *mine.exclude(pk__in=chosen)[:IMAGES_OFFERED]]


def _owner(request: HttpRequest, template: MissionTemplate | None) -> User:
    return template.owner if template else _user(request)


def _visible(request: HttpRequest, template_id: int) -> MissionTemplate:
    templates = MissionTemplate.objects.visible_to(_user(request)).select_related("owner")
    return get_object_or_404(templates, pk=template_id)


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)
