"""Heartbeats of worker clusters."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class WorkerCluster(models.Model):
    """The heartbeat of one supervisor and its worker processes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField(help_text=_("Process id of the supervisor."))
    pid_started_at = models.FloatField(
        help_text=_("Start time of that process, to distinguish it from a later one with the same id.")
    )
    group_id = models.PositiveIntegerField(null=True, help_text=_("Process group of the workers."))
    worker_count = models.PositiveIntegerField(default=0, help_text=_("Number of living worker processes."))
    free_disk_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, help_text=_("Free space on the disk of DATA_DIR, at the last heartbeat.")
    )
    slow_work = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text=_("Slow calls that many workers wait for (see workers.bulkhead)."),
    )
    restart_count = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(default=timezone.now)
    beat_at = models.DateTimeField(default=timezone.now)
    stopped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "missions_workercluster"
        ordering = ["-started_at"]
        verbose_name = _("worker cluster")
        verbose_name_plural = _("worker clusters")

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
