"""Hooks of missions for the start, the loop and the end of workers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.core.files.storage import storages
from django.db.models import QuerySet
from django.utils import timezone

from missions import account_load, execution, services
from missions.models import LIVE_ATTEMPTS, Attempt, ItemStatus, MissionItem, Output, OutputStatus
from missions.results import download
from providers import catalog, provider_accounts
from providers.adapters.errors import AccountBlocked
from providers.models import ProviderAccount
from workers import queue
from workers.hooks import WorkerHooks

PART_AGE = timedelta(hours=1)  # a download that lives grows, or ends within minutes

log = logging.getLogger(__name__)


class MissionHooks(WorkerHooks):
    """Hooks that keep the ticks of every account going and repair after dead workers."""

    def on_start(self, *, is_alone: bool) -> None:
        # A schedule re-arms ticks too, for operators who run qcluster without our supervisor.
        queue.ensure_schedule("watchdog")
        if provider_accounts.sync_env_key(on_change=services.pause_after_key_change):
            log.warning("The API key or address has changed: open missions are paused until a person resumes them.")
        if is_alone:
            execution.recover()
        download.remove_parts(older_than=PART_AGE)
        self.on_restart()

    def warm_up(self) -> None:
        """Load the data that every task reads, so that the first task is as fast as later ones."""
        catalog.all_models()
        storages["results"]  # loads its backend, which is large for a bucket
        for account in ProviderAccount.objects.in_use():
            account_load.slots_in_use(account, now=timezone.now(), limit=1)
            account_load.dispatchable_missions(account, now=timezone.now(), limit=1)
            Attempt.objects.select_related("item__mission", "account").filter(account=account, pk=0).first()
            with contextlib.suppress(AccountBlocked):
                provider_accounts.connect(account)

    def on_restart(self) -> None:
        for account_id in ProviderAccount.objects.values_list("pk", flat=True):
            execution.arm(account_id)

    def on_beat(self) -> None:
        execution.arm_stale()

    def on_stop(self, *, is_alone: bool) -> None:
        if is_alone:
            execution.recover()  # messages died with the workers: prepared attempts go back to pending
        for account_id in ProviderAccount.objects.values_list("pk", flat=True):
            execution.repair(account_id)

    def due_times(self) -> Iterable[tuple[QuerySet[Any], list[str]]]:
        """Return what waits for, or counts from, a time. A planned start is a person's choice."""
        attempt_times = ["created_at", "sending_at", "accepted_at", "running_seen_at", "unanswered_since"]
        return [
            (MissionItem.objects.filter(status=ItemStatus.PENDING), ["available_at"]),
            (Attempt.objects.filter(status__in=LIVE_ATTEMPTS), [*attempt_times, "next_poll_at"]),
            (Output.objects.filter(status=OutputStatus.PENDING), ["next_try_at"]),
            (ProviderAccount.objects.all(), ["soft_limit_at", "ticked_at", "reaped_at", "checked_at"]),
        ]
