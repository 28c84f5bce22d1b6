"""Provider accounts: their settings and keys, connections, pauses.

The keys of the accounts that the environment describes are read from the settings at each use and
never stored. Those of other accounts are stored encrypted, and decrypted at each use. No key is
ever shown, logged or returned.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from accounts import rights
from accounts.audit import services as audit
from accounts.audit.models import Verb
from accounts.rights import Action
from core.db.reasons import columns
from core.db.values import storable
from core.money import MILLIONTH
from core.reasons import define
from providers import encryption
from providers.adapters.base import SIMULATOR_KEY, AccountStatus, Provider, ProviderSettings
from providers.adapters.errors import AccountBlocked, Unavailable
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount, ProviderUpload
from workers import queue

log = logging.getLogger(__name__)

HINT_LENGTH = 4
SHORTEST_HINTED_KEY = 12  # of a shorter key nothing is shown
NO_KEY = define("no_key", "No API key is set: put %(name)s into .env and restart.")
NO_OWN_KEY = define("no_own_key", "The account has no API key: enter one.")
UNKNOWN_PROVIDER = define("unknown_provider", "This server does not have the provider.")
UNREADABLE_KEY = define(
    "unreadable_key",
    "The stored API key cannot be read: put the encryption key that sealed it back into ENCRYPTION_KEYS and restart, "
    "or enter the API key again.",
)
_connections: dict[int, Provider] = {}
_NUMBERS = {"poll_floor_seconds", "submit_limit_seconds", "result_lifetime_seconds"}  # fields that rows may change
_FIELDS = {field.name for field in dataclasses.fields(ProviderSettings)}


class BlockedReason(models.TextChoices):
    """A reason for which an account takes no new items."""

    SWITCHED_OFF = "switched off", gettext_lazy("switched off")
    PAUSED = "paused", gettext_lazy("paused")
    DRAINING = "draining", gettext_lazy("draining")
    NO_SLOTS = "limited to 0 tasks", gettext_lazy("limited to 0 tasks by its provider")
    NO_KEY = "without a key", gettext_lazy("without a key")
    UNREADABLE_KEY = "with an unreadable key", gettext_lazy("with an unreadable key")


# --- The accounts ---


def environment_account(provider: str = "") -> ProviderAccount:
    """Return a provider's account that the settings describe, made at first use. "": the first."""
    kind = PROVIDERS[provider] if provider else next(iter(PROVIDERS.values()))
    return ProviderAccount.objects.get_or_create(name=kind.account_name, defaults={"provider": kind.name})[0]


def create_environment_accounts() -> list[ProviderAccount]:
    """Return the accounts that the environment describes, made at first use."""
    return [environment_account(name) for name in PROVIDERS if _is_configured(name)]


def is_from_environment(account: ProviderAccount) -> bool:
    return account.name == PROVIDERS[account.provider].account_name


def environment_account_names() -> set[str]:
    """Return the names that no other account may have."""
    return {kind.account_name for kind in PROVIDERS.values()}


def has_keys(provider: str = "") -> bool:
    """Return True when any account, in use or not, has a key. ``provider``: of this one only.

    Then no simulator may replace it: real work and simulated work must not mix.
    """
    kinds = [PROVIDERS[provider]] if provider else list(PROVIDERS.values())
    rows = ProviderAccount.objects.filter(provider__in=[kind.name for kind in kinds])
    return any(_environment_value(kind, "api_key") for kind in kinds) or rows.exclude(sealed_key="").exists()


def environment_keys(*, needed_only: bool = False) -> dict[str, str]:
    """Return the keys in the settings by the setting's name, "" where none is set.

    ``needed_only`` leaves out providers that may be used without a key.
    """
    kinds = [kind for kind in PROVIDERS.values() if kind.capabilities.needs_key or not needed_only]
    return {
        kind.environment["api_key"]: _environment_value(kind, "api_key") or ""
        for kind in kinds
        if "api_key" in kind.environment
    }


def needs_key(account: ProviderAccount) -> bool:
    return PROVIDERS[account.provider].capabilities.needs_key


def blocked_reason(account: ProviderAccount) -> BlockedReason | None:
    """Return why an account takes no new items, None if it does."""
    if not account.is_enabled:
        return BlockedReason.SWITCHED_OFF
    if account.paused_at:
        return BlockedReason.PAUSED
    if account.is_draining:
        return BlockedReason.DRAINING
    if needs_key(account) and not has_key(account):
        return BlockedReason.NO_KEY
    if not can_read_key(account):
        return BlockedReason.UNREADABLE_KEY
    return BlockedReason.NO_SLOTS if account.remote_concurrency == 0 else None


def describe_blocked(accounts: Iterable[ProviderAccount]) -> str:
    """Return why none of the accounts can be used: "1 paused, 2 without a key"; "" if one can."""
    reasons = Counter(blocked_reason(account) for account in accounts)
    if None in reasons:
        return ""
    return ", ".join(sorted(f"{count} {reason.value}" for reason, count in reasons.items() if reason))


def wake(provider: str) -> None:
    """Let every account of a provider fill its free slots: each takes as many items as it can."""
    ids = ProviderAccount.objects.in_use().filter(provider=provider).values_list("pk", flat=True)
    queue.send_many("dispatch", [(account_id,) for account_id in ids])


# --- Settings and keys ---


def public_settings(account: ProviderAccount) -> ProviderSettings:
    """Return an account's settings without its key.

    The row's come first, then the environment's, then the provider's defaults.
    """
    kind = PROVIDERS[account.provider]
    names = [name for name in kind.environment if name != "api_key"]
    values = {name: value for name in names if (value := _environment_value(kind, name)) not in ("", None)}
    values |= {name: value for name, value in account.options.items() if name in option_names(kind)}
    if account.base_url:
        values["base_url"] = account.base_url
    if account.concurrency is not None:
        values["concurrency"] = account.concurrency
    options = {name: str(value) for name, value in values.items() if name not in _FIELDS}
    fields: dict[str, Any] = {name: value for name, value in values.items() if name in _FIELDS}
    fields["options"] = {**kind.defaults.options, **options}
    fields["result_hosts"] = (*kind.defaults.result_hosts, *settings.RESULTS_ALLOWED_HOSTS)
    return dataclasses.replace(kind.defaults, **fields)


def settings_of(account: ProviderAccount) -> ProviderSettings:
    """Return an account's settings with its key: "" when it has none.

    Raises encryption.Unreadable.
    """
    if is_from_environment(account):
        api_key = _environment_value(PROVIDERS[account.provider], "api_key") or ""
    else:
        api_key = encryption.unseal(account.sealed_key) if account.sealed_key else ""
    return dataclasses.replace(public_settings(account), api_key=api_key)


def address(account: ProviderAccount) -> str:
    return public_settings(account).base_url


def has_key(account: ProviderAccount) -> bool:
    """Return True when the account has a key, readable or not."""
    if is_from_environment(account):
        return bool(_environment_value(PROVIDERS[account.provider], "api_key"))
    return bool(account.sealed_key)


def can_read_key(account: ProviderAccount) -> bool:
    """Return True when the account's key can be decrypted, or it has none."""
    try:
        settings_of(account)
    except encryption.Unreadable:
        return False
    return True


def masked_key(account: ProviderAccount) -> str:
    """Return the end of an account's key, so that people can tell keys apart.

    Raises encryption.Unreadable.
    """
    api_key = settings_of(account).api_key
    if not api_key:
        return ""
    return "••••" + (api_key[-HINT_LENGTH:] if len(api_key) >= SHORTEST_HINTED_KEY else "")


def option_names(kind: type[Provider]) -> list[str]:
    """Return the names of the settings that an account of a provider may have in ``options``."""
    return sorted({*kind.defaults.options, *_NUMBERS})


def options_problem(kind: type[Provider], options: Any) -> str:
    """Return why an account of a provider cannot have these options, "" if it can."""
    if not isinstance(options, dict):
        return gettext("Write a JSON object.")
    for name, value in options.items():
        if name not in option_names(kind):
            return str(gettext("There is no setting %s.") % name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if name in _NUMBERS and not is_number:
            return str(gettext("%s must be a number of seconds above 0.") % name)
    return ""


def is_simulated(kind: type[Provider]) -> bool:
    """Return True when the environment's account of a provider is at our simulator."""
    return bool(_environment_value(kind, "api_key") == SIMULATOR_KEY)


def environment_address(kind: type[Provider]) -> str:
    return str(_environment_value(kind, "base_url") or kind.defaults.base_url)


def has_address_or_key(kind: type[Provider]) -> bool:
    """Return True when the settings name a server of a provider, or any account has a key."""
    return bool(_environment_value(kind, "base_url")) or has_keys(kind.name)


def duplicate_of(account: ProviderAccount, *, base_url: str, api_key: str) -> ProviderAccount | None:
    """Return another account with this address and key: two would exceed the limit of one."""
    fingerprint = _fingerprint(ProviderSettings(base_url, api_key))
    others = ProviderAccount.objects.filter(provider=account.provider).exclude(pk=account.pk)
    return next((other for other in others if fingerprint == _present_fingerprint(other)), None)


def sync_env_key(on_change: Callable[[str], object] = lambda provider: None) -> bool:
    """Note the keys and addresses in the settings. Returns True when they replace others.

    ``on_change`` is called with the provider, first and in the same transaction: nobody uses the
    new key before the call is complete, and a crash repeats it. A change ends a pause of the
    account: its reason may be gone, and if not it is noticed again. Without a key, the account is
    paused if others of the provider have one, so that it takes no item that it cannot send.
    """
    changes = [_sync(account, on_change) for account in create_environment_accounts()]
    return any(changes)


def _is_configured(provider: str) -> bool:
    """Return True when the environment describes an account of a provider.

    The first one always exists.
    """
    kind = PROVIDERS[provider]
    if provider == next(iter(PROVIDERS)) or _environment_value(kind, "api_key"):
        return True
    return not kind.capabilities.needs_key and (
        "base_url" not in kind.environment or bool(_environment_value(kind, "base_url"))
    )


def _sync(account: ProviderAccount, on_change: Callable[[str], object]) -> bool:
    fingerprint = _present_fingerprint(account)
    if not fingerprint and has_keys(account.provider):
        block(account.pk, reason=_no_key(account))
    before = account.key_fingerprint
    if not fingerprint or fingerprint == before:
        return False
    with transaction.atomic():
        ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        if before:
            on_change(account.provider)
        _begin_anew(account.pk, fingerprint)
        resume(account.pk)
    return bool(before)


def store(account: ProviderAccount, *, changed: Collection[str] = (), api_key: str = "") -> None:
    """Store a new account, or ``changed`` fields of an existing one; ``api_key`` replaces its key.

    Nothing else of the row is written, because workers write to it at the same time. It takes
    effect with the next slot that is filled: at once. A new key ends no pause. Attempts of the old
    key are recognised by its fingerprint. Raises encryption.NoKey, and then nothing is stored.
    """
    fields = set(changed)
    if api_key:
        account.sealed_key = encryption.seal(api_key)
        fields.add("sealed_key")
    with transaction.atomic():
        is_new = account._state.adding
        if is_new:
            account.save(force_insert=True)
        elif fields:
            ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
            account.save(update_fields=fields)
        fingerprint = _present_fingerprint(account)
        if fingerprint and fingerprint != account.key_fingerprint and not is_from_environment(account):
            _begin_anew(account.pk, fingerprint)
        verb = Verb.ACCOUNT_CREATE if is_new else Verb.ACCOUNT_CHANGE
        audit.record(verb, account, changed=sorted(fields - {"sealed_key"}), has_new_key=bool(api_key))
        wake(account.provider)


_reseals: list[Callable[[], int]] = []


def register_sealed(reseal: Callable[[], int]) -> None:
    """Name a function that encrypts an app's secrets anew and returns how many."""
    _reseals.append(reseal)


def reseal_keys() -> tuple[int, list[ProviderAccount]]:
    """Encrypt every stored key with the first of ENCRYPTION_KEYS.

    Returns how many, and the accounts whose key cannot be read. Raises encryption.NoKey.
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
    return count + sum(reseal() for reseal in _reseals), unreadable


def _environment_value(kind: type[Provider], name: str) -> Any:
    return getattr(settings, kind.environment[name], None) if name in kind.environment else None


def _no_key(account: ProviderAccount) -> str:
    if is_from_environment(account):
        return NO_KEY(name=PROVIDERS[account.provider].environment["api_key"])
    return NO_OWN_KEY()


def _begin_anew(account_id: int, fingerprint: str) -> None:
    """Delete the facts and the uploads of the previous key or address."""
    ProviderUpload.objects.filter(account=account_id).delete()
    ProviderAccount.objects.filter(pk=account_id).update(
        key_fingerprint=fingerprint,
        remote_concurrency=None,
        checked_at=None,
        balance=None,
        balance_currency="",
        balance_read_at=None,
        soft_limit=None,
        soft_limit_at=None,
    )


def _present_fingerprint(account: ProviderAccount) -> str:
    """Return the fingerprint of key and address as they are now.

    "" while a key is missing; the stored one if the key cannot be read.
    """
    try:
        values = settings_of(account)
    except encryption.Unreadable:
        return account.key_fingerprint
    return "" if needs_key(account) and not values.api_key else _fingerprint(values)


def _fingerprint(values: ProviderSettings) -> str:
    return hashlib.sha256(f"{values.base_url} {values.api_key}".encode()).hexdigest()[:16]


# --- Use ---


def connect(account: ProviderAccount) -> Provider:
    """Return a provider for the account, with a pooled session that this process keeps.

    Raises AccountBlocked when there is no key or it cannot be read, and Unavailable when this
    program does not have the provider: during an upgrade another host may be newer.
    """
    kind = PROVIDERS.get(account.provider)
    if kind is None:
        raise Unavailable(UNKNOWN_PROVIDER())
    try:
        values = settings_of(account)
    except encryption.Unreadable:
        raise AccountBlocked(UNREADABLE_KEY()) from None
    if kind.capabilities.needs_key and not values.api_key:
        raise AccountBlocked(_no_key(account))
    connection = _connections.get(account.pk)
    if connection is None or type(connection) is not kind or connection.settings != values:
        connection = _connections[account.pk] = kind(values)
    return connection


def block(account_id: int, *, reason: str) -> None:
    """Stop using an account until a person resumes it. Its items stay pending."""
    paused = ProviderAccount.objects.filter(pk=account_id, paused_at=None).update(
        paused_at=timezone.now(),
        **columns(reason, text="pause_reason", code="pause_reason_code", params="pause_reason_params"),
    )
    if paused:
        log.warning("Account %s is paused: %s", account_id, reason)


def block_all(*, reason: str) -> None:
    """Stop using every account, those that the environment describes included."""
    create_environment_accounts()
    for account_id in ProviderAccount.objects.values_list("pk", flat=True):
        block(account_id, reason=reason)


def pause_for_person(account_id: int, *, reason: str) -> None:
    """Pause an account because a person wants it. As ``block``, with an entry in the audit log."""
    with transaction.atomic():
        block(account_id, reason=reason)
        audit.record(Verb.ACCOUNT_PAUSE, ProviderAccount.objects.get(pk=account_id), reason=reason)


def resume_for_person(account_id: int) -> None:
    """Use an account again because a person wants it. With an entry in the audit log."""
    with transaction.atomic():
        resume(account_id)
        audit.record(Verb.ACCOUNT_RESUME, ProviderAccount.objects.get(pk=account_id))


def resume(account_id: int) -> None:
    """Use an account again, with its full limit."""
    with transaction.atomic():
        ProviderAccount.objects.filter(pk=account_id).update(
            paused_at=None,
            pause_reason="",
            pause_reason_code=None,
            pause_reason_params=None,
            soft_limit=None,
            soft_limit_at=None,
        )
        queue.send("dispatch", account_id)


def check(account: ProviderAccount) -> AccountStatus:
    """Read the account's limit and balance at the provider and store them.

    Raises Unavailable or AccountBlocked. The account is paused if the provider refuses the key, but
    not if this process has no key, because the site's own processes may have it.
    """
    provider = connect(account)
    try:
        status = provider.check_account()
    except AccountBlocked as error:
        block(account.pk, reason=str(error))
        raise
    now = timezone.now()
    rows = ProviderAccount.objects.filter(pk=account.pk, key_fingerprint=account.key_fingerprint)
    rows.update(remote_concurrency=status.concurrency, checked_at=now)
    if status.balance is not None:  # else the last one stays, with its age
        balance, currency = status.balance.quantize(MILLIONTH), storable(status.currency)[:16]
        rows.update(balance=balance, balance_currency=currency, balance_read_at=now)
    return status


# --- Balances ---


def may_see_balance(user: AbstractBaseUser | AnonymousUser, account: ProviderAccount) -> bool:
    """Return True for operators, and for everybody if the account shows its balance."""
    return account.shows_balance or rights.may_all(user, Action.VIEW, ProviderAccount)


@dataclasses.dataclass(frozen=True, slots=True)
class Balances:
    """The balances of a provider's accounts that a person may see, as they were last read.

    ``is_short``: a price exceeds them all. False if that is not certain, because a balance is
    unknown, hidden or in another currency. Two accounts may share one wallet, so balances are never
    shown as a sum.
    """

    provider: str
    accounts: list[ProviderAccount]
    is_short: bool

    @property
    def has_names(self) -> bool:
        return len(self.accounts) > 1


def balances(
    provider: str, user: AbstractBaseUser | AnonymousUser, *, price: Decimal | None, currency: str
) -> Balances | None:
    """Return the stored balances for ``price`` beside them; None if there is none to see."""
    rows = list(ProviderAccount.objects.filter(provider=provider, is_enabled=True, is_draining=False).order_by("pk"))
    shown = [account for account in rows if account.balance is not None and may_see_balance(user, account)]
    if not shown:
        return None
    is_comparable = len(shown) == len(rows) and {account.balance_currency for account in shown} == {currency}
    total = sum((account.balance for account in shown if account.balance is not None), Decimal(0))
    is_short = is_comparable and price is not None and price > total
    return Balances(PROVIDERS[provider].label, shown, is_short)
