"""Admin of items: their attempts and results, and the decision about unconfirmed ones.

A list over all missions never reads a whole table: missions store their counts per status, so that
those without such items are left out, and the index of a mission's items finds the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import rights
from accounts.rights import Action
from core.admin.actions import ActionPreview, AdminAction, log
from core.admin.confirmation import as_admin_action
from core.admin.readonly import (
    LATEST,
    PageAdmin,
    badge,
    column,
    long_text,
    money,
    with_actors,
)
from core.errors import NotPossible
from core.http.redirects import safe_next
from mission_pages.access import actor
from mission_pages.admin.lookups import attempts_with_task, mission_link, parse_item_name
from mission_pages.forms import ProviderTaskForm
from mission_pages.item_presenter import present_items
from missions import failures, reasons, services
from missions.models import AttemptStatus, ItemStatus, Mission, MissionItem, MissionStatus

_NUMBER = re.compile(r"[0-9]{1,18}")


class MissionFilter(admin.SimpleListFilter):
    """The items of one mission.

    Shown only when the URL names one: nobody wants a list of all missions.
    """

    title = gettext_lazy("mission")
    parameter_name = "mission"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        number = request.GET.get("mission")
        mission = _selected_mission(request)
        return [] if number is None else [(number, f"{number} · {mission.name}" if mission else number)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return _of_mission(queryset, self.value())


class StatusFilter(admin.SimpleListFilter):
    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return ItemStatus.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        status = self.value()
        if status not in ItemStatus.values:
            return queryset
        if "mission" not in request.GET:
            queryset = queryset.filter(
                mission__in=Mission.objects.filter(**{f"{status}_count__gt": 0}).order_by().values("pk")
            )
        return queryset.filter(status=status)


class CauseFilter(admin.SimpleListFilter):
    """The error codes of one mission's failed items."""

    title = gettext_lazy("cause")
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        mission = _selected_mission(request)
        groups = failures.failure_groups(mission) if mission is not None and mission.failed_count else []
        return [(group.error_code, f"{group.error_code or '—'} ({group.count:,})") for group in groups]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        cause = self.value()
        if cause is None or "mission" not in request.GET:
            return queryset
        return queryset.filter(status=ItemStatus.FAILED, error_code=cause, ended_at__isnull=False)


def _of_mission(items: QuerySet[Any], number: str | None) -> QuerySet[Any]:
    if number is None:
        return items
    return items.filter(mission=int(number)) if _NUMBER.fullmatch(number) else items.none()


def _selected_mission(request: HttpRequest) -> Mission | None:
    number = request.GET.get("mission", "")
    if not _NUMBER.fullmatch(number):
        return None
    return Mission.objects.defer("params", "metadata").filter(pk=int(number)).first()


def _preview_retry(item: MissionItem, form: QueryDict) -> ActionPreview:
    if item.status != ItemStatus.FAILED or item.mission.status == MissionStatus.CANCELLED:
        return ActionPreview([], 0, Decimal(0), is_refused=True)
    advice = failures.ADVICE[failures.remedy_of(item.mission, item.error_code)]
    sentences = [_("It is submitted again, as a new, paid attempt."), str(advice)]
    return ActionPreview(sentences, 1, failures.estimate(item.mission, 1))


RETRY = AdminAction(
    name="retry",
    title=gettext_lazy("Retry"),
    question=gettext_lazy("Retry these items?"),
    money=gettext_lazy("Will cost (estimate)"),
    record=reasons.ADMIN_ITEM_RETRIED,
    preview=_preview_retry,
    do=lambda item, actor, form: services.retry_item(item=item, actor=actor),
    currency_of=lambda item: item.mission.currency,
)


@admin.register(MissionItem)
class MissionItemAdmin(PageAdmin):
    page = "admin/missions/item.html"
    list_display = [
        "place",
        "mission_name",
        "shown_status",
        column("attempt_count", gettext_lazy("paid attempts")),
        column("error_code", gettext_lazy("cause")),
        "message",
        "shown_cost",
        column("ended_at", gettext_lazy("ended")),
    ]
    list_filter = [MissionFilter, StatusFilter, CauseFilter]
    list_select_related = ["mission"]
    search_fields = ["custom_id"]  # see get_search_results
    search_help_text = gettext_lazy(
        "The number of a mission (12), an item's place in it (12#5), or the provider's task id; "
        "within one mission an item's own id."
    )
    sortable_by = ()
    operator_actions = (RETRY,)
    actions = [as_admin_action(RETRY)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[MissionItem]:
        items: QuerySet[MissionItem] = super().get_queryset(request)
        return items.defer("mission__params", "mission__metadata", "mission__description")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Order by batch position within one mission, newest first over all missions: as the index
        is sorted.
        """
        return ("mission_id", "index") if "mission" in request.GET else ("-mission_id", "-index")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search only columns with an index: a part of a text would be searched in a million
        rows.
        """
        word = search_term.strip()
        if not word:
            return queryset, False
        if place := parse_item_name(word):
            return queryset.filter(mission=place[0], index=place[1]), False
        if "mission" in request.GET:
            return queryset.filter(custom_id=word), False
        condition = Q(pk__in=list(attempts_with_task(word).order_by().values_list("item", flat=True)[:LATEST]))
        if _NUMBER.fullmatch(word):
            condition |= Q(mission=int(word))
        return queryset.filter(condition), False

    @admin.display(description=gettext_lazy("item"))
    def place(self, item: MissionItem) -> SafeString:
        return format_html('<span class="nowrap figures">{}</span>', item)

    @admin.display(description=gettext_lazy("mission"))
    def mission_name(self, item: MissionItem) -> SafeString:
        return mission_link(item.mission)

    @admin.display(description=gettext_lazy("status"))
    def shown_status(self, item: MissionItem) -> SafeString:
        return badge(item.status, "item")

    @admin.display(description=gettext_lazy("message"))
    def message(self, item: MissionItem) -> SafeString:
        return long_text("" if item.status == ItemStatus.COMPLETED else item.error_display)

    @admin.display(description=gettext_lazy("cost"))
    def shown_cost(self, item: MissionItem) -> SafeString:
        return money(item.cost, item.mission.currency)

    # --- One item ---

    def page_context(self, request: HttpRequest, row: MissionItem) -> dict[str, Any]:
        attempts = list(row.attempts.defer("raw").select_related("account").order_by("-number")[:LATEST])
        outputs = list(row.outputs.all())
        for output in outputs:
            output.item = row
        return {
            "mission": row.mission,
            "item_view": present_items(row.mission, [row])[0],
            "attempts": attempts,
            "outputs": outputs,
            "events": with_actors(row.events.filter(text="").order_by("-pk")[:LATEST]),
            "advice": failures.ADVICE[failures.remedy_of(row.mission, row.error_code)],
            "is_history_removed": bool(attempts or row.ended_at),
            "action": RETRY,
            "is_retryable": not _preview_retry(row, QueryDict()).is_refused,
            "here": request.get_full_path(),
        }

    def has_act_permission(self, request: HttpRequest) -> bool:
        return rights.may_all(request.user, Action.CHANGE, Mission)

    def get_urls(self) -> list[URLPattern]:
        resolve = self.admin_site.admin_view(self.resolve_view)
        return [path("<int:item_id>/resolve/", resolve, name="missions_missionitem_resolve"), *super().get_urls()]

    def resolve_view(self, request: HttpRequest, item_id: int) -> HttpResponse:
        """Resolve an unconfirmed item, after a person has checked the provider's task list."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        item = get_object_or_404(self.get_queryset(request).select_related("mission"), pk=item_id)
        form = ProviderTaskForm(request.POST if request.POST.get("found") == "task" else None)
        if request.method == "POST" and self._resolve(request, item, form):
            return redirect(self._next_url(request, item))
        attempt = item.attempts.select_related("account").filter(status=AttemptStatus.UNCONFIRMED).first()
        context = self.frame_of(request, item) | {
            "mission": item.mission,
            "attempt": attempt,
            "item_view": present_items(item.mission, [item])[0],
            "form": form,
            "price": failures.estimate(item.mission, 1),
            "next": self._next_url(request, item),
        }
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/missions/resolve.html", context, status=status)

    def _resolve(self, request: HttpRequest, item: MissionItem, form: ProviderTaskForm) -> bool:
        """Do what the form says.

        Return False when it is refused, with the reason in the form or the messages.
        """
        try:
            if form.is_bound:
                if not form.is_valid():
                    return False
                task_id = form.cleaned_data["remote_task_id"]
                services.resolve_with_task(item=item, remote_task_id=task_id, actor=actor(request))
                log(self, request, item, reasons.ADMIN_TASK_ATTACHED)
                messages.success(request, _("Task attached. Its result will be downloaded at no extra cost."))
                return True
            if request.POST.get("found") == "nothing":
                services.resolve_as_not_run(item=item, actor=actor(request))
                log(self, request, item, reasons.ADMIN_NOT_RUN)
                messages.success(request, _("Item %(number)d resubmitted.") % {"number": item.index})
                return True
        except NotPossible as refusal:
            if form.is_bound:
                form.add_error("remote_task_id", str(refusal))
            else:
                messages.error(request, str(refusal))
        return False

    def _next_url(self, request: HttpRequest, item: MissionItem) -> str:
        return safe_next(request, reverse("admin:missions_missionitem_change", args=[item.pk]))
