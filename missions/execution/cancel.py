"""Cancelling of tasks that still wait in the provider's queue."""

from __future__ import annotations

import contextlib

from django.db import transaction
from django.utils import timezone

from core.db import bulk
from missions.execution.poll import POLL_BATCH
from missions.models import Attempt, AttemptStatus, MissionStatus
from providers import provider_accounts
from providers.adapters.base import RemoteState
from providers.adapters.errors import ProviderError
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from workers import bulkhead, queue
from workers.bulkhead import Call


def cancel_waiting(mission_id: int) -> int:
    """Cancel a cancelled mission's tasks that have certainly not started. Return how many.

    Only for providers that do it for free. Other tasks are paid, and polled to their end. The next
    poll records the end of a cancelled task.
    """
    running = Attempt.objects.filter(
        item__mission=mission_id, item__mission__status=MissionStatus.CANCELLED, status=AttemptStatus.RUNNING
    )
    count = 0
    for account in ProviderAccount.objects.filter(pk__in=running.order_by().values("account")):
        capabilities = PROVIDERS[account.provider].capabilities
        if not capabilities.cancels or capabilities.finishes_in_submit:
            continue
        attempts = dict(running.filter(account=account).values_list("remote_task_id", "pk"))
        for task_ids in bulk.batches(list(attempts), POLL_BATCH):
            cancelled = []
            with bulkhead.waiting(Call.LOOKUP, account.pk) as is_allowed, contextlib.suppress(ProviderError):
                if not is_allowed:
                    queue.send("cancel_waiting", mission_id, delay=bulkhead.RETRY_SECONDS)
                    return count
                provider = provider_accounts.connect(account)
                for task_id, state in provider.query(task_ids).items():
                    if isinstance(state, RemoteState) and state.is_waiting:
                        with contextlib.suppress(ProviderError):
                            if provider.cancel(task_id):
                                cancelled.append(attempts[task_id])
            if cancelled:
                with transaction.atomic():
                    due = Attempt.objects.filter(pk__in=cancelled, status=AttemptStatus.RUNNING)
                    due.update(next_poll_at=timezone.now())
                    queue.send("poll_due", account.pk)
                count += len(cancelled)
    return count
