"""Attempts of unknown fate that the provider can confirm."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext_noop

from missions import lifecycle
from missions.execution.intervals import seconds_from_now
from missions.execution.poll import poll_attempt
from missions.models import Attempt, AttemptStatus
from providers import provider_accounts
from providers.adapters.base import RemoteStatus
from providers.adapters.errors import ProviderError, Unavailable

SHORTEST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3600.0
SPACING = 0.05  # of the time since it was sent


def rescue(attempt_id: int) -> None:
    """Ask the provider about the task of an unconfirmed attempt, and attach it if it is known.

    A webhook named the task, or it was accepted and then nobody could tell how it stood.  The provider's answer is the proof.
    When it cannot be asked now, ``reap`` tries again.
    """
    attempt = Attempt.objects.get(pk=attempt_id)
    task_id = attempt.hinted_task_id or attempt.remote_task_id
    if not task_id:
        return
    lost = Attempt.objects.filter(pk=attempt_id, status=AttemptStatus.UNCONFIRMED)
    lost.update(next_poll_at=seconds_from_now(_wait(attempt)))
    try:
        attach(attempt_id, task_id)
    except ProviderError:
        return
    Attempt.objects.filter(pk=attempt_id, hinted_task_id=task_id).update(hinted_task_id="")


def _wait(attempt: Attempt) -> float:
    """Seconds until it is asked about again, should nobody be able to answer now."""
    age = (timezone.now() - (attempt.sending_at or timezone.now())).total_seconds()
    return min(max(age * SPACING, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)


def attach(attempt_id: int, remote_task_id: str, *, actor: str = lifecycle.ENGINE) -> bool:
    """Attach a remote task to an attempt whose answer was lost, if the provider knows it and no other attempt has it.

    ``actor``: who says that it is the one.  Raises ProviderError when the provider cannot be asked, or not with the key that it
    was sent with.
    """
    attempt = Attempt.objects.select_related("account").get(pk=attempt_id)
    if attempt.status not in (AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED):
        return False
    others = Attempt.objects.filter(account=attempt.account, remote_task_id=remote_task_id).exclude(pk=attempt_id)
    if others.exclude(remote_task_id="").exists():  # as the index says, or it would not be used
        return False
    answer = provider_accounts.connect(attempt.account).query([remote_task_id])[remote_task_id]
    if isinstance(answer, ProviderError):
        raise answer
    if answer.status is RemoteStatus.GONE:
        if attempt.key_fingerprint != attempt.account.key_fingerprint:
            raise Unavailable(gettext_noop("The account has another key now, which does not know the task."))
        return False
    now = timezone.now()
    acceptance = lifecycle.Acceptance(
        remote_task_id=remote_task_id, raw=answer.raw, at=attempt.sending_at or now, next_poll_at=now
    )
    reason = gettext_noop("The provider confirmed the task.")
    attached = lifecycle.accept({attempt_id: acceptance}, reason=reason, actor=actor)
    if attached:
        poll_attempt(attempt_id)
    return bool(attached)
