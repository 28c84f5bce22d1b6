"""Admin of missions: their state, their cost, and the actions of operators."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core.admin.actions import ActionPreview, AdminAction
from core.admin.confirmation import as_admin_action
from core.admin.readonly import LATEST, PageAdmin, badge, bar, choices, column, money, titled, with_actors
from core.errors import NotPossible
from mission_pages.mission import failures_context, head_context
from missions import failures, lifecycle, reasons, services
from missions.maintenance import reconcile_counts
from missions.models import ItemStatus, Mission, MissionStatus
from providers.catalog.task_types import TaskType

RUNNABLE = (MissionStatus.SCHEDULED, *lifecycle.RUNNABLE)
REFUSED = ActionPreview([], 0, Decimal(0), is_refused=True)


# --- The effect of each action, for the confirmation page ---


def _preview_pause(mission: Mission, form: QueryDict) -> ActionPreview:
    if mission.status not in RUNNABLE:
        return REFUSED
    waiting = ngettext(
        "%(count)d item waits until the mission is resumed.",
        "%(count)d items wait until the mission is resumed.",
        mission.pending_count,
    ) % {"count": mission.pending_count}
    committed = failures.estimate(mission, mission.in_flight_count)
    return ActionPreview([waiting, _in_flight_sentence(mission)], mission.pending_count, committed)


def _preview_resume(mission: Mission, form: QueryDict) -> ActionPreview:
    if mission.status != MissionStatus.PAUSED or mission.waits_for_release:
        return REFUSED
    count = mission.may_run_count
    sentence = ngettext("%(count)d pending item is submitted.", "%(count)d pending items are submitted.", count) % {
        "count": count
    }
    return ActionPreview([sentence], count, failures.estimate(mission, count))


def _preview_cancel(mission: Mission, form: QueryDict) -> ActionPreview:
    if mission.status not in lifecycle.OPEN:
        return REFUSED
    cancelled = ngettext(
        "%(count)d item that was not submitted yet is cancelled and costs nothing.",
        "%(count)d items that were not submitted yet are cancelled and cost nothing.",
        mission.pending_count,
    )
    sentences = [cancelled % {"count": mission.pending_count}, _in_flight_sentence(mission)]
    if mission.unconfirmed_count:
        unconfirmed = ngettext(
            "%(count)d item is unconfirmed: it may have been paid, and still needs a decision.",
            "%(count)d items are unconfirmed: they may have been paid, and still need a decision.",
            mission.unconfirmed_count,
        )
        sentences.append(unconfirmed % {"count": mission.unconfirmed_count})
    committed = failures.estimate(mission, mission.in_flight_count + mission.unconfirmed_count)
    return ActionPreview(sentences, mission.pending_count, committed)


def _preview_delete(mission: Mission, form: QueryDict) -> ActionPreview:
    if mission.delete_requested_at is not None:
        return REFUSED
    sentence = ngettext(
        "The mission, its %(count)d item and all result files are deleted. Its spending stays in the sums.",
        "The mission, its %(count)d items and all result files are deleted. Its spending stays in the sums.",
        mission.total_count,
    ) % {"count": mission.total_count}
    committed = failures.estimate(mission, mission.in_flight_count + mission.unconfirmed_count)
    sentences = [sentence, _in_flight_sentence(mission)] if mission.in_flight_count else [sentence]
    return ActionPreview(sentences, mission.total_count, committed)


def _preview_retry(mission: Mission, form: QueryDict) -> ActionPreview:
    if mission.status == MissionStatus.CANCELLED:
        return REFUSED
    error_code = _selected_code(form)
    count = mission.failed_count
    if error_code is not None:
        count = mission.items.filter(status=ItemStatus.FAILED, error_code=error_code, ended_at__isnull=False).count()
    sentence = ngettext(
        "%(count)d failed item is submitted again, as a new, paid attempt.",
        "%(count)d failed items are submitted again, each as a new, paid attempt.",
        count,
    ) % {"count": count}
    only = [] if error_code is None else [_("Only items with the cause %s.") % (error_code or "—")]
    return ActionPreview([sentence, *only], count, failures.estimate(mission, count))


def _preview_recount(mission: Mission, form: QueryDict) -> ActionPreview:
    differences = list(reconcile_counts.differences(Mission.objects.filter(pk=mission.pk)))
    sentences = [
        _("%(name)s is %(stored)s, but should be %(computed)s.")
        % {"name": difference.name, "stored": difference.stored, "computed": difference.computed}
        for difference in differences
    ]
    return ActionPreview(sentences or [_("All counts match.")], len(differences), Decimal(0))


def _in_flight_sentence(mission: Mission) -> str:
    return ngettext(
        "%(count)d item is in flight at the provider and is paid. Its result will still arrive.",
        "%(count)d items are in flight at the provider and are paid. Their results will still arrive.",
        mission.in_flight_count,
    ) % {"count": mission.in_flight_count}


def _selected_code(form: QueryDict) -> str | None:
    """Return the error code to retry; None for all. "" is a code, too: the provider gave none."""
    return form.get("error_code", "") if "has_code" in form else None


def _retry(mission: Mission, actor: str, form: QueryDict) -> object:
    """Retry no more items than the confirmation page counted, whose price a person has seen."""
    shown = form.get(f"most-{mission.pk}", "")
    at_most = int(shown) if shown.isdecimal() else 0
    result = services.retry_failed(mission_id=mission.pk, actor=actor, error_code=_selected_code(form), at_most=at_most)
    if not result.count:
        raise NotPossible(_("Nothing was retried: none of these items is failed any more."))
    return result


def _currency(mission: Mission) -> str:
    return mission.currency


ACTIONS: Sequence[AdminAction] = (
    AdminAction(
        name="pause",
        title=gettext_lazy("Pause"),
        question=gettext_lazy("Pause these missions?"),
        money=gettext_lazy("In flight (estimate)"),
        record=reasons.ADMIN_PAUSED,
        preview=_preview_pause,
        do=lambda mission, actor, form: services.pause_mission(mission_id=mission.pk, actor=actor),
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="resume",
        title=gettext_lazy("Resume"),
        question=gettext_lazy("Resume these missions?"),
        money=gettext_lazy("Will cost (estimate)"),
        record=reasons.ADMIN_RESUMED,
        preview=_preview_resume,
        do=lambda mission, actor, form: services.resume_mission(mission_id=mission.pk, actor=actor),
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="retry",
        title=gettext_lazy("Retry failed items"),
        question=gettext_lazy("Retry the failed items of these missions?"),
        money=gettext_lazy("Will cost (estimate)"),
        record=reasons.ADMIN_RETRIED,
        preview=_preview_retry,
        do=_retry,
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="recount",
        title=gettext_lazy("Recount"),
        question=gettext_lazy("Recount these missions?"),
        money=gettext_lazy("To be spent"),
        record=reasons.ADMIN_RECOUNTED,
        preview=_preview_recount,
        do=lambda mission, actor, form: reconcile_counts.correct(mission.pk),
        currency_of=_currency,
        status_kind="mission",
    ),
    AdminAction(
        name="cancel",
        title=gettext_lazy("Cancel for good"),
        question=gettext_lazy("Cancel these missions for good?"),
        money=gettext_lazy("Already committed (estimate)"),
        record=reasons.ADMIN_CANCELLED,
        preview=_preview_cancel,
        do=lambda mission, actor, form: services.cancel_mission(mission_id=mission.pk, actor=actor),
        currency_of=_currency,
        is_dangerous=True,
        status_kind="mission",
    ),
    AdminAction(
        name="delete",
        title=gettext_lazy("Delete"),
        question=gettext_lazy("Delete these missions for good?"),
        money=gettext_lazy("Already committed (estimate)"),
        record=reasons.ADMIN_DELETED,
        preview=_preview_delete,
        do=lambda mission, actor, form: services.delete_mission(mission_id=mission.pk, actor=actor),
        currency_of=_currency,
        is_dangerous=True,
        status_kind="mission",
        permission="remove",
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
        ("created_at", titled(admin.DateFieldListFilter, gettext_lazy("created"))),
        ("owner", titled(admin.RelatedOnlyFieldListFilter, gettext_lazy("owner"))),
        ("model", titled(admin.AllValuesFieldListFilter, gettext_lazy("model"))),
    ]
    search_fields = ["name", "model", "owner__username"]
    search_help_text = gettext_lazy("A name, a model, an owner, or the number of a mission.")
    list_select_related = ["owner"]
    ordering = ["-pk"]
    operator_actions = ACTIONS
    actions = [as_admin_action(action) for action in ACTIONS]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mission]:
        missions: QuerySet[Mission] = super().get_queryset(request)
        return missions.defer("params", "metadata", "description")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        rows, may_repeat = super().get_search_results(request, queryset, search_term)
        word = search_term.strip()
        if word.isdecimal() and len(word) < 19:
            rows |= queryset.filter(pk=int(word))
        return rows, may_repeat

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
        trouble = format_html('<span class="admin-trouble">{}</span>', _("%s failed") % f"{failed:,}") if failed else ""
        return format_html('{}<span class="small nowrap">{}{}</span>', bar(mission.counts), completed, trouble)

    @admin.display(description=gettext_lazy("cost"), ordering="cost")
    def cost_so_far(self, mission: Mission) -> SafeString:
        return money(mission.cost, mission.currency)

    @admin.display(description=gettext_lazy("type"), ordering="task_type")
    def shown_type(self, mission: Mission) -> str:
        return str(TaskType(mission.task_type).label)

    def page_context(self, request: HttpRequest, row: Mission) -> dict[str, Any]:
        changelist = reverse("admin:missions_missionitem_changelist")
        actions = []
        rights_of = {"act": self.has_act_permission(request), "remove": self.has_remove_permission(request)}
        for action in ACTIONS:
            if not rights_of[action.permission]:
                continue
            preview = action.preview(row, QueryDict())
            if not preview.is_refused and (action.name != "retry" or preview.count):
                actions.append(action)
        return {
            **head_context(row, "results"),
            **failures_context(row),
            "actions": actions,
            "items_url": f"{changelist}?mission={row.pk}",
            "events": with_actors(row.events.filter(item=None).order_by("-pk")[:LATEST]),
            "is_history_removed": True,  # its creation was an event
            "here": request.get_full_path(),
        }
