"""Admin of templates."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import PageAdmin, choices, column
from providers.catalog.task_types import TaskType
from templates_app.models import MissionTemplate

MISSIONS_SHOWN = 20


@admin.register(MissionTemplate)
class MissionTemplateAdmin(PageAdmin):
    """Read-only: templates are edited on the site, where the catalogue checks every parameter."""

    page = "admin/templates_app/template.html"
    list_display = [
        column("name", _("name"), is_sortable=True),
        column("owner", _("owner")),
        "shown_type",
        column("updated_at", _("changed"), is_sortable=True),
    ]
    list_filter = [choices("task_type", _("type"), TaskType)]
    search_fields = ["name", "owner__username"]
    search_help_text = _("Template name or owner")
    list_select_related = ["owner"]

    @admin.display(description=_("type"), ordering="task_type")
    def shown_type(self, template: MissionTemplate) -> str:
        labels = dict(TaskType.choices)
        return str(labels.get(template.task_type, template.task_type))

    def page_context(self, request: HttpRequest, row: MissionTemplate) -> dict[str, Any]:
        missions = row.missions.filter(delete_requested_at=None).order_by("-pk")
        return {
            "uses": list(missions.only("pk", "name", "status", "owner_id")[:MISSIONS_SHOWN]),
            "type_word": self.shown_type(row),
        }
