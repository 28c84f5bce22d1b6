"""``/missions/ID``: results, items, failures and settings of one mission.

Whatever a mission's size, a page costs the same few statements, and none of them counts items: the counts stand on the mission.
Only the page of failures groups rows, and only those that failed.
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

from core.money import amount_text
from missions import event_source, failures, lifecycle, selectors
from missions.models import ItemStatus, Mission, MissionItem
from missions.results import gallery
from missions.throughput import COMPLETIONS_SEEN, pace_of
from missions.web.access import visible_mission
from missions.web.forms import ItemFilterForm, MissionSettingsForm, ProviderTaskForm, SaveTemplateForm
from missions.web.item_presenter import shared_parameters, shown_items
from providers import catalog

RESULTS_PER_PAGE = 48
ITEMS_PER_PAGE = 50
UNCONFIRMED_SHOWN = 20


@login_required
@require_safe
def show_results(request: HttpRequest, mission_id: int) -> HttpResponse:
    """The gallery."""
    mission = visible_mission(request, mission_id)
    view = request.GET.get("view", "")
    view = view if view in gallery.VIEWS else gallery.NEWEST
    cursor = request.GET.get("after", "")
    page = gallery.results_page(mission, view=view, cursor=cursor, limit=RESULTS_PER_PAGE)
    context = {
        "view": view,
        "results": shown_items(mission, page.items),
        "next_cursor": page.next_cursor,
        "is_first_page": not cursor,
    }
    return render_tab(request, mission, "results", context)


@login_required
@require_safe
def show_items(request: HttpRequest, mission_id: int) -> HttpResponse:
    """The table of items, in the order of the batch."""
    mission = visible_mission(request, mission_id)
    form = ItemFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    items, last = selectors.items_after(
        mission,
        (wanted.get("start") or 1) - 1,
        limit=ITEMS_PER_PAGE,
        status=wanted.get("status") or None,
        error_code=wanted.get("error_code") or None,
    )
    for item in items:
        item.mission = mission
    context = {
        "form": form,
        "wanted": wanted,
        "items": shown_items(mission, items),
        "choices": _status_choices(mission),
        "next_start": last and last + 1,
    }
    return render_tab(request, mission, "items", context)


@login_required
@require_safe
def show_failures(request: HttpRequest, mission_id: int) -> HttpResponse:
    """What failed, cause by cause, and what is in doubt."""
    mission = visible_mission(request, mission_id)
    return render_tab(request, mission, "failures", failures_context(mission))


@login_required
@require_safe
def show_settings(request: HttpRequest, mission_id: int) -> HttpResponse:
    mission = visible_mission(request, mission_id)
    return render_tab(request, mission, "settings", settings_context(mission))


@login_required
@require_safe
def show_pulse(request: HttpRequest, mission_id: int) -> HttpResponse:
    """How the mission stands, for a page that is open: its head, and nothing else."""
    mission = visible_mission(request, mission_id)
    tab = request.GET.get("tab", "results")
    return render(request, "missions/_head.html", head_context(mission, tab))


def failures_context(mission: Mission, *, refused: ProviderTaskForm | None = None, at_index: int = 0) -> dict[str, Any]:
    """``refused``: what was entered for the unconfirmed item ``at_index``, with its errors."""
    found = failures.unconfirmed_items(mission, limit=UNCONFIRMED_SHOWN) if mission.unconfirmed_count else []
    shown = shown_items(mission, [item for item, _attempt in found])
    return {
        "groups": failures.failure_groups(mission) if mission.failed_count else [],
        "retry_estimate": failures.estimate(mission, mission.failed_count),
        "single_estimate": failures.estimate(mission, 1),
        "doubts": [
            (doubt, attempt, refused if refused and item.index == at_index else _task_form(item))
            for (item, attempt), doubt in zip(found, shown, strict=True)
        ],
    }


def _task_form(item: MissionItem) -> ProviderTaskForm:
    return ProviderTaskForm(auto_id=f"task-{item.index}-%s")


def settings_context(
    mission: Mission, *, form: MissionSettingsForm | None = None, template_form: SaveTemplateForm | None = None
) -> dict[str, Any]:
    saved = {
        "name": mission.name,
        "description": mission.description,
        "priority": mission.priority,
        "spending_limit": amount_text(mission.spending_limit),
    }
    suggested = {"name": mission.name, "description": mission.description}
    return {
        "form": form or MissionSettingsForm(initial=saved),
        "template_form": template_form or SaveTemplateForm(initial=suggested, prefix="template"),
        "model": catalog.model_of(mission),
        "parameters": shared_parameters(mission),
    }


def _status_choices(mission: Mission) -> list[dict[str, Any]]:
    """The statuses that the mission has items of, as filters."""
    everything = {"value": "", "word": _("all"), "count": mission.total_count}
    counts = mission.counts
    return [everything] + [
        {"value": status.value, "word": status.label, "count": counts[status]}
        for status in ItemStatus
        if counts[status]
    ]


def head_context(mission: Mission, tab: str) -> dict[str, Any]:
    """What every page of a mission shows above its tabs."""
    completions = gallery.recent_completions([mission.pk] if mission.completed_count else [], limit=COMPLETIONS_SEEN)
    tabs = _tabs(mission, tab)
    return {
        "mission": mission,
        "tab": tab,
        "tabs": tabs,
        "here": next((entry["url"] for entry in tabs if entry["is_current"]), tabs[0]["url"]),
        "pace": pace_of(mission, completions.get(mission.pk, ()), now=timezone.now()),
        "is_open": mission.status in lifecycle.OPEN,
        "is_live": mission.status in lifecycle.OPEN or bool(mission.in_flight_count),
    }


def _tabs(mission: Mission, current: str) -> list[dict[str, Any]]:
    trouble = mission.failed_count + mission.unconfirmed_count
    tabs = [
        ("results", "missions:mission", _("Results"), mission.completed_count),
        ("items", "missions:items", _("Items"), mission.total_count),
        ("failures", "missions:failures", _("Failures"), trouble),
        ("settings", "missions:settings", _("Settings"), None),
    ]
    return [
        {"url": reverse(address, args=[mission.pk]), "text": text, "count": count, "is_current": name == current}
        for name, address, text, count in tabs
    ]


def render_tab(
    request: HttpRequest, mission: Mission, tab: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """One of a mission's pages."""
    context = head_context(mission, tab) | {"latest_event_id": event_source.latest_event_id(mission)} | context
    return render(request, f"missions/{tab}.html", context, status=status)
