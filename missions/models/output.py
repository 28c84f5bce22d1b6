"""Outputs: the results of an attempt."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.db import reasons
from missions.models.attempt import Attempt
from missions.models.item import MissionItem


class OutputStatus(models.TextChoices):
    PENDING = "pending", _("pending")  # known to the provider, not yet fetched
    STORED = "stored", _("stored")
    LOST = "lost", _("lost")  # could not be fetched before its address expired
    REMOVED = "removed", _("removed")  # deleted by retention; metadata is kept


class Output(models.Model):
    """One result of an attempt: a file that is fetched from the provider, or a text."""

    item = models.ForeignKey(MissionItem, on_delete=models.CASCADE, related_name="outputs")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="outputs")
    index = models.PositiveSmallIntegerField(help_text=_("The place among the attempt's results, from 1."))
    status = models.CharField(max_length=16, choices=OutputStatus.choices, default=OutputStatus.PENDING)
    text = models.TextField(blank=True)
    remote_url = models.TextField(blank=True)
    extension = models.CharField(max_length=16, blank=True)
    file = models.CharField(max_length=300, blank=True, help_text=_("The name in the results storage."))
    thumbnail = models.CharField(max_length=300, blank=True)
    content_type = models.CharField(max_length=100, blank=True)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)
    try_count = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    error_message = models.TextField(blank=True)
    error_reason = reasons.code_field()
    error_params = reasons.params_field()
    is_starred = models.BooleanField(default=False, help_text=_("Starred by a person."))
    created_at = models.DateTimeField(default=timezone.now)
    stored_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["item_id", "attempt_id", "index"]
        verbose_name = _("output")
        verbose_name_plural = _("outputs")
        constraints = [models.UniqueConstraint(fields=["attempt", "index"], name="output_index_unique_in_attempt")]
        indexes = [
            # execution.reaper: the next downloads.
            models.Index(fields=["next_try_at"], name="output_due", condition=Q(status="pending")),
            # gallery: starred results.
            models.Index(fields=["item"], name="output_starred", condition=Q(is_starred=True)),
        ]

    def __str__(self) -> str:
        return self.file or self.remote_url or f"text of {self.attempt_id}"

    @property
    def reference(self) -> str:
        """Return the name that parameters of other missions use for the file: ``output:ITEM/N``."""
        return f"output:{self.item_id}/{self.index}"

    @property
    def error_display(self) -> str:
        """The error in the language of the reader."""
        return reasons.display(self.error_message, self.error_reason, self.error_params)


class OutputUse(models.Model):
    """A result that another mission names as input (``output:ITEM/N``) until it has ended."""

    mission = models.ForeignKey("missions.Mission", on_delete=models.CASCADE, related_name="used_outputs")
    output = models.ForeignKey(Output, on_delete=models.CASCADE, related_name="uses", db_index=False)

    class Meta:
        verbose_name = _("use of a result")
        verbose_name_plural = _("uses of results")
        # Begins with the output, so it also finds the missions that need one.
        constraints = [models.UniqueConstraint(fields=["output", "mission"], name="output_once_per_mission")]

    def __str__(self) -> str:
        return f"{self.mission_id}: output:{self.output_id}"
