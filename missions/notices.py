"""What everybody should know before they start something: is it real, and does it run?"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.translation import gettext as _

from missions import workforce
from missions.local_stack import SIMULATOR_KEY
from missions.models import ProviderAccount


@dataclass(frozen=True, slots=True)
class Notice:
    """``kind``: neutral, warning or error.  ``url`` leads to where something can be done about it."""

    name: str
    kind: str
    text: str
    url: str = ""
    link_text: str = ""


def current(user: AbstractBaseUser | AnonymousUser) -> list[Notice]:
    """The gravest first.  Staff are told reasons and what to do; others only that somebody has to."""
    is_staff = bool(getattr(user, "is_staff", False))
    found = [*_account(is_staff), *_workers(is_staff), *_key()]
    return sorted(found, key=lambda notice: ("error", "warning", "neutral").index(notice.kind))


def _key() -> list[Notice]:
    if not settings.RUNNINGHUB_API_KEY:
        return [Notice("no-key", "error", _("No API key is set, so nothing can be generated: set RUNNINGHUB_API_KEY."))]
    if settings.RUNNINGHUB_API_KEY == SIMULATOR_KEY:
        return [Notice("simulator", "neutral", _("Simulator: results are placeholders, and no money is spent."))]
    return []


def _workers(is_staff: bool) -> list[Notice]:
    if workforce.is_alive():
        return []
    todo = _("Start them: manage.py workers.") if is_staff else _("Tell an administrator.")
    return [Notice("workers", "error", _("Nothing is being worked on: no workers are running.") + " " + todo)]


def _account(is_staff: bool) -> list[Notice]:
    """One usable account is enough."""
    accounts = list(ProviderAccount.objects.filter(is_enabled=True).order_by("pk"))
    paused = [account for account in accounts if account.paused_at]
    if not paused or len(paused) < len(accounts):
        return []
    if not is_staff:
        return [
            Notice("account", "warning", _("Missions wait: the provider account is paused. Tell an administrator."))
        ]
    account = paused[0]
    text = _("Missions wait: the account “%(name)s” is paused. %(reason)s") % {
        "name": account.name,
        "reason": account.pause_reason,
    }
    url = reverse("admin:missions_provideraccount_change", args=[account.pk])
    return [Notice("account", "warning", text.strip(), url, _("See the account"))]
