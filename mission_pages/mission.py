"""``/missions/ID/…``: items, failures and settings of one mission, and the head of all its pages.

A page takes the same few statements whatever the size of the mission, and counts no items: the
mission stores its counts. Only the failures page groups rows, and only the failed ones.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from batch_input.columns import prompt_field
from batch_input.report import InputReport
from core.money import amount_text
from core.text import trim
from mission_pages import gallery_queries
from mission_pages.access import balances_of, group_of, visible_mission
from mission_pages.forms import ItemFilterForm, MissionSettingsForm, ProviderTaskForm, SaveTemplateForm, StartForm
from mission_pages.item_presenter import present_items, shared_parameters
from mission_pages.running import running_items, shows_running
from mission_pages.throughput import COMPLETIONS_SEEN, pace_of, slow_items
from missions import event_source, failures, lifecycle, reasons, selectors, services
from missions.models import ItemStatus, Mission, MissionStatus
from notifications import services as notifications
from notifications.messages import headline, incident_headline
from notifications.models import Incident
from providers import catalog

ITEMS_PER_PAGE = 50
SHOWN_UNCONFIRMED = 20
SHOWN_RUNNING = 8


@login_required
@require_safe
def show_items(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Show the table of items, in the order of the batch."""
    mission = visible_mission(request, mission_id)
    form = ItemFilterForm(request.GET)
    filters = form.cleaned_data if form.is_valid() else {}
    items, last = selectors.items_after(
        mission,
        (filters.get("start") or 1) - 1,
        limit=ITEMS_PER_PAGE,
        statuses=[filters["status"]] if filters.get("status") else [],
        error_code=filters.get("error_code") or None,
    )
    for item in items:
        item.mission = mission
    choices = [{"value": "", "label": _("all"), "count": mission.total_count}]
    choices += [
        {"value": status.value, "label": status.label, "count": mission.counts[status]}
        for status in ItemStatus
        if mission.counts[status]
    ]
    context = {
        "form": form,
        "filters": filters,
        "items": present_items(mission, items),
        "choices": choices,
        "next_start": last and last + 1,
    }
    return render_tab(request, mission, "items", context)


@login_required
@require_safe
def show_failures(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Show the failed items by cause, and the unconfirmed ones."""
    mission = visible_mission(request, mission_id)
    context = failures_context(mission)
    price = failures.estimate(mission, mission.failed_count + mission.unconfirmed_count)
    context["balances"] = balances_of(request, mission, price)
    return render_tab(request, mission, "failures", context)


@login_required
@require_safe
def show_settings(request: HttpRequest, mission_id: int) -> HttpResponse:
    mission = visible_mission(request, mission_id)
    return render_tab(request, mission, "settings", settings_context(mission))


@login_required
@require_safe
def show_pulse(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Return the head of the mission's pages, for an open page that refreshes itself."""
    mission = visible_mission(request, mission_id)
    tab = request.GET.get("tab", "results")
    return render(request, "mission_pages/_head.html", head_context(mission, tab) | release_balances(request, mission))


def failures_context(
    mission: Mission, *, invalid_form: ProviderTaskForm | None = None, invalid_index: int = 0
) -> dict[str, Any]:
    """Return the context of the failures page.

    ``invalid_form`` replaces the form of the item ``invalid_index``.
    """
    limit = SHOWN_UNCONFIRMED
    unconfirmed = failures.unconfirmed_items(mission, limit=limit) if mission.unconfirmed_count else []
    forms = [
        invalid_form
        if invalid_form and item.index == invalid_index
        else ProviderTaskForm(auto_id=f"task-{item.index}-%s")
        for item, _attempt in unconfirmed
    ]
    attempts = [attempt for _item, attempt in unconfirmed]
    groups = failures.failure_groups(mission) if mission.failed_count else []
    examples = mission.items.filter(index__in=[group.first_index for group in groups]) if groups else []
    views = present_items(mission, [*(item for item, _attempt in unconfirmed), *examples])
    captions = {view.item.index: view.caption for view in views}
    promising_count = sum(group.promising_count for group in groups)
    return {
        "groups": [(group, captions.get(group.first_index, "")) for group in groups],
        "promising_count": promising_count,
        "promising_estimate": failures.estimate(mission, promising_count),
        "hopeless_count": mission.failed_count - promising_count,
        "has_prompts": prompt_field(catalog.model_of(mission)) is not None,
        "retry_estimate": failures.estimate(mission, mission.failed_count),
        "single_estimate": failures.estimate(mission, 1),
        "unconfirmed": list(zip(views[: len(unconfirmed)], attempts, forms, strict=True)),
    }


@login_required
@require_safe
def show_file_names(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Return the names that a pattern would give the first results, or what is wrong with it."""
    mission = visible_mission(request, mission_id)
    pattern = trim(request.GET.get("file_name_pattern", ""))
    return render(request, "mission_pages/_file_names.html", file_names_context(mission, pattern))


def file_names_context(mission: Mission, pattern: str) -> dict[str, Any]:
    """Return the names of a mission's first results by a pattern, or what is wrong with it."""
    problem = services.naming_problem(mission, pattern) if pattern else ""
    names = [] if problem else services.example_names(mission, pattern)
    return {"file_names": names, "file_names_problem": problem}


def settings_context(
    mission: Mission, *, form: MissionSettingsForm | None = None, template_form: SaveTemplateForm | None = None
) -> dict[str, Any]:
    """Return the context of the settings page."""
    texts = {"name": mission.name, "description": mission.description}
    folders = selectors.folders_of(mission.owner_id)
    settings = texts | {
        "folder": mission.folder,
        "priority": mission.priority,
        "spending_limit": amount_text(mission.spending_limit),
        "file_name_pattern": mission.file_name_pattern,
    }
    form = form or MissionSettingsForm(initial=settings, mission=mission)
    form.fields["file_name_pattern"].widget.attrs |= {
        "spellcheck": "false",
        "hx-get": reverse("missions:file-names", args=[mission.pk]),
        "hx-trigger": "input changed delay:300ms",
        "hx-target": "#file-names",
        "hx-swap": "outerHTML",
        "hx-sync": "this:replace",
    }
    pattern = str(form["file_name_pattern"].value() or "")
    return {
        "form": form,
        "placeholders": services.placeholders_of(mission),
        **file_names_context(mission, pattern),
        "template_form": template_form or SaveTemplateForm(initial=texts, prefix="template"),
        "folders": folders,
        "model": catalog.model_of(mission),
        "parameters": shared_parameters(mission),
        "input": InputReport.from_json(mission.input) if mission.input else None,
    }


def head_context(mission: Mission, tab: str) -> dict[str, Any]:
    """Return the context of the head that every page of a mission has above its tabs."""
    completions = gallery_queries.recent_completions(
        [mission.pk] if mission.completed_count else [], limit=COMPLETIONS_SEEN
    )
    tabs = [
        ("results", "missions:mission", _("Results"), mission.completed_count),
        ("items", "missions:items", _("Items"), mission.total_count),
        ("failures", "missions:failures", _("Failures"), mission.failed_count + mission.unconfirmed_count),
        ("settings", "missions:settings", _("Settings"), None),
    ]
    urls = {name: reverse(route, args=[mission.pk]) for name, route, _text, _count in tabs}
    is_open = mission.status in lifecycle.OPEN
    needed_limit = services.limit_to_resume(mission) if mission.status == MissionStatus.PAUSED else None
    total, rest = mission.estimated_cost, mission.held_cost
    siblings: list[tuple[Mission, str]] = []
    if mission.group:
        others = group_of(mission).exclude(pk=mission.pk).only("name", "model", "provider", "task_type", "owner")
        siblings = [(other, catalog.model_of(other).label) for other in others]
    waits = mission.status in (MissionStatus.QUEUED, MissionStatus.RUNNING) and mission.pending_count > 0
    incident = notifications.incident_for(mission.provider) if waits else None
    outcome = outcome_of(mission, incident)
    incident_title = incident_headline(incident.details) if incident else ""
    outcome_title = incident_title if outcome == "stopped" else headline(outcome, mission.name) if outcome else ""
    return {
        "mission": mission,
        "outcome": outcome,
        "outcome_title": outcome_title,
        "incident": incident,
        "incident_title": incident_title,
        "outcome_key": f"incident-{incident.pk}" if outcome == "stopped" and incident else "",
        "tab": tab,
        "tabs": [
            {"url": urls[name], "text": text, "count": count, "is_current": name == tab}
            for name, _route, text, count in tabs
        ],
        "tab_url": urls.get(tab, urls["results"]),
        "pace": pace_of(mission, completions.get(mission.pk, ()), now=timezone.now()),
        "slow": slow_items(mission, now=timezone.now()),
        "is_open": is_open,
        "needed_limit": None if mission.waits_for_release else needed_limit,
        "siblings": siblings,
        "release_limit": needed_limit if mission.waits_for_release else None,
        "first_price": None if total is None or rest is None else total - rest,
        "start_form": StartForm(initial={"not_before": mission.not_before})
        if services.has_planned_start(mission)
        else None,
        "is_live": is_open or bool(mission.in_flight_count),
        "shows_running": shows_running(mission),
        "running_items": running_items(mission, limit=SHOWN_RUNNING) if tab == "results" else [],
    }


def release_balances(request: HttpRequest, mission: Mission) -> dict[str, Any]:
    """Return the balances beside the price of what waits for a release."""
    may_run = mission.held_count and mission.status in lifecycle.OPEN
    return {"release_balances": balances_of(request, mission, mission.held_cost) if may_run else []}


def outcome_of(mission: Mission, incident: Incident | None) -> str:
    """Return the event that an open page in the background tells of, "" while there is none.

    It is "done", "first" (its first rows), "failed", "limit", "paused" (by the engine),
    "unconfirmed" or "stopped" (it waits for the end of an incident).
    """
    if mission.status in (MissionStatus.COMPLETED, MissionStatus.FAILED):
        return "done" if mission.status == MissionStatus.COMPLETED else "failed"
    if mission.status == MissionStatus.PAUSED and mission.pause_reason_code:
        if mission.pause_reason_code in lifecycle.LIMIT_CODES:
            return "limit"
        quiet = {reasons.PAUSED_BY_PERSON.code: "", reasons.FIRST_ROWS_DONE.code: "first"}
        return quiet.get(mission.pause_reason_code, "paused")
    if mission.waits_for_person:
        return "unconfirmed"
    return "stopped" if incident else ""


def render_tab(
    request: HttpRequest, mission: Mission, tab: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render one of a mission's pages."""
    head = head_context(mission, tab) | release_balances(request, mission)
    context = head | {"latest_event_id": event_source.latest_event_id(mission)} | context
    return render(request, f"mission_pages/{tab}.html", context, status=status)
