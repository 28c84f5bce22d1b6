"""The page of an action on many rows: how far it is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from core.admin.readonly import PageAdmin
from core.models import BulkAction


@admin.register(BulkAction)
class BulkActionAdmin(PageAdmin):
    """Only its actor sees it, and superusers; it is in no menu."""

    page = "admin/bulk_action.html"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: BulkAction | None = None) -> bool:
        return bool(request.user.is_superuser) or (obj is not None and obj.actor_id == request.user.pk)

    def page_context(self, request: HttpRequest, row: BulkAction) -> dict[str, Any]:
        app, model = row.model.split(".")
        model_admin: Any = next(
            each for each in self.admin_site._registry.values() if each.opts.label_lower == row.model
        )
        action = next(each for each in model_admin.operator_actions if each.name == row.action)
        return {
            "title": action.title,
            "list_url": reverse(f"admin:{app}_{model}_changelist"),
            "list_name": model_admin.opts.verbose_name_plural,
        }
