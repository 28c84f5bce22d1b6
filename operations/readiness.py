"""Whether a mission would be run now: what is in the way, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import DatabaseError, connection

from core.db import pending_migrations
from core.errors import FieldError, Unavailable
from providers import provider_accounts
from providers.models import ProviderAccount
from workers import heartbeat


@dataclass(frozen=True, slots=True)
class Part:
    is_ok: bool
    message: str


class NotReady(Unavailable):
    """Some parts are not ready.  ``errors`` names each of them."""

    error = "not_ready"

    def __init__(self, parts: Mapping[str, Part]) -> None:
        errors = [FieldError(name, part.message) for name, part in parts.items() if not part.is_ok]
        super().__init__(" ".join(error.message for error in errors), errors=errors)


def require(**parts: Part) -> dict[str, Part]:
    """The parts, if all of them are well.  Raises NotReady."""
    if not all(part.is_ok for part in parts.values()):
        raise NotReady(parts)
    return parts


def all_parts() -> dict[str, Part]:
    """The state of everything that a mission needs.  Asks no provider: that would cost a request each time."""
    answer = database()
    if not answer.is_ok:
        unknown = Part(False, "Unknown: the database does not answer.")
        return {"database": answer, "workers": unknown, "provider": unknown}
    return {"database": answer, "workers": workers(), "provider": provider()}


def database() -> Part:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        missing = _missing_migrations()
    except DatabaseError as error:
        return Part(False, f"The database does not answer: {type(error).__name__}.")
    return Part(False, pending_migrations.tell(missing)) if missing else Part(True, "The database answers.")


_has_all_migrations = False


def _missing_migrations() -> list[str]:
    """Asked until there are none: of what is applied nothing is ever taken back while this process runs."""
    global _has_all_migrations
    missing = [] if _has_all_migrations else pending_migrations.missing_migrations()
    _has_all_migrations = not missing
    return missing


def workers() -> Part:
    if heartbeat.is_any_alive():
        return Part(True, "Workers are running.")
    return Part(False, "No workers are running: start `manage.py workers`.")


def provider() -> Part:
    """Well if one account takes new items up.  Names none: anybody may ask."""
    accounts = list(ProviderAccount.objects.all())
    if not accounts:
        return Part(False, "There is no provider account yet: workers make it when they start.")
    if told := provider_accounts.describe_blocked(accounts):
        return Part(False, f"No account can be used: {told}. See `manage.py accounts`.")
    usable = sum(provider_accounts.blocked_reason(account) is None for account in accounts)
    return Part(True, f"Accounts that can be used: {usable}.")
