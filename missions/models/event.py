"""Events: the history of missions and their items."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.db import reasons
from missions.models.item import MissionItem
from missions.models.mission import Mission


class ItemEvent(models.Model):
    """A move of a mission or item, written in the same transaction, in order, and never edited.

    Events without an item concern the mission as a whole. An event with ``text`` is no move: it is
    the next piece of a text that is being written, and is deleted when the attempt ends.
    """

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, related_name="events")
    item = models.ForeignKey(MissionItem, null=True, blank=True, on_delete=models.CASCADE, related_name="events")
    attempt_number = models.PositiveIntegerField(null=True, blank=True)
    from_status = models.CharField(max_length=16, blank=True)
    to_status = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    reason_code = reasons.code_field()
    reason_params = reasons.params_field()
    actor = models.CharField(max_length=150, default="engine", help_text=_("engine, or user:ID"))
    text = models.TextField(blank=True, default="", db_default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [models.Index(fields=["mission", "id"], name="event_mission_order")]

    def __str__(self) -> str:
        return f"{self.from_status} → {self.to_status}"

    @property
    def reason_display(self) -> str:
        """The reason in the language of the reader."""
        return reasons.display(self.reason, self.reason_code, self.reason_params)
