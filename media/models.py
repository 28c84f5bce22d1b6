"""Reference images that people upload, to be used in missions."""

from __future__ import annotations

import secrets
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


def new_key() -> str:
    """An unguessable name for a file's public path."""
    return secrets.token_urlsafe(24)


class MediaFileQuerySet(models.QuerySet["MediaFile"]):
    def visible_to(self, user: AbstractUser) -> Self:
        """One's own files; staff see those of all."""
        return self if user.is_staff else self.filter(owner_id=user.pk)


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

    objects = MediaFileQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("media file")
        verbose_name_plural = _("media files")
        constraints = [models.UniqueConstraint(fields=["owner", "sha256"], name="media_file_unique_per_owner")]
        indexes = [
            # A person's files, newest first.
            models.Index(fields=["owner", "-created_at", "-id"], name="media_owner_created"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def reference(self) -> str:
        """What a mission's row calls the file."""
        return f"media:{self.pk}"
