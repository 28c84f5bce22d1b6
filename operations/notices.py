"""Notices on every page: missing keys, no workers or accounts, a full disk, a slow provider.

Staff see reasons and what to do; others only that something is wrong.
"""

from __future__ import annotations

import os
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Count
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.storage import disk
from core.ui.notices import Notice
from missions.models import Attempt, AttemptStatus
from operations import readiness
from providers import encryption, provider_accounts
from providers.adapters.base import SIMULATOR_KEY
from providers.models import ProviderAccount
from providers.provider_accounts import BlockedReason
from workers import heartbeat
from workers.models import WorkerCluster


def current(user: AbstractBaseUser | AnonymousUser) -> list[Notice]:
    """Return the notices for a user."""
    is_staff = bool(getattr(user, "is_staff", False))
    accounts = list(ProviderAccount.objects.order_by("pk"))
    notices = blocked_accounts(accounts, is_staff)
    notices += full_disks(is_staff)
    clusters = heartbeat.alive_clusters()
    if not clusters:
        advice = _("Start them: manage.py workers.") if is_staff else _("Tell an operator.")
        notices.append(Notice("workers", "error", _("No workers are running: nothing is processed.") + " " + advice))
    notices += slow_providers(accounts, clusters, is_staff)
    return [*notices, *unknown_statuses(accounts, is_staff), *missing_keys(accounts)]


def slow_providers(accounts: list[ProviderAccount], clusters: list[WorkerCluster], is_staff: bool) -> list[Notice]:
    """Return a notice for each account whose answers keep many workers waiting."""
    waits: dict[int, list[dict[str, Any]]] = {}
    for wait in (wait for cluster in clusters for wait in cluster.slow_work):
        waits.setdefault(wait["account_id"], []).append(wait)
    slow = [account for account in accounts if account.pk in waits]
    if slow and not is_staff:
        text = _("A provider answers slowly: items and results take longer than usual. Nothing is lost.")
        return [Notice("slow-provider", "warning", text)]
    text = _(
        "The provider of the account “%(name)s” answers slowly: %(count)s workers wait for it, one for %(seconds)s s. "
        "Work that does not need it goes on. Nothing is lost; look at the provider's status page."
    )
    return [
        Notice(
            "slow-provider",
            "warning",
            text
            % {
                "name": account.name,
                "count": sum(wait["workers"] for wait in waits[account.pk]),
                "seconds": max(wait["seconds"] for wait in waits[account.pk]),
            },
        )
        for account in slow
    ]


def unknown_statuses(accounts: list[ProviderAccount], is_staff: bool) -> list[Notice]:
    """Return a notice for each status of open tasks that this program does not know."""
    if not is_staff:
        return []
    live = Attempt.objects.filter(
        account__in=accounts, status__in=[AttemptStatus.RUNNING, AttemptStatus.UNCONFIRMED]
    ).exclude(unknown_status="")
    words = live.order_by("unknown_status").values_list("unknown_status").annotate(Count("pk"))
    url = reverse("control_room:show")
    notices = []
    for word, count in words:
        text = ngettext(
            "A provider reports the status “%(word)s”, which this program does not know, for %(count)s task. It counts "
            "as running, and as unconfirmed once it takes longer than usual. Look at the provider if it has ended.",
            "A provider reports the status “%(word)s”, which this program does not know, for %(count)s tasks. They "
            "count as running, and as unconfirmed once they take longer than usual. Look at the provider if they have "
            "ended.",
            count,
        )
        text %= {"word": word, "count": count}
        notices.append(Notice("unknown-status", "warning", text, url, _("Open the control room")))
    return notices


def full_disks(is_staff: bool) -> list[Notice]:
    """Return a notice if a disk has less free space than MIN_FREE_DISK_MB."""
    hosts = {cluster.host for cluster in readiness.clusters_without_space()}
    if disk.is_low():
        hosts.add(os.uname().nodename)
    if not hosts:
        return []
    text = _("The disk is nearly full: nothing more is submitted, and missions wait. Results can be downloaded.")
    if is_staff:
        advice = _("Free some space on %(hosts)s: manage.py cleanup shows what can be deleted. Work then continues.")
        advice %= {"hosts": ", ".join(sorted(hosts))}
    else:
        advice = _("Tell an operator.")
    return [Notice("disk", "error", f"{text} {advice}")]


def missing_keys(accounts: list[ProviderAccount]) -> list[Notice]:
    """Return a notice if no enabled account has the key that it needs, or all are the simulator's.

    Workers create the environment's accounts when they start; until then the settings count.
    """
    enabled = [account for account in accounts if account.is_enabled and provider_accounts.needs_key(account)]
    keys = set() if accounts else set(provider_accounts.environment_keys().values())
    for account in enabled:
        try:
            keys.add(provider_accounts.settings_of(account).api_key)
        except encryption.Unreadable:
            keys.add(account.sealed_key)
    if keys == {""}:
        if any(provider_accounts.blocked_reason(account) is None for account in accounts):
            return [Notice("no-key", "warning", _("No API key is set: only models that need none can be used."))]
        names = ", ".join(provider_accounts.environment_keys(needed_only=True))
        text = _("No API key is set, so nothing can be generated. Set one of: %(names)s.") % {"names": names}
        return [Notice("no-key", "error", text)]
    if keys - {""} == {SIMULATOR_KEY}:
        return [Notice("simulator", "neutral", _("Simulator: results are placeholders, and no money is spent."))]
    return []


def blocked_accounts(accounts: list[ProviderAccount], is_staff: bool) -> list[Notice]:
    """Return a notice if no account is usable. Of several, name one that is paused."""
    blocked = [(account, reason) for account in accounts if (reason := provider_accounts.blocked_reason(account))]
    # A missing key has a notice of its own.
    others = [(account, reason) for account, reason in blocked if reason is not BlockedReason.NO_KEY]
    if len(blocked) < len(accounts) or not others:
        return []
    if not is_staff:
        text = _("Missions are waiting: no provider account can be used. Tell an operator.")
        return [Notice("account", "warning", text)]
    account, reason = min(others, key=lambda pair: (not pair[0].paused_at, pair[0].pk))
    text = _("Missions are waiting: the account “%(name)s” is %(state)s. %(reason)s") % {
        "name": account.name,
        "state": reason.label,
        "reason": account.pause_reason_display,
    }
    url = reverse("admin:providers_provideraccount_change", args=[account.pk])
    return [Notice("account", "warning", text.strip(), url, _("Open the account"))]
