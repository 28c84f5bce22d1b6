"""Items: the generations of a mission."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.db import reasons
from core.db.fields import money_field


class ItemStatus(models.TextChoices):
    PENDING = "pending", _("pending")  # waits for a slot
    SUBMITTING = "submitting", _("submitting")  # holds a slot, not yet accepted by the provider
    PROCESSING = "processing", _("processing")  # accepted, and paid unless it fails
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    UNCONFIRMED = "unconfirmed", _("unconfirmed")  # sent without an answer: only a person or proof resolves it


class MissionItem(models.Model):
    """One generation. ``params`` holds what differs from the mission's own parameters.

    ``origin`` is what its row in a sheet had besides: ``row``, its number; ``cells``, the cells of
    columns that fill no parameter, by heading; ``names``, the images as the row named them, by
    reference.

    A result that was made again has several versions: each is an item of its own, and together they
    are a stack. Galleries and downloads show the chosen one. That is the newest completed version
    until a person chooses another.
    """

    mission = models.ForeignKey("missions.Mission", on_delete=models.CASCADE, related_name="items")
    index = models.PositiveIntegerField(help_text=_("The place in the batch, from 1."))
    first_index = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("The index of the first version. Empty: this is the first.")
    )
    version = models.PositiveIntegerField(default=1, db_default=1)
    is_chosen = models.BooleanField(
        default=True, db_default=True, help_text=_("The version that galleries and downloads contain.")
    )
    chosen_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When a person chose this version. Empty: the newest is chosen.")
    )
    custom_id = models.CharField(max_length=200, blank=True)
    params = models.JSONField(default=dict)
    edited_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When a person changed the parameters of the failed item.")
    )
    origin = models.JSONField(
        null=True, blank=True, editable=False, help_text=_("What else its row in the imported sheet had.")
    )
    file_name = models.CharField(
        max_length=240,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("The name of its result files without ending. Empty: made of its number and prompt."),
    )
    status = models.CharField(max_length=16, choices=ItemStatus.choices, default=ItemStatus.PENDING)
    account = models.ForeignKey(
        "providers.ProviderAccount", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # A pending item is not claimed before this time.
    available_at = models.DateTimeField(default=timezone.now)
    submission_count = models.PositiveIntegerField(default=0, help_text=_("The number of the latest attempt."))
    attempt_count = models.PositiveIntegerField(default=0, help_text=_("Attempts that may have been paid."))
    attempt_limit = models.PositiveIntegerField(
        default=2, help_text=_("After this many attempts, only a person can start another.")
    )
    retry_count = models.PositiveIntegerField(default=0)
    refusal_count = models.PositiveIntegerField(default=0, help_text=_("Submissions in a row that were not accepted."))
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    error_reason = reasons.code_field()
    error_params = reasons.params_field()
    cost = money_field(default=Decimal(0))
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["mission_id", "index"]
        verbose_name = _("mission item")
        verbose_name_plural = _("mission items")
        constraints = [
            models.UniqueConstraint(fields=["mission", "index"], name="item_index_unique_in_mission"),
            # Two requests at once cannot add the same version. Also finds the versions of a row.
            models.UniqueConstraint(
                fields=["mission", "first_index", "version"],
                name="item_version_unique_in_stack",
                condition=Q(first_index__isnull=False),
            ),
        ]
        indexes = [
            # selectors: a mission's items of one status, in order.
            models.Index(fields=["mission", "status", "index"], name="item_mission_status"),
            # execution.dispatch: the next items of a mission.
            models.Index(
                fields=["mission", "available_at", "index"], name="item_dispatchable", condition=Q(status="pending")
            ),
            # gallery: the newest results and their rate; failures: the number of each cause.
            # (The condition holds no value, so that SQLite sees that it is met.)
            models.Index(
                fields=["mission", "status", "error_code", "-ended_at"],
                name="item_ended",
                condition=Q(ended_at__isnull=False),
            ),
            # operations: recent failures of all missions.
            models.Index(
                fields=["ended_at", "error_code", "mission"], name="item_failed", condition=Q(status="failed")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mission_id}#{self.index}"

    @property
    def place(self) -> int:
        """The index of the first version: the place in the batch that all versions share."""
        return self.first_index or self.index

    @property
    def error_display(self) -> str:
        """The error in the language of the reader."""
        return reasons.display(self.error_message, self.error_reason, self.error_params)


class ItemTag(models.Model):
    """A word by which people find an item's results. ``owner`` is the owner of its mission.

    Without constraints of the database, so that programs of the release before can delete items.
    """

    item = models.ForeignKey(
        MissionItem, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="tags"
    )
    owner = models.ForeignKey(
        "auth.User", on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    name = models.CharField(max_length=40)

    class Meta:
        ordering = ["item_id", "name"]
        verbose_name = _("tag of an item")
        verbose_name_plural = _("tags of items")
        constraints = [models.UniqueConstraint(fields=["item", "name"], name="tag_once_per_item")]
        indexes = [models.Index(fields=["owner", "name"], name="tag_of_owner")]  # selectors.known_tags

    def __str__(self) -> str:
        return self.name
