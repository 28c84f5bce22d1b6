"""The tasks that messages name. They take ids only.

The work is in ``execution``, ``results.download`` and ``services``. Messages name these functions
by their path, so a function that moves away stays available here for one release.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from core.logging.context import about
from missions import execution, search, services
from missions.models import Attempt
from missions.results import download
from providers import provider_accounts
from providers.adapters.errors import ProviderError
from providers.models import ProviderAccount
from workers import bulkhead, queue
from workers.bulkhead import Call

INDEX_SECONDS = 2.0  # then other messages get their turn
MOVED = ("cleanup", "tally")  # to operations.tasks; schedules of the last release name them here


def __getattr__(name: str) -> Callable[..., None]:
    """Return a task that has moved to another app."""
    if name in MOVED:
        return queue.load(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def tick(account_id: int, number: int) -> None:
    with about(account=account_id):
        execution.tick(account_id, number)


def dispatch(account_id: int) -> None:
    execution.dispatch(account_id)


def submit(*attempt_ids: int) -> None:
    execution.submit(attempt_ids)


def poll_due(account_id: int) -> None:
    with about(account=account_id):
        execution.poll_due(account_id)


def poll_unanswered(account_id: int) -> None:
    with about(account=account_id):
        execution.poll_unanswered(account_id)


def rescue(attempt_id: int) -> None:
    """Look up an unconfirmed attempt; later, if too many workers wait for its account.

    One whose mission was deleted meanwhile has nothing to look up.
    """
    account_id = Attempt.objects.filter(pk=attempt_id).values_list("account_id", flat=True).first()
    if account_id is None:
        return
    with bulkhead.waiting(Call.LOOKUP, account_id) as is_allowed:
        if is_allowed:  # if not, the reaper sends the message again
            execution.resolve_unconfirmed(attempt_id)


def reap(account_id: int) -> None:
    with about(account=account_id):
        execution.reap(account_id)


def cancel_waiting(mission_id: int) -> None:
    execution.cancel_waiting(mission_id)


def archive(try_number: int, *output_ids: int) -> None:
    download.archive(try_number, output_ids)


def purge_mission(mission_id: int) -> None:
    services.purge_mission(mission_id)


def check_account(account_id: int) -> None:
    """Check an account's key and balance; a failure is stored on it, or checked again later."""
    account = ProviderAccount.objects.get(pk=account_id)
    with bulkhead.waiting(Call.LOOKUP, account_id) as is_allowed, contextlib.suppress(ProviderError):
        if is_allowed:
            provider_accounts.check(account)  # a blocked account is paused
        else:
            queue.send("check_account", account_id, delay=bulkhead.RETRY_SECONDS)


def index_search() -> None:
    """Index for a while what can be searched, and again if more is left."""
    if search.catch_up(seconds=INDEX_SECONDS):
        queue.send("index_search")


def watchdog() -> None:
    """Re-arm the ticks that have stopped."""
    execution.arm_stale()
