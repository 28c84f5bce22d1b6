"""Provider accounts: who is paid, with which key, how much at once."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from missions import provider_accounts
from missions.models import ProviderAccount


@admin.register(ProviderAccount)
class ProviderAccountAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = [
        "name",
        "provider",
        "configured_concurrency",
        "remote_concurrency",
        "is_enabled",
        "paused_at",
        "pause_reason",
    ]
    list_filter = ["provider", "is_enabled", ("paused_at", admin.EmptyFieldListFilter)]
    search_fields = ["name"]
    fields = [
        "name",
        "base_url",
        "concurrency",
        "is_enabled",
        "provider",
        "paused_at",
        "pause_reason",
        "remote_concurrency",
        "checked_at",
        "ticked_at",
    ]
    readonly_fields = ["provider", "paused_at", "pause_reason", "remote_concurrency", "checked_at", "ticked_at"]
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    actions = ["pause", "resume"]

    def has_delete_permission(self, request: HttpRequest, obj: ProviderAccount | None = None) -> bool:
        return False

    @admin.action(description=_("Pause: submit nothing more"), permissions=["change"])
    def pause(self, request: HttpRequest, accounts: QuerySet[ProviderAccount]) -> None:
        for account in accounts:
            provider_accounts.block(account.pk, reason=f"Paused by {request.user.get_username()}.")
        self._tell(request, len(accounts), ngettext("%d account is paused.", "%d accounts are paused.", len(accounts)))

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, accounts: QuerySet[ProviderAccount]) -> None:
        for account in accounts:
            provider_accounts.resume(account.pk)
        self._tell(request, len(accounts), ngettext("%d account is in use.", "%d accounts are in use.", len(accounts)))

    def _tell(self, request: HttpRequest, count: int, sentence: str) -> None:
        self.message_user(request, sentence % count, messages.SUCCESS)
