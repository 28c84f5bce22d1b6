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
