"""Reference images that people upload, to be used in missions."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


def new_key() -> str:
    """An unguessable name for a file's public path."""
    return secrets.token_urlsafe(24)


class MediaFile(models.Model):
    """One uploaded image.  The same bytes uploaded twice by one person are one row."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="media_files")
    key = models.CharField(max_length=40, unique=True, default=new_key, editable=False)
    file = models.FileField(upload_to="media/%Y/%m/")
    name = models.CharField(max_length=255, help_text=_("The name that the file had on the person's machine."))
    sha256 = models.CharField(max_length=64, editable=False)
    content_type = models.CharField(max_length=100)
    size_bytes = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("media file")
        constraints = [models.UniqueConstraint(fields=["owner", "sha256"], name="media_file_unique_per_owner")]

    def __str__(self) -> str:
        return self.name
