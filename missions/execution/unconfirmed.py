"""Resolution of unconfirmed attempts by asking the provider."""

from __future__ import annotations

import dataclasses

from django.db import transaction
from django.utils import timezone

from missions import lifecycle, reasons
from missions.execution.completion import record_ends
from missions.execution.dispatch import dispatch
from missions.execution.intervals import seconds_from_now
from missions.execution.poll import poll_attempt
from missions.models import Attempt, AttemptStatus
from missions.results import download
from providers import provider_accounts
from providers.adapters.base import RemoteState, RemoteStatus
from providers.adapters.errors import ProviderError, Unavailable
from providers.adapters.registry import PROVIDERS

SHORTEST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3600.0
WAIT_SHARE = 0.05  # the wait between two look-ups, as a share of the time since it was sent
MAX_LOST_WORKERS = 5  # an item whose worker dies this often is left to a person


def resolve_unconfirmed(attempt_id: int) -> None:
    """Query the provider about an unconfirmed attempt, and settle it if the answer is a proof.

    A webhook has named its task, or it was accepted and then could not be polled, or the provider
    can find it by our id. When the provider does not answer, the reaper tries again later.
    """
    attempt = Attempt.objects.select_related("item__mission", "account").get(pk=attempt_id)
    task_id = attempt.hinted_task_id or attempt.remote_task_id
    finds = PROVIDERS[attempt.account.provider].capabilities.finds_by_our_id
    if not task_id and not (finds and attempt.status == AttemptStatus.UNCONFIRMED):
        return
    age = (timezone.now() - (attempt.sending_at or timezone.now())).total_seconds()
    wait = min(max(age * WAIT_SHARE, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
    Attempt.objects.filter(pk=attempt_id, status=AttemptStatus.UNCONFIRMED).update(next_poll_at=seconds_from_now(wait))
    try:
        if task_id:
            attach(attempt_id, task_id)
        else:
            _find(attempt)
    except ProviderError:
        return
    if task_id:
        Attempt.objects.filter(pk=attempt_id, hinted_task_id=task_id).update(hinted_task_id="")


def _find(attempt: Attempt) -> None:
    """Look for an unconfirmed attempt by our id. Raises ProviderError when that proves nothing."""
    account = attempt.account
    if attempt.key_fingerprint != account.key_fingerprint:
        return  # another key or server knows nothing of it
    state = provider_accounts.connect(account).find(attempt.our_id)
    if state is None:
        if attempt.number - attempt.item.attempt_count < MAX_LOST_WORKERS:
            lifecycle.void_unconfirmed(attempt.pk, actor=lifecycle.ENGINE, reason=reasons.NOT_RECEIVED())
            dispatch(account.pk)
        return
    is_over = state.status is not RemoteStatus.RUNNING
    if is_over or not PROVIDERS[account.provider].capabilities.finishes_in_submit:
        # Files first: if storing them fails, the attempt stays unconfirmed and is looked up again.
        state = download.store_result_files(attempt, state)
        with transaction.atomic():
            _accept(attempt, state, state.task_id)
            if is_over:
                record_ends({attempt: state})
        if is_over:
            dispatch(account.pk)


def _accept(attempt: Attempt, state: RemoteState, task_id: str, actor: str = lifecycle.ENGINE) -> bool:
    now = timezone.now()
    acceptance = lifecycle.Acceptance(
        remote_task_id=task_id, raw=state.raw, at=attempt.sending_at or now, next_poll_at=now
    )
    return bool(lifecycle.accept({attempt.pk: acceptance}, reason=reasons.TASK_CONFIRMED(), actor=actor))


def attach(attempt_id: int, remote_task_id: str, *, actor: str = lifecycle.ENGINE) -> bool:
    """Attach a remote task to a lost attempt, if the provider knows it and no other has it.

    ``actor`` names the task. While the program does not understand the status that the provider
    reports, the engine does not attach a task again that waits for a person; a person may, and
    results that the provider lists already are then its end. Raises ProviderError when the provider
    does not answer, or the account no longer has the key that sent the attempt.
    """
    attempt = Attempt.objects.select_related("account").get(pk=attempt_id)
    if attempt.status not in (AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED):
        return False
    others = Attempt.objects.filter(account=attempt.account, remote_task_id=remote_task_id).exclude(pk=attempt_id)
    if others.exclude(remote_task_id="").exists():  # the index has this condition
        return False
    answer = provider_accounts.connect(attempt.account).query([remote_task_id])[remote_task_id]
    if isinstance(answer, ProviderError):
        raise answer
    if answer.status is RemoteStatus.GONE:
        if attempt.key_fingerprint != attempt.account.key_fingerprint:
            raise Unavailable(reasons.OTHER_KEY())
        return False
    is_unknown = bool(answer.unknown_status)
    if is_unknown and actor == lifecycle.ENGINE and attempt.remote_task_id == remote_task_id:
        return False
    is_attached = _accept(attempt, answer, remote_task_id, actor)
    if is_attached and is_unknown and answer.outputs and actor != lifecycle.ENGINE:
        end = dataclasses.replace(answer, status=RemoteStatus.SUCCEEDED)
        record_ends({attempt: download.store_result_files(attempt, end)})
    elif is_attached:
        poll_attempt(attempt_id)
    return is_attached
