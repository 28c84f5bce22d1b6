"""What everybody should know before they start something: is it real, and does it run?"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.translation import gettext as _

from core import translated_reasons
from core.ui.notices import Notice
from providers import encryption, provider_accounts
from providers.adapters.base import SIMULATOR_KEY
from providers.models import ProviderAccount
from providers.provider_accounts import BlockedReason
from workers import heartbeat


def current(user: AbstractBaseUser | AnonymousUser) -> list[Notice]:
    """Return the notices for a user.  Staff see reasons and what to do; others only that something is wrong."""
    is_staff = bool(getattr(user, "is_staff", False))
    accounts = list(ProviderAccount.objects.order_by("pk"))
    return [*_account(accounts, is_staff), *_workers(is_staff), *_key(accounts)]


def _key(accounts: Sequence[ProviderAccount]) -> list[Notice]:
    """Whether it is real.  Workers make the environment's account when they start; until then the settings speak for it."""
    enabled = [account for account in accounts if account.is_enabled]
    keys = {_key_of(account) for account in enabled} if accounts else {settings.RUNNINGHUB_API_KEY}
    if keys == {""}:
        return [Notice("no-key", "error", _("No API key is set, so nothing can be generated: set RUNNINGHUB_API_KEY."))]
    if keys - {""} == {SIMULATOR_KEY}:
        return [Notice("simulator", "neutral", _("Simulator: results are placeholders, and no money is spent."))]
    return []


def _key_of(account: ProviderAccount) -> str:
    try:
        return provider_accounts.settings_of(account).api_key
    except encryption.Unreadable:
        return account.sealed_key


def _workers(is_staff: bool) -> list[Notice]:
    if heartbeat.is_any_alive():
        return []
    todo = _("Start them: manage.py workers.") if is_staff else _("Tell an administrator.")
    return [Notice("workers", "error", _("Nothing is being worked on: no workers are running.") + " " + todo)]


def _account(accounts: Sequence[ProviderAccount], is_staff: bool) -> list[Notice]:
    """One usable account is enough.  What is wrong with the one that was stopped by somebody, or by itself, is told first."""
    stopped = [(account, why) for account in accounts if (why := provider_accounts.blocked_reason(account))]
    named = [(account, why) for account, why in stopped if why is not BlockedReason.NO_KEY]  # that is told by _key
    if len(stopped) < len(accounts) or not named:
        return []
    if not is_staff:
        return [
            Notice("account", "warning", _("Missions wait: no provider account can be used. Tell an administrator."))
        ]
    account, why = min(named, key=lambda pair: (not pair[0].paused_at, pair[0].pk))
    text = _("Missions wait: the account “%(name)s” is %(state)s. %(reason)s") % {
        "name": account.name,
        "state": why.label,
        "reason": translated_reasons.in_readers_language(account.pause_reason),
    }
    url = reverse("admin:providers_provideraccount_change", args=[account.pk])
    return [Notice("account", "warning", text.strip(), url, _("See the account"))]
