"""Polling of running tasks.

A failed poll is never a failed task. A task without an answered poll for too long becomes
``unconfirmed``, because nobody knows if it still runs (docs/decisions/0004-unconfirmed.md).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, QuerySet, When
from django.utils import timezone

from core.db import bulk
from core.db.values import storable
from missions import durations, lifecycle, reasons
from missions.execution.completion import has_result, record_ends
from missions.execution.intervals import next_interval, poll_floor
from missions.execution.submit import refill
from missions.models import Attempt, AttemptStatus
from missions.policy import polling
from missions.results import download
from providers import provider_accounts
from providers.adapters.base import RemoteState, RemoteStatus
from providers.adapters.errors import AccountBlocked, ProviderError, Unavailable
from providers.adapters.registry import PROVIDERS
from providers.models import ProviderAccount
from workers import bulkhead, queue
from workers.bulkhead import Call

log = logging.getLogger(__name__)

POLL_BATCH = 8  # tasks that one worker polls together
MAX_HELPERS = 8  # workers that are woken at once to poll what is due
POLL_LEASE = timedelta(seconds=10)
LATE_AFTER = timedelta(seconds=5)  # a poll that is later than this says little about durations
GONE_GRACE = timedelta(seconds=60)  # a provider may not know a task yet that it has just accepted
GONE_ANSWERS = 3  # "no such task" is believed after so many such answers in a row


def poll(account_id: int, attempt_ids: Sequence[int]) -> None:
    """Poll running attempts of an account, record what ended, and fill free slots."""
    account = ProviderAccount.objects.get(pk=account_id)
    running = Attempt.objects.filter(pk__in=attempt_ids, status=AttemptStatus.RUNNING)
    attempts = {attempt.remote_task_id: attempt for attempt in running.select_related("item__mission")}
    if not attempts:
        return
    for attempt in attempts.values():
        attempt.account = account
    answers = {attempts[task_id]: answer for task_id, answer in _query(account, list(attempts)).items()}
    ends: dict[Attempt, RemoteState] = {}
    for attempt, answer in answers.items():
        if isinstance(answer, RemoteState) and _has_ended(attempt, answer):
            try:
                ends[attempt] = download.store_result_files(attempt, answer)
            except Exception:
                log.exception("The results of attempt %s could not be stored; it is polled again.", attempt.pk)
                answers[attempt] = Unavailable(reasons.NOT_STORED())
    # Attempts of models whose usual duration was unknown until now.
    first_of_their_model = [
        attempt
        for attempt, state in ends.items()
        if has_result(state) and not durations.expectation(account.provider, attempt.model)
    ]
    record_ends(ends)
    others = {attempt: answer for attempt, answer in answers.items() if attempt not in ends}
    _plan_next_polls(others)
    _mark_unknown_unconfirmed(others)
    _poll_peers_now(first_of_their_model)
    if ends:
        refill(account_id)


def _query(account: ProviderAccount, task_ids: Sequence[str]) -> Mapping[str, RemoteState | ProviderError]:
    """Read the tasks' states. Pause the account if the answer is that it cannot be used."""
    try:
        answers = provider_accounts.connect(account).query(task_ids)
    except (AccountBlocked, Unavailable) as error:
        answers = dict.fromkeys(task_ids, error)
    for answer in answers.values():
        if isinstance(answer, AccountBlocked):
            provider_accounts.block(account.pk, reason=str(answer))
            break
    return answers


def poll_due(account_id: int) -> None:
    """Poll attempts that are due now, without waiting for the next tick.

    Used when many ended at once, or webhooks made them due. A worker that gets a full batch wakes
    one more worker. While too many workers wait for this account, the next tick does it.
    """
    with bulkhead.waiting(Call.QUERY, account_id) as is_allowed:
        if not is_allowed:
            return
        with transaction.atomic():
            attempt_ids = claim_polls(account_id, timezone.now())
            if len(attempt_ids) == POLL_BATCH:
                queue.send("poll_due", account_id)
        if attempt_ids:
            poll(account_id, attempt_ids)


def poll_unanswered(account_id: int) -> None:
    """Poll attempts that are due and whose last poll was not answered.

    They are polled apart from the others, which would have to wait for the same slow answers.
    """
    with bulkhead.waiting(Call.REPEATED_QUERY, account_id) as is_allowed:
        if not is_allowed:
            return
        with transaction.atomic():
            attempt_ids = claim_polls(account_id, timezone.now(), is_unanswered=True)
        if attempt_ids:
            poll(account_id, attempt_ids)


def poll_attempt(attempt_id: int) -> None:
    """Poll one running attempt now, after a sign that it has ended."""
    attempt = Attempt.objects.filter(pk=attempt_id)
    account_id = attempt.values_list("account_id", flat=True).first()
    running = attempt.filter(status=AttemptStatus.RUNNING)
    # It may have ended long before.
    is_running = running.update(next_poll_at=timezone.now() + POLL_LEASE, was_polled_late=True)
    if is_running and account_id is not None:
        poll(account_id, [attempt_id])


def claim_polls(account_id: int, now: datetime, *, is_unanswered: bool = False) -> list[int]:
    """Take up to POLL_BATCH attempts that are due, for as long as a poll may take.

    ``is_unanswered``: those whose last poll was not answered, else the others.
    """
    free = (
        due_polls(account_id, now, is_unanswered=is_unanswered)
        .order_by("next_poll_at")
        .select_for_update(skip_locked=True, no_key=True)
    )
    ids = list(free.values_list("pk", flat=True)[:POLL_BATCH])
    if ids:
        is_late = Case(When(next_poll_at__lt=now - LATE_AFTER, then=True), default=False)
        Attempt.objects.filter(pk__in=ids).update(was_polled_late=is_late, next_poll_at=now + POLL_LEASE)
    return ids


def count_due(account_id: int, now: datetime) -> int:
    """Return how many attempts are due, counted up to MAX_HELPERS batches."""
    return due_polls(account_id, now)[: MAX_HELPERS * POLL_BATCH].count()


def due_polls(account_id: int, now: datetime, *, is_unanswered: bool = False) -> QuerySet[Attempt]:
    """Return the attempts that are due, see ``claim_polls``."""
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING, next_poll_at__lte=now)
    return running.filter(unanswered_since__isnull=not is_unanswered)


def _has_ended(attempt: Attempt, state: RemoteState) -> bool:
    if state.status is not RemoteStatus.GONE:
        return state.status is not RemoteStatus.RUNNING
    is_young = attempt.accepted_at is not None and attempt.accepted_at > timezone.now() - GONE_GRACE
    return _has_same_key(attempt) and not is_young and attempt.gone_count + 1 >= GONE_ANSWERS


def _has_same_key(attempt: Attempt) -> bool:
    """Return True when the account still has the key that sent the attempt."""
    return attempt.key_fingerprint == attempt.account.key_fingerprint


def _plan_next_polls(answers: Mapping[Attempt, RemoteState | ProviderError]) -> None:
    """Store the answers to polls of running tasks, and the time of their next poll."""
    now = timezone.now()
    fields = {"running_seen_at", "unanswered_since", "gone_count", "next_poll_at", "poll_count"}
    for attempt, answer in answers.items():
        if isinstance(answer, RemoteState) and answer.status is RemoteStatus.RUNNING:
            attempt.running_seen_at, attempt.unanswered_since, attempt.gone_count = now, None, 0
            if answer.progress is not None:
                attempt.progress = answer.progress
            if attempt.unknown_status != answer.unknown_status:
                attempt.unknown_status = storable(answer.unknown_status)[:32]
                fields.add("unknown_status")
        else:
            attempt.unanswered_since = attempt.unanswered_since or now
            if isinstance(answer, RemoteState) and _has_same_key(attempt):
                attempt.gone_count += 1
        elapsed = (now - (attempt.accepted_at or now)).total_seconds()
        attempt.next_poll_at = now + timedelta(seconds=next_interval(elapsed, attempt.model, attempt.account))
        attempt.poll_count += 1
        if PROVIDERS[attempt.account.provider].capabilities.reports_progress:
            fields.add("progress")
    if answers:
        polled = Attempt.objects.filter(pk__in=[attempt.pk for attempt in answers])
        polled.update(**bulk.columns(list(answers), *sorted(fields)))


def _mark_unknown_unconfirmed(answers: Mapping[Attempt, RemoteState | ProviderError]) -> None:
    """Mark tasks unconfirmed whose status has been unknown for longer than such tasks usually run.

    Such a task may have ended. It is still polled at long intervals, and goes on by itself once its
    status is known.
    """
    now = timezone.now()
    for attempt, answer in answers.items():
        if not isinstance(answer, RemoteState) or not answer.unknown_status:
            continue
        log.warning("The provider says %r about attempt %s: unknown.", answer.unknown_status, attempt.pk)
        expectation = durations.expectation(attempt.account.provider, attempt.model)
        elapsed = (now - (attempt.accepted_at or now)).total_seconds()
        if elapsed > polling.unknown_status_limit(expectation):
            lifecycle.mark_unreachable(
                attempt.pk,
                code=reasons.UNKNOWN_STATUS.code,
                message=reasons.UNKNOWN_STATUS(word=attempt.unknown_status, task_id=attempt.remote_task_id),
            )


def _poll_peers_now(attempts: Sequence[Attempt]) -> None:
    """Make tasks due that have run about as long as the first of their model that ended."""
    now = timezone.now()
    for model in {attempt.model for attempt in attempts}:
        began = max(attempt.accepted_at or now for attempt in attempts if attempt.model == model)
        peers = Attempt.objects.filter(
            account_id=attempts[0].account_id,
            model=model,
            status=AttemptStatus.RUNNING,
            accepted_at__lte=now - (now - began) * 0.9,
            next_poll_at__gt=now + timedelta(seconds=poll_floor(attempts[0].account)),
        )
        with transaction.atomic():
            free = peers.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)
            Attempt.objects.filter(pk__in=list(free)).update(next_poll_at=now)
