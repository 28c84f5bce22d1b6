"""The way from a row to a provider that can be asked: keys, sessions, pausing.

The key of the account that the environment describes is read from the settings at each use and never stored.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from missions import queue
from missions.models import ProviderAccount
from missions.providers.base import AccountStatus, Credentials, Provider
from missions.providers.errors import AccountBlocked
from missions.providers.registry import PROVIDERS

log = logging.getLogger(__name__)

ENVIRONMENT_ACCOUNT = "environment"
_connections: dict[tuple[int, Credentials], Provider] = {}


def environment_account() -> ProviderAccount:
    """The account that the settings describe, made at first use."""
    return ProviderAccount.objects.get_or_create(name=ENVIRONMENT_ACCOUNT)[0]


def adopt_key(on_change: Callable[[], object] = lambda: None) -> bool:
    """Take note of the key and the address in the settings.  Returns whether they replace others.

    ``on_change`` runs first, in the same transaction: nobody uses the new key before it is done, and a crash repeats it.
    A change ends a pause of the account: the reason for it may be gone, and if not it will be found again.
    """
    account = environment_account()
    fingerprint = _fingerprint(credentials(account)) if settings.RUNNINGHUB_API_KEY else ""
    before = account.key_fingerprint
    if not fingerprint or fingerprint == before:
        return False
    with transaction.atomic():
        ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        if before:
            on_change()
        ProviderAccount.objects.filter(pk=account.pk).update(key_fingerprint=fingerprint, remote_concurrency=None)
        resume(account.pk)
    return bool(before)


def credentials(account: ProviderAccount) -> Credentials:
    return Credentials(
        base_url=account.base_url or settings.RUNNINGHUB_BASE_URL,
        api_key=settings.RUNNINGHUB_API_KEY,
    )


def connect(account: ProviderAccount) -> Provider:
    """A provider for the account, with a pooled session that this process keeps.

    Raises AccountBlocked when there is no key.
    """
    opened = credentials(account)
    if not opened.api_key:
        raise AccountBlocked(
            gettext_noop("No API key is set: put RUNNINGHUB_API_KEY into .env and restart."), code="no_key"
        )
    known = _connections.get((account.pk, opened))
    if known is None:
        known = _connections[account.pk, opened] = PROVIDERS[account.provider](opened)
    return known


def block(account_id: int, *, reason: str) -> None:
    """Stop using an account until a person resumes it.  Its items stay pending."""
    paused = ProviderAccount.objects.filter(pk=account_id, paused_at=None).update(
        paused_at=timezone.now(), pause_reason=reason
    )
    if paused:
        log.warning("Account %s is paused: %s", account_id, reason)


def resume(account_id: int) -> None:
    """Use an account again, from now on with its full limit."""
    with transaction.atomic():
        ProviderAccount.objects.filter(pk=account_id).update(
            paused_at=None, pause_reason="", soft_limit=None, soft_limit_at=None
        )
        queue.send("dispatch", account_id)


def check(account: ProviderAccount) -> AccountStatus:
    """Ask the provider for the account's limit and remember it.

    Raises AccountBlocked (and pauses the account) or Unavailable.
    """
    try:
        status = connect(account).check_account()
    except AccountBlocked as error:
        block(account.pk, reason=str(error))
        raise
    ProviderAccount.objects.filter(pk=account.pk).update(
        remote_concurrency=status.concurrency, checked_at=timezone.now()
    )
    return status


def _fingerprint(opened: Credentials) -> str:
    return hashlib.sha256(f"{opened.base_url} {opened.api_key}".encode()).hexdigest()[:16]
