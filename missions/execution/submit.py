"""Submissions: the only place from which money is spent."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from core.db.transactions import durable_transaction
from missions import lifecycle, reasons, references
from missions.execution import answer_journal, inline
from missions.execution.batch_record import record_together
from missions.execution.completion import record_ends
from missions.execution.dispatch import SUBMIT_BATCH, claim_items, dispatch, slow_down
from missions.execution.intervals import next_interval, seconds_from_now
from missions.execution.log_context import about_attempt
from missions.models import Attempt, AttemptStatus
from missions.policy import retry
from missions.results import download
from providers import provider_accounts
from providers.adapters.base import NO_UPDATES, Accepted, Finished, Provider, RemoteStatus, SubmitRequest, Updates
from providers.adapters.errors import (
    AccountBlocked,
    NoSlot,
    ProviderError,
    Rejected,
    TryAgainLater,
    Unavailable,
    Unconfirmed,
)
from providers.adapters.registry import PROVIDERS
from workers import background, bulkhead, queue
from workers.bulkhead import Call
from workers.heartbeat import CLUSTER_DEAD_AFTER, worker_name

log = logging.getLogger(__name__)

SEND_WITHIN = CLUSTER_DEAD_AFTER / 2

_Ready = tuple[Attempt, Provider, SubmitRequest]


def refill(account_id: int) -> None:
    """Fill free slots: send the first batch in this worker, and wake others for the rest.

    This worker's batch is claimed and marked in one transaction, which saves a second wait for the
    database. If it has files, it is marked in a transaction of its own, so that no lock is held
    while they are converted and uploaded.
    """
    marked = None
    with contextlib.ExitStack() as stack:
        with durable_transaction():
            mine, *others = claim_items(account_id) or [()]
            queue.send_many("submit", others)
            attempts = _prepared(mine)
            if attempts and not stack.enter_context(_waiting(attempts)):
                queue.send("submit", *mine, delay=bulkhead.RETRY_SECONDS)
                return
            if any(references.has_files(attempt) for attempt in attempts):
                Attempt.objects.filter(pk__in=mine).update(worker=worker_name())
            else:
                marked = _mark(attempts)
        _send_marked(*(marked or _mark_or_hand_back(attempts)))


def submit(attempt_ids: Sequence[int]) -> None:
    """Send prepared attempts: the only place from which money is spent.

    Reference files are uploaded first, while an attempt is still provably unsent. Then, for each,
    the mark *sending* is committed, ONE call of ``Provider.submit`` is made, and its answer
    recorded. When too many workers already wait for this account, the message is sent again.
    """
    attempts = _prepared(attempt_ids)
    if not attempts:
        return
    with _waiting(attempts) as is_allowed:
        if is_allowed:
            _send_marked(*_mark_or_hand_back(attempts))
        else:
            queue.send("submit", *attempt_ids, delay=bulkhead.RETRY_SECONDS)


def _waiting(attempts: Sequence[Attempt]) -> contextlib.AbstractContextManager[bool]:
    """Note that this worker sends attempts of one mission, see ``bulkhead.waiting``."""
    call = Call.UPLOAD if any(references.has_files(attempt) for attempt in attempts) else Call.SUBMIT
    return bulkhead.waiting(call, attempts[0].account_id, attempts[0].item.mission_id)


def _prepared(attempt_ids: Iterable[int]) -> list[Attempt]:
    attempts = Attempt.objects.select_related("item__mission", "account")
    return list(attempts.filter(pk__in=attempt_ids, status=AttemptStatus.PREPARED).order_by("pk"))


def _mark_or_hand_back(attempts: Sequence[Attempt]) -> tuple[list[_Ready], datetime]:
    """Call ``_mark`` in its own transaction; hand the attempts back if it fails.

    So nobody waits for this worker when the database fails.
    """
    try:
        return _mark(attempts)
    except OperationalError:
        unsent = Attempt.objects.filter(pk__in=[attempt.pk for attempt in attempts], status=AttemptStatus.PREPARED)
        _retry_write(lambda: unsent.update(worker=""))
        raise


def _mark(attempts: Sequence[Attempt]) -> tuple[list[_Ready], datetime]:
    """Prepare attempts and mark them *sending*.

    Return those that may be sent, and the time of the mark.
    """
    ready = [prepared for attempt in attempts if (prepared := _prepare(attempt))]
    requests = {attempt.pk: request.params for attempt, _, request in ready}
    marked_at = timezone.now()
    sending = lifecycle.mark_sending(requests, worker=worker_name()) if ready else set()
    for attempt, _, _ in ready:
        attempt.sending_at = marked_at
    return [prepared for prepared in ready if prepared[0].pk in sending], marked_at


@about_attempt
def _prepare(attempt: Attempt) -> _Ready | None:
    """Return what is needed to send an attempt, or None when it cannot be sent, which is recorded.

    The request has the mission's parameters, the item's own over them, and files as the provider
    takes them.
    """
    refusal: ProviderError
    try:
        provider = provider_accounts.connect(attempt.account)
        mission = attempt.item.mission
        webhook_url = None
        if settings.PUBLIC_BASE_URL and provider.capabilities.webhooks:
            webhook_url = f"{settings.PUBLIC_BASE_URL}/hooks/{provider.name}/{attempt.webhook_token}"
        params, files = references.resolve(attempt)
        request = SubmitRequest(mission.model, params, webhook_url, our_id=attempt.our_id, files=files)
        return attempt, provider, request
    except Unavailable as error:
        refusal = TryAgainLater(error.message, code=error.code, wait_seconds=error.wait_seconds)
    except ProviderError as error:
        _apply_to_account(attempt.account_id, error)
        refusal = error
    except (OperationalError, OSError):
        log.exception("Attempt %s could not be prepared now.", attempt.pk)
        refusal = TryAgainLater(reasons.NOT_PREPARED(), code="not_prepared")
    except Exception:
        log.exception("Attempt %s could not be prepared.", attempt.pk)
        refusal = Rejected(reasons.NOT_PREPARED(), code="not_prepared")
    _record_refusal(attempt, refusal, source=AttemptStatus.PREPARED)
    return None


def _send_marked(marked: Sequence[_Ready], marked_at: datetime) -> None:
    """Send attempts whose marks are committed, and record the answers as they come."""
    if not marked:
        return
    if marked[0][1].capabilities.finishes_in_submit:
        for attempt, provider, request in marked:
            inline.run(attempt, partial(_send_inline, attempt, provider, request, marked_at))
        return
    with ThreadPoolExecutor(max_workers=SUBMIT_BATCH) as pool:
        waiting = {pool.submit(_send, *ready, marked_at): ready[0] for ready in marked}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            _retry_write(partial(_record_answers, [(waiting.pop(answer), answer) for answer in done]))
    answer_journal.clear(attempt for attempt, _, _ in marked)


@about_attempt
def _send_inline(attempt: Attempt, provider: Provider, request: SubmitRequest, marked_at: datetime) -> None:
    """Send an attempt to a provider that does the whole work in its answer, and record the end."""
    answer: Future[Accepted | Finished] = Future()
    record = partial(_record_answers, [(attempt, answer)])
    try:
        if background.stop_requested():
            raise TryAgainLater(reasons.STOPPED_BEFORE_SENDING(), code="workers_stopped")
        answer.set_result(_send(attempt, provider, request, marked_at, inline.AttemptUpdates(attempt)))
    except Exception as error:  # noqa: BLE001  it is recorded like an answer
        answer.set_exception(error)
        if isinstance(error, TryAgainLater) and background.stop_requested():
            record = partial(_hand_back, attempt, error)
    inline.write(partial(_retry_write, record))


def _hand_back(attempt: Attempt, error: TryAgainLater) -> None:
    """Record that this worker stopped before an attempt had an effect: its item is pending again.

    Neither the account nor the item is to blame, and this worker takes up nothing more.
    """
    is_ours = lifecycle.refuse(
        attempt.pk,
        code=error.code,
        message=error.message,
        retry_at=timezone.now(),
        counts_as_refusal=False,
        sources=(AttemptStatus.SENDING,),
    )
    if not is_ours:
        lifecycle.void_unconfirmed(attempt.pk, actor=lifecycle.ENGINE, reason=error.message)


def _send(
    attempt: Attempt,
    provider: Provider,
    request: SubmitRequest,
    marked_at: datetime,
    updates: Updates = NO_UPDATES,
) -> Accepted | Finished:
    """Make the one call, and store results that exist only in this process.

    Raises TryAgainLater, and sends nothing, when too much time has passed since the mark, as after
    a suspension of the machine: other workers may have considered this one dead by then, and a
    person may have found that nothing was sent and had the item sent again.
    """
    if timezone.now() - marked_at > SEND_WITHIN:
        raise TryAgainLater(reasons.NOT_PREPARED(), code="too_late")
    answer = provider.submit(request, updates)
    if answer.state.task_id and not provider.capabilities.finishes_in_submit:
        answer_journal.add(attempt, answer.state.task_id)
    return dataclasses.replace(answer, state=download.store_result_files(attempt, answer.state))


def _record_answers(answers: Sequence[tuple[Attempt, Future[Accepted | Finished]]]) -> None:
    """Record submissions of one account as accepted, finished, refused or unconfirmed.

    An end inside the answer is recorded in the same transaction as the acceptance.
    """
    for attempt, answer in answers:
        _apply_to_account(attempt.account_id, answer.exception())
    accepted = {attempt: answer.result() for attempt, answer in answers if not answer.exception()}
    ends = {attempt: result.state for attempt, result in accepted.items() if isinstance(result, Finished)}
    refused: list[Attempt] = []

    def record_errors(errors: Mapping[Attempt, BaseException]) -> None:
        refused.extend(attempt for attempt, error in errors.items() if _record_error(attempt, error))

    with transaction.atomic():
        record_together(accepted, _record_acceptances, _mark_unrecordable)
        record_ends(ends)
        for attempt, answer in answers:
            if error := answer.exception():
                record_together({attempt: error}, record_errors, _mark_unrecordable)
        for attempt, _ in answers:
            if PROVIDERS[attempt.account.provider].capabilities.streams_text:
                inline.discard_text(attempt)
    if refused or ends:
        dispatch(answers[0][0].account_id)


def _record_acceptances(accepted: Mapping[Attempt, Accepted | Finished]) -> None:
    now = timezone.now()
    acceptances = {}
    for attempt, answer in accepted.items():
        is_over = answer.state.status is not RemoteStatus.RUNNING
        wait_seconds = 0.0 if is_over else next_interval(0.0, attempt.model, attempt.account)
        acceptances[attempt.pk] = lifecycle.Acceptance(
            remote_task_id=answer.state.task_id,
            raw=answer.state.raw,
            at=now if isinstance(answer, Accepted) else attempt.sending_at or now,
            next_poll_at=now + timedelta(seconds=wait_seconds),
        )
    lifecycle.accept(acceptances)


@about_attempt
def _record_error(attempt: Attempt, error: BaseException) -> bool:
    """Record an error of one submission.

    Return True when it was not accepted, so that its slot is free again.
    """
    if isinstance(error, Unconfirmed):
        log.warning("A submission is unconfirmed (%s): it may have been paid.", error.code)
        lifecycle.mark_unconfirmed(attempt.pk, code=error.code, message=error.message)
    elif isinstance(error, ProviderError):
        if not _record_refusal(attempt, error, source=AttemptStatus.SENDING):
            # It became unconfirmed meanwhile; this answer proves that it was not accepted.
            lifecycle.void_unconfirmed(attempt.pk, actor=lifecycle.ENGINE, reason=error.message)
        return True
    else:
        log.error("A submission failed in our own code.", exc_info=error)
        lifecycle.mark_unconfirmed(attempt.pk, code="interrupted", message=reasons.INTERRUPTED())
    return False


def _mark_unrecordable(attempt: Attempt, error: Exception) -> None:
    reason = reasons.ODD_ANSWER if isinstance(error, IntegrityError) else reasons.UNRECORDED
    lifecycle.mark_unconfirmed(attempt.pk, code=reason.code, message=reason())


def _retry_write(record: Callable[[], object]) -> None:
    """Retry a database write. Used for provider answers that may have cost money."""
    for pause in (0.5, 1.0, 2.0, 4.0, 8.0):
        try:
            record()
            return
        except OperationalError:
            log.warning("The database could not be written; trying again in %s s.", pause, exc_info=True)
            connection.close()
            time.sleep(pause)
    record()


def _apply_to_account(account_id: int, error: BaseException | None) -> None:
    """Pause or slow down an account after a refusal.

    Call it before items are locked: locks are taken on the account first.
    """
    if isinstance(error, AccountBlocked):
        provider_accounts.block(account_id, reason=str(error))
    elif isinstance(error, NoSlot | TryAgainLater):
        slow_down(account_id)


def _record_refusal(attempt: Attempt, error: ProviderError, *, source: AttemptStatus) -> bool:
    """Record that an attempt was certainly not accepted. Return False when it had moved on.

    The kind of refusal decides when the item is tried again; only TryAgainLater counts. ``source``:
    *sending* is for the worker that made the call.
    """
    wait: float | None = None
    if isinstance(error, AccountBlocked):
        wait = 0.0
    elif isinstance(error, NoSlot):
        wait = retry.after_no_slot()
    elif isinstance(error, TryAgainLater):
        wait = retry.after_refusal(attempt.item.refusal_count + 1, provider_wait=error.wait_seconds)
    return lifecycle.refuse(
        attempt.pk,
        code=error.code,
        message=error.message,
        retry_at=None if wait is None else seconds_from_now(wait),
        counts_as_refusal=isinstance(error, TryAgainLater),
        sources=(source,),
    )
