"""Admin of provider accounts: keys, limits, pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from core.admin.readonly import DetailAdmin, ListAdmin, column
from core.db.reasons import translate
from core.money import money_text
from core.templatetags.ui import ago
from providers import catalog_admin as catalog_admin  # registers the admin of added models
from providers import encryption, provider_accounts, slots
from providers.adapters.base import AccountStatus
from providers.adapters.errors import ProviderError
from providers.adapters.registry import PROVIDERS
from providers.forms import AccountForm
from providers.models import ProviderAccount, ProviderUpload
from providers.provider_accounts import BlockedReason

AdminAction = Callable[[HttpRequest, ProviderAccount], None]


@admin.register(ProviderAccount)
class ProviderAccountAdmin(ListAdmin):
    form = AccountForm
    list_display = ["name", "state", "usage", "remote_concurrency", "balance_read", "key", "site", "checked_at"]
    actions = ["pause", "resume"]

    class Media:
        css = {"all": ["mission_pages/admin.css"]}

    # --- Display ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderAccount]:
        return slots.with_in_flight(super().get_queryset(request))

    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        if obj is None:
            fields = ["name", "provider", "base_url", "api_key", "concurrency", "is_enabled"]
            return [(None, {"fields": fields}), (_("Other settings"), {"fields": ["options"], "classes": ["collapse"]})]
        kind = PROVIDERS[obj.provider]
        is_local = not kind.address_help and not kind.capabilities.needs_key
        if is_local:
            own = []
        elif provider_accounts.is_from_environment(obj):
            own = ["key", "site"]
        else:
            own = ["key", "base_url", "api_key"]
        fields = ["name", "provider", *own, "concurrency", "is_enabled", "is_draining", "shows_balance"]
        state = ["state", *(["paused_at"] if obj.paused_at else []), "usage", "remote_concurrency"]
        state += ["balance_read", "checked_at"]
        return [
            (None, {"fields": fields}),
            (_("State"), {"fields": state}),
            (_("Other settings"), {"fields": ["options"], "classes": ["collapse"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> list[str]:
        fixed = ["key", "site", "state", "usage", "paused_at", "remote_concurrency", "balance_read", "checked_at"]
        if obj is None:
            return fixed
        return [*fixed, "provider", *(["name"] if provider_accounts.is_from_environment(obj) else [])]

    @admin.display(description=_("API key"))
    def key(self, account: ProviderAccount) -> str:
        try:
            return provider_accounts.masked_key(account) or gettext("none")
        except encryption.Unreadable:
            return gettext("cannot be read: none of ENCRYPTION_KEYS opens it")

    @admin.display(description=_("address"), ordering="base_url")
    def site(self, account: ProviderAccount) -> str:
        return provider_accounts.address(account)

    @admin.display(description=_("state"))
    def state(self, account: ProviderAccount) -> str:
        blocked = provider_accounts.blocked_reason(account)
        if blocked is BlockedReason.PAUSED:
            reason = account.pause_reason_display
            return gettext("paused: %s") % reason if reason else str(blocked.label)
        return str(blocked.label) if blocked else gettext("in use")

    @admin.display(description=_("in flight"))
    def usage(self, account: ProviderAccount) -> str:
        counts = {"count": getattr(account, "in_flight", 0), "limit": slots.slot_limit(account, now=timezone.now())}
        return gettext("%(count)d of %(limit)d") % counts

    @admin.display(description=_("balance"), ordering="balance")
    def balance_read(self, account: ProviderAccount) -> str:
        if account.balance is None:
            return gettext("not reported")
        return format_html(
            "{}, {}", money_text(account.balance, account.balance_currency), ago(account.balance_read_at)
        )

    def has_delete_permission(self, request: HttpRequest, obj: ProviderAccount | None = None) -> bool:
        return False

    # --- Changes ---

    @method_decorator(sensitive_post_parameters("api_key"))
    def changeform_view(self, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(*args, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: ProviderAccount, form: ModelForm[ProviderAccount], change: bool
    ) -> None:
        changed = [name for name in form.changed_data if name != "api_key"]
        provider_accounts.store(obj, changed=changed, api_key=form.cleaned_data.get("api_key", ""))

    def get_urls(self) -> list[URLPattern]:
        actions: dict[str, AdminAction] = {"test": self._test, "pause": self._pause, "resume": self._resume}
        own = [
            path(f"<int:pk>/{name}/", self._page(action), name=f"providers_provideraccount_{name}")
            for name, action in actions.items()
        ]
        return own + super().get_urls()

    def _page(self, action: AdminAction) -> Callable[..., HttpResponseBase]:
        """Return a view that acts on one account at a POST and leads back to its page."""

        def view(request: HttpRequest, pk: int) -> HttpResponseBase:
            account = get_object_or_404(ProviderAccount, pk=pk)
            if not self.has_change_permission(request, account):
                raise PermissionDenied
            action(request, account)
            return HttpResponseRedirect(reverse("admin:providers_provideraccount_change", args=[pk]))

        return self.admin_site.admin_view(require_POST(view))

    def _test(self, request: HttpRequest, account: ProviderAccount) -> None:
        started = time.monotonic()
        try:
            status = provider_accounts.check(account)
        except ProviderError as error:
            reason = translate(str(error))
            self.message_user(request, gettext("Connection failed. %s") % reason, messages.ERROR)
            return
        self.message_user(request, _describe(status, time.monotonic() - started), messages.SUCCESS)
        if account.paused_at:
            self.message_user(request, gettext("The account is still paused."), messages.WARNING)

    def _pause(self, request: HttpRequest, account: ProviderAccount) -> None:
        reason = request.POST.get("reason", "").strip()[:500] or f"Paused by {request.user.get_username()}."
        provider_accounts.pause_for_person(account.pk, reason=reason)
        self.log_change(request, account, [{"changed": {"fields": [gettext_noop("pause")]}}])
        text = gettext(
            "The account is paused: nothing more is sent. What the provider has accepted is watched to its end."
        )
        self.message_user(request, text, messages.SUCCESS)

    def _resume(self, request: HttpRequest, account: ProviderAccount) -> None:
        provider_accounts.resume_for_person(account.pk)
        self.log_change(request, account, [{"changed": {"fields": [gettext_noop("pause")]}}])
        self.message_user(request, gettext("The account is in use."), messages.SUCCESS)

    @admin.action(description=_("Pause: submit nothing more"), permissions=["change"])
    def pause(self, request: HttpRequest, accounts: QuerySet[ProviderAccount]) -> None:
        for account in accounts:
            provider_accounts.pause_for_person(account.pk, reason=f"Paused by {request.user.get_username()}.")
        text = ngettext("%d account is paused.", "%d accounts are paused.", len(accounts)) % len(accounts)
        self.message_user(request, text, messages.SUCCESS)

    @admin.action(description=_("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, accounts: QuerySet[ProviderAccount]) -> None:
        for account in accounts:
            provider_accounts.resume_for_person(account.pk)
        text = ngettext("%d account is in use.", "%d accounts are in use.", len(accounts)) % len(accounts)
        self.message_user(request, text, messages.SUCCESS)


def _describe(status: AccountStatus, seconds: float) -> str:
    """Return an account's state at the provider, a sentence for each reported fact."""
    facts = [gettext("The connection works: answered in %(seconds).1f s.") % {"seconds": seconds}]
    if status.concurrency is not None:
        facts.append(gettext("Tasks at once: %d.") % status.concurrency)
    if status.running is not None:
        facts.append(
            gettext("Running: %(running)d, waiting: %(waiting)d.")
            % {"running": status.running, "waiting": status.queued or 0}
        )
    balance = gettext("not reported") if status.balance is None else f"{status.balance} {status.currency}".strip()
    facts.append(gettext("Balance: %s.") % balance)
    if status.key_type:
        facts.append(gettext("Kind of key: %s.") % status.key_type)
    return " ".join(facts)


@admin.register(ProviderUpload)
class ProviderUploadAdmin(DetailAdmin):
    list_display = [
        "sha256",
        column("account", _("account")),
        column("created_at", _("created")),
        column("expires_at", _("expires")),
    ]
    facts = [
        ("sha256", _("SHA-256")),
        ("account", _("Account")),
        ("url", _("URL at the provider")),
        ("created_at", _("Created")),
        ("expires_at", _("Expires")),
    ]
    search_fields = ["=sha256"]
    list_select_related = ["account"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # internal: no entry in the menu; its address works
