"""``manage.py accounts``: the provider accounts, seen and stopped from a terminal."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from missions import provider_accounts, selectors
from missions.models import ProviderAccount
from missions.providers.errors import ProviderError


class Command(BaseCommand):
    help = "List the provider accounts, ask the provider about one, or stop and resume its use."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="list | check | pause | resume")
        verbs.add_parser("list", help="show every account (default)")
        check = verbs.add_parser("check", help="ask the provider for limit and balance; free")
        pause = verbs.add_parser("pause", help="submit nothing more with an account")
        resume = verbs.add_parser("resume", help="use an account again")
        for verb in (check, pause, resume):
            verb.add_argument("name")
        pause.add_argument("--reason", default="Paused by an operator.", help="shown wherever the pause is")

    def handle(self, *args: Any, verb: str | None, **options: Any) -> None:
        provider_accounts.environment_account()
        if verb in (None, "list"):
            self._list()
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
    opened = provider_accounts.credentials(account)
    in_use = selectors.slots_in_use(account, now=timezone.now(), limit=account.configured_concurrency)
    told = f", provider says {account.remote_concurrency}" if account.remote_concurrency is not None else ""
    return [
        account.name,
        f"  provider:      {account.provider} at {opened.base_url}",
        f"  key:           {'set' if opened.api_key else 'not set: nothing can be spent'}",
        f"  tasks at once: {account.configured_concurrency}{told}",
        f"  in flight:     {in_use}",
        f"  state:         {_state(account)}",
    ]


def _state(account: ProviderAccount) -> str:
    if not account.is_enabled:
        return "switched off"
    if account.paused_at:
        return f"paused since {account.paused_at:%Y-%m-%d %H:%M} UTC: {account.pause_reason}"
    return "in use"
