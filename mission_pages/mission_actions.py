"""The buttons of a mission's pages.

Each one is a POST that redirects to a page with a message; a GET changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.rights import Action
from core.errors import NotPossible
from core.http.redirects import safe_next
from core.templatetags.ui import number
from mission_pages.access import actor, visible_mission
from mission_pages.forms import (
    MissionSettingsForm,
    RaiseLimitForm,
    ReleaseForm,
    RetryForm,
    SaveTemplateForm,
    StartForm,
)
from mission_pages.mission import render_tab, settings_context
from missions import failures, lifecycle, services
from missions.services import MissionInvalid
from providers import catalog
from templates_app import services as template_services
from templates_app.services import TemplateInvalid


@login_required
@require_POST
def pause(request: HttpRequest, mission_id: int) -> HttpResponse:
    def act() -> str:
        services.pause_mission(mission_id=mission_id, actor=actor(request))
        return _("Paused. Running items will finish; nothing else is sent until you resume.")

    return _act(request, mission_id, act)


@login_required
@require_POST
def resume(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Resume the mission, with a higher limit if the form has one."""
    form = RaiseLimitForm(request.POST)

    def act() -> str:
        services.resume_mission(mission_id=mission_id, actor=actor(request), **form.cleaned_data)
        return _("Resumed.")

    return _act(request, mission_id, act, form)


@login_required
@require_POST
def release(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Let the rows run that wait behind the first ones, for at most the price on the button."""
    form = ReleaseForm(request.POST)

    def act() -> str:
        released = services.release_mission(mission_id=mission_id, actor=actor(request), **form.cleaned_data)
        text = ngettext("%(count)s item released.", "%(count)s items released.", released.count)
        return text % {"count": number(released.count)}

    return _act(request, mission_id, act, form)


@login_required
@require_POST
def start(request: HttpRequest, mission_id: int) -> HttpResponse:
    def act() -> str:
        services.start_mission(mission_id=mission_id, actor=actor(request))
        return _("Started.")

    return _act(request, mission_id, act)


@login_required
@require_POST
def reschedule(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Change the planned start."""
    form = StartForm(request.POST)

    def act() -> str:
        services.change_mission(mission_id=mission_id, actor=actor(request), **form.cleaned_data)
        return _("The planned start was changed.")

    return _act(request, mission_id, act, form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Ask first, naming what is lost and what is charged all the same. Cancel on POST."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    if request.method != "POST":
        return render(
            request, "mission_pages/cancel.html", {"mission": mission, "next": _next_url(request, mission_id)}
        )

    def act() -> str:
        stopped = services.cancel_mission(mission_id=mission_id, actor=actor(request))
        return ngettext(
            "Cancelled. %(count)d item was not sent and costs nothing.",
            "Cancelled. %(count)d items were not sent and cost nothing.",
            stopped.cancelled_count,
        ) % {"count": stopped.cancelled_count}

    return _act(request, mission_id, act)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Ask first, naming what is lost. Delete on POST."""
    mission = visible_mission(request, mission_id, Action.DELETE)
    if request.method != "POST":
        context = {"mission": mission, "is_open": mission.status in lifecycle.OPEN}
        return render(request, "mission_pages/delete.html", context | {"next": _next_url(request, mission_id)})
    stopped = services.delete_mission(mission_id=mission_id, actor=actor(request))
    text = _(
        "“%(name)s” was deleted. Its files are removed once the items still running at the provider have finished."
    )
    if stopped.is_removed:
        text = _("“%(name)s” and its files were deleted.")
    messages.success(request, text % {"name": mission.name})
    return redirect("missions:list")


@login_required
@require_POST
def retry(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Retry all failed items, those of one cause, or those that may work now.

    These are the items of which another try may help, and those that were edited. At most as many
    are retried as the button named.
    """
    mission = visible_mission(request, mission_id, Action.CHANGE)
    form = RetryForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Nothing was retried. Select again what to retry."))
        return redirect("missions:failures", mission_id)
    at_most = form.cleaned_data["at_most"]
    error_code = (form.cleaned_data["error_code"] or "") if form.cleaned_data["has_code"] else None

    selection: dict[str, Any] = {"error_code": error_code}
    if form.cleaned_data["promising"]:
        groups = failures.failure_groups(mission)
        codes = [group.error_code for group in groups if group.is_promising]
        selection = {"error_codes": codes, "has_edited": True}
    elif form.cleaned_data["edited"]:
        selection |= {"error_codes": [], "has_edited": True}

    def act() -> str:
        retried = services.retry_failed(mission_id=mission_id, actor=actor(request), at_most=at_most, **selection)
        if not retried.count:
            return _("Nothing was retried: none of these items is failed any more.")
        text = ngettext("%(count)d item resubmitted.", "%(count)d items resubmitted.", retried.count)
        return text % {"count": retried.count}

    return _act(request, mission_id, act)


@login_required
@require_POST
def change(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Change the name, the description, the priority and the spending limit."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    form = MissionSettingsForm(request.POST, mission=mission)
    if form.is_valid():
        try:
            services.change_mission(mission_id=mission_id, actor=actor(request), **form.cleaned_data)
        except MissionInvalid as invalid:
            for error in invalid.errors:
                form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.success(request, _("Saved."))
            return redirect("missions:settings", mission_id)
    return render_tab(request, mission, "settings", settings_context(mission, form=form), status=422)


@login_required
@require_POST
def save_template(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Save the mission's model and shared parameters as a template of the signed-in person."""
    mission = visible_mission(request, mission_id)
    owner = cast(User, request.user)
    form = SaveTemplateForm(request.POST, prefix="template")
    if form.is_valid():
        model_key, pattern = catalog.model_of(mission).key, mission.file_name_pattern
        config = {"model": model_key, "params": mission.params, "file_name_pattern": pattern}
        try:
            template_services.create_template(
                owner=owner, task_type=mission.task_type, config=config, **form.cleaned_data
            )
        except TemplateInvalid as invalid:
            for problem in invalid.errors:
                form.add_error(problem.field if problem.field in form.fields else None, problem.message)
        else:
            messages.success(request, _("Template “%(name)s” saved.") % {"name": form.cleaned_data["name"]})
            return redirect("missions:settings", mission_id)
    return render_tab(request, mission, "settings", settings_context(mission, template_form=form), status=422)


def _act(request: HttpRequest, mission_id: int, act: Callable[[], str], form: forms.Form | None = None) -> HttpResponse:
    """Change a mission, show the message that ``act`` returns, and redirect.

    With an invalid form nothing changes, and its errors are shown.
    """
    visible_mission(request, mission_id, Action.CHANGE)
    if form is not None and not form.is_valid():
        messages.error(request, " ".join(str(errors[0]) for errors in form.errors.values()))
        return redirect(_next_url(request, mission_id))
    try:
        messages.success(request, act())
    except NotPossible as refusal:
        messages.error(request, str(refusal))
    except MissionInvalid as invalid:
        messages.error(request, " ".join(error.message for error in invalid.errors))
    return redirect(_next_url(request, mission_id))


def _next_url(request: HttpRequest, mission_id: int) -> str:
    """Return the page that the form names, else the mission's."""
    return safe_next(request, reverse("missions:mission", args=[mission_id]))
