"""Missions: how they stand, what they cost, and the verbs of operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from core.admin.actions import ActionPreview, AdminAction
from core.admin.readonly import LATEST, PageAdmin, badge, bar, choices, column, money, with_actors
from core.errors import NotPossible
from missions import failures, lifecycle, services
from missions.maintenance import reconcile_counts
from missions.models import ItemStatus, Mission, MissionStatus
from missions.web.mission import failures_context, head_context
from providers.catalog.task_types import TaskType

RUNNABLE = (MissionStatus.SCHEDULED, *lifecycle.RUNNABLE)


def _outlook(
    allowed: Callable[[Mission], bool], look: Callable[[Mission, QueryDict], ActionPreview]
) -> Callable[[Mission, QueryDict], ActionPreview]:
    def outlook(mission: Mission, asked: QueryDict) -> ActionPreview:
        return look(mission, asked) if allowed(mission) else ActionPreview([], 0, Decimal(0), is_refused=True)

    return outlook


def _on_their_way(mission: Mission) -> str:
    return ngettext(
        "%(count)d item is on its way at the provider and is paid: its result still arrives.",
        "%(count)d items are on their way at the provider and are paid: their results still arrive.",
        mission.in_flight_count,
    ) % {"count": mission.in_flight_count}


def _pausing(mission: Mission, asked: QueryDict) -> ActionPreview:
    waiting = ngettext(
        "%(count)d item waits until the mission is resumed.",
        "%(count)d items wait until the mission is resumed.",
        mission.pending_count,
    ) % {"count": mission.pending_count}
    on_its_way = failures.estimate(mission, mission.in_flight_count)
    return ActionPreview([waiting, _on_their_way(mission)], mission.pending_count, on_its_way)


def _resuming(mission: Mission, asked: QueryDict) -> ActionPreview:
    sent = ngettext(
        "%(count)d item that waits is sent.", "%(count)d items that wait are sent.", mission.pending_count
    ) % {"count": mission.pending_count}
    return ActionPreview([sent], mission.pending_count, failures.estimate(mission, mission.pending_count))


def _cancelling(mission: Mission, asked: QueryDict) -> ActionPreview:
    sentences = [
        ngettext(
            "%(count)d item that was not sent yet is cancelled and costs nothing.",
            "%(count)d items that were not sent yet are cancelled and cost nothing.",
            mission.pending_count,
        )
        % {"count": mission.pending_count},
        _on_their_way(mission),
    ]
    if mission.unconfirmed_count:
        doubt = ngettext(
            "%(count)d item is unconfirmed: it may have been paid, and still waits for a decision.",
            "%(count)d items are unconfirmed: they may have been paid, and still wait for a decision.",
            mission.unconfirmed_count,
        )
        sentences.append(doubt % {"count": mission.unconfirmed_count})
    at_stake = failures.estimate(mission, mission.in_flight_count + mission.unconfirmed_count)
    return ActionPreview(sentences, mission.pending_count, at_stake)


def _cause(asked: QueryDict) -> str | None:
    """The one cause that shall be retried; None for all.  "" is a cause, too: the provider gave none."""
    return asked.get("error_code", "") if "has_code" in asked else None


def _retrying(mission: Mission, asked: QueryDict) -> ActionPreview:
    cause = _cause(asked)
    count = mission.failed_count
    if cause is not None:
        count = mission.items.filter(status=ItemStatus.FAILED, error_code=cause, ended_at__isnull=False).count()
    again = ngettext(
        "%(count)d failed item is sent again, as a new, paid try.",
        "%(count)d failed items are sent again, each as a new, paid try.",
        count,
    ) % {"count": count}
    only = [] if cause is None else [_("Only those with the cause %s.") % (cause or "—")]
    return ActionPreview([again, *only], count, failures.estimate(mission, count))


def _retry(mission: Mission, actor: str, asked: QueryDict) -> object:
    """Never more items than the page named, whose price a person has seen."""
    seen = asked.get(f"most-{mission.pk}", "")
    most = int(seen) if seen.isdecimal() else 0
    done = services.retry_failed(mission_id=mission.pk, actor=actor, error_code=_cause(asked), at_most=most)
    if not done.count:
        raise NotPossible(_("Nothing was retried: these items do not fail any more."))
    return done


def _recounting(mission: Mission, asked: QueryDict) -> ActionPreview:
    wrong = list(reconcile_counts.differences(Mission.objects.filter(pk=mission.pk)))
    told = [
        _("%(name)s is %(stored)s, but its items say %(true)s.")
        % {"name": each.name, "stored": each.stored, "true": each.computed}
        for each in wrong
    ]
    return ActionPreview(told or [_("Every number is true.")], len(wrong), Decimal(0))


def _currency(mission: Mission) -> str:
    return mission.currency


VERBS: Sequence[AdminAction] = (
    AdminAction(
        name="pause",
        title=gettext_lazy("Pause"),
        question=gettext_lazy("Pause these missions?"),
        money=gettext_lazy("On its way, about"),
        record=gettext_noop("Paused in the administration."),
        preview=_outlook(lambda mission: mission.status in RUNNABLE, _pausing),
        do=lambda mission, actor, asked: services.pause_mission(mission_id=mission.pk, actor=actor),
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="resume",
        title=gettext_lazy("Resume"),
        question=gettext_lazy("Resume these missions?"),
        money=gettext_lazy("To be spent, about"),
        record=gettext_noop("Resumed in the administration."),
        preview=_outlook(lambda mission: mission.status == MissionStatus.PAUSED, _resuming),
        do=lambda mission, actor, asked: services.resume_mission(mission_id=mission.pk, actor=actor),
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="retry",
        title=gettext_lazy("Retry what failed"),
        question=gettext_lazy("Retry what failed in these missions?"),
        money=gettext_lazy("To be spent, about"),
        record=gettext_noop("Failed items retried in the administration."),
        preview=_outlook(lambda mission: mission.status != MissionStatus.CANCELLED, _retrying),
        do=_retry,
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="recount",
        title=gettext_lazy("Recount"),
        question=gettext_lazy("Recount these missions?"),
        money=gettext_lazy("To be spent"),
        record=gettext_noop("Recounted in the administration."),
        preview=_recounting,
        do=lambda mission, actor, asked: reconcile_counts.correct(mission.pk),
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="cancel",
        title=gettext_lazy("Cancel for good"),
        question=gettext_lazy("Cancel these missions for good?"),
        money=gettext_lazy("Paid all the same, about"),
        record=gettext_noop("Cancelled in the administration."),
        preview=_outlook(lambda mission: mission.status in lifecycle.OPEN, _cancelling),
        do=lambda mission, actor, asked: services.cancel_mission(mission_id=mission.pk, actor=actor),
        currency_of=_currency,
        status_kind="mission",
        is_dangerous=True,
    ),
)


@admin.register(Mission)
class MissionAdmin(PageAdmin):
    page = "admin/missions/mission.html"
    list_display = [
        "shown_name",
        "shown_owner",
        "shown_status",
        "shown_items",
        "cost_so_far",
        "shown_type",
        column("created_at", gettext_lazy("created"), is_sortable=True),
    ]
    list_filter = [
        choices("status", gettext_lazy("status"), MissionStatus),
        choices("task_type", gettext_lazy("type"), TaskType),
    ]
    search_fields = ["name", "model", "owner__username"]
    search_help_text = gettext_lazy("A name, a model, an owner, or the number of a mission.")
    list_select_related = ["owner"]
    ordering = ["-pk"]
    actions = [verb.as_action() for verb in VERBS]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mission]:
        missions: QuerySet[Mission] = super().get_queryset(request)
        return missions.defer("params", "metadata", "description")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        word = search_term.strip()
        return (found | queryset.filter(pk=int(word)) if word.isdecimal() and len(word) < 19 else found), may_repeat

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def shown_name(self, mission: Mission) -> SafeString:
        return format_html('<span class="admin-name">{}</span>', mission.name)

    @admin.display(description=gettext_lazy("owner"), ordering="owner__username")
    def shown_owner(self, mission: Mission) -> SafeString:
        return format_html('<a href="?owner__id__exact={}">{}</a>', mission.owner_id, mission.owner)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, mission: Mission) -> SafeString:
        return badge(mission.status, "mission")

    @admin.display(description=gettext_lazy("items"), ordering="total_count")
    def shown_items(self, mission: Mission) -> SafeString:
        completed = f"{mission.completed_count:,} / {mission.total_count:,}"
        failed = mission.failed_count + mission.unconfirmed_count
        trouble = (
            format_html('<span class="admin-trouble">{}</span>', _("%s in trouble") % f"{failed:,}") if failed else ""
        )
        return format_html('{}<span class="small nowrap">{}{}</span>', bar(mission.counts), completed, trouble)

    @admin.display(description=gettext_lazy("cost"), ordering="cost")
    def cost_so_far(self, mission: Mission) -> SafeString:
        return money(mission.cost, mission.currency)

    @admin.display(description=gettext_lazy("type"), ordering="task_type")
    def shown_type(self, mission: Mission) -> str:
        return str(TaskType(mission.task_type).label)

    def page_context(self, request: HttpRequest, row: Mission) -> dict[str, Any]:
        changelist = reverse("admin:missions_missionitem_changelist")
        return {
            **head_context(row, "results"),
            **failures_context(row),
            "verbs": [verb for verb in VERBS if self._fits(verb, row)] if self.has_act_permission(request) else [],
            "may_settle": request.user.has_perm("missions.change_missionitem"),
            "items_url": f"{changelist}?mission={row.pk}",
            "events": with_actors(row.events.filter(item=None).order_by("-pk")[:LATEST]),
            "here": request.get_full_path(),
        }

    def _fits(self, verb: AdminAction, mission: Mission) -> bool:
        """Whether the page offers a verb at all."""
        if verb.name == "recount":
            return True
        outlook = verb.preview(mission, QueryDict())
        return not outlook.is_refused and (verb.name != "retry" or bool(outlook.count))
