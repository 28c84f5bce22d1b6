"""``/missions/ID/items/N``: one item, its attempts and history, and its retry."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.rights import Action
from core.errors import NotPossible
from core.http.redirects import safe_next
from mission_pages.access import actor, balances_of, visible_item
from mission_pages.forms import ItemParametersForm, ProviderTaskForm, TagsForm
from mission_pages.item_presenter import present_items
from mission_pages.mission import failures_context, head_context, render_tab
from mission_pages.running import present_running
from missions import event_source, failures, lifecycle, selectors, services
from missions.models import AttemptStatus, ItemStatus, MissionItem, MissionStatus, OutputStatus
from missions.services import MissionInvalid
from providers import catalog

LATEST_ROWS = 50  # of attempts and of events
CHANGING = (ItemStatus.PENDING, ItemStatus.SUBMITTING, ItemStatus.PROCESSING)


@login_required
@require_safe
def show_item(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    item = visible_item(request, mission_id, index)
    return render_item(request, item, parameters_form(item))


@login_required
@require_POST
def retry_item(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    """Retry the item with the parameters that were changed in the form."""
    item = visible_item(request, mission_id, index, Action.CHANGE)
    form = parameters_form(item, request.POST)
    if not form.is_valid():
        return render_item(request, item, form, status=422)
    try:
        services.retry_item(item=item, actor=actor(request), params=form.changed_params() or None)
    except MissionInvalid as invalid:
        form.add_errors({error.field.removeprefix("params").lstrip("."): error.message for error in invalid.errors})
        return render_item(request, item, form, status=422)
    except NotPossible as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Item %(number)d resubmitted.") % {"number": item.index})
    return redirect("missions:item", mission_id, index)


@login_required
@require_POST
def attach_task(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    """Attach the provider's task that a person has looked up.

    Its result is downloaded and nothing is paid again.
    """
    item = visible_item(request, mission_id, index, Action.CHANGE)
    form = ProviderTaskForm(request.POST, auto_id=f"task-{index}-%s")
    if form.is_valid():
        try:
            task_id = form.cleaned_data["remote_task_id"]
            services.resolve_with_task(item=item, remote_task_id=task_id, actor=actor(request))
        except NotPossible as refusal:
            form.add_error("remote_task_id", str(refusal))
        else:
            messages.success(request, _("Task attached. Its result will be downloaded at no extra cost."))
            return redirect(safe_next(request, reverse("missions:failures", args=[mission_id])))
    context = failures_context(item.mission, invalid_form=form, invalid_index=index)
    return render_tab(request, item.mission, "failures", context, status=422)


@login_required
@require_POST
def void_unconfirmed(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    """Submit the item again, because it never ran at the provider. That is a new paid attempt."""
    item = visible_item(request, mission_id, index, Action.CHANGE)
    try:
        services.resolve_as_not_run(item=item, actor=actor(request))
    except NotPossible as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Item %(number)d resubmitted.") % {"number": index})
    return redirect(safe_next(request, reverse("missions:failures", args=[mission_id])))


def parameters_form(item: MissionItem, data: Any = None) -> ItemParametersForm:
    """Return the form with all parameters of an item."""
    return ItemParametersForm(catalog.model_of(item.mission), item.mission.params | item.params, data)


def render_item(
    request: HttpRequest,
    item: MissionItem,
    form: ItemParametersForm,
    *,
    tags_form: TagsForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the page of an item with these forms."""
    attempts = list(item.attempts.defer("raw", "request").order_by("-number")[:LATEST_ROWS])
    outputs = list(item.outputs.all())
    for output in outputs:
        output.item = item
    versions = list(lifecycle.versions_of(item.mission, item).order_by("version").prefetch_related("outputs"))
    unconfirmed = [attempt for attempt in attempts if attempt.status == AttemptStatus.UNCONFIRMED]
    single_estimate = failures.estimate(item.mission, 1)
    context = head_context(item.mission, "items") | {
        "latest_event_id": event_source.latest_event_id(item.mission),
        "item": item,
        "item_view": present_items(item.mission, [item])[0],
        "form": form,
        "tags_form": tags_form or TagsForm(initial={"tags": ", ".join(tag.name for tag in item.tags.all())}),
        "known_tags": selectors.known_tags(item.mission.owner_id),
        "outputs": outputs,
        "versions": versions if len(versions) > 1 else [],
        "latest_version": (versions or [item])[-1].version,
        "running": next(iter(present_running(item.mission, [item])), None),
        "is_changing": item.status in CHANGING or any(output.status == OutputStatus.PENDING for output in outputs),
        "attempts": attempts,
        "unconfirmed_attempt": unconfirmed[0] if unconfirmed else None,
        "events": list(item.events.filter(text="").order_by("-pk")[:LATEST_ROWS]),
        "is_history_removed": bool(attempts or item.ended_at),
        "advice": failures.ADVICE[failures.remedy_of(item.mission, item.error_code)],
        "task_form": ProviderTaskForm(auto_id=f"task-{item.index}-%s"),
        "single_estimate": single_estimate,
        "balances": balances_of(request, item.mission, single_estimate) if unconfirmed else [],
        "can_retry": item.status == ItemStatus.FAILED,
        "can_run_again": item.status == ItemStatus.COMPLETED and item.mission.status != MissionStatus.CANCELLED,
        "is_editing": "edit" in request.GET or form.is_bound,
        "again_price": services.price_again(item.mission, [item]),
        "is_usable": any(output.content_type.startswith("image/") and output.file for output in outputs),
    }
    return render(request, "mission_pages/item.html", context, status=status)
