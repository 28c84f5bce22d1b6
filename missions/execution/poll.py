"""Asking how running tasks stand.

A failed question is never a failed task.  What counts is how long nobody could tell how a task stands: after that its fate is
unknown, and it is ``unconfirmed`` (docs/decisions/0004-unconfirmed.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.db import bulk
from missions import selectors
from missions.execution.completion import has_result, record_ends
from missions.execution.intervals import next_interval
from missions.execution.submit import refill
from missions.models import Attempt, AttemptStatus
from providers import provider_accounts
from providers.adapters.base import RemoteState, RemoteStatus
from providers.adapters.errors import AccountBlocked, ProviderError
from providers.models import ProviderAccount
from workers import queue

POLL_BATCH = 8  # tasks that one worker asks about together
MOST_HELPERS = 8  # workers that are woken at once to ask about what is due
POLL_LEASE = timedelta(seconds=10)
GONE_GRACE = timedelta(seconds=60)  # a provider may not know a task yet that it has just accepted
GONE_ANSWERS = 3  # "no such task" is believed when it was said so often in a row


def poll(account_id: int, attempt_ids: Sequence[int]) -> None:
    """Ask how running attempts stand, record what ended, and fill the slots that became free."""
    account = ProviderAccount.objects.get(pk=account_id)
    chosen = Attempt.objects.filter(pk__in=attempt_ids, status=AttemptStatus.RUNNING)
    attempts = {attempt.remote_task_id: attempt for attempt in chosen.select_related("item__mission")}
    if not attempts:
        return
    answers = {attempts[task_id]: answer for task_id, answer in _ask(account, list(attempts)).items()}
    lessons = [attempt for attempt in answers if _is_duration_sample(attempt, answers[attempt])]
    ended = {
        attempt: answer
        for attempt, answer in answers.items()
        if isinstance(answer, RemoteState) and _has_ended(account, attempt, answer)
    }
    record_ends(ended)
    _plan_next_polls(account, {attempt: answer for attempt, answer in answers.items() if attempt not in ended})
    _poll_peers_now([attempt for attempt in lessons if attempt in ended])
    if ended:
        refill(account_id)


def _ask(account: ProviderAccount, task_ids: Sequence[str]) -> Mapping[str, RemoteState | ProviderError]:
    """The provider's word on each task.  One that says that the account cannot be used pauses it."""
    try:
        answers = provider_accounts.connect(account).query(task_ids)
    except AccountBlocked as error:
        answers = dict.fromkeys(task_ids, error)
    for answer in answers.values():
        if isinstance(answer, AccountBlocked):
            provider_accounts.block(account.pk, reason=str(answer))
            break
    return answers


def poll_due(account_id: int) -> None:
    """Ask about attempts that are due now, without waiting for the next tick: many ended at once, or webhooks made them due.

    Whoever finds as many as can be asked about together wakes one more worker.
    """
    with transaction.atomic():
        attempt_ids = claim_due(account_id, timezone.now())
        if len(attempt_ids) == POLL_BATCH:
            queue.send("poll_due", account_id)
    if attempt_ids:
        poll(account_id, attempt_ids)


def poll_attempt(attempt_id: int) -> None:
    """Ask about one running attempt now: something hinted that it has ended."""
    claimed = Attempt.objects.filter(pk=attempt_id, status=AttemptStatus.RUNNING)
    if claimed.update(next_poll_at=timezone.now() + POLL_LEASE):
        poll(claimed.values_list("account_id", flat=True)[0], [attempt_id])


def claim_due(account_id: int, now: datetime) -> list[int]:
    """Take up to POLL_BATCH attempts that are due, for as long as a question may take."""
    free = _due(account_id, now).order_by("next_poll_at").select_for_update(skip_locked=True, no_key=True)
    ids = list(free.values_list("pk", flat=True)[:POLL_BATCH])
    if ids:
        Attempt.objects.filter(pk__in=ids).update(next_poll_at=now + POLL_LEASE)
    return ids


def count_due(account_id: int, now: datetime) -> int:
    """How many are still to be asked about, counted up to MOST_HELPERS batches."""
    return _due(account_id, now)[: MOST_HELPERS * POLL_BATCH].count()


def _due(account_id: int, now: datetime) -> QuerySet[Attempt]:
    return Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING, next_poll_at__lte=now)


def _has_ended(account: ProviderAccount, attempt: Attempt, state: RemoteState) -> bool:
    """Whether the answer is an end."""
    if state.status is not RemoteStatus.GONE:
        return state.status is not RemoteStatus.RUNNING
    is_young = attempt.accepted_at is not None and attempt.accepted_at > timezone.now() - GONE_GRACE
    return _can_know(account, attempt) and not is_young and attempt.gone_count + 1 >= GONE_ANSWERS


def _can_know(account: ProviderAccount, attempt: Attempt) -> bool:
    """Whether the account that is asked is the one that sent the attempt.  Another key, or another site, knows nothing of it."""
    return attempt.key_fingerprint == account.key_fingerprint


def _plan_next_polls(account: ProviderAccount, answers: Mapping[Attempt, RemoteState | ProviderError]) -> None:
    """Say when to ask again about those that run on, or about which the question failed."""
    now = timezone.now()
    for attempt, answer in answers.items():
        _note(account, attempt, answer, now)
        elapsed = (now - (attempt.accepted_at or now)).total_seconds()
        attempt.next_poll_at = now + timedelta(seconds=next_interval(elapsed, attempt.model))
        attempt.poll_count += 1
    if answers:
        fields = ["running_seen_at", "unanswered_since", "gone_count", "next_poll_at", "poll_count"]
        asked = Attempt.objects.filter(pk__in=[attempt.pk for attempt in answers])
        asked.update(**bulk.columns(list(answers), *fields))


def _note(account: ProviderAccount, attempt: Attempt, answer: RemoteState | ProviderError, now: datetime) -> None:
    """Remember whether the answer says that the task runs, that there is no such task, or nothing at all."""
    if isinstance(answer, RemoteState) and answer.status is RemoteStatus.RUNNING:
        attempt.running_seen_at, attempt.unanswered_since, attempt.gone_count = now, None, 0
        return
    attempt.unanswered_since = attempt.unanswered_since or now
    if isinstance(answer, RemoteState) and _can_know(account, attempt):
        attempt.gone_count += 1


def _is_duration_sample(attempt: Attempt, answer: RemoteState | ProviderError) -> bool:
    """Whether the answer shows how long a model takes of which that is not yet known."""
    is_success = isinstance(answer, RemoteState) and has_result(answer)
    return is_success and selectors.expectation(attempt.model) is None


def _poll_peers_now(lessons: Sequence[Attempt]) -> None:
    """A model has shown for the first time how long it takes: ask now about tasks of it that run as long already."""
    now = timezone.now()
    for model in {attempt.model for attempt in lessons}:
        began = max(attempt.accepted_at or now for attempt in lessons if attempt.model == model)
        peers = Attempt.objects.filter(
            account_id=lessons[0].account_id,
            model=model,
            status=AttemptStatus.RUNNING,
            accepted_at__lte=now - (now - began) * 0.9,
            next_poll_at__gt=now + timedelta(seconds=settings.POLL_FLOOR_SECONDS),
        )
        with transaction.atomic():
            free = peers.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)
            Attempt.objects.filter(pk__in=list(free)).update(next_poll_at=now)
