"""What a message can wake a worker for.  Ids only; the verbs are in ``engine``, ``archive``, ``removal`` and ``upkeep``."""

from __future__ import annotations

import logging

from django.utils import timezone

from missions import archive as archiving
from missions import engine, provider_accounts, removal
from missions.log_context import about
from missions.models import ProviderAccount
from missions.providers.errors import ProviderError
from missions.upkeep import retention
from missions.upkeep import tally as tallying

log = logging.getLogger(__name__)


def tick(account_id: int, number: int) -> None:
    with about(account=account_id):
        engine.tick(account_id, number)


def dispatch(account_id: int) -> None:
    engine.dispatch(account_id)


def submit(*attempt_ids: int) -> None:
    engine.submit(attempt_ids)


def poll_due(account_id: int) -> None:
    with about(account=account_id):
        engine.poll_due(account_id)


def rescue(attempt_id: int) -> None:
    engine.rescue(attempt_id)


def reap(account_id: int) -> None:
    with about(account=account_id):
        engine.reap(account_id)


def archive(try_number: int, *output_ids: int) -> None:
    archiving.archive(try_number, output_ids)


def purge_mission(mission_id: int) -> None:
    removal.purge_mission(mission_id)


def check_account(account_id: int) -> None:
    account = ProviderAccount.objects.get(pk=account_id)
    try:
        provider_accounts.check(account)
    except ProviderError:
        return  # a blocked account was paused; an unavailable provider is asked again later


def watchdog() -> None:
    engine.arm_stale()


def cleanup() -> None:
    for found in retention.clean(now=timezone.now(), apply=True):
        if found.count:
            log.info("Cleaned up: %d %s, %d bytes.", found.count, found.what, found.size_bytes)


def tally() -> None:
    tallying.count(timezone.now())


def canary() -> None:
    """Prove that messages travel."""
