"""Spending limits of people."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class Period(models.TextChoices):
    DAY = "day", _("per day (UTC)")
    MONTH = "month", _("per calendar month (UTC)")
    EVER = "ever", _("in total")


class SpendingLimit(models.Model):
    """The amount that a person's missions may spend together.

    Its row is locked while their items are claimed, so that two accounts that claim at once cannot
    exceed it.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="spending_limit")
    amount = models.DecimalField(
        _("amount"),
        max_digits=16,
        decimal_places=6,
        validators=[MinValueValidator(0)],
        help_text=_("At 0 only free generations are sent."),
    )
    currency = models.CharField(
        _("currency"),
        max_length=8,
        default="CNY",
        db_default="CNY",
        help_text=_("The currency of the prices, such as CNY. Models priced in another one are refused."),
    )
    period = models.CharField(_("period"), max_length=8, choices=Period.choices, default=Period.MONTH)

    class Meta:
        db_table = "accounts_spendinglimit"
        verbose_name = _("spending limit")
        verbose_name_plural = _("spending limits")

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.currency} {self.get_period_display()}"

    def since(self, now: datetime) -> datetime | None:
        """Return the start of the current period; None: the first mission."""
        if self.period == Period.EVER:
            return None
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day.replace(day=1) if self.period == Period.MONTH else day
