"""The only place from which money is spent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.db.transactions import durable_transaction
from missions import lifecycle, references
from missions.execution.batch_record import record_together
from missions.execution.dispatch import SUBMIT_BATCH, dispatch, slow_down, take_up
from missions.execution.intervals import next_interval, seconds_from_now
from missions.execution.log_context import about_attempt
from missions.models import Attempt, AttemptStatus
from missions.policy import retry
from providers import catalog, provider_accounts
from providers.adapters.base import Accepted, Finished, Provider, RemoteStatus, SubmitRequest
from providers.adapters.errors import (
    AccountBlocked,
    NoSlot,
    NotAccepted,
    ProviderError,
    Rejected,
    Unavailable,
    Unconfirmed,
)
from workers import queue
from workers.heartbeat import CLUSTER_DEAD_AFTER, worker_name

log = logging.getLogger(__name__)

SEND_WITHIN = CLUSTER_DEAD_AFTER / 2
NOT_PREPARED = gettext_noop("This item could not be prepared. Nothing was sent.")

_Ready = tuple[Attempt, Provider, SubmitRequest]


def refill(account_id: int) -> None:
    """Fill the slots that became free in this worker's hands: it sends the first batch itself, and wakes others for the rest.

    Its own batch is taken up and marked in one transaction: a worker that waits for the database waits once.  Unless files have
    to be handed over, which takes time, and no lock is held meanwhile.
    """
    marked = None
    with durable_transaction():
        mine, *others = take_up(account_id) or [()]
        queue.send_many("submit", others)
        attempts = _prepared(mine)
        if any(_names_files(attempt) for attempt in attempts):
            Attempt.objects.filter(pk__in=mine).update(worker=worker_name())
        else:
            marked = _mark(attempts)
    _post(*(marked or _mark_or_hand_back(attempts)))


def submit(attempt_ids: Sequence[int]) -> None:
    """Send prepared attempts: the only place from which money is spent.

    Reference files are handed over first, while an attempt is still provably unsent.  Then, for each, the mark *sending* is
    committed, ONE POST is made, and its answer recorded.  The POSTs of a call wait for their answers at the same time.
    """
    _post(*_mark_or_hand_back(_prepared(attempt_ids)))


def _prepared(attempt_ids: Iterable[int]) -> list[Attempt]:
    attempts = Attempt.objects.select_related("item__mission", "account")
    return list(attempts.filter(pk__in=attempt_ids, status=AttemptStatus.PREPARED).order_by("pk"))


def _mark(attempts: Sequence[Attempt]) -> tuple[list[_Ready], datetime]:
    """Prepare attempts and mark them *sending*.  Returns those that may be sent, and when they were marked."""
    ready = [prepared for attempt in attempts if (prepared := _prepare(attempt))]
    requests = {attempt.pk: request.params for attempt, _, request in ready}
    marked_at = timezone.now()
    sending = lifecycle.mark_sending(requests, worker=worker_name()) if ready else set()
    return [prepared for prepared in ready if prepared[0].pk in sending], marked_at


def _mark_or_hand_back(attempts: Sequence[Attempt]) -> tuple[list[_Ready], datetime]:
    """``_mark`` in a transaction of its own.  When the database fails, nobody needs to wait for this worker any longer."""
    try:
        return _mark(attempts)
    except OperationalError:
        unsent = Attempt.objects.filter(pk__in=[attempt.pk for attempt in attempts], status=AttemptStatus.PREPARED)
        _retry_write(lambda: unsent.update(worker=""))
        raise


def _post(marked: Sequence[_Ready], marked_at: datetime) -> None:
    """Make the POST of each, once its mark is committed, and record the answers as they come."""
    if not marked:
        return
    with ThreadPoolExecutor(max_workers=SUBMIT_BATCH) as pool:
        waiting = {pool.submit(_send, provider, request, marked_at): attempt for attempt, provider, request in marked}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            _retry_write(partial(_record_answers, [(waiting.pop(answer), answer) for answer in done]))


def _send(provider: Provider, request: SubmitRequest, marked_at: datetime) -> Accepted | Finished:
    """The one POST, unless this machine has stood still since the mark.

    Others may have taken it for dead by now, and a person may have found that nothing was sent, and sent it again.
    """
    if timezone.now() - marked_at > SEND_WITHIN:
        raise NotAccepted(NOT_PREPARED, code="too_late")
    return provider.submit(request)


@about_attempt
def _prepare(attempt: Attempt) -> _Ready | None:
    """What is needed to send an attempt, or None when it cannot be sent."""
    refusal: ProviderError
    try:
        return attempt, provider_accounts.connect(attempt.account), _request(attempt)
    except Unavailable as error:
        refusal = NotAccepted(error.message, code=error.code, wait_seconds=error.wait_seconds)
    except ProviderError as error:
        _tell_account(attempt.account_id, error)
        refusal = error
    except (OperationalError, OSError):
        log.exception("Attempt %s could not be prepared now.", attempt.pk)
        refusal = NotAccepted(NOT_PREPARED, code="not_prepared")
    except Exception:
        log.exception("Attempt %s could not be prepared.", attempt.pk)
        refusal = Rejected(NOT_PREPARED, code="not_prepared")
    _record_refusal(attempt, refusal, source=AttemptStatus.PREPARED)
    return None


def _record_answers(answers: Sequence[tuple[Attempt, Future[Accepted | Finished]]]) -> None:
    for attempt, answer in answers:
        _tell_account(attempt.account_id, answer.exception())
    accepted = {attempt: answer.result() for attempt, answer in answers if not answer.exception()}
    with transaction.atomic():
        record_together(accepted, _record_acceptances, _doubt_odd_answer)
        refused = [attempt for attempt, answer in answers if not _record_trouble(attempt, answer.exception())]
    if refused:
        dispatch(refused[0].account_id)


def _record_acceptances(accepted: Mapping[Attempt, Accepted | Finished]) -> None:
    lifecycle.accept({attempt.pk: _acceptance(attempt, task) for attempt, task in accepted.items()})


@about_attempt
def _record_trouble(attempt: Attempt, error: BaseException | None) -> bool:
    """Record that one POST was not simply accepted.  Returns False when it was refused, so that its slot is free again."""
    if isinstance(error, Unconfirmed):
        log.warning("A submission is unconfirmed (%s): it may have been paid.", error.code)
        lifecycle.mark_unconfirmed(attempt.pk, code=error.code, message=error.message)
    elif isinstance(error, ProviderError):
        if not _record_refusal(attempt, error, source=AttemptStatus.SENDING):
            # It was taken for lost meanwhile, and this is the proof that it was not accepted.
            lifecycle.void_unconfirmed(attempt.pk, actor=lifecycle.ENGINE, reason=error.message)
        return False
    elif error is not None:
        log.error("A submission failed in our own code.", exc_info=error)
        _doubt(attempt, "interrupted", gettext_noop("The submission was interrupted by an error in this program."))
    return True


def _doubt_odd_answer(attempt: Attempt) -> None:
    message = gettext_noop("The provider's answer could not be recorded: it names the task of another item.")
    _doubt(attempt, "odd_answer", message)


def _doubt(attempt: Attempt, code: str, message: str) -> None:
    warning = gettext_noop("It may have been accepted and charged.")
    lifecycle.mark_unconfirmed(attempt.pk, code=code, message=f"{message} {warning}")


def _retry_write(record: Callable[[], object]) -> None:
    """Record what others have to know, above all an answer that may have cost money, although the database fails for a moment."""
    for pause in (0.5, 1.0, 2.0, 4.0, 8.0):
        try:
            record()
            return
        except OperationalError:
            log.warning("The database could not be written; trying again in %s s.", pause, exc_info=True)
            connection.close()
            time.sleep(pause)
    record()


def _request(attempt: Attempt) -> SubmitRequest:
    """What is sent: the mission's parameters, the item's own over them, files handed to the provider."""
    mission = attempt.item.mission
    model, params = _asked(attempt)
    if model.file_names(params):
        # Handing files over takes time: the reaper must see that somebody is at it.
        Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.PREPARED).update(worker=worker_name())
        params = references.resolve(model, params, account=attempt.account)
    webhook_url = None
    if settings.PUBLIC_BASE_URL:
        path = reverse("missions:provider-webhook", args=[mission.provider, attempt.webhook_token])
        webhook_url = settings.PUBLIC_BASE_URL + path
    return SubmitRequest(endpoint=mission.model, params=params, webhook_url=webhook_url)


def _asked(attempt: Attempt) -> tuple[catalog.Model, dict[str, Any]]:
    mission = attempt.item.mission
    return catalog.model_of(mission), mission.params | attempt.item.params


def _names_files(attempt: Attempt) -> bool:
    model, params = _asked(attempt)
    return bool(model.file_names(params))


def _acceptance(attempt: Attempt, answer: Accepted | Finished) -> lifecycle.Acceptance:
    now = timezone.now()
    wait = next_interval(0.0, attempt.model)
    state = answer.state
    is_over = state.status is not RemoteStatus.RUNNING
    return lifecycle.Acceptance(
        remote_task_id=state.task_id,
        raw=state.raw,
        at=now,
        next_poll_at=now if is_over else now + timedelta(seconds=wait),
    )


def _tell_account(account_id: int, error: BaseException | None) -> None:
    """What a refusal means for the account.  (Before the items are locked: an account is always locked first.)"""
    if isinstance(error, AccountBlocked):
        provider_accounts.block(account_id, reason=str(error))
    elif isinstance(error, NoSlot | NotAccepted):
        slow_down(account_id)


def _record_refusal(attempt: Attempt, error: ProviderError, *, source: AttemptStatus) -> bool:
    """Certainly not accepted.  When the item is tried again depends on the kind of refusal; only NotAccepted counts.

    ``source``: *sending* is for who made the POST.  Returns False when the attempt had moved on.
    """
    wait: float | None = None
    if isinstance(error, AccountBlocked):
        wait = 0.0
    elif isinstance(error, NoSlot):
        wait = retry.after_no_slot()
    elif isinstance(error, NotAccepted):
        wait = retry.after_refusal(attempt.item.refusal_count + 1, asked_wait=error.wait_seconds)
    return lifecycle.refuse(
        attempt.pk,
        code=error.code,
        message=error.message,
        retry_at=None if wait is None else seconds_from_now(wait),
        counts=isinstance(error, NotAccepted),
        sources=(source,),
    )
