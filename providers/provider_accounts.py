"""The way from a row to a provider that can be asked: keys, sessions, pausing.

The key of the account that the environment describes is read from the settings at each use and never stored.  Those of other
accounts are stored sealed, and opened at each use.  No key is shown, logged or handed out again.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy, gettext_noop

from providers import encryption
from providers.adapters.base import AccountStatus, Credentials, Provider
from providers.adapters.errors import AccountBlocked
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount, ProviderUpload
from workers import queue

log = logging.getLogger(__name__)

ENVIRONMENT_ACCOUNT = "environment"
HINT_LENGTH = 4
LEAST_HIDDEN = 12  # of a key that is shorter nothing is shown
NO_KEY = gettext_noop("No API key is set: put RUNNINGHUB_API_KEY into .env and restart.")
NO_OWN_KEY = gettext_noop("The account has no API key: enter one.")
UNREADABLE_KEY = gettext_noop(
    "The stored API key cannot be read: put the encryption key that sealed it back into ENCRYPTION_KEYS and restart, "
    "or enter the API key again."
)
_connections: dict[int, Provider] = {}


class BlockedReason(models.TextChoices):
    """What keeps an account from taking new items up."""

    SWITCHED_OFF = "switched off", gettext_lazy("switched off")
    PAUSED = "paused", gettext_lazy("paused")
    DRAINING = "draining", gettext_lazy("draining")
    NO_KEY = "without a key", gettext_lazy("without a key")
    UNREADABLE_KEY = "with an unreadable key", gettext_lazy("with an unreadable key")


# --- Which accounts there are ---


def environment_account() -> ProviderAccount:
    """The account that the settings describe, made at first use."""
    return ProviderAccount.objects.get_or_create(name=ENVIRONMENT_ACCOUNT)[0]


def is_from_environment(account: ProviderAccount) -> bool:
    return account.name == ENVIRONMENT_ACCOUNT


def has_keys() -> bool:
    """Whether any account, in use or not, has a key: then no simulator may stand in, real work and simulated must not mix."""
    return bool(settings.RUNNINGHUB_API_KEY) or ProviderAccount.objects.exclude(sealed_key="").exists()


def blocked_reason(account: ProviderAccount) -> BlockedReason | None:
    """What keeps an account from taking new items up; None if nothing does."""
    if not account.is_enabled:
        return BlockedReason.SWITCHED_OFF
    if account.paused_at:
        return BlockedReason.PAUSED
    if account.is_draining:
        return BlockedReason.DRAINING
    if not has_key(account):
        return BlockedReason.NO_KEY
    return None if can_read_key(account) else BlockedReason.UNREADABLE_KEY


def describe_blocked(accounts: Iterable[ProviderAccount]) -> str:
    """Why none of the accounts can be used: "1 paused, 2 without a key"; "" if one can, or there is none."""
    found = Counter(blocked_reason(account) for account in accounts)
    if None in found:
        return ""
    return ", ".join(sorted(f"{count} {name.value}" for name, count in found.items() if name))


def wake(provider: str) -> None:
    """Let every account of a provider fill its free slots: each takes as many items as it has room for."""
    ids = ProviderAccount.objects.in_use().filter(provider=provider).values_list("pk", flat=True)
    queue.send_many("dispatch", [(account_id,) for account_id in ids])


# --- Keys ---


def address(account: ProviderAccount) -> str:
    return account.base_url or settings.RUNNINGHUB_BASE_URL


def has_key(account: ProviderAccount) -> bool:
    """Whether the account has a key at all, be it readable or not."""
    return bool(settings.RUNNINGHUB_API_KEY if is_from_environment(account) else account.sealed_key)


def credentials(account: ProviderAccount) -> Credentials:
    """Where the account lives, and its key: "" when it has none.  Raises sealing.Unreadable."""
    if is_from_environment(account):
        api_key = settings.RUNNINGHUB_API_KEY
    else:
        api_key = encryption.unseal(account.sealed_key) if account.sealed_key else ""
    return Credentials(base_url=address(account), api_key=api_key)


def can_read_key(account: ProviderAccount) -> bool:
    """Whether the account's key can be opened; true when it has none."""
    try:
        credentials(account)
    except encryption.Unreadable:
        return False
    return True


def masked_key(account: ProviderAccount) -> str:
    """What may be shown of an account's key: its end, so that people can tell keys apart.  Raises sealing.Unreadable."""
    api_key = credentials(account).api_key
    if not api_key:
        return ""
    return "••••" + (api_key[-HINT_LENGTH:] if len(api_key) >= LEAST_HIDDEN else "")


def duplicate_of(account: ProviderAccount, opened: Credentials) -> ProviderAccount | None:
    """Another account that is opened so, too.  Two would be one at the provider, with the sum of both limits."""
    wanted = _fingerprint(opened)
    others = ProviderAccount.objects.exclude(pk=account.pk)
    return next((other for other in others if wanted == _present_fingerprint(other)), None)


def sync_env_key(on_change: Callable[[], object] = lambda: None) -> bool:
    """Take note of the key and the address in the settings.  Returns whether they replace others.

    ``on_change`` runs first, in the same transaction: nobody uses the new key before it is done, and a crash repeats it.
    A change ends a pause of the account: the reason for it may be gone, and if not it will be found again.  Without a key it is
    paused where others have one, so that it takes up no item that it could not send.
    """
    account = environment_account()
    fingerprint = _present_fingerprint(account)
    if not fingerprint and has_keys():
        block(account.pk, reason=NO_KEY)
    before = account.key_fingerprint
    if not fingerprint or fingerprint == before:
        return False
    with transaction.atomic():
        ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        if before:
            on_change()
        _begin_anew(account.pk, fingerprint)
        resume(account.pk)
    return bool(before)


def store(account: ProviderAccount, *, changed: Collection[str] = (), api_key: str = "") -> None:
    """Store a new account, or the fields ``changed`` of one that there is; ``api_key`` replaces its key.

    Nothing else of the row is written, because workers write to it at the same time.  It takes effect at the next slot that
    is given away: at once.  A new key ends no pause, and what the old one has sent is judged by its fingerprint.
    Raises sealing.NoKey, and then nothing is stored.
    """
    fields = set(changed)
    if api_key:
        account.sealed_key = encryption.seal(api_key)
        fields.add("sealed_key")
    with transaction.atomic():
        if account._state.adding:
            account.save(force_insert=True)
        elif fields:
            ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
            account.save(update_fields=fields)
        if api_key and _present_fingerprint(account) != account.key_fingerprint:
            _begin_anew(account.pk, _present_fingerprint(account))
        wake(account.provider)


def reseal_keys() -> tuple[int, list[ProviderAccount]]:
    """Seal every stored key with the first of ENCRYPTION_KEYS.  Returns how many, and the accounts whose key cannot be read.

    Raises sealing.NoKey.
    """
    if not encryption.is_possible():
        raise encryption.NoKey
    count, unreadable = 0, []
    for account in ProviderAccount.objects.exclude(sealed_key="").order_by("pk"):
        try:
            sealed = encryption.reseal(account.sealed_key)
        except encryption.Unreadable:
            unreadable.append(account)
            continue
        count += ProviderAccount.objects.filter(pk=account.pk, sealed_key=account.sealed_key).update(sealed_key=sealed)
    return count, unreadable


def _begin_anew(account_id: int, fingerprint: str) -> None:
    """The account has another key, or lives elsewhere: what was learned from, and handed to, the old one holds no longer."""
    ProviderUpload.objects.filter(account=account_id).delete()
    ProviderAccount.objects.filter(pk=account_id).update(
        key_fingerprint=fingerprint, remote_concurrency=None, checked_at=None, soft_limit=None, soft_limit_at=None
    )


def _present_fingerprint(account: ProviderAccount) -> str:
    """Of what the account would be opened with now; "" without a key; the last that is known if the key cannot be read."""
    try:
        opened = credentials(account)
    except encryption.Unreadable:
        return account.key_fingerprint
    return _fingerprint(opened) if opened.api_key else ""


def _fingerprint(opened: Credentials) -> str:
    return hashlib.sha256(f"{opened.base_url} {opened.api_key}".encode()).hexdigest()[:16]


# --- Use ---


def connect(account: ProviderAccount) -> Provider:
    """A provider for the account, with a pooled session that this process keeps.

    Raises AccountBlocked when there is no key, or none that can be read.
    """
    opened = _opened(account)
    known = _connections.get(account.pk)
    if known is None or known.credentials != opened:
        known = _connections[account.pk] = PROVIDERS[account.provider](opened)
    return known


def _opened(account: ProviderAccount) -> Credentials:
    try:
        opened = credentials(account)
    except encryption.Unreadable:
        raise AccountBlocked(UNREADABLE_KEY, code="unreadable_key") from None
    if opened.api_key:
        return opened
    raise AccountBlocked(NO_KEY if is_from_environment(account) else NO_OWN_KEY, code="no_key")


def block(account_id: int, *, reason: str) -> None:
    """Stop using an account until a person resumes it.  Its items stay pending."""
    paused = ProviderAccount.objects.filter(pk=account_id, paused_at=None).update(
        paused_at=timezone.now(), pause_reason=reason
    )
    if paused:
        log.warning("Account %s is paused: %s", account_id, reason)


def block_all(*, reason: str) -> None:
    """Stop using every account, the one that the environment describes included."""
    environment_account()
    for account_id in ProviderAccount.objects.values_list("pk", flat=True):
        block(account_id, reason=reason)


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
    ProviderAccount.objects.filter(pk=account.pk, key_fingerprint=account.key_fingerprint).update(
        remote_concurrency=status.concurrency, checked_at=timezone.now()
    )
    return status
