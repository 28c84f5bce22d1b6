from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from core.admin.columns import column
from core.models import IdempotencyKey


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To be looked at: which repeated requests are known, and which are still being carried out."""

    list_display = [
        column("key", gettext_lazy("key")),
        column("user", gettext_lazy("person")),
        column("status", gettext_lazy("status")),
        column("claimed_at", gettext_lazy("begun")),
        column("finished_at", gettext_lazy("finished")),
    ]
    list_select_related = ["user"]
    search_fields = ["key", "user__username"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: IdempotencyKey | None = None) -> bool:
        return False
