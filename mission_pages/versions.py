"""Next steps from results: make them again, choose a version, use them as input."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.rights import Action
from core.errors import DomainError, NotPossible
from core.http.redirects import safe_next
from core.templatetags.ui import money
from drafts import services as drafts
from mission_pages.access import actor, balances_of, visible_item, visible_mission
from mission_pages.forms import AgainForm, ItemParametersForm, SelectionForm
from mission_pages.item import parameters_form, render_item
from mission_pages.new_mission import prefill
from mission_pages.new_mission.form import FormState
from missions import lifecycle, services
from missions.models import Mission, MissionItem, MissionStatus
from missions.services import MissionInvalid, NewVersions


@login_required
@require_POST
def again(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Make results again, if the form says which versions the person has seen; else ask first.

    A script that accepts JSON gets JSON.
    """
    mission = visible_mission(request, mission_id, Action.CHANGE)
    form = AgainForm(request.POST)
    if not form.is_valid():
        return _ask(request, mission)
    seen_versions = form.cleaned_data["item"]
    indexes = []
    kind = "success"
    try:
        added = services.make_again(
            mission_id=mission_id, indexes=list(seen_versions), actor=actor(request), seen_versions=seen_versions
        )
        indexes, text = added.indexes, _result_text(mission_id, added)
        kind = "success" if indexes else "info"
    except DomainError as refusal:
        kind, text = "error", _without_field(refusal)
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"kind": kind, "text": text, "indexes": indexes})
    tags = "ends-selection" if indexes and "selected" in request.POST else ""  # selection.js reads it
    messages.add_message(request, getattr(messages, kind.upper()), text, extra_tags=tags)
    if len(indexes) == 1 and "to_item" in request.POST:
        return redirect("missions:item", mission_id, indexes[0])
    return redirect(safe_next(request, reverse("missions:mission", args=[mission_id])))


def _ask(request: HttpRequest, mission: Mission) -> HttpResponse:
    """Show how many results are made again, what that costs, and what is against it."""
    form = SelectionForm(request.POST)
    next_url = safe_next(request, reverse("missions:mission", args=[mission.pk]))
    if not form.is_valid():
        messages.error(request, _("Select results first."))
        return redirect(next_url)
    items = list(mission.items.filter(index__in=form.indexes_of(mission)).order_by("index"))
    latest = lifecycle.latest_versions(mission, [item.place for item in items])
    price = services.price_again(mission, items)
    context = {
        "mission": mission,
        "count": len(items),
        "pairs": ",".join(f"{item.index}:{latest[item.place]}" for item in items),
        "price": price,
        "balances": balances_of(request, mission, price),
        "problems": services.again_problems(mission, len(items), price),
        "next": next_url,
        "is_selection": "selected" in request.POST,
    }
    return render(request, "mission_pages/again.html", context)


@login_required
@require_POST
def edit_and_run(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    """Make one result again with the parameters that were changed in the form, and go to it."""
    item = visible_item(request, mission_id, index, Action.CHANGE)
    form = parameters_form(item, request.POST)
    again_form = AgainForm(request.POST)
    if not form.is_valid() or not again_form.is_valid():
        return render_item(request, item, form, status=422)
    try:
        added = services.make_again(
            mission_id=mission_id,
            indexes=[index],
            actor=actor(request),
            params=form.changed_params() or None,
            seen_versions=again_form.cleaned_data["item"],
        )
    except MissionInvalid as invalid:
        _add_errors(form, invalid)
        return render_item(request, item, form, status=422)
    except NotPossible as refusal:
        messages.error(request, str(refusal))
        return redirect("missions:item", mission_id, index)
    messages.add_message(request, messages.SUCCESS if added.indexes else messages.INFO, _result_text(mission_id, added))
    return redirect("missions:item", mission_id, (added.indexes or [index])[0])


@login_required
@require_POST
def choose(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    """Let galleries and downloads contain this version. A script that accepts JSON gets JSON."""
    item = visible_item(request, mission_id, index, Action.CHANGE)
    text = _("Version %(version)d is now in the gallery and in downloads.") % {"version": item.version}
    kind = "success"
    try:
        services.choose_version(item=item)
    except NotPossible as refusal:
        kind, text = "error", str(refusal)
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"kind": kind, "text": text})
    messages.add_message(request, getattr(messages, kind.upper()), text)
    return redirect(safe_next(request, reverse("missions:item", args=[mission_id, index])))


@login_required
@require_POST
def use_as_input(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Open a new form with the pictures of the selected results and their prompts.

    Nothing is submitted.
    """
    mission = visible_mission(request, mission_id)
    owner = cast(User, request.user)
    next_url = safe_next(request, reverse("missions:mission", args=[mission_id]))
    form = SelectionForm(request.POST)
    if mission.owner_id != owner.pk:
        messages.error(request, _("Only results of your own missions can be input of a mission of yours."))
        return redirect(next_url)
    if not form.is_valid():
        messages.error(request, _("Select results first."))
        return redirect(next_url)
    items = mission.items.filter(index__in=form.indexes_of(mission))
    return open_form_with(request, items, next_url)


def open_form_with(request: HttpRequest, items: QuerySet[MissionItem], next_url: str) -> HttpResponse:
    """Open a new form with the pictures of items, which belong to the person, and their prompts."""
    owner = cast(User, request.user)
    state = FormState(owner, drafts.new_key(), {})
    task_type = request.GET.get("task_type") or request.POST.get("task_type", "")
    if not prefill.use_results(items, task_type, state):
        messages.error(request, _("None of these results is a stored image that a new mission could use."))
        return redirect(next_url)
    draft = drafts.open_draft(owner=owner, key=state.key)
    state.save(draft)
    return redirect(f"{reverse('missions:new')}?{urlencode({'draft': draft.key})}")


def _result_text(mission_id: int, added: NewVersions) -> str:
    """Return what was made, and what it waits for."""
    count = len(added.indexes)
    if not count:
        return _("Already made again. Nothing was paid twice.")
    if added.estimate is None:
        text = ngettext("Making %(count)d new version.", "Making %(count)d new versions.", count)
    else:
        text = ngettext(
            "Making %(count)d new version (about %(price)s).",
            "Making %(count)d new versions (about %(price)s).",
            count,
        )
    text %= {"count": count, "price": money(added.estimate, added.currency)}
    if Mission.objects.filter(pk=mission_id, status=MissionStatus.PAUSED).exists():
        text = f"{text} {_('The mission is paused: resume it to start.')}"
    return text


def _without_field(refusal: DomainError) -> str:
    """Return the sentences of an error for a page that has no form with its fields."""
    return refusal.message or " ".join(dict.fromkeys(error.message for error in refusal.errors[:5]))


def _add_errors(form: ItemParametersForm, invalid: MissionInvalid) -> None:
    form.add_errors({error.field.removeprefix("params").lstrip("."): error.message for error in invalid.errors})
