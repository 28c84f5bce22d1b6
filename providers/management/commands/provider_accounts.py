"""``manage.py provider_accounts``: list, check, pause and resume provider accounts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from providers import encryption, provider_accounts, slots
from providers.adapters.errors import ProviderError
from providers.models import ProviderAccount
from providers.provider_accounts import BlockedReason


class Command(BaseCommand):
    help = (
        "List the provider accounts, check one at its provider, pause and resume it, or encrypt the stored keys anew."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="list | check | pause | resume | new-key | reseal")
        verbs.add_parser("list", help="show every account (default)")
        check = verbs.add_parser("check", help="read limit and balance at the provider; free")
        pause = verbs.add_parser("pause", help="submit nothing more with an account")
        resume = verbs.add_parser("resume", help="use an account again")
        verbs.add_parser("new-key", help="print a new key for ENCRYPTION_KEYS, and do nothing else")
        verbs.add_parser("reseal", help="encrypt every stored key and secret with the first of ENCRYPTION_KEYS")
        for verb in (check, pause, resume):
            verb.add_argument("name")
        pause.add_argument("--reason", default="Paused by an operator.", help="shown wherever the pause is")

    def handle(self, *args: Any, verb: str | None, **options: Any) -> None:
        if verb == "new-key":
            self.stdout.write(encryption.new_key())
            return
        provider_accounts.create_environment_accounts()
        if verb in (None, "list"):
            self._list()
        elif verb == "reseal":
            self._reseal()
        else:
            account = ProviderAccount.objects.filter(name=options["name"]).first()
            if account is None:
                names = ", ".join(ProviderAccount.objects.order_by("name").values_list("name", flat=True))
                raise CommandError(f"There is no account {options['name']!r}. Accounts: {names}.")
            if verb == "check":
                self._check(account)
            else:
                self._pause_or_resume(account, verb, options.get("reason", ""))

    def _list(self) -> None:
        """Print every account, without asking its provider. Never the key."""
        for account in slots.with_in_flight(ProviderAccount.objects.order_by("name")):
            in_flight: int = account.in_flight  # type: ignore[attr-defined]  # annotated
            limits = str(account.configured_concurrency)
            if account.remote_concurrency is not None:
                limits += f", provider reports {account.remote_concurrency}"
            blocked = provider_accounts.blocked_reason(account)
            state = blocked.value if blocked else "in use"
            if blocked is BlockedReason.PAUSED:
                state = f"paused since {account.paused_at:%Y-%m-%d %H:%M} UTC: {account.pause_reason}"
            try:
                key = provider_accounts.masked_key(account)
                key = f"set, {key}" if key else "not set: nothing can be spent"
            except encryption.Unreadable:
                key = "cannot be read: none of ENCRYPTION_KEYS opens it"
            if not provider_accounts.needs_key(account) and not provider_accounts.has_key(account):
                key = "not needed"
            address = provider_accounts.address(account)
            for line in (
                account.name,
                f"  provider:      {account.provider}{f' at {address}' if address else ''}",
                f"  key:           {key}",
                f"  tasks at once: {limits}",
                f"  in flight:     {in_flight}",
                f"  state:         {state}",
            ):
                self.stdout.write(line)

    def _reseal(self) -> None:
        try:
            count, unreadable = provider_accounts.reseal_keys()
        except encryption.NoKey:
            raise CommandError(
                "ENCRYPTION_KEYS is empty: put a key there. `manage.py provider_accounts new-key` prints one."
            ) from None
        self.stdout.write(f"Encrypted with the first of ENCRYPTION_KEYS: {count}.")
        if unreadable:
            names = ", ".join(account.name for account in unreadable)
            raise CommandError(
                f"None of ENCRYPTION_KEYS opens the key of: {names}. "
                "Put the one that encrypted it back, or enter the API key again."
            )

    def _check(self, account: ProviderAccount) -> None:
        try:
            status = provider_accounts.check(account)
        except ProviderError as error:
            raise CommandError(f"{account.name}: {error}") from error
        self.stdout.write(f"{account.name}: the connection works.")
        for label, value in (
            ("kind of key", status.key_type),
            ("tasks at once", status.concurrency),
            ("running now", status.running),
            ("waiting now", status.queued),
            ("balance", None if status.balance is None else f"{status.balance} {status.currency}".strip()),
        ):
            self.stdout.write(f"  {label + ':':<15}{'not reported' if value in (None, '') else value}")
        if account.paused_at:
            self.stdout.write(f"It is still paused. To use it: manage.py provider_accounts resume {account.name}")

    def _pause_or_resume(self, account: ProviderAccount, verb: str, reason: str) -> None:
        if verb == "pause" and account.paused_at:
            raise CommandError(f"{account.name} is paused already: {account.pause_reason}")
        if verb == "resume" and not account.paused_at:
            raise CommandError(f"{account.name} is not paused.")
        if verb == "pause":
            provider_accounts.pause_for_person(account.pk, reason=reason)
            self.stdout.write(f"{account.name} is paused: nothing more is sent. Running tasks are polled to their end.")
        else:
            provider_accounts.resume_for_person(account.pk)
            self.stdout.write(f"{account.name} is in use again.")
