"""What a message can wake a worker for.  Ids only; the verbs are in ``engine``, ``archive``, ``removal`` and ``upkeep``."""

from __future__ import annotations

import logging

from django.utils import timezone

from core.logging.context import about
from missions import execution, purge
from missions.results import download as archiving
from operations import retention
from operations import spend_rollup as tallying
from providers import provider_accounts
from providers.adapters.errors import ProviderError
from providers.models import ProviderAccount

log = logging.getLogger(__name__)


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


def rescue(attempt_id: int) -> None:
    execution.rescue(attempt_id)


def reap(account_id: int) -> None:
    with about(account=account_id):
        execution.reap(account_id)


def archive(try_number: int, *output_ids: int) -> None:
    archiving.archive(try_number, output_ids)


def purge_mission(mission_id: int) -> None:
    purge.purge_mission(mission_id)


def check_account(account_id: int) -> None:
    account = ProviderAccount.objects.get(pk=account_id)
    try:
        provider_accounts.check(account)
    except ProviderError:
        return  # a blocked account was paused; an unavailable provider is asked again later


def watchdog() -> None:
    execution.arm_stale()


def cleanup() -> None:
    for found in retention.clean(now=timezone.now(), apply=True):
        if found.count:
            log.info("Cleaned up: %d %s, %d bytes.", found.count, found.what, found.size_bytes)


def tally() -> None:
    tallying.count(timezone.now())


def canary() -> None:
    """Prove that messages travel."""
