"""Rows of missions.  What the engine decides (statuses, counts, money) can be looked at, never typed in.

Rows are made and ended by ``services`` and the engine, so nothing here can be added or deleted.
"""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from missions.models import (
    Attempt,
    ItemEvent,
    Mission,
    MissionItem,
    MissionMedia,
    Output,
    ProviderUpload,
    RemovedSpending,
    WorkerCluster,
)


class LookOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are looked at.  The exact count of a long table is not asked for."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Mission)
class MissionAdmin(LookOnly):
    list_display = [
        "name",
        "owner",
        "task_type",
        "status",
        "completed_count",
        "failed_count",
        "total_count",
        "cost",
        "created_at",
    ]
    list_filter = ["status", "task_type", "provider"]
    search_fields = ["name", "model", "owner__username"]
    list_select_related = ["owner"]
    date_hierarchy = "created_at"


@admin.register(MissionItem)
class MissionItemAdmin(LookOnly):
    list_display = ["__str__", "status", "attempt_count", "error_code", "cost", "ended_at"]
    list_filter = ["status", "error_code"]
    search_fields = ["=mission__id", "=custom_id"]
    search_help_text = _("The number of a mission, or a custom id.")


@admin.register(Attempt)
class AttemptAdmin(LookOnly):
    list_display = [
        "__str__",
        "account",
        "status",
        "model",
        "remote_task_id",
        "error_code",
        "cost",
        "created_at",
        "ended_at",
    ]
    list_filter = ["status", "account"]
    search_fields = ["=remote_task_id", "=item__id"]
    search_help_text = _("The provider's task id, or the number of an item.")
    list_select_related = ["account"]
    # Whoever knows the token can answer in the provider's name.
    exclude = ["webhook_token"]


@admin.register(Output)
class OutputAdmin(LookOnly):
    list_display = ["__str__", "item", "status", "content_type", "size_bytes", "try_count", "error_message"]
    list_filter = ["status", "content_type"]
    search_fields = ["=item__id", "=sha256"]
    list_select_related = ["item"]


@admin.register(ItemEvent)
class ItemEventAdmin(LookOnly):
    list_display = ["at", "mission", "item", "from_status", "to_status", "reason", "actor"]
    list_filter = ["to_status"]
    search_fields = ["=mission__id", "=item__id"]
    list_select_related = ["mission", "item"]


@admin.register(MissionMedia)
class MissionMediaAdmin(LookOnly):
    list_display = ["__str__", "mission", "media"]
    search_fields = ["=mission__id", "=media__id"]
    list_select_related = ["mission", "media"]


@admin.register(ProviderUpload)
class ProviderUploadAdmin(LookOnly):
    list_display = ["sha256", "account", "created_at", "expires_at"]
    search_fields = ["=sha256"]
    list_select_related = ["account"]


@admin.register(WorkerCluster)
class WorkerClusterAdmin(LookOnly):
    list_display = ["__str__", "worker_count", "restart_count", "started_at", "beat_at", "stopped_at"]
    list_filter = ["host"]


@admin.register(RemovedSpending)
class RemovedSpendingAdmin(LookOnly):
    list_display = ["day", "owner", "amount"]
    search_fields = ["owner__username"]
    list_select_related = ["owner"]
