"""``/admin/control-room/``: the state of the whole site for operators.

An open page polls and swaps what changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts import rights
from accounts.rights import Action
from core.errors import NotPossible
from mission_pages.access import actor
from mission_pages.forms import ProviderTaskForm, RetryCauseForm
from mission_pages.item_presenter import ItemView, present_items
from missions import account_load, failures, services
from missions.maintenance.spend_rollup import Spend
from missions.models import Attempt, AttemptStatus, ItemStatus, Mission
from operations import statistics
from operations.statistics import SPEND_DAYS
from providers import provider_accounts


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """Show the page: the missions and the spending of everybody."""
    _require_view(request)
    return render(request, "operations/page.html", _context(request))


@require_safe
def show_pulse(request: HttpRequest) -> HttpResponse:
    """Return only the zones of the page."""
    _require_view(request)
    return render(request, "operations/zones.html", _context(request))


@require_POST
def retry(request: HttpRequest) -> HttpResponse:
    """Retry the failed items of one cause, in each mission that the button counted.

    Never retries more items of a mission than the button counted.
    """
    form = RetryCauseForm(request.POST)
    if not rights.may_all(request.user, Action.CHANGE, Mission):
        messages.error(request, _("You may view missions but not change them. Nothing was retried."))
        return redirect("control_room:show")
    if not form.is_valid():
        messages.error(request, _("Nothing was retried. Choose again what to retry."))
        return redirect("control_room:show")
    error_code, counts = form.cleaned_data["error_code"], form.cleaned_data["mission"]
    retried_count = refused_count = 0
    for mission in Mission.objects.visible_to(request.user).filter(pk__in=counts).order_by("pk"):
        try:
            result = services.retry_failed(
                mission_id=mission.pk, actor=actor(request), error_code=error_code, at_most=counts[mission.pk]
            )
        except NotPossible as refusal:
            messages.error(request, f"{mission.name}: {refusal}")
            refused_count += 1
            continue
        if not result.count:
            continue
        retried_count += result.count
        note = f"Retried {result.count} failed items of cause {error_code or 'unknown'}."
        assert request.user.pk
        LogEntry.objects.log_actions(request.user.pk, [mission], CHANGE, note, single_object=True)
    if not retried_count and not refused_count:
        messages.warning(request, _("Nothing was retried: none of these items is failed any more."))
    if retried_count:
        text = ngettext("%(count)d item resubmitted.", "%(count)d items resubmitted.", retried_count)
        messages.success(request, text % {"count": retried_count})
    return redirect("control_room:show")


def _require_view(request: HttpRequest) -> None:
    """Raise PermissionDenied for staff who may not see the missions of others."""
    if not rights.may_all(request.user, Action.VIEW, Mission):
        raise PermissionDenied(_("Ask an administrator for the permission %s.") % "missions.view_mission")


# --- The content of the page ---


@dataclass(frozen=True, slots=True)
class UnconfirmedAttempt:
    """An unconfirmed attempt, its item for display, and the form that resolves it.

    ``price`` is that of another attempt; None if it is unknown.
    """

    attempt: Attempt
    item_view: ItemView
    form: ProviderTaskForm
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class SpendLine:
    """The charges of one model or person in one currency: an amount for each of SPEND_DAYS."""

    name: str
    query: str
    currency: str
    amounts: list[Decimal]
    unreported_count: int

    @property
    def cells(self) -> list[tuple[str, Decimal]]:
        return list(zip(_span_names(), self.amounts, strict=True))


def _context(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    counts = statistics.counts_by_model()
    totals = sum(counts.values(), Counter[str]())
    models = [model for model, model_counts in counts.items() if model_counts[ItemStatus.COMPLETED]]
    flow = statistics.throughput(now=now)
    spends = statistics.spend(now=now)
    since = f"{min(statistics.spend_starts(now=now).values()):%Y-%m-%dT%H:%M:%SZ}"
    accounts = account_load.account_queues(now=now, user=request.user)
    blocked_reasons = {queue.account.pk: provider_accounts.blocked_reason(queue.account) for queue in accounts}
    unconfirmed = statistics.unconfirmed()
    return {
        "now": now,
        "totals": {status.value: totals[status] for status in ItemStatus},
        "accounts": [(queue, blocked_reasons[queue.account.pk]) for queue in accounts],
        "in_flight": sum(queue.in_flight for queue in accounts),
        "cap": sum(queue.cap for queue in accounts if blocked_reasons[queue.account.pk] is None),
        "waiting": statistics.oldest_waiting(now=now),
        "flow": flow,
        "bars": [
            {
                "text": f"{timezone.localtime(minute.at):%H:%M}: {minute.succeeded} + {minute.failed}",
                "parts": [("completed", minute.succeeded), ("failed", minute.failed)],
            }
            for minute in flow.minutes
        ],
        "flow_totals": [(AttemptStatus(status).label, count) for status, count in flow.ends.most_common()],
        "durations": statistics.durations(models[: statistics.MODELS_SHOWN]),
        "spend_total": _lines(spends, lambda spend: (_("All"), "")),
        "spend_by_model": _lines(
            spends, lambda spend: (spend.model, urlencode({"model": spend.model, "ended_at__gte": since}))
        ),
        "spend_by_owner": _lines(spends, lambda spend: (spend.owner_name, f"owner__id__exact={spend.owner_id}")),
        "spend_days": _span_names(),
        "causes": statistics.causes(now=now),
        "unconfirmed": unconfirmed,
        "unconfirmed_attempts": [
            UnconfirmedAttempt(
                attempt,
                item_view=present_items(attempt.item.mission, [attempt.item])[0],
                form=ProviderTaskForm(auto_id=f"task-{attempt.item_id}-%s"),
                price=failures.estimate(attempt.item.mission, 1),
            )
            for attempt in unconfirmed.oldest
        ],
        "clusters": statistics.clusters(now=now),
        "storage": statistics.storage(),
        "downloads": statistics.download_backlog(now=now),
        "can_act": rights.may_all(request.user, Action.CHANGE, Mission),
    }


def _span_names() -> list[str]:
    return [
        _("Today") if days == 1 else ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
        for days in SPEND_DAYS
    ]


def _lines(spends: Iterable[Spend], trait: Callable[[Spend], tuple[str, str]]) -> list[SpendLine]:
    """Add up the spends with the same ``trait``, a name and a query.

    The lines are sorted by currency, the highest amount first.
    """
    groups: defaultdict[tuple[str, str, str], list[Spend]] = defaultdict(list)
    for spend in spends:
        groups[*trait(spend), spend.currency].append(spend)
    windows = [f"days_{days}" for days in SPEND_DAYS]
    lines = [
        SpendLine(
            *key,
            amounts=[sum((spend.amounts[window] for spend in group), Decimal(0)) for window in windows],
            unreported_count=sum(spend.unreported_counts[windows[-1]] for spend in group),
        )
        for key, group in groups.items()
    ]
    return sorted(lines, key=lambda line: (line.currency, -line.amounts[-1]))


app_name = "control_room"
urlpatterns = [
    path("", admin.site.admin_view(show), name="show"),
    path("pulse", admin.site.admin_view(show_pulse), name="pulse"),
    path("retry", admin.site.admin_view(retry), name="retry"),
]
