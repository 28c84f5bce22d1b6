"""Unfinished forms."""

from __future__ import annotations

import json
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class FormDraftQuerySet(models.QuerySet["FormDraft"]):
    def unfinished(self, owner: AbstractBaseUser) -> Self:
        """Keep the owner's unsubmitted drafts, latest first, without the large columns."""
        return self.filter(owner_id=owner.pk, mission_id=None).defer("table", "file").order_by("-updated_at", "-pk")


class FormDraft(models.Model):
    """The content of one form, so that neither a reload nor an error loses it.

    ``form`` and ``table`` are JSON in text columns: they hold text as it was typed, which a JSON
    column would refuse (NUL characters), and nobody searches them.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="form_drafts")
    key = models.CharField(max_length=32, help_text=_("Identifies the form in the URL of its page."))
    form = models.TextField(default="{}", help_text=_("The fields as they were typed."))
    file_name = models.CharField(max_length=255, blank=True, help_text=_("The imported file."))
    table = models.TextField(blank=True, help_text=_("The rows of the imported file."))
    file = models.BinaryField(
        null=True, help_text=_("The imported file itself, while another part of it may be chosen.")
    )
    mission_id = models.PositiveBigIntegerField(null=True, blank=True, help_text=_("The mission created from it."))
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = FormDraftQuerySet.as_manager()

    class Meta:
        verbose_name = _("form draft")
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="form_draft_unique_per_owner")]
        indexes = [
            # drafts.services: expired drafts.
            models.Index(fields=["updated_at"], name="form_draft_age"),
        ]

    def __str__(self) -> str:
        return self.fields.get("name") or self.key

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the form by name."""
        return dict(json.loads(self.form))

    @property
    def rows(self) -> Any:
        """The table that ``services.save_table`` stored, or None."""
        return json.loads(self.table) if self.table else None
