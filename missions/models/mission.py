"""Missions, and the uploaded files that they use."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import rights
from core.db import reasons
from core.db.fields import money_field
from missions.models.item import ItemStatus
from providers.catalog.task_types import TaskType

ALL_PARTS = 2**30  # of the items of a mission


class MissionStatus(models.TextChoices):
    SCHEDULED = "scheduled", _("scheduled")  # waits for ``not_before``
    QUEUED = "queued", _("queued")  # ready, nothing taken up yet
    RUNNING = "running", _("running")  # at least one item was taken up
    PAUSED = "paused", _("paused")  # a person or a limit stopped it; it can go on
    COMPLETED = "completed", _("completed")  # every item ended, at least one succeeded
    FAILED = "failed", _("failed")  # every item ended, none succeeded
    CANCELLED = "cancelled", _("cancelled")  # a person stopped it for good


class MissionQuerySet(models.QuerySet["Mission"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> MissionQuerySet:
        """Return the missions that a person may see (``accounts.rights``).

        None that is being deleted is among them.
        """
        return rights.visible(self.filter(delete_requested_at=None), user)


class Mission(models.Model):
    """A batch. Its counts per item status are moved in the same transaction as the items."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="missions")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    folder = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text=_("Where its owner keeps it in the list.")
    )
    task_type = models.CharField(max_length=32, choices=TaskType.choices)
    provider = models.CharField(max_length=32)
    model = models.CharField(max_length=200, help_text=_("The endpoint that every item is sent to."))
    params = models.JSONField(default=dict, help_text=_("Parameters shared by all items."))
    metadata = models.JSONField(default=dict, blank=True)
    input = models.JSONField(
        null=True, blank=True, editable=False, help_text=_("What was read from the file that it was created from.")
    )
    file_name_pattern = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text=_("The pattern of the names of its result files. Empty: an older release created it."),
    )
    template = models.ForeignKey(
        "templates_app.MissionTemplate", null=True, blank=True, on_delete=models.SET_NULL, related_name="missions"
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

    currency = models.CharField(max_length=8, blank=True, help_text=_("Empty: the model is free."))
    estimated_cost = money_field(null=True, blank=True)
    cost = money_field(default=Decimal(0))
    reserved_cost = money_field(
        default=Decimal(0), help_text=_("The expected price of all attempts that may still be charged.")
    )
    spending_limit = money_field(
        null=True, blank=True, help_text=_("Cost and reserved cost stay within it. Empty: none.")
    )

    # The first rows, which run before a person has released the others, and how many wait for that.
    run_first = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("So many rows run first; the others wait for a release. Empty: all run.")
    )
    held_count = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("Items that wait for a release. 0: none, or released.")
    )
    held_cost = money_field(
        null=True, blank=True, help_text=_("The estimated price of the items that wait for a release.")
    )

    group = models.CharField(  # noqa: DJ001  NULL keeps missions without a group out of the index
        max_length=32,
        null=True,
        blank=True,
        editable=False,
        help_text=_("The same for missions that were submitted together, one per model."),
    )

    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    not_before = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_seconds = models.FloatField(
        default=0,
        db_default=0,
        editable=False,
        help_text=_("The time between its start and now in which it was paused."),
    )
    pause_reason = models.TextField(blank=True)
    pause_reason_code = reasons.code_field()
    pause_reason_params = reasons.params_field()
    # The latest ends of items, as long as they are failures with one code (see
    # missions.policy.circuit_breaker).
    failure_streak = models.PositiveIntegerField(default=0, editable=False)
    failure_streak_code = models.CharField(max_length=64, blank=True, editable=False)
    delete_requested_at = models.DateTimeField(null=True, blank=True)
    # The parts of the items that missions.search has to index, from the last to the first; none if
    # the last is empty. Programs of the release before create missions that are wholly unindexed.
    unindexed_first = models.PositiveIntegerField(null=True, db_default=0, editable=False)
    unindexed_last = models.PositiveIntegerField(null=True, db_default=ALL_PARTS, editable=False)

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
            # execution.dispatch: missions that may have work.
            models.Index(fields=["provider", "status"], name="mission_dispatchable"),
            # execution.reaper: scheduled missions that are due.
            models.Index(fields=["not_before"], name="mission_scheduled", condition=Q(status="scheduled")),
            # selectors: a person's folders.
            models.Index(fields=["owner", "folder"], name="mission_folder", condition=~Q(folder="")),
            # search: missions whose items are not all indexed.
            models.Index(fields=["-id"], name="mission_unindexed", condition=Q(unindexed_last__isnull=False)),
            # web.mission: the other missions of a group.
            models.Index(fields=["group"], name="mission_group", condition=Q(group__isnull=False)),
            # execution.reaper: missions that wait to be removed.
            models.Index(
                fields=["delete_requested_at"], name="mission_to_delete", condition=Q(delete_requested_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def pause_reason_display(self) -> str:
        """The reason of the pause in the language of the reader."""
        return reasons.display(self.pause_reason, self.pause_reason_code, self.pause_reason_params)

    @property
    def counts(self) -> dict[str, int]:
        """Items per status, with a key for every status."""
        return {status.value: getattr(self, f"{status.value}_count") for status in ItemStatus}

    @property
    def in_flight_count(self) -> int:
        return self.submitting_count + self.processing_count

    @property
    def may_run_count(self) -> int:
        """The pending items that do not wait for a release."""
        return max(self.pending_count - self.held_count, 0)

    @property
    def waits_for_release(self) -> bool:
        """True if the first rows have ended, so that nothing goes on without a release."""
        return bool(self.held_count) and not self.may_run_count + self.in_flight_count

    @property
    def waits_for_person(self) -> bool:
        """True if no work is left except unconfirmed items, which only a person can resolve."""
        return bool(self.unconfirmed_count) and not self.pending_count + self.in_flight_count

    @property
    def progress(self) -> float:
        """Completed items in percent, to one decimal."""
        return round(100 * self.completed_count / self.total_count, 1) if self.total_count else 0.0
