"""``manage.py accounts``: the provider accounts, seen and stopped from a terminal."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from missions import selectors
from providers import encryption, provider_accounts
from providers.adapters.errors import ProviderError
from providers.models import ProviderAccount
from providers.provider_accounts import BlockedReason


class Command(BaseCommand):
    help = (
        "List the provider accounts, ask the provider about one, stop and resume its use, or seal the stored keys anew."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="list | check | pause | resume | new-key | reseal")
        verbs.add_parser("list", help="show every account (default)")
        check = verbs.add_parser("check", help="ask the provider for limit and balance; free")
        pause = verbs.add_parser("pause", help="submit nothing more with an account")
        resume = verbs.add_parser("resume", help="use an account again")
        verbs.add_parser("new-key", help="print a new key for ENCRYPTION_KEYS, and do nothing else")
        verbs.add_parser("reseal", help="seal every stored API key with the first of ENCRYPTION_KEYS")
        for verb in (check, pause, resume):
            verb.add_argument("name")
        pause.add_argument("--reason", default="Paused by an operator.", help="shown wherever the pause is")

    def handle(self, *args: Any, verb: str | None, **options: Any) -> None:
        if verb == "new-key":
            self.stdout.write(encryption.new_key())
            return
        provider_accounts.environment_account()
        if verb in (None, "list"):
            self._list()
            return
        if verb == "reseal":
            self._reseal()
            return
        account = _find(options["name"])
        if verb == "check":
            self._check(account)
        elif verb == "pause":
            self._pause(account, options["reason"])
        else:
            self._resume(account)

    def _list(self) -> None:
        for account in ProviderAccount.objects.order_by("name"):
            for line in _describe(account):
                self.stdout.write(line)

    def _reseal(self) -> None:
        try:
            count, unreadable = provider_accounts.reseal_keys()
        except encryption.NoKey:
            raise CommandError(
                "ENCRYPTION_KEYS is empty: put a key there. `manage.py accounts new-key` prints one."
            ) from None
        self.stdout.write(f"Sealed with the first of ENCRYPTION_KEYS: {count}.")
        if unreadable:
            names = ", ".join(account.name for account in unreadable)
            raise CommandError(
                f"None of ENCRYPTION_KEYS opens the key of: {names}. Put the one that sealed it back, or enter the API key again."
            )

    def _check(self, account: ProviderAccount) -> None:
        try:
            status = provider_accounts.check(account)
        except ProviderError as error:
            raise CommandError(f"{account.name}: {error}") from error
        self.stdout.write(f"{account.name}: the key works.")
        for label, value in (
            ("kind of key", status.key_type),
            ("tasks at once", status.concurrency),
            ("running now", status.running),
            ("waiting now", status.queued),
            ("balance", None if status.balance is None else f"{status.balance} {status.currency}".strip()),
        ):
            self.stdout.write(f"  {label + ':':<15}{'not told' if value in (None, '') else value}")
        if account.paused_at:
            self.stdout.write(f"It is still paused. To use it: manage.py accounts resume {account.name}")

    def _pause(self, account: ProviderAccount, reason: str) -> None:
        if account.paused_at:
            raise CommandError(f"{account.name} is paused already: {account.pause_reason}")
        provider_accounts.block(account.pk, reason=reason)
        self.stdout.write(
            f"{account.name} is paused. What is in flight is watched to its end; nothing more is submitted."
        )

    def _resume(self, account: ProviderAccount) -> None:
        if not account.paused_at:
            raise CommandError(f"{account.name} is not paused.")
        provider_accounts.resume(account.pk)
        self.stdout.write(f"{account.name} is in use again.")


def _find(name: str) -> ProviderAccount:
    account = ProviderAccount.objects.filter(name=name).first()
    if account is None:
        known = ", ".join(ProviderAccount.objects.order_by("name").values_list("name", flat=True))
        raise CommandError(f"There is no account {name!r}. Known: {known}.")
    return account


def _describe(account: ProviderAccount) -> list[str]:
    """What is known of an account without asking anybody.  Never the key."""
    in_use = selectors.slots_in_use(account, now=timezone.now(), limit=account.configured_concurrency)
    told = f", provider says {account.remote_concurrency}" if account.remote_concurrency is not None else ""
    return [
        account.name,
        f"  provider:      {account.provider} at {provider_accounts.address(account)}",
        f"  key:           {_key(account)}",
        f"  tasks at once: {account.configured_concurrency}{told}",
        f"  in flight:     {in_use}",
        f"  state:         {_state(account)}",
    ]


def _key(account: ProviderAccount) -> str:
    try:
        masked = provider_accounts.masked_key(account)
    except encryption.Unreadable:
        return "cannot be read: none of ENCRYPTION_KEYS opens it"
    return f"set, {masked}" if masked else "not set: nothing can be spent"


def _state(account: ProviderAccount) -> str:
    blocked_reason = provider_accounts.blocked_reason(account)
    if blocked_reason is BlockedReason.PAUSED:
        return f"paused since {account.paused_at:%Y-%m-%d %H:%M} UTC: {account.pause_reason}"
    return blocked_reason.value if blocked_reason else "in use"
