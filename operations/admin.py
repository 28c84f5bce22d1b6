"""Admin of the stored sums and of backups."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import DetailAdmin, column, money
from missions.models import HourlySpend, Tally
from operations.models import Backup


@admin.register(HourlySpend)
class HourlySpendAdmin(DetailAdmin):
    list_display = [
        column("hour", _("hour")),
        column("mission", _("mission")),
        "shown_cost",
        column("unreported_count", _("cost not reported")),
    ]
    search_fields = ["=mission__id"]
    list_select_related = ["mission"]
    facts = [
        ("hour", _("Hour")),
        ("mission", _("Mission")),
        ("cost", _("Cost")),
        ("unreported_count", _("Cost not reported")),
    ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # internal: no entry in the menu; its address works

    @admin.display(description=_("cost"))
    def shown_cost(self, row: HourlySpend) -> SafeString:
        return money(row.cost, row.mission.currency)


@admin.register(Tally)
class TallyAdmin(DetailAdmin):
    list_display = [
        column("counted_to", _("counted to")),
        column("file_count", _("files")),
        column("file_bytes", _("bytes")),
        column("files_counted_at", _("files counted")),
    ]
    facts = [
        ("counted_to", _("Counted up to")),
        ("file_count", _("Files")),
        ("file_bytes", _("Bytes")),
        ("files_counted_at", _("Files counted")),
    ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # internal: no entry in the menu; its address works


@admin.register(Backup)
class BackupAdmin(DetailAdmin):
    list_display = [
        column("made_at", _("made")),
        column("host", _("host")),
        column("folder", _("folder")),
        column("size_bytes", _("bytes")),
        column("file_count", _("files")),
    ]
    facts = [
        ("made_at", _("Created")),
        ("host", _("Host")),
        ("folder", _("Folder")),
        ("size_bytes", _("Bytes")),
        ("file_count", _("Files")),
    ]
