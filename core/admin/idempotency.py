"""Admin of idempotency keys."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from core.admin.readonly import column
from core.models import IdempotencyKey


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Repeatable requests: finished, or still running.  They can be deleted, but not edited."""

    list_display = [
        column("key", gettext_lazy("key"), is_sortable=True),
        column("user", gettext_lazy("person"), is_sortable=True),
        column("status", gettext_lazy("status"), is_sortable=True),
        column("claimed_at", gettext_lazy("started"), is_sortable=True),
        column("finished_at", gettext_lazy("finished"), is_sortable=True),
    ]
    list_select_related = ["user"]
    search_fields = ["key", "user__username"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # internal: no entry in the menu; its address works

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False
