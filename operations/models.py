"""Backups that were made."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Backup(models.Model):
    """A complete backup, written by ``manage.py backup``."""

    made_at = models.DateTimeField(default=timezone.now, db_index=True)
    host = models.CharField(max_length=255)
    folder = models.CharField(max_length=4096)
    size_bytes = models.PositiveBigIntegerField(help_text=_("Database and files together."))
    file_count = models.PositiveIntegerField(help_text=_("Uploads and results."))

    class Meta:
        ordering = ["-made_at"]
        verbose_name = _("backup")
        verbose_name_plural = _("backups")

    def __str__(self) -> str:
        return f"{self.host}:{self.folder}"
