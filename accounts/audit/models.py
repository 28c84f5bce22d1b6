"""The audit log.  It names people and objects without foreign keys, so it outlives them."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Verb(models.TextChoices):
    """An action.  The part before the dot is the kind of its object."""

    MISSION_CREATE = "mission.create", _("create a mission")
    MISSION_CHANGE = "mission.change", _("change a mission")
    MISSION_PAUSE = "mission.pause", _("pause a mission")
    MISSION_RESUME = "mission.resume", _("resume a mission")
    MISSION_CANCEL = "mission.cancel", _("cancel a mission")
    MISSION_RETRY = "mission.retry", _("retry failed items")
    MISSION_AGAIN = "mission.again", _("make results again")
    MISSION_RESOLVE = "mission.resolve", _("resolve an unconfirmed item")
    MISSION_SHARE = "mission.share", _("create a share link")
    MISSION_UNSHARE = "mission.unshare", _("withdraw a share link")
    MISSION_DELETE = "mission.delete", _("delete a mission")
    TEMPLATE_CREATE = "template.create", _("save a template")
    TEMPLATE_CHANGE = "template.change", _("change a template")
    TEMPLATE_DELETE = "template.delete", _("delete a template")
    MEDIA_DELETE = "media.delete", _("delete an image")
    ACCOUNT_CREATE = "account.create", _("add a provider account")
    ACCOUNT_CHANGE = "account.change", _("change a provider account")
    ACCOUNT_PAUSE = "account.pause", _("pause a provider account")
    ACCOUNT_RESUME = "account.resume", _("resume a provider account")
    PERSON_CREATE = "person.create", _("add a person")
    PERSON_CHANGE = "person.change", _("change a person")
    PERSON_DEACTIVATE = "person.deactivate", _("make a person inactive")
    PERSON_ACTIVATE = "person.activate", _("make a person active")
    PERSON_PASSWORD = "person.password", _("set a password")
    PERSON_DELETE = "person.delete", _("delete a person")
    TOKEN_CREATE = "token.create", _("create a token")
    TOKEN_REVOKE = "token.revoke", _("revoke a token")
    CHANNEL_CREATE = "channel.create", _("add a notification channel")
    CHANNEL_CHANGE = "channel.change", _("change a notification channel")
    CHANNEL_DELETE = "channel.delete", _("delete a notification channel")
    SIGN_IN = "session.sign_in", _("sign in")
    SIGN_OUT = "session.sign_out", _("sign out")
    SIGN_IN_FAILED = "session.failed", _("fail to sign in")
    LOCK_OUT = "session.lock_out", _("be locked out")


class Via(models.TextChoices):
    SESSION = "session", _("signed in")
    TOKEN = "token", _("token")
    COMMAND = "command", _("command or worker")  # no request: manage.py, or a task of the workers


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def update(self, **values: Any) -> NoReturn:
        raise TypeError("The audit log is append-only.")

    def delete(self) -> NoReturn:
        raise TypeError("The audit log is append-only; audit.services.expire removes what is too old.")


class AuditEntry(models.Model):
    """One action of a person or program.  Written once, never changed."""

    at = models.DateTimeField(default=timezone.now)
    verb = models.CharField(max_length=32, choices=Verb.choices)
    person_id = models.BigIntegerField(null=True)  # no foreign key: people are deleted, entries are not
    person_name = models.CharField(max_length=150, blank=True)
    via = models.CharField(max_length=8, choices=Via.choices)
    credential = models.CharField(
        max_length=120, blank=True, help_text=_("The token, or a short hash that tells sessions apart.")
    )
    address = models.CharField(max_length=45, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_name = models.CharField(max_length=255, blank=True)
    details = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        default_permissions = ("view",)
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        indexes = [
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["verb", "id"], name="audit_verb"),
            models.Index(fields=["person_name", "id"], name="audit_person"),
            models.Index(fields=["object_id", "id"], name="audit_object"),
            models.Index(fields=["address", "id"], name="audit_address"),
        ]

    def __str__(self) -> str:
        return f"{self.person_name or '—'}: {self.get_verb_display()} {self.object_name}".strip()

    def save(self, *args: Any, **options: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit log is append-only.")
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        raise TypeError("The audit log is append-only.")

    @property
    def kind(self) -> str:
        """The kind of the object: mission, template, media, account, person, token, channel …"""
        return self.verb.partition(".")[0]
