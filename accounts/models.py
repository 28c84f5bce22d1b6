"""How a person wants the pages, how much they may spend, and what programs need: tokens to show instead of a password, and keys
by which a repeated request is known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Theme(models.TextChoices):
    AUTO = "auto", _("Follow the system")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class Profile(models.Model):
    """A person's wishes.  Without a row, or where a text is empty, the browser's hold (see ``accounts.preferences``)."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile")
    language = models.CharField(_("language"), max_length=16, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)
    theme = models.CharField(_("theme"), max_length=8, choices=Theme.choices, default=Theme.AUTO)

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")

    def __str__(self) -> str:
        return str(self.user)


class Period(models.TextChoices):
    DAY = "day", _("per day (UTC)")
    MONTH = "month", _("per calendar month (UTC)")
    EVER = "ever", _("in all")


class SpendingLimit(models.Model):
    """How much a person's missions may spend together.

    Its row is locked while work of theirs is taken up, so that two accounts that do so at once cannot overshoot it.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="spending_limit")
    amount = models.DecimalField(
        _("amount"),
        max_digits=16,
        decimal_places=6,
        validators=[MinValueValidator(0)],
        help_text=_("In the currency of the prices, CNY. At 0 nothing is sent."),
    )
    period = models.CharField(_("period"), max_length=8, choices=Period.choices, default=Period.MONTH)

    class Meta:
        verbose_name = _("spending limit")
        verbose_name_plural = _("spending limits")

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.get_period_display()}"

    def since(self, now: datetime) -> datetime | None:
        """When the period began in which ``now`` lies; None: with the first mission."""
        if self.period == Period.EVER:
            return None
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day.replace(day=1) if self.period == Period.MONTH else day


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self) -> Self:
        """Neither ended nor revoked, and of somebody who may still come in."""
        lasting = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(lasting, revoked_at=None, user__is_active=True)


class ApiToken(models.Model):
    """A bearer token.  Only its SHA-256 digest is kept, so the token itself can be shown just once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False, help_text=_("The token's first characters, to tell it."))
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    made_with = models.ForeignKey("self", null=True, editable=False, on_delete=models.CASCADE, related_name="made")

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotencyKey(models.Model):
    """A request that its caller may repeat: claimed before it is carried out, answered once it was.

    A row without ``finished_at`` belongs to whoever set its ``claimed_at``.  See docs/decisions/0006-idempotency.md.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="idempotency_keys")
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, help_text=_("SHA-256 of method, address and body."))
    claimed_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    body = models.TextField(blank=True)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique_per_user")]
        indexes = [
            # accounts.idempotency: what can be forgotten.
            models.Index(fields=["claimed_at"], name="idempotency_age"),
        ]

    def __str__(self) -> str:
        return self.key
