"""Events that are still to be announced, the channels of persons, and deliveries."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.db import reasons


class ChannelKind(models.TextChoices):
    WEBHOOK = "webhook", _("Webhook")  # for programs; all others are for people
    EMAIL = "email", _("E-mail")
    WECOM = "wecom", _("WeCom")
    FEISHU = "feishu", _("Feishu")
    DINGTALK = "dingtalk", _("DingTalk")
    SLACK = "slack", _("Slack")


class EventType(models.TextChoices):
    """An event that programs can subscribe to."""

    MISSION_FINISHED = "mission.finished", _("a mission has finished")
    MISSION_PAUSED = "mission.paused", _("a mission was paused")
    MISSION_CANCELLED = "mission.cancelled", _("a mission was cancelled")
    MISSION_UNCONFIRMED = "mission.unconfirmed", _("items are unconfirmed")
    ITEM_COMPLETED = "item.completed", _("an item was completed")
    ITEM_FAILED = "item.failed", _("an item has failed")
    SERVICE_STOPPED = "service.stopped", _("nothing can be submitted")
    SERVICE_RESUMED = "service.resumed", _("submissions work again")


class Topic(models.TextChoices):
    """An event that people can subscribe to."""

    FINISHED = "finished", _("A mission has finished")
    TROUBLE = (
        "trouble",
        _("Trouble: a mission failed or was paused, items need a decision, or nothing can be submitted"),
    )
    LIMIT = "limit", _("A spending limit is reached")


ITEM_EVENTS = (EventType.ITEM_COMPLETED, EventType.ITEM_FAILED)
PING = "ping"  # the event of a test


class Event(models.Model):
    """An event that was not announced yet: the outbox.

    It is written in the transaction of what it tells of. A worker turns it into deliveries and
    deletes it. Without an item it concerns the mission as a whole, without a mission an incident,
    of which ``details`` has the facts. There is no foreign key to the mission, so deleting one
    costs nothing here.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    type = models.CharField(max_length=32)
    topics = models.CharField(max_length=32, blank=True, help_text=_("Separated by blanks."))
    mission_id = models.BigIntegerField(null=True)
    item_index = models.PositiveIntegerField(null=True)
    mission_status = models.CharField(max_length=16)
    details = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    reason = models.TextField(blank=True)
    reason_code = reasons.code_field()
    reason_params = reasons.params_field()
    created_at = models.DateTimeField(default=timezone.now)
    available_at = models.DateTimeField(default=timezone.now, help_text=_("It is not announced before this time."))
    # Announced; it stays to hold back more of its kind until ``available_at``.
    is_quiet = models.BooleanField(default=False)

    class Meta:
        ordering = ["pk"]
        default_permissions = ()
        verbose_name = _("unannounced event")
        verbose_name_plural = _("unannounced events")
        indexes = [
            # announce: what is due.
            models.Index(fields=["available_at"], name="notification_event_due"),
            # services.record: is there one already?
            models.Index(fields=["mission_id", "type"], name="notification_event_mission"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.mission_id}"


class Cause(models.TextChoices):
    """A reason for which nothing can be submitted. The comments say who is notified."""

    ACCOUNT = "account", _("provider account")  # operators: the subject is its name
    PROVIDER = "provider", _("provider")  # owners of missions: none of its accounts can be used
    DISK = "disk", _("disk")  # operators: the subject is the host
    ALL_DISKS = "all_disks", _("disks of all workers")  # owners of missions


class Incident(models.Model):
    """A trouble that stops many missions at once, while it lasts.

    Because of the row there is one message about its start and one about its end, whichever worker
    notices them. ``details`` are those of the events.
    """

    cause = models.CharField(max_length=16, choices=Cause.choices)
    subject = models.CharField(max_length=255, blank=True)
    details = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    reason_code = reasons.code_field()
    reason_params = reasons.params_field()
    began_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        default_permissions = ()
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        constraints = [models.UniqueConstraint(fields=["cause", "subject"], name="incident_unique")]

    def __str__(self) -> str:
        return f"{self.cause} {self.subject}".strip()

    @property
    def reason_display(self) -> str:
        """The reason in the language of the reader."""
        return reasons.display(self.reason, self.reason_code, self.reason_params)


class Channel(models.Model):
    """A way to a person or to a program of theirs: an address, a secret, and the events it wants.

    The addresses of chat bots contain a key, so every address but that of a mailbox is encrypted.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="channels")
    kind = models.CharField(max_length=16, choices=ChannelKind.choices)
    name = models.CharField(max_length=100, blank=True)
    shown_address = models.CharField(max_length=254, help_text=_("The mailbox, or the host of the address."))
    sealed_url = models.TextField(blank=True, editable=False)
    sealed_secret = models.TextField(blank=True, editable=False)
    sealed_old_secret = models.TextField(blank=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    events = models.JSONField(default=list, help_text=_("Event types of a webhook; topics of other channels."))
    wants_items = models.BooleanField(default=False, editable=False)
    is_enabled = models.BooleanField(default=True)
    # Disabled by the program, because nothing could be delivered for long. Empty otherwise.
    given_up_at = models.DateTimeField(null=True, blank=True, editable=False)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    succeeded_at = models.DateTimeField(null=True, blank=True, editable=False)
    # A worker sends to it, or it rests after a failure, until then.
    busy_until = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("notification channel")
        verbose_name_plural = _("notification channels")
        indexes = [
            # services.record: who wants to know of each item?
            models.Index(fields=["owner"], name="channel_wants_items", condition=Q(wants_items=True, is_enabled=True)),
        ]

    def __str__(self) -> str:
        return self.name or f"{self.get_kind_display()}: {self.shown_address}"

    @property
    def host(self) -> str:
        return self.shown_address

    @property
    def is_for_people(self) -> bool:
        return self.kind != ChannelKind.WEBHOOK


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DELIVERED = "delivered", _("delivered")
    FAILED = "failed", _("failed")


def new_message_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


class Delivery(models.Model):
    """A message for a channel, and what came of it.

    ``payload`` is the body for a webhook; for people it holds the facts of one or more events,
    which are put into words when they are sent. ``tries`` has an entry for each try: ``at``,
    ``status`` of the answer, ``milliseconds``, and ``answer``, the beginning of the answer or the
    reason why there was none.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    message_id = models.CharField(max_length=64, default=new_message_id)
    type = models.CharField(max_length=32)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    try_count = models.PositiveSmallIntegerField(default=0, help_text=_("Tries since it was sent or replayed."))
    tries = models.JSONField(default=list)
    next_try_at = models.DateTimeField(null=True, default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            # delivery: what is due.
            models.Index(
                fields=["channel", "next_try_at"], name="delivery_due", condition=Q(state=DeliveryState.WAITING)
            ),
            # announce: the latest message of a channel; the log.
            models.Index(fields=["channel", "-id"], name="delivery_log"),
            # retention
            models.Index(fields=["created_at"], name="delivery_age"),
        ]

    def __str__(self) -> str:
        return self.message_id

    @property
    def last_try(self) -> dict[str, Any]:
        """The latest try; empty before the first."""
        return self.tries[-1] if self.tries else {}
