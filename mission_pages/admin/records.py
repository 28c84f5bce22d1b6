"""Admin of the rows behind an item: attempts, results, events.

They can be searched only by columns with an index. Sorting by another column, or filtering by a
status that few of a million rows have, would read all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import DetailAdmin, badge, column, long_text, money
from mission_pages.admin.lookups import attempts_with_task, mission_link, parse_item_name
from missions.models import (
    LIVE_ATTEMPTS,
    Attempt,
    AttemptStatus,
    ItemEvent,
    ItemStatus,
    ItemTag,
    MissionStatus,
    Output,
    OutputStatus,
    OutputUse,
    RemovedSpending,
)
from providers.models import ProviderAccount

# The labels of an event's statuses, which are a mission's or an item's.
STATUS_LABELS: dict[str, Any] = dict([*MissionStatus.choices, *ItemStatus.choices])


def _of_item(rows: QuerySet[Any], word: str) -> QuerySet[Any]:
    """Return the rows of an item named like ``12#5``; none for another word."""
    place = parse_item_name(word)
    return rows.filter(item__mission=place[0], item__index=place[1]) if place else rows.none()


def _of_mission(rows: QuerySet[Any], word: str) -> QuerySet[Any]:
    word = word.strip()
    return rows.filter(mission=int(word)) if word.isdecimal() and len(word) < 19 else _of_item(rows, word)


def _by_task(rows: QuerySet[Any], word: str) -> QuerySet[Any]:
    word = word.strip()
    if parse_item_name(word):
        return _of_item(rows, word)
    return rows.filter(pk__in=attempts_with_task(word).values("pk"))


class LongTable(DetailAdmin):
    """A long table, newest first. ``search`` returns the rows for a word."""

    page = "admin/missions/record.html"
    ordering = ("-pk",)
    sortable_by = ()
    search_fields = ["pk"]  # shows the search box; ``search`` does the search

    @staticmethod
    def search(rows: QuerySet[Any], word: str) -> QuerySet[Any]:
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (self.search(queryset, search_term) if search_term.strip() else queryset), False

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return super().page_context(request, row) | {"item": getattr(row, "item", None)}

    @admin.display(description=_("item"))
    def item_link(self, row: Any) -> SafeString:
        if row.item_id is None:
            return SafeString("")
        address = reverse("admin:missions_missionitem_change", args=[row.item_id])
        return format_html('<a class="nowrap" href="{}">{}</a>', address, row.item)


class LiveFilter(admin.SimpleListFilter):
    """Attempts that hold a slot, or may: an index covers these statuses."""

    title = _("status")
    parameter_name = "live"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [(status.value, status.label) for status in LIVE_ATTEMPTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in LIVE_ATTEMPTS:
            return queryset
        return queryset.filter(account__in=ProviderAccount.objects.values("pk"), status=self.value())


@admin.register(Attempt)
class AttemptAdmin(LongTable):
    list_display = [
        "__str__",
        "item_link",
        column("account", _("account")),
        "shown_status",
        column("remote_task_id", _("task id")),
        column("error_code", _("cause")),
        "shown_cost",
        column("created_at", _("created")),
        column("ended_at", _("ended")),
    ]
    # Without the webhook token: anyone who knows it can report in the provider's name.
    facts = [
        ("number", _("Number")),
        ("account", _("Account")),
        ("get_status_display", _("Status")),
        ("model", _("Model")),
        ("remote_task_id", _("Task ID")),
        ("hinted_task_id", _("Task named by a webhook")),
        ("unknown_status", _("Unknown status")),
        ("error_code", _("Cause")),
        ("error_display", _("Message")),
        ("cost", _("Cost")),
        ("currency", _("Currency")),
        ("worker", _("Worker")),
        ("created_at", _("Created")),
        ("sending_at", _("Sent")),
        ("accepted_at", _("Accepted")),
        ("running_seen_at", _("Last seen running")),
        ("unanswered_since", _("Unreachable since")),
        ("ended_at", _("Ended")),
        ("next_poll_at", _("Next poll")),
        ("poll_count", _("Polls")),
        ("request", _("Sent parameters")),
        ("raw", _("Last response of the provider")),
    ]
    list_filter = [LiveFilter]
    list_select_related = ["account", "item"]
    search_help_text = _("The provider's task id, or an item's place in its mission (12#5).")
    search = staticmethod(_by_task)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        attempts: QuerySet[Attempt] = super().get_queryset(request)
        return (
            attempts if request.resolver_match and request.resolver_match.kwargs else attempts.defer("raw", "request")
        )

    @admin.display(description=_("status"))
    def shown_status(self, attempt: Attempt) -> str:
        return str(AttemptStatus(attempt.status).label)

    @admin.display(description=_("cost"))
    def shown_cost(self, attempt: Attempt) -> SafeString:
        return money(attempt.cost, attempt.currency)


class NotFetchedFilter(admin.SimpleListFilter):
    """Results that are still to be fetched: a partial index holds only these."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [(OutputStatus.PENDING.value, _("not fetched yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=OutputStatus.PENDING) if self.value() == OutputStatus.PENDING else queryset


@admin.register(Output)
class OutputAdmin(LongTable):
    list_filter = [NotFetchedFilter]
    list_display = [
        "__str__",
        "item_link",
        "shown_status",
        column("content_type", _("type")),
        column("size_bytes", _("bytes")),
        column("try_count", _("download attempts")),
        "message",
    ]
    facts = [
        ("index", _("Number")),
        ("get_status_display", _("Status")),
        ("file", _("File")),
        ("thumbnail", _("Thumbnail")),
        ("text", _("Text")),
        ("remote_url", _("URL at the provider")),
        ("expires_at", _("Expires")),
        ("content_type", _("Type")),
        ("size_bytes", _("Bytes")),
        ("width", _("Width")),
        ("height", _("Height")),
        ("duration_seconds", _("Duration in seconds")),
        ("sha256", _("SHA-256")),
        ("try_count", _("Download attempts")),
        ("next_try_at", _("Next download")),
        ("error_display", _("Message")),
        ("created_at", _("Created")),
        ("stored_at", _("Stored")),
    ]
    list_select_related = ["item"]
    search_help_text = _("An item's place in its mission (12#5).")
    search = staticmethod(_of_item)

    @admin.display(description=_("status"))
    def shown_status(self, output: Output) -> SafeString:
        return badge(output.status, "output")

    @admin.display(description=_("message"))
    def message(self, output: Output) -> SafeString:
        return long_text(output.error_display)


@admin.register(OutputUse)
class OutputUseAdmin(DetailAdmin):
    list_display = ["__str__", column("mission", _("mission")), "output_link"]
    facts = [("mission", _("Mission")), ("output", _("Result"))]
    list_select_related = ["mission", "output__item"]
    ordering = ["-pk"]
    search_fields = ["=mission__id"]
    search_help_text = _("The number of a mission.")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # nobody needs this table on the overview

    @admin.display(description=_("result"))
    def output_link(self, use: OutputUse) -> SafeString:
        address = reverse("admin:missions_output_change", args=[use.output_id])
        return format_html('<a class="nowrap" href="{}">{}</a>', address, use.output.reference)


@admin.register(ItemEvent)
class ItemEventAdmin(LongTable):
    list_display = [
        column("at", _("when")),
        "mission_link",
        "item_link",
        "shown_from",
        "shown_to",
        "message",
        column("actor", _("by")),
    ]
    facts = [
        ("at", _("When")),
        ("attempt_number", _("Attempt")),
        ("from_status", _("From")),
        ("to_status", _("To")),
        ("reason_display", _("Reason")),
        ("actor", _("By")),
    ]
    list_select_related = ["mission", "item"]
    search_help_text = _("The number of a mission (12), or an item's place in it (12#5).")
    search = staticmethod(_of_mission)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ItemEvent]:
        events: QuerySet[ItemEvent] = super().get_queryset(request)
        return events.defer("mission__params", "mission__metadata", "item__params")

    @admin.display(description=_("from"))
    def shown_from(self, event: ItemEvent) -> str:
        return str(STATUS_LABELS.get(event.from_status, event.from_status))

    @admin.display(description=_("to"))
    def shown_to(self, event: ItemEvent) -> str:
        return str(STATUS_LABELS.get(event.to_status, event.to_status))

    @admin.display(description=_("mission"))
    def mission_link(self, event: ItemEvent) -> SafeString:
        return mission_link(event.mission)

    @admin.display(description=_("message"))
    def message(self, event: ItemEvent) -> SafeString:
        return long_text(event.reason_display)


@admin.register(ItemTag)
class ItemTagAdmin(DetailAdmin):
    """The tags that people gave to results."""

    list_display = [column("name", _("tag")), column("owner", _("owner")), column("item_id", _("item"))]
    list_select_related = ["owner"]
    sortable_by = ()
    ordering = ("-pk",)
    facts = [("name", _("Tag")), ("owner", _("Owner")), ("item", _("Item"))]


@admin.register(RemovedSpending)
class RemovedSpendingAdmin(DetailAdmin):
    list_display = [
        column("day", _("day")),
        column("owner", _("owner")),
        column("model", _("model")),
        "shown_amount",
        column("ended_at", _("ended")),
    ]
    search_fields = ["owner__username", "model"]
    list_select_related = ["owner"]
    facts = [
        ("day", _("Day")),
        ("owner", _("Owner")),
        ("model", _("Model")),
        ("amount", _("Amount")),
        ("currency", _("Currency")),
        ("ended_at", _("Ended")),
        ("unreported_count", _("Cost not reported")),
    ]

    @admin.display(description=_("amount"))
    def shown_amount(self, row: RemovedSpending) -> SafeString:
        return money(row.amount, row.currency)
