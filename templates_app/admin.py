"""What people keep for their missions: templates and uploaded images.

Registered here and not in their own apps, because only missions know what uses them.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import PageAdmin, choices, column
from missions.models import Mission
from providers.catalog.task_types import TaskType
from templates_app.models import MissionTemplate

USES_SHOWN = 20


@admin.register(MissionTemplate)
class MissionTemplateAdmin(PageAdmin):
    """Changed on the site only, where the catalogue checks every parameter."""

    page = "admin/templates_app/template.html"
    list_display = [
        column("name", _("name"), is_sortable=True),
        column("owner", _("owner")),
        "shown_type",
        column("updated_at", _("changed"), is_sortable=True),
    ]
    list_filter = [choices("task_type", _("type"), TaskType)]
    search_fields = ["name", "owner__username"]
    search_help_text = _("A name, or an owner.")
    list_select_related = ["owner"]

    @admin.display(description=_("type"), ordering="task_type")
    def shown_type(self, template: MissionTemplate) -> str:
        known = dict(TaskType.choices)
        return str(known.get(template.task_type, template.task_type))

    def page_context(self, request: HttpRequest, row: MissionTemplate) -> dict[str, Any]:
        made = Mission.objects.filter(template=row, delete_requested_at=None).order_by("-pk")
        return {
            "uses": list(made.only("pk", "name", "status", "owner_id")[:USES_SHOWN]),
            "type_word": self.shown_type(row),
        }
