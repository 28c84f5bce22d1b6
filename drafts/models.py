"""Forms that are not finished."""

from __future__ import annotations

import json
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class FormDraftQuerySet(models.QuerySet["FormDraft"]):
    def unfinished(self, owner: AbstractBaseUser) -> Self:
        """What somebody has begun and not submitted, the latest first, without the large columns."""
        return self.filter(owner_id=owner.pk, mission_id=None).defer("table").order_by("-updated_at", "-pk")


class FormDraft(models.Model):
    """What a person has entered in one form, so that neither a reload nor an error loses it.

    ``form`` and ``table`` are JSON in text columns: text as it was typed, which a JSON column would not take (a NUL), and which
    nobody ever searches.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="form_drafts")
    key = models.CharField(max_length=32, help_text=_("Names the form in its page's address."))
    form = models.TextField(default="{}", help_text=_("The fields, as they were typed."))
    file_name = models.CharField(max_length=255, blank=True, help_text=_("The file that was imported."))
    table = models.TextField(blank=True, help_text=_("The rows of that file."))
    mission_id = models.PositiveBigIntegerField(null=True, blank=True, help_text=_("The mission that it became."))
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = FormDraftQuerySet.as_manager()

    class Meta:
        verbose_name = _("form draft")
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="form_draft_unique_per_owner")]
        indexes = [
            # drafts.services: what can be forgotten.
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
        """What ``services.keep_table`` was given, or None."""
        return json.loads(self.table) if self.table else None
