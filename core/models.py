"""Stored responses to requests with an Idempotency-Key."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """A request that its caller may repeat: claimed before it runs, with its response afterwards.

    A row without ``finished_at`` belongs to the process that set ``claimed_at``.  See
    docs/decisions/0006-idempotency.md.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="idempotency_keys")
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, help_text=_("SHA-256 of method, URL and body."))
    claimed_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    body = models.TextField(blank=True)

    class Meta:
        db_table = "accounts_idempotencykey"
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique_per_user")]
        indexes = [
            # core.api.idempotency: expired keys.
            models.Index(fields=["claimed_at"], name="idempotency_age"),
        ]

    def __str__(self) -> str:
        return self.key


class BulkAction(models.Model):
    """An action of an operator on many rows, done step by step (``core.admin.bulk``)."""

    model = models.CharField(max_length=100, help_text=_("app.model of the rows."))
    action = models.CharField(max_length=50)
    actor_id = models.BigIntegerField()
    ids = models.JSONField(help_text=_("The rows that were confirmed, in order."))
    form = models.JSONField(default=dict)
    position = models.PositiveIntegerField(default=0, help_text=_("Rows before it were claimed by a step."))
    done_count = models.PositiveIntegerField(default=0)
    refused_count = models.PositiveIntegerField(default=0)
    refusals = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True)
    worked_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("action on many rows")
        verbose_name_plural = _("actions on many rows")

    def __str__(self) -> str:
        return f"{self.action}: {self.model}"

    @property
    def total_count(self) -> int:
        return len(self.ids)

    @property
    def lost_count(self) -> int:
        """Rows that were claimed by a step whose worker died, or that were deleted meanwhile."""
        return self.position - self.done_count - self.refused_count if self.finished_at else 0
