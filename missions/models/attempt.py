"""Attempts: the submissions of an item."""

from __future__ import annotations

import secrets
import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.db import reasons
from core.db.fields import money_field
from missions.models.item import MissionItem


class AttemptStatus(models.TextChoices):
    PREPARED = "prepared", _("prepared")  # holds a slot, provably not sent
    SENDING = "sending", _("sending")  # written before the POST: from here on it may be paid
    RUNNING = "running", _("running")  # the provider gave it a task id
    UNCONFIRMED = "unconfirmed", _("unconfirmed")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    REFUSED = "refused", _("refused")  # answered, certainly not accepted, not paid
    VOID = "void", _("discarded")  # given up before it was sent, or declared not run


LIVE_ATTEMPTS = (
    AttemptStatus.PREPARED,
    AttemptStatus.SENDING,
    AttemptStatus.RUNNING,
    AttemptStatus.UNCONFIRMED,
)
COST_UNREPORTED = Q(status=AttemptStatus.SUCCEEDED, cost=None)  # the provider has not reported the cost


def new_webhook_token() -> str:
    """Return an unguessable path for the webhook of one attempt."""
    return secrets.token_urlsafe(24)


class Attempt(models.Model):
    """One submission of an item: its request, times, worker and outcome."""

    item = models.ForeignKey(MissionItem, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    account = models.ForeignKey("providers.ProviderAccount", on_delete=models.PROTECT, related_name="attempts")
    status = models.CharField(max_length=16, choices=AttemptStatus.choices, default=AttemptStatus.PREPARED)
    model = models.CharField(max_length=200)
    request = models.JSONField(default=dict, help_text=_("The parameters as they were sent."))
    worker = models.CharField(max_length=100, blank=True, help_text=_("Cluster and process that sent it."))
    key_fingerprint = models.CharField(
        max_length=16, blank=True, editable=False, help_text=_("Of the key and the address that it was sent with.")
    )
    webhook_token = models.CharField(max_length=40, unique=True, default=new_webhook_token, editable=False)
    remote_task_id = models.CharField(max_length=64, blank=True)
    hinted_task_id = models.CharField(
        max_length=64, blank=True, editable=False, help_text=_("Named by a webhook, not yet confirmed by the provider.")
    )
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    error_reason = reasons.code_field()
    error_params = reasons.params_field()
    cost = money_field(null=True, blank=True, help_text=_("What the provider charged. Empty: it has not said."))
    expected_cost = money_field(
        null=True, blank=True, help_text=_("The expected price when the item was claimed. Empty: unknown.")
    )
    list_price = money_field(
        null=True,
        blank=True,
        editable=False,
        help_text=_("The catalogue's price when the item was claimed. Empty: unknown."),
    )
    currency = models.CharField(max_length=8, blank=True, help_text=_("Empty: the model is free."))
    raw = models.JSONField(default=dict, help_text=_("The provider's last answer, untouched."))
    created_at = models.DateTimeField(default=timezone.now)
    sending_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    running_seen_at = models.DateTimeField(null=True, blank=True, help_text=_("The last time it was seen running."))
    unanswered_since = models.DateTimeField(
        null=True, blank=True, help_text=_("No poll has been answered since this time.")
    )
    was_polled_late = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text=_("Its last poll came later than planned, so it may have ended long before."),
    )
    unknown_status = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("The provider's word for its status, if this program does not know it."),
    )
    unrecorded_count = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text=_("How often its end could not be recorded.")
    )
    progress = models.FloatField(null=True, blank=True, help_text=_("From 0 to 1. Empty: not reported."))
    ended_at = models.DateTimeField(null=True, blank=True)
    next_poll_at = models.DateTimeField(null=True, blank=True)
    poll_count = models.PositiveIntegerField(default=0)
    empty_count = models.PositiveSmallIntegerField(default=0, help_text=_("Reports of success without a result."))
    gone_count = models.PositiveSmallIntegerField(default=0, help_text=_("Consecutive polls that found no such task."))

    class Meta:
        ordering = [
            "item_id",
            "number",
        ]  # (by "item" it would be that of its mission, with two more tables in each read)
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [
            models.UniqueConstraint(fields=["item", "number"], name="attempt_number_unique_in_item"),
            models.UniqueConstraint(
                fields=["item"],
                name="one_live_attempt_per_item",
                condition=Q(status__in=["prepared", "sending", "running", "unconfirmed"]),
            ),
            models.UniqueConstraint(
                fields=["account", "remote_task_id"],
                name="remote_task_has_one_attempt",
                condition=~Q(remote_task_id=""),
            ),
        ]
        indexes = [
            # execution.poll.claim_polls: the next attempts to poll.
            models.Index(fields=["account", "next_poll_at"], name="attempt_due", condition=Q(status="running")),
            # execution.dispatch and execution.reaper: attempts that hold a slot.
            # (Not partial: SQLite cannot see that a list of parameters lies within the condition.)
            models.Index(fields=["account", "status"], name="attempt_live"),
            # account_load.slots_in_use: unconfirmed attempts that may still run, not those of long
            # ago.
            models.Index(fields=["account", "sending_at"], name="attempt_in_doubt", condition=Q(status="unconfirmed")),
            # durations.recent_durations: the durations of a model.
            models.Index(fields=["model", "-ended_at"], name="attempt_durations", condition=Q(status="succeeded")),
            # operations and tally: recent ends and their status.
            models.Index(fields=["ended_at", "status"], name="attempt_ended", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.item_id}/{self.number}"

    @property
    def our_id(self) -> str:
        """A UUID that names this attempt to a provider, on every installation a different one.

        It is derived from the webhook's token and does not disclose it.
        """
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.webhook_token))

    @property
    def error_display(self) -> str:
        """The error in the language of the reader."""
        return reasons.display(self.error_message, self.error_reason, self.error_params)
