"""Admin of worker clusters."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from core.admin.readonly import DetailAdmin, column
from workers.models import WorkerCluster


@admin.register(WorkerCluster)
class WorkerClusterAdmin(DetailAdmin):
    list_display = [
        "__str__",
        column("worker_count", _("workers alive")),
        column("restart_count", _("restarts")),
        column("started_at", _("started")),
        column("beat_at", _("last heartbeat")),
        column("stopped_at", _("stopped")),
    ]
    facts = [
        ("host", _("Host")),
        ("pid", _("Process")),
        ("worker_count", _("Workers alive")),
        ("free_disk_bytes", _("Free disk space in bytes")),
        ("restart_count", _("Restarts")),
        ("started_at", _("Started")),
        ("beat_at", _("Last heartbeat")),
        ("stopped_at", _("Stopped")),
    ]
