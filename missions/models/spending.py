"""Sums of money: kept after the attempts' rows were deleted, or a copy of their totals."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.db.fields import money_field
from missions.models.mission import Mission


class RemovedSpending(models.Model):
    """Charges of removed missions, and what they may still be charged.

    So deleting a mission does not free any money of a limit.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    amount = money_field()
    model = models.CharField(max_length=200, db_default="")
    currency = models.CharField(max_length=8, db_default="")
    ended_at = models.DateTimeField(
        null=True,
        help_text=_(
            "When these attempts ended, in steps of 15 minutes. Empty: not known, or they may still be charged."
        ),
    )
    unreported_count = models.PositiveIntegerField(
        db_column="untold_count", db_default=0, help_text=_("Successes whose cost the provider has not reported.")
    )

    class Meta:
        verbose_name = _("spending of a removed mission")
        verbose_name_plural = _("spending of removed missions")
        indexes = [
            models.Index(fields=["owner", "day"], name="removed_spending_of_owner"),
            # tally: the spending since a time.
            models.Index(fields=["ended_at"], name="removed_spending_since"),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.amount:.2f} {self.currency}"


class HourlySpend(models.Model):
    """The charges of a mission's attempts that ended within one hour.

    ``missions.maintenance.spend_rollup`` writes it.
    """

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, related_name="+")
    hour = models.DateTimeField(help_text=_("When the hour begins, in UTC."))
    cost = money_field()
    unreported_count = models.PositiveIntegerField(
        db_column="untold_count", help_text=_("Successes whose cost the provider has not reported.")
    )

    class Meta:
        ordering = ["-hour", "mission"]
        verbose_name = _("hourly spend")
        verbose_name_plural = _("hourly spends")
        # Begins with the hour, so it also finds the spending since an hour.
        constraints = [models.UniqueConstraint(fields=["hour", "mission"], name="spend_once_per_hour_and_mission")]

    def __str__(self) -> str:
        return f"{self.mission_id} {self.hour:%Y-%m-%d %H:00}"


class Tally(models.Model):
    """One row: the end of ``HourlySpend``, and the size of the stored results when last counted."""

    counted_to = models.DateTimeField(
        null=True, help_text=_("The hourly spend includes all attempts that ended before this time.")
    )
    file_count = models.PositiveBigIntegerField(default=0)
    file_bytes = models.PositiveBigIntegerField(default=0)
    files_counted_at = models.DateTimeField(null=True)
    removal_count = models.PositiveBigIntegerField(
        db_default=0,
        help_text=_("Number of removals so far. When it changes, a sum that is being computed starts again."),
    )

    class Meta:
        verbose_name = _("spending counter")
        verbose_name_plural = _("spending counters")

    def __str__(self) -> str:
        return f"{self.counted_to}"
