"""The rows behind a batch.

    Mission ──< MissionItem ──< Attempt ──< Output    Mission ──< MissionMedia >── MediaFile
       └────────────┴──────────< ItemEvent            ProviderAccount ──< Attempt, ProviderUpload

A status is written only by ``missions.lifecycle``; the constraints below make the costly mistakes impossible even so:
an item has at most one live attempt, a remote task belongs to one attempt, a mission's counts add up to its total.
"""

from __future__ import annotations

import secrets
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.db.fields import money_field
from providers.catalog.task_types import TaskType


class MissionStatus(models.TextChoices):
    SCHEDULED = "scheduled", _("scheduled")  # waits for ``not_before``
    QUEUED = "queued", _("queued")  # ready, nothing taken up yet
    RUNNING = "running", _("running")  # at least one item was taken up
    PAUSED = "paused", _("paused")  # a person or a limit stopped it; it can go on
    COMPLETED = "completed", _("completed")  # every item ended, at least one succeeded
    FAILED = "failed", _("failed")  # every item ended, none succeeded
    CANCELLED = "cancelled", _("cancelled")  # a person stopped it for good


class ItemStatus(models.TextChoices):
    PENDING = "pending", _("pending")  # waits for a slot
    SUBMITTING = "submitting", _("submitting")  # holds a slot, not yet accepted by the provider
    PROCESSING = "processing", _("processing")  # accepted, and paid unless it fails
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    UNCONFIRMED = "unconfirmed", _("unconfirmed")  # sent without an answer: only a person or proof resolves it


class AttemptStatus(models.TextChoices):
    PREPARED = "prepared", _("prepared")  # holds a slot, provably not sent
    SENDING = "sending", _("sending")  # written before the POST: from here on it may be paid
    RUNNING = "running", _("running")  # the provider gave it a task id
    UNCONFIRMED = "unconfirmed", _("unconfirmed")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    REFUSED = "refused", _("refused")  # answered, certainly not accepted, not paid
    VOID = "void", _("void")  # given up before it was sent, or declared not run


LIVE_ATTEMPTS = (
    AttemptStatus.PREPARED,
    AttemptStatus.SENDING,
    AttemptStatus.RUNNING,
    AttemptStatus.UNCONFIRMED,
)
COST_UNREPORTED = Q(status=AttemptStatus.SUCCEEDED, cost=None)  # attempts whose charge the provider has not told


class OutputStatus(models.TextChoices):
    PENDING = "pending", _("pending")  # known to the provider, not yet fetched
    STORED = "stored", _("stored")
    LOST = "lost", _("lost")  # could not be fetched before its address expired
    REMOVED = "removed", _("removed")  # was stored, and went by the operator's retention; what is known of it stays


def new_webhook_token() -> str:
    """An unguessable path for the answer to one attempt."""
    return secrets.token_urlsafe(24)


class MissionQuerySet(models.QuerySet["Mission"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> MissionQuerySet:
        """A person's own missions, everybody's for staff; none whose removal was asked for."""
        standing = self.filter(delete_requested_at=None)
        return standing if getattr(user, "is_staff", False) else standing.filter(owner_id=user.pk)


class Mission(models.Model):
    """A batch.  Its counts per item status are moved in the same transaction as the items."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="missions")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    task_type = models.CharField(max_length=32, choices=TaskType.choices)
    provider = models.CharField(max_length=32, default="runninghub")
    model = models.CharField(max_length=200, help_text=_("The endpoint that every item is sent to."))
    params = models.JSONField(default=dict, help_text=_("Parameters shared by all items."))
    metadata = models.JSONField(default=dict, blank=True)
    template = models.ForeignKey(
        "templates_app.MissionTemplate", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    status = models.CharField(max_length=16, choices=MissionStatus.choices, default=MissionStatus.QUEUED)
    priority = models.SmallIntegerField(default=0, help_text=_("Higher goes first."))
    max_attempts = models.PositiveSmallIntegerField(
        default=2, validators=[MinValueValidator(1)], help_text=_("Paid attempts per item without asking a person.")
    )

    total_count = models.PositiveIntegerField(default=0)
    pending_count = models.PositiveIntegerField(default=0)
    submitting_count = models.PositiveIntegerField(default=0)
    processing_count = models.PositiveIntegerField(default=0)
    completed_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    cancelled_count = models.PositiveIntegerField(default=0)
    unconfirmed_count = models.PositiveIntegerField(default=0)

    currency = models.CharField(max_length=8, default="CNY")
    estimated_cost = money_field(null=True, blank=True)
    cost = money_field(default=Decimal(0))
    reserved_cost = money_field(
        default=Decimal(0), help_text=_("The expected price of all attempts that may still be charged.")
    )
    spending_limit = money_field(
        null=True, blank=True, help_text=_("Cost and reserved cost stay within it. Empty: none.")
    )

    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    not_before = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.TextField(blank=True)
    # The latest ends of items, as long as they are failures with one code (see missions.policy.circuit_breaker).
    failure_streak = models.PositiveIntegerField(default=0, editable=False)
    failure_streak_code = models.CharField(max_length=64, blank=True, editable=False)
    delete_requested_at = models.DateTimeField(null=True, blank=True)

    objects = MissionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("mission")
        verbose_name_plural = _("missions")
        constraints = [
            models.CheckConstraint(
                name="mission_counts_add_up",
                condition=Q(
                    total_count=models.F("pending_count")
                    + models.F("submitting_count")
                    + models.F("processing_count")
                    + models.F("completed_count")
                    + models.F("failed_count")
                    + models.F("cancelled_count")
                    + models.F("unconfirmed_count")
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="mission_owner_created"),
            # engine.dispatch: which missions may have work.
            models.Index(fields=["provider", "status"], name="mission_dispatchable"),
            # engine.tick: which scheduled missions are due.
            models.Index(fields=["not_before"], name="mission_scheduled", condition=Q(status="scheduled")),
            # engine.reap: which missions wait to be removed.
            models.Index(
                fields=["delete_requested_at"], name="mission_to_delete", condition=Q(delete_requested_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def counts(self) -> dict[str, int]:
        """Items per status, with a key for every status."""
        return {status.value: getattr(self, f"{status.value}_count") for status in ItemStatus}

    @property
    def in_flight_count(self) -> int:
        return self.submitting_count + self.processing_count

    @property
    def waits_for_person(self) -> bool:
        """Nothing goes on any more, but items are unconfirmed, which only a person can decide."""
        return bool(self.unconfirmed_count) and not self.pending_count + self.in_flight_count

    @property
    def progress(self) -> float:
        """Completed items in percent, to one decimal."""
        return round(100 * self.completed_count / self.total_count, 1) if self.total_count else 0.0


class MissionItem(models.Model):
    """One generation.  ``params`` holds what differs from the mission's own parameters."""

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, related_name="items")
    index = models.PositiveIntegerField(help_text=_("The place in the batch, from 1."))
    custom_id = models.CharField(max_length=200, blank=True)
    params = models.JSONField(default=dict)
    status = models.CharField(max_length=16, choices=ItemStatus.choices, default=ItemStatus.PENDING)
    account = models.ForeignKey(
        "providers.ProviderAccount", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # A pending item is taken up no sooner than this.
    available_at = models.DateTimeField(default=timezone.now)
    submission_count = models.PositiveIntegerField(default=0, help_text=_("The number of the latest attempt."))
    attempt_count = models.PositiveIntegerField(default=0, help_text=_("Attempts that may have been paid."))
    attempt_limit = models.PositiveIntegerField(default=2, help_text=_("No attempt beyond this without a person."))
    retry_count = models.PositiveIntegerField(default=0)
    refusal_count = models.PositiveIntegerField(default=0, help_text=_("Submissions in a row that were not accepted."))
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    cost = money_field(default=Decimal(0))
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["mission_id", "index"]
        verbose_name = _("mission item")
        verbose_name_plural = _("mission items")
        constraints = [models.UniqueConstraint(fields=["mission", "index"], name="item_index_unique_in_mission")]
        indexes = [
            # selectors: a mission's items of one status, in order.
            models.Index(fields=["mission", "status", "index"], name="item_mission_status"),
            # engine.dispatch: the next items of a mission.
            models.Index(
                fields=["mission", "available_at", "index"], name="item_dispatchable", condition=Q(status="pending")
            ),
            # gallery: the newest results, and how fast they come; failures: how many of each cause.
            # (The condition holds no value, so that SQLite sees that it is met.)
            models.Index(
                fields=["mission", "status", "error_code", "-ended_at"],
                name="item_ended",
                condition=Q(ended_at__isnull=False),
            ),
            # operations: what failed lately, whichever mission it is of.
            models.Index(
                fields=["ended_at", "error_code", "mission"], name="item_failed", condition=Q(status="failed")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mission_id}#{self.index}"


class MissionMedia(models.Model):
    """An uploaded file that a mission names, however many of its items do.

    Written in the transaction that creates the mission, so that nobody has to search its items' parameters to learn whether a
    file is still needed.  RESTRICT: a file goes only by ``services.delete_media``, which asks whether these missions have ended.
    """

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, related_name="media")
    media = models.ForeignKey("media.MediaFile", on_delete=models.RESTRICT, related_name="+", db_index=False)

    class Meta:
        verbose_name = _("file of a mission")
        verbose_name_plural = _("files of missions")
        # Begins with the file: it also answers which missions name one.
        constraints = [models.UniqueConstraint(fields=["media", "mission"], name="media_once_per_mission")]

    def __str__(self) -> str:
        return f"{self.mission_id}: media:{self.media_id}"


class Attempt(models.Model):
    """One submission of an item: what was sent, when, by whom, and what came of it."""

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
    cost = money_field(null=True, blank=True, help_text=_("What the provider charged. Empty: it has not said."))
    expected_cost = money_field(null=True, blank=True, help_text=_("The price when it was taken up. Empty: not known."))
    currency = models.CharField(max_length=8, default="CNY")
    raw = models.JSONField(default=dict, help_text=_("The provider's last answer, untouched."))
    created_at = models.DateTimeField(default=timezone.now)
    sending_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    running_seen_at = models.DateTimeField(null=True, blank=True, help_text=_("The last time it was seen running."))
    unanswered_since = models.DateTimeField(
        null=True, blank=True, help_text=_("Since when no question about it was answered.")
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    next_poll_at = models.DateTimeField(null=True, blank=True)
    poll_count = models.PositiveIntegerField(default=0)
    empty_count = models.PositiveSmallIntegerField(default=0, help_text=_("Reports of success without a result."))
    gone_count = models.PositiveSmallIntegerField(default=0, help_text=_("Answers in a row that it does not exist."))

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
            # engine.claim_due: what to ask for next.
            models.Index(fields=["account", "next_poll_at"], name="attempt_due", condition=Q(status="running")),
            # engine.dispatch and engine.reap: what holds a slot.
            # (Not partial: SQLite cannot see that a list of parameters lies within the condition.)
            models.Index(fields=["account", "status"], name="attempt_live"),
            # selectors.slots_in_use: what may still run although nobody knows; not what was left in doubt long ago.
            models.Index(fields=["account", "sending_at"], name="attempt_in_doubt", condition=Q(status="unconfirmed")),
            # selectors.recent_durations: how long a model takes.
            models.Index(fields=["model", "-ended_at"], name="attempt_durations", condition=Q(status="succeeded")),
            # operations and tally: what ended lately, and how.
            models.Index(fields=["ended_at", "status"], name="attempt_ended", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.item_id}/{self.number}"


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
    is_starred = models.BooleanField(default=False, help_text=_("Marked by a person as one to keep in sight."))
    created_at = models.DateTimeField(default=timezone.now)
    stored_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["item_id", "attempt_id", "index"]
        verbose_name = _("output")
        verbose_name_plural = _("outputs")
        constraints = [models.UniqueConstraint(fields=["attempt", "index"], name="output_index_unique_in_attempt")]
        indexes = [
            # engine.claim_downloads: what to fetch next.
            models.Index(fields=["next_try_at"], name="output_due", condition=Q(status="pending")),
            # gallery: what a person marked.
            models.Index(fields=["item"], name="output_starred", condition=Q(is_starred=True)),
        ]

    def __str__(self) -> str:
        return self.file or self.remote_url or f"text of {self.attempt_id}"


class ItemEvent(models.Model):
    """What happened, in order: written in the transaction of the move it tells of, never edited.

    Events without an item tell of the mission as a whole.
    """

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, related_name="events")
    item = models.ForeignKey(MissionItem, null=True, blank=True, on_delete=models.CASCADE, related_name="events")
    attempt_number = models.PositiveIntegerField(null=True, blank=True)
    from_status = models.CharField(max_length=16, blank=True)
    to_status = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    actor = models.CharField(max_length=150, default="engine", help_text=_("engine, or user:ID"))
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [models.Index(fields=["mission", "id"], name="event_mission_order")]

    def __str__(self) -> str:
        return f"{self.from_status} → {self.to_status}"


class RemovedSpending(models.Model):
    """What attempts of removed missions were charged, or what may still come: deleting wins no limit back and hides no spend."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    amount = money_field()
    model = models.CharField(max_length=200, db_default="")
    currency = models.CharField(max_length=8, db_default="")
    ended_at = models.DateTimeField(
        null=True,
        help_text=_(
            "When these attempts ended, to the quarter of an hour. Empty: not known, or they may still be charged."
        ),
    )
    untold_count = models.PositiveIntegerField(
        db_default=0, help_text=_("Successes whose charge the provider has not told.")
    )

    class Meta:
        verbose_name = _("spending of a removed mission")
        verbose_name_plural = _("spending of removed missions")
        indexes = [
            models.Index(fields=["owner", "day"], name="removed_spending_of_owner"),
            # tally: what was spent since a moment.
            models.Index(fields=["ended_at"], name="removed_spending_since"),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.amount:.2f} {self.currency}"


class HourlySpend(models.Model):
    """What a mission's attempts that ended within an hour were charged: repeats their rows (see ``operations.spend_rollup``)."""

    mission = models.ForeignKey(Mission, on_delete=models.CASCADE, related_name="+")
    hour = models.DateTimeField(help_text=_("When the hour begins, in UTC."))
    cost = money_field()
    untold_count = models.PositiveIntegerField(help_text=_("Successes whose charge the provider has not told."))

    class Meta:
        ordering = ["-hour", "mission"]
        verbose_name = _("hourly spend")
        verbose_name_plural = _("hourly spends")
        # Begins with the hour: it also answers what was spent since one.
        constraints = [models.UniqueConstraint(fields=["hour", "mission"], name="spend_once_per_hour_and_mission")]

    def __str__(self) -> str:
        return f"{self.mission_id} {self.hour:%Y-%m-%d %H:00}"


class Tally(models.Model):
    """How far ``HourlySpend`` reaches, and what the stored results took up when they were last added up: one row."""

    counted_to = models.DateTimeField(
        null=True, help_text=_("Attempts that ended before this are counted in the hourly spend.")
    )
    file_count = models.PositiveBigIntegerField(default=0)
    file_bytes = models.PositiveBigIntegerField(default=0)
    files_counted_at = models.DateTimeField(null=True)
    removal_count = models.PositiveBigIntegerField(
        db_default=0,
        help_text=_(
            "How often a part of a mission was removed: attempts that were read before are not what they were."
        ),
    )

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")

    def __str__(self) -> str:
        return f"{self.counted_to}"
