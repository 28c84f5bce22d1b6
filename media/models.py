"""Media files that people upload, and the missions that use them."""

from __future__ import annotations

import secrets
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts import rights


def new_key() -> str:
    """Return an unguessable name for a file's public path."""
    return secrets.token_urlsafe(24)


class MediaFileQuerySet(models.QuerySet["MediaFile"]):
    def visible_to(self, user: AbstractUser) -> Self:
        """Return the files that a person may see (``accounts.rights``)."""
        return rights.visible(self, user)


class MediaFile(models.Model):
    """One uploaded image. The same bytes uploaded twice by one person are one row."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="media_files")
    key = models.CharField(max_length=40, unique=True, default=new_key, editable=False)
    file = models.FileField(upload_to="media/%Y/%m/")
    name = models.CharField(max_length=255, help_text=_("The file's name on the uploader's computer."))
    sha256 = models.CharField(max_length=64, editable=False)
    content_type = models.CharField(max_length=100)
    size_bytes = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # What most models get of it (``media.renditions``); null: an older release stored it.
    rendition = models.JSONField(null=True, editable=False)

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
        """Return the name that parameters use for the file: ``media:ID``."""
        return f"media:{self.pk}"

    @property
    def rendition_path(self) -> str:
        """Return the storage name of the stored rendition; "" if none is stored."""
        return str((self.rendition or {}).get("file", ""))


class MediaName(models.Model):
    """A name under which a file was uploaded: the same bytes may come under several.

    ``key`` is the name as it is compared (``media.names.folded``), ``stem`` the same without the
    ending.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    media = models.ForeignKey(MediaFile, on_delete=models.CASCADE, related_name="names", db_index=False)
    path = models.CharField(max_length=500, help_text=_("The name, with its folders if they are known."))
    key = models.CharField(max_length=255)
    stem = models.CharField(max_length=255)
    uploaded_at = models.DateTimeField()

    class Meta:
        verbose_name = _("name of a media file")
        verbose_name_plural = _("names of media files")
        constraints = [models.UniqueConstraint(fields=["media", "path"], name="media_name_unique")]
        indexes = [
            # names.resolve: the files of a person with these names.
            models.Index(fields=["owner", "key"], name="media_name_key"),
            models.Index(fields=["owner", "stem"], name="media_name_stem"),
        ]

    def __str__(self) -> str:
        return self.path


class MediaUse(models.Model):
    """A mission that uses a media file: one row per pair, however many of its items name the file.

    Written in the transaction that creates the mission, so that nobody has to search the parameters
    of its items to learn if a file is still needed. RESTRICT: a file is deleted only by
    ``media.services.delete_media``, which refuses while one of these missions is open.
    """

    mission = models.ForeignKey("missions.Mission", on_delete=models.CASCADE, related_name="media")
    media = models.ForeignKey(MediaFile, on_delete=models.RESTRICT, related_name="uses", db_index=False)

    class Meta:
        db_table = "missions_missionmedia"  # programs of the last release write here during an upgrade
        verbose_name = _("use of a media file")
        verbose_name_plural = _("uses of media files")
        # Begins with the file: it also answers which missions use one.
        constraints = [models.UniqueConstraint(fields=["media", "mission"], name="media_once_per_mission")]

    def __str__(self) -> str:
        return f"{self.mission_id}: media:{self.media_id}"
