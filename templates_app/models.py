"""Saved sets of mission parameters."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts import rights


class MissionTemplateQuerySet(models.QuerySet["MissionTemplate"]):
    def visible_to(self, user: AbstractUser) -> Self:
        """Return the templates that a person may see (``accounts.rights``)."""
        return rights.visible(self, user)


class MissionTemplate(models.Model):
    """A named set of parameters for one task type.

    ``config`` holds ``model``, the fixed ``params`` and ``batch_fields``: the parameters that a new
    mission's rows fill. ``file_name_pattern`` in it names the result files.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mission_templates")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    task_type = models.CharField(max_length=32)
    config = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = MissionTemplateQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("mission template")
        verbose_name_plural = _("mission templates")
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="template_name_unique_per_owner")]

    def __str__(self) -> str:
        return self.name
