"""A person's preferences, and the API tokens of programs."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.ui.themes import Theme


class Profile(models.Model):
    """A person's preferences.  Empty values mean the browser's (see ``accounts.preferences``)."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile")
    language = models.CharField(_("language"), max_length=16, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)
    theme = models.CharField(_("theme"), max_length=8, choices=Theme.choices, default=Theme.AUTO)

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")

    def __str__(self) -> str:
        return str(self.user)


class Scope(models.TextChoices):
    """A use that a token is allowed. A request needs one of them (``accounts.authentication``)."""

    READ = "read", _("read: see missions, results, files and settings")
    CREATE = "create", _("create: submit missions, upload files, save templates; this costs money")
    OPERATE = "operate", _("operate: pause, resume, cancel, retry, change and delete; retries cost money")


SCOPE_NAMES = {Scope.READ: _("read"), Scope.CREATE: _("create"), Scope.OPERATE: _("operate")}
ALL_SCOPES = " ".join(Scope.values)


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self) -> Self:
        """Keep tokens that are neither expired nor revoked and whose user is active."""
        is_unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(is_unexpired, revoked_at=None, user__is_active=True)


class ApiToken(models.Model):
    """A bearer token.  Only its SHA-256 is stored, so the secret is shown once.

    ``made_with`` is the token that created it: revoking that one revokes this one, too.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False, help_text=_("The first characters of the token."))
    # Separated by blanks. A program of the last release, which knows none, creates tokens with all.
    scope_text = models.CharField(max_length=64, default=ALL_SCOPES, db_default=ALL_SCOPES, editable=False)
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

    @property
    def scopes(self) -> list[str]:
        """The scopes of the token, in the order of ``Scope``."""
        return [scope for scope in Scope.values if scope in self.scope_text.split()]

    @property
    def scope_labels(self) -> list[str]:
        """The scopes as words for people: ``read``, ``create``, ``operate``, translated."""
        return [str(SCOPE_NAMES[Scope(scope)]) for scope in self.scopes]
