"""Incidents: a blocked provider account or a full disk.

Operators, and the owners of waiting missions, are notified once when it begins and once when it
ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.contrib.auth.models import User

from core.reasons import TEMPLATES, Reason
from core.storage import disk
from missions.models import Mission, MissionStatus
from missions.reasons import RESTORED
from notifications import services as notifications
from notifications.models import Cause, Incident
from providers import provider_accounts
from providers.models import ProviderAccount
from workers import heartbeat
from workers.models import WorkerCluster

MANAGE_ACCOUNTS = "providers.change_provideraccount"
ENOUGH_SPACE = 1.1  # times MIN_FREE_DISK_MB, so that a disk around it is one incident
WAITING = (MissionStatus.QUEUED, MissionStatus.RUNNING)

Key: TypeAlias = tuple[str, str]  # cause and subject


@dataclass(frozen=True, slots=True)
class Trouble:
    """A trouble that is there now."""

    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def watch() -> None:
    """Begin and end incidents by the present state of accounts and disks.

    Every worker cluster calls it often; the first one that notices a change stores the events.
    """
    accounts = list(ProviderAccount.objects.order_by("pk"))
    running = WorkerCluster.objects.filter(stopped_at=None).exclude(free_disk_bytes=None)
    clusters = [each for each in running if heartbeat.is_alive(each, silent_after=heartbeat.SILENT_AFTER)]
    troubles = _account_troubles(accounts) | _disk_troubles(clusters)
    known: dict[Key, Incident] = {(incident.cause, incident.subject): incident for incident in Incident.objects.all()}
    for (cause, subject), trouble in troubles.items():
        if (cause, subject) not in known:
            people = _people(cause, trouble.details.get("provider", ""))
            notifications.begin_incident(
                Cause(cause), subject, people=people, details=trouble.details, reason=trouble.reason
            )
    for key, incident in known.items():
        if key in troubles:
            continue
        provider = incident.details.get("provider", "")
        match incident.cause:
            case Cause.ACCOUNT:
                names = {each.name for each in accounts if provider_accounts.blocked_reason(each) is None}
                is_gone, works = True, incident.subject in names
            case Cause.PROVIDER:
                is_gone, works = True, provider in _usable_providers(accounts)
            case _:
                mine = [each for each in clusters if incident.cause == Cause.ALL_DISKS or each.host == incident.subject]
                works = any(_free(each) >= disk.threshold_bytes() * ENOUGH_SPACE for each in mine)
                is_gone = works  # else its workers are gone, or there is only a little more room
        if is_gone:  # a switched off account is no trouble any more, but does not work either
            notifications.end_incident(incident, people=_people(incident.cause, provider) if works else list)


def _account_troubles(accounts: Sequence[ProviderAccount]) -> dict[Key, Trouble]:
    """Return the accounts that the program has paused, and the providers that nobody can use then.

    A pause by a person has no code, and after a restore all accounts are paused on purpose.
    """
    found: dict[Key, Trouble] = {}
    usable = _usable_providers(accounts)
    for account in accounts:
        code = account.pause_reason_code
        is_used = account.is_enabled and not account.is_draining
        if not is_used or account.paused_at is None or code in (None, RESTORED.code):
            continue
        reason = Reason(code, account.pause_reason_params or {}) if code in TEMPLATES else account.pause_reason
        of_provider = {"provider": account.provider}
        found[Cause.ACCOUNT, account.name] = Trouble(reason, {**of_provider, "account_id": account.pk})
        if account.provider not in usable:
            found.setdefault((Cause.PROVIDER, account.provider), Trouble(reason, of_provider))
    return found


def _usable_providers(accounts: Sequence[ProviderAccount]) -> set[str]:
    return {account.provider for account in accounts if provider_accounts.blocked_reason(account) is None}


def _disk_troubles(clusters: Sequence[WorkerCluster]) -> dict[Key, Trouble]:
    """Return the hosts whose workers submit nothing for lack of space, and all of them together."""
    low = {each.host: Trouble() for each in clusters if disk.is_low(_free(each))}
    found: dict[Key, Trouble] = {(Cause.DISK, host): trouble for host, trouble in sorted(low.items())}
    if clusters and all(disk.is_low(_free(each)) for each in clusters):
        found[Cause.ALL_DISKS, ""] = Trouble()
    return found


def _free(cluster: WorkerCluster) -> int:
    return cluster.free_disk_bytes or 0


def _people(cause: str, provider: str) -> Callable[[], Collection[int]]:
    """Return a function that finds whom to notify: operators, or owners of waiting missions."""

    def find() -> set[int]:
        backend = "django.contrib.auth.backends.ModelBackend"
        operators = set(User.objects.with_perm(MANAGE_ACCOUNTS, backend=backend).values_list("pk", flat=True))
        if cause in (Cause.ACCOUNT, Cause.DISK):
            return operators
        missions = Mission.objects.filter(status__in=WAITING, pending_count__gt=0, delete_requested_at=None)
        if cause == Cause.PROVIDER:
            missions = missions.filter(provider=provider)
        return set(missions.order_by().values_list("owner_id", flat=True).distinct()) - operators

    return find
