"""Accounts at providers, and the files that were uploaded to them."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Case, Q, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.db import reasons
from core.db.fields import money_field
from providers.adapters.registry import PROVIDERS


class ProviderAccountQuerySet(models.QuerySet["ProviderAccount"]):
    def in_use(self) -> ProviderAccountQuerySet:
        """Return the accounts that claim new items."""
        return self.filter(is_enabled=True, is_draining=False, paused_at=None)


class ProviderAccount(models.Model):
    """One API key, or one server, at one provider, with its limit.

    Blank ``base_url`` and empty ``concurrency`` mean the environment's values, else the provider's
    defaults (``provider_accounts.public_settings``). The key of an account that the environment
    describes stays there; every other account has its own key, stored encrypted.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    provider = models.CharField(_("provider"), max_length=32, default="runninghub")
    base_url = models.URLField(_("address"), blank=True)
    sealed_key = models.TextField(blank=True, editable=False)
    concurrency = models.PositiveIntegerField(
        _("tasks at once"),
        null=True,
        blank=True,
        help_text=_("Tasks in flight at once. Empty: the provider's setting, such as RUNNINGHUB_CONCURRENCY."),
    )
    options = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text=_("Other settings by name, such as result_lifetime_seconds or a provider's own."),
    )
    is_enabled = models.BooleanField(
        _("enabled"),
        default=True,
        help_text=_(
            "Off: nothing more is sent, with immediate effect. Tasks that the provider has accepted are followed until they end."
        ),
    )
    is_draining = models.BooleanField(
        _("drain"),
        default=False,
        help_text=_("Takes no new items. Items that it has already taken are still sent and followed until they end."),
    )
    shows_balance = models.BooleanField(
        _("show the balance to everybody"),
        default=False,
        db_default=False,
        help_text=_("Beside prices and in the API. Off: only people who may view accounts see it."),
    )
    paused_at = models.DateTimeField(_("paused since"), null=True, blank=True)
    pause_reason = models.TextField(_("reason for the pause"), blank=True)
    pause_reason_code = reasons.code_field()
    pause_reason_params = reasons.params_field()
    key_fingerprint = models.CharField(max_length=16, blank=True, editable=False)

    # Reported by the provider.
    remote_concurrency = models.PositiveIntegerField(_("the provider's limit"), null=True, blank=True, editable=False)
    checked_at = models.DateTimeField(_("last asked"), null=True, blank=True, editable=False)
    balance = money_field(null=True, blank=True, editable=False)
    balance_currency = models.CharField(max_length=16, blank=True, db_default="", default="", editable=False)
    balance_read_at = models.DateTimeField(null=True, blank=True, editable=False)
    # After "no slot": fewer at once for a while (see providers.slots.slot_limit).
    soft_limit = models.PositiveIntegerField(null=True, blank=True, editable=False)
    soft_limit_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The chain of ticks that drives this account: only the message with this number may run.
    tick_number = models.PositiveBigIntegerField(default=0, editable=False)
    ticked_at = models.DateTimeField(null=True, blank=True, editable=False)
    reaped_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ProviderAccountQuerySet.as_manager()

    class Meta:
        db_table = "missions_provideraccount"
        verbose_name = _("provider account")
        verbose_name_plural = _("provider accounts")

    def __str__(self) -> str:
        return self.name

    @property
    def pause_reason_display(self) -> str:
        """The reason of the pause in the language of the reader."""
        return reasons.display(self.pause_reason, self.pause_reason_code, self.pause_reason_params)

    @property
    def configured_concurrency(self) -> int:
        """The limit of tasks in flight: the row's own number, else that of the settings."""
        if self.concurrency is not None:
            return self.concurrency
        kind = PROVIDERS[self.provider]
        name = kind.environment.get("concurrency")
        return (getattr(settings, name, None) if name else None) or kind.defaults.concurrency


class ProviderUpload(models.Model):
    """A reference file that an account has already handed to the provider, until its link ends."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="uploads")
    sha256 = models.CharField(max_length=64)
    url = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "missions_providerupload"
        verbose_name = _("provider upload")
        verbose_name_plural = _("provider uploads")
        constraints = [models.UniqueConstraint(fields=["account", "sha256"], name="upload_unique_per_account")]

    def __str__(self) -> str:
        return self.url


class ProviderModelQuerySet(models.QuerySet["ProviderModel"]):
    def current(self) -> Self:
        """Return the models that have not been removed."""
        return self.filter(removed_at=None)

    def visible_to(self, owner_id: int | None) -> Self:
        """Return a person's own models and the shared ones, the person's own first."""
        visible = self.filter(Q(is_shared=True) | Q(owner_id=owner_id, owner__isnull=False))
        return visible.order_by(Case(When(owner_id=owner_id, then=0), default=1), "name", "pk")


class ProviderModel(models.Model):
    """A model of the catalogue that a person added. ``docs/models.md`` explains ``definition``.

    A removed model stays as a row, because missions that used it still show its labels and prices.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="provider_models",
    )
    provider = models.CharField(_("provider"), max_length=32)
    endpoint = models.CharField(_("endpoint"), max_length=200)
    name = models.CharField(_("name"), max_length=200)
    definition = models.JSONField(
        _("definition"), default=dict, help_text=_("Task type, batch field, parameters, price: see docs/models.md.")
    )
    is_shared = models.BooleanField(_("shared"), default=False, help_text=_("Everybody may use it."))
    is_enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("Off: it cannot be chosen for new missions.")
    )
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ProviderModelQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("added model")
        verbose_name_plural = _("added models")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "endpoint", "owner"],
                condition=Q(removed_at=None),
                name="provider_model_unique_per_owner",
            ),
            models.UniqueConstraint(
                fields=["provider", "endpoint"],
                condition=Q(removed_at=None, is_shared=True),
                name="provider_model_unique_shared",
            ),
        ]

    def __str__(self) -> str:
        return self.name
