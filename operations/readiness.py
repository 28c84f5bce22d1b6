"""The state of each part that a mission needs: database, workers, provider accounts, disk space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction

from core.db import pending_migrations
from core.errors import FieldError, Unavailable
from core.storage import disk
from providers import provider_accounts
from providers.models import ProviderAccount
from workers import heartbeat
from workers.models import WorkerCluster

_is_migrated = False


@dataclass(frozen=True, slots=True)
class Part:
    """The state of one part, with a sentence for operators.

    ``is_older``: the database lacks migrations of this version.
    """

    is_ok: bool
    message: str
    is_older: bool = False


class NotReady(Unavailable):
    """Some parts are not ready. ``errors`` names each of them."""

    error = "not_ready"

    def __init__(self, parts: Mapping[str, Part]) -> None:
        errors = [FieldError(name, part.message) for name, part in parts.items() if not part.is_ok]
        super().__init__(" ".join(error.message for error in errors), errors=errors)


def require(**parts: Part) -> dict[str, Part]:
    """Return the parts if all of them are ready. Raises NotReady."""
    if not all(part.is_ok for part in parts.values()):
        raise NotReady(parts)
    return parts


def all_parts() -> dict[str, Part]:
    """Return the state of every part. Sends no request to a provider: this may be called often."""
    state = database()
    if not state.is_ok:
        unknown = Part(False, "Unknown: the database does not answer.")
        return {"database": state, "workers": unknown, "provider": unknown, "disk": disk_space()}
    return {"database": state, "workers": workers(), "provider": provider(), "disk": disk_space()}


def database() -> Part:
    """Query the database, and check that it has all migrations of this version.

    Migrations are checked until none is missing: none is ever reverted while this process runs.
    """
    global _is_migrated
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        missing = [] if _is_migrated else pending_migrations.missing_migrations()
    except DatabaseError as error:
        return Part(False, f"The database does not answer: {type(error).__name__}.")
    _is_migrated = not missing
    return (
        Part(False, pending_migrations.tell(missing), is_older=True) if missing else Part(True, "The database answers.")
    )


def workers() -> Part:
    """Check that workers are running. The message says if many wait long for a provider."""
    clusters = heartbeat.alive_clusters()
    if waiting := sum(wait["workers"] for cluster in clusters for wait in cluster.slow_work):
        return Part(True, f"Workers are running; {waiting} of them wait for a slow provider.")
    if clusters:
        return Part(True, "Workers are running.")
    return Part(False, "No workers are running.")


def disk_space() -> Part:
    """Check that there is room for results, here and on the hosts of live workers.

    Names no host: anybody may read this.
    """
    if disk.is_low() or clusters_without_space():
        return Part(False, "The disk is nearly full: nothing more is submitted. See `manage.py doctor`.")
    return Part(True, "There is room for results.")


def clusters_without_space() -> list[WorkerCluster]:
    """Return the live worker clusters whose disk is below MIN_FREE_DISK_MB.

    Return none while the database does not answer or lacks migrations: others report that.
    """
    threshold = disk.threshold_bytes()
    if not threshold:
        return []
    try:
        with transaction.atomic():
            low = list(WorkerCluster.objects.filter(stopped_at=None, free_disk_bytes__lt=threshold))
    except DatabaseError:
        return []
    return [cluster for cluster in low if heartbeat.is_alive(cluster, silent_after=heartbeat.SILENT_AFTER)]


def provider() -> Part:
    """Check that one account takes new items. Names no account: anybody may read this."""
    accounts = list(ProviderAccount.objects.all())
    if not accounts:
        return Part(False, "There is no provider account yet: workers create it when they start.")
    if reasons := provider_accounts.describe_blocked(accounts):
        return Part(False, f"No account can be used: {reasons}. See `manage.py provider_accounts`.")
    usable = sum(provider_accounts.blocked_reason(account) is None for account in accounts)
    return Part(True, f"Accounts that can be used: {usable}.")
