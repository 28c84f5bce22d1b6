"""What workers do: dispatch, submit, poll, reap.  Downloads are in ``missions.archive``.

The database is the queue of record; a message only wakes a worker.  Every verb has the same shape: claim in a short
transaction, talk to the network in none, record in a short transaction.  Whatever the machine does between two of these
steps, the rows say what may have been paid.

    tick      the heart of one account: claims what is due, re-arms itself, asks, applies, dispatches
    dispatch  fills free slots, under the account's row lock
    submit    marks *sending*, makes ONE POST, records the answer
    reap      repairs what dead workers left, and starts what time has made due
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import psutil
from django.conf import settings
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F, Min, Q
from django.urls import reverse
from django.utils import timezone

from missions import catalog, lifecycle, polling, provider_accounts, queue, references, retry, selectors
from missions.models import (
    Attempt,
    AttemptStatus,
    Mission,
    MissionStatus,
    Output,
    OutputStatus,
    ProviderAccount,
    TaskType,
    WorkerCluster,
)
from missions.providers.base import Provider, RemoteState, RemoteStatus, RemoteTask, SubmitRequest
from missions.providers.errors import (
    AccountBlocked,
    NoSlot,
    NotAccepted,
    ProviderError,
    Rejected,
    Unavailable,
    Unconfirmed,
)

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

SUBMIT_BATCH = 8  # POSTs that one worker has on the wire at once
POLL_BATCH = 8  # tasks asked about in one tick; the next tick takes the rest, at the same time
POLL_LEASE = timedelta(seconds=10)
TICK_MIN_SECONDS = 0.04
TICK_MAX_SECONDS = 1.0
TICK_STALE = timedelta(seconds=3)
REAP_INTERVAL = timedelta(seconds=2)
CHECK_INTERVAL = timedelta(minutes=10)

PREPARED_LIMIT = timedelta(seconds=20)  # prepared, and no worker has taken it up: its message was lost
PREPARING_LIMIT = timedelta(minutes=10)  # a worker is uploading reference files
SENDING_LIMIT = timedelta(seconds=120)  # longer than any POST can take
CLUSTER_DEAD_AFTER = timedelta(seconds=60)
RESULT_LIFETIME = timedelta(hours=24)  # API reference, section 10
DOWNLOAD_LEASE = timedelta(seconds=30)
ARCHIVE_DELAY_SECONDS = 0.5  # many tasks may end at once: their slots are filled first, then their files are fetched
EMPTY_RESULT_POLLS = 3
GONE_GRACE = timedelta(seconds=60)
REAP_BATCH = 200


# --- The heart ---


def arm(account_id: int) -> None:
    """Start an account's chain of ticks anew.  A chain that still runs ends by itself: its number is no longer the latest."""
    with transaction.atomic():
        number = (
            ProviderAccount.objects.select_for_update(no_key=True)
            .values_list("tick_number", flat=True)
            .get(pk=account_id)
        )
        ProviderAccount.objects.filter(pk=account_id).update(tick_number=number + 1, ticked_at=timezone.now())
        queue.send("tick", account_id, number + 1)


def arm_stale() -> None:
    """Re-arm every account whose ticks have stopped (a worker died between two of them)."""
    late = Q(ticked_at=None) | Q(ticked_at__lt=timezone.now() - TICK_STALE)
    for account_id in ProviderAccount.objects.filter(late).values_list("pk", flat=True):
        arm(account_id)


def tick(account_id: int, number: int) -> None:
    """Drive one account: claim what is due, send the next tick on its way, then ask about what was claimed.

    Ticks overlap: the next one is on its way before this one talks to the network, so a slow answer delays nothing else.
    """
    now = timezone.now()
    with transaction.atomic():
        is_mine = ProviderAccount.objects.filter(pk=account_id, tick_number=number).update(
            tick_number=number + 1, ticked_at=now
        )
        if not is_mine:
            return
        attempt_ids = _claim_due(account_id, now)
        queue.send("tick", account_id, number + 1, delay=_until_next_tick(account_id, now, claimed=len(attempt_ids)))
        is_time_to_reap = ProviderAccount.objects.filter(
            Q(reaped_at=None) | Q(reaped_at__lt=now - REAP_INTERVAL), pk=account_id
        ).update(reaped_at=now)
        if is_time_to_reap:
            queue.send("reap", account_id)
    if attempt_ids:
        poll(account_id, attempt_ids)


def _claim_due(account_id: int, now: datetime) -> list[int]:
    due = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING, next_poll_at__lte=now)
    ids = list(
        due.order_by("next_poll_at")
        .select_for_update(skip_locked=True, no_key=True)
        .values_list("pk", flat=True)[:POLL_BATCH]
    )
    if ids:
        Attempt.objects.filter(pk__in=ids).update(next_poll_at=now + POLL_LEASE)
    return ids


def _until_next_tick(account_id: int, now: datetime, *, claimed: int) -> float:
    """Seconds until something is due, within bounds.  What was just claimed may be due again as soon as the floor allows."""
    if claimed == POLL_BATCH:
        return 0.0
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
    next_poll = running.aggregate(soonest=Min("next_poll_at"))["soonest"]
    wait = (next_poll - now).total_seconds() if next_poll else TICK_MAX_SECONDS
    longest = min(settings.POLL_FLOOR_SECONDS, TICK_MAX_SECONDS) if claimed else TICK_MAX_SECONDS
    return max(min(wait, longest), TICK_MIN_SECONDS)


# --- Dispatch ---


def dispatch(account_id: int) -> int:
    """Fill an account's free slots by waking workers.  Returns how many items were taken up."""
    with transaction.atomic():
        batches = _take_up(account_id)
        queue.send_many("submit", batches)
    return sum(len(batch) for batch in batches)


def refill(account_id: int) -> None:
    """Fill the slots that became free in this worker's hands: it sends the first batch itself, and wakes others for the rest."""
    with transaction.atomic():
        mine, *others = _take_up(account_id) or [()]
        Attempt.objects.filter(pk__in=mine).update(worker=_worker_name())
        queue.send_many("submit", others)
    if mine:
        submit(mine)


def _take_up(account_id: int) -> list[tuple[int, ...]]:
    """Give an account's free slots to items, and return their attempts in batches as they are to be sent.

    The most urgent missions come first, and among equals the one that has the fewest in flight.  The account's row lock, held
    until the transaction ends, makes the cap hold over all workers of all clusters.
    """
    now = timezone.now()
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account_id)
    if account.paused_at or not account.is_enabled:
        return []
    limit = _slot_limit(account, now)
    free = limit - selectors.slots_in_use(account, now=now, limit=limit)
    if free <= 0:
        return []
    missions = selectors.dispatchable_missions(account, now=now, limit=free)
    mission_of = {mission.pk: mission for mission in missions}
    shares = _share(missions, selectors.due_counts(missions, now=now, limit=free), free)
    batches: list[tuple[int, ...]] = []
    for mission_id in sorted(shares):  # in one order everywhere, so that two accounts cannot deadlock
        attempt_ids = lifecycle.claim(mission_id, account, limit=shares[mission_id], now=now)
        batches += lifecycle.batches(attempt_ids, 1 if _needs_files(mission_of[mission_id]) else SUBMIT_BATCH)
    return batches


def _needs_files(mission: Mission) -> bool:
    """Handing files over takes time, so such items do not wait for one another."""
    return mission.task_type in (TaskType.IMAGE_TO_IMAGE, TaskType.IMAGE_TO_VIDEO)


def _slot_limit(account: ProviderAccount, now: datetime) -> int:
    since = (now - account.soft_limit_at).total_seconds() if account.soft_limit_at else 0.0
    return retry.slot_limit(
        account.configured_concurrency,
        remote=account.remote_concurrency,
        soft=account.soft_limit,
        seconds_since=since,
    )


def _share(missions: Sequence[Mission], due: Mapping[int, int], free: int) -> dict[int, int]:
    """Deal ``free`` slots, one at a time, to the mission that holds the fewest; a lower priority gets what is left."""
    shares: Counter[int] = Counter()
    for priority in sorted({mission.priority for mission in missions}, reverse=True):
        peers = [mission for mission in missions if mission.priority == priority]
        while free and peers:
            mission = min(peers, key=lambda peer: (peer.in_flight_count + shares[peer.pk], peer.pk))
            if shares[mission.pk] == due[mission.pk]:
                peers.remove(mission)
                continue
            shares[mission.pk] += 1
            free -= 1
    return dict(shares)


# --- Submit ---


def submit(attempt_ids: Sequence[int]) -> None:
    """Send prepared attempts: the only place from which money is spent.

    Reference files are handed over first, while an attempt is still provably unsent.  Then, for each, the mark *sending* is
    committed, ONE POST is made, and its answer recorded.  The POSTs of a call wait for their answers at the same time.
    """
    ready = [prepared for attempt_id in attempt_ids if (prepared := _prepare(attempt_id))]
    requests = {attempt.pk: request.params for attempt, _, request in ready}
    sending = lifecycle.begin_sending(requests, worker=_worker_name()) if ready else set()
    to_send = [prepared for prepared in ready if prepared[0].pk in sending]
    if not to_send:
        return
    with ThreadPoolExecutor(max_workers=SUBMIT_BATCH) as pool:
        waiting = {pool.submit(provider.submit, request): attempt for attempt, provider, request in to_send}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            _insist(partial(_record_answers, [(waiting.pop(answer), answer) for answer in done]))


def _prepare(attempt_id: int) -> tuple[Attempt, Provider, SubmitRequest] | None:
    """What is needed to send an attempt, or None when it is not to be sent (any more)."""
    attempts = Attempt.objects.select_related("item__mission", "account")
    attempt = attempts.filter(pk=attempt_id, status=AttemptStatus.PREPARED).first()
    if attempt is None:
        return None
    try:
        return attempt, provider_accounts.connect(attempt.account), _request(attempt)
    except Unavailable as error:
        _record_refusal(attempt, NotAccepted(error.message, code=error.code, wait_seconds=error.wait_seconds))
    except ProviderError as error:
        _tell_account(attempt.account_id, error)
        _record_refusal(attempt, error)
    except (OperationalError, OSError):
        log.exception("Attempt %s could not be prepared now.", attempt_id)
        _record_refusal(attempt, NotAccepted("This item could not be prepared. Nothing was sent.", code="not_prepared"))
    except Exception:
        log.exception("Attempt %s could not be prepared.", attempt_id)
        _record_refusal(attempt, Rejected("This item could not be prepared. Nothing was sent.", code="not_prepared"))
    return None


def _record_answers(answers: Sequence[tuple[Attempt, Future[RemoteTask]]]) -> None:
    for attempt, answer in answers:
        _tell_account(attempt.account_id, answer.exception())
    accepted = {attempt: answer.result() for attempt, answer in answers if not answer.exception()}
    with transaction.atomic():
        _record_together(accepted, _record_acceptances, _doubt_odd_answer)
        refused = [attempt for attempt, answer in answers if not _record_trouble(attempt, answer.exception())]
    if refused:
        dispatch(refused[0].account_id)


def _record_acceptances(accepted: Mapping[Attempt, RemoteTask]) -> None:
    lifecycle.accept({attempt.pk: _acceptance(attempt, task) for attempt, task in accepted.items()})


def _record_together(
    answers: Mapping[Attempt, _Answer],
    record: Callable[[Mapping[Attempt, _Answer]], None],
    give_up: Callable[[Attempt], None] = lambda attempt: None,
) -> None:
    """Record answers in one transaction.  One that the database does not take must not keep the others from it."""
    if not answers:
        return
    try:
        with transaction.atomic():
            record(answers)
    except (IntegrityError, DataError, ValueError):
        if len(answers) > 1:
            for attempt, answer in answers.items():
                _record_together({attempt: answer}, record, give_up)
            return
        [attempt] = answers
        log.exception("The answer about attempt %s could not be recorded.", attempt.pk)
        give_up(attempt)


def _record_trouble(attempt: Attempt, error: BaseException | None) -> bool:
    """Record that one POST was not simply accepted.  Returns False when it was refused, so that its slot is free again."""
    if isinstance(error, Unconfirmed):
        lifecycle.mark_unconfirmed(attempt.pk, code=error.code, message=error.message)
    elif isinstance(error, ProviderError):
        _record_refusal(attempt, error)
        return False
    elif error is not None:
        log.error("A submission failed in our own code.", exc_info=error)
        _doubt(attempt, "interrupted", "The submission was interrupted by an error in this program.")
    return True


def _doubt_odd_answer(attempt: Attempt) -> None:
    _doubt(attempt, "odd_answer", "The provider's answer could not be recorded: it names the task of another item.")


def _doubt(attempt: Attempt, code: str, message: str) -> None:
    lifecycle.mark_unconfirmed(attempt.pk, code=code, message=f"{message} It may have been accepted and charged.")


def _insist(record: Callable[[], None]) -> None:
    """Record an answer that may have cost money although the database fails for a moment."""
    for pause in (0.5, 1.0, 2.0, 4.0, 8.0):
        try:
            record()
            return
        except OperationalError:
            log.warning("An answer could not be recorded; trying again in %s s.", pause, exc_info=True)
            connection.close()
            time.sleep(pause)
    record()


def _request(attempt: Attempt) -> SubmitRequest:
    """What is sent: the mission's parameters, the item's own over them, files handed to the provider."""
    mission = attempt.item.mission
    model = catalog.find_model(mission.model, mission.task_type)
    params = mission.params | attempt.item.params
    if references.names_in(model, params):
        # Handing files over takes time: the reaper must see that somebody is at it.
        Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.PREPARED).update(worker=_worker_name())
        params = references.resolve(model, params, account=attempt.account)
    webhook_url = None
    if settings.PUBLIC_BASE_URL:
        path = reverse("missions:provider-webhook", args=[mission.provider, attempt.webhook_token])
        webhook_url = settings.PUBLIC_BASE_URL + path
    return SubmitRequest(endpoint=mission.model, params=params, webhook_url=webhook_url)


def _acceptance(attempt: Attempt, task: RemoteTask) -> lifecycle.Acceptance:
    now = timezone.now()
    wait = _next_interval(0.0, attempt.model)
    is_over = task.state.status is not RemoteStatus.RUNNING
    return lifecycle.Acceptance(
        remote_task_id=task.task_id,
        raw=task.state.raw,
        at=now,
        next_poll_at=now if is_over else now + timedelta(seconds=wait),
    )


def _tell_account(account_id: int, error: BaseException | None) -> None:
    """What a refusal means for the account.  (Before the items are locked: an account is always locked first.)"""
    if isinstance(error, AccountBlocked):
        provider_accounts.block(account_id, reason=str(error))
    elif isinstance(error, NoSlot | NotAccepted):
        _slow_down(account_id)


def _record_refusal(attempt: Attempt, error: ProviderError) -> None:
    """Certainly not accepted.  When the item is tried again depends on the kind of refusal; only NotAccepted counts."""
    wait: float | None = None
    if isinstance(error, AccountBlocked):
        wait = 0.0
    elif isinstance(error, NoSlot):
        wait = retry.after_no_slot()
    elif isinstance(error, NotAccepted):
        wait = retry.after_refusal(attempt.item.refusal_count + 1, asked_wait=error.wait_seconds)
    lifecycle.refuse(
        attempt.pk,
        code=error.code,
        message=error.message,
        retry_at=None if wait is None else _in(wait),
        counts=isinstance(error, NotAccepted),
    )


def _slow_down(account_id: int) -> None:
    """The provider takes no more: go on from as many tasks as it is running now."""
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING).count()
    ProviderAccount.objects.filter(pk=account_id).update(soft_limit=max(running, 1), soft_limit_at=timezone.now())


def _in(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


# --- Poll ---


def poll(account_id: int, attempt_ids: Sequence[int]) -> None:
    """Ask how running attempts stand, apply the answers, and fill the slots that became free."""
    account = ProviderAccount.objects.get(pk=account_id)
    attempts = {
        attempt.remote_task_id: attempt
        for attempt in Attempt.objects.select_related("item__mission").filter(
            pk__in=attempt_ids, status=AttemptStatus.RUNNING
        )
    }
    if not attempts:
        return
    try:
        answers = provider_accounts.connect(account).query(list(attempts))
    except AccountBlocked as error:
        provider_accounts.block(account_id, reason=str(error))
        return
    blocked = [answer for answer in answers.values() if isinstance(answer, AccountBlocked)]
    if blocked:
        provider_accounts.block(account_id, reason=str(blocked[0]))
    lessons = [attempt for attempt in attempts.values() if selectors.expectation(attempt.model) is None]
    ended = {
        attempts[task_id]: answer
        for task_id, answer in answers.items()
        if isinstance(answer, RemoteState) and _has_ended(attempts[task_id], answer)
    }
    _apply(ended)
    _plan_next_polls([(attempts[task_id], answer) for task_id, answer in answers.items()])
    for attempt, state in ended.items():
        if attempt in lessons and state.status is RemoteStatus.SUCCEEDED:
            _hurry_peers(attempt)
    if ended:
        refill(account_id)


def _has_ended(attempt: Attempt, state: RemoteState) -> bool:
    """Whether the answer is an end.  A provider may not know a task yet that it has just accepted."""
    if state.status is RemoteStatus.GONE:
        return attempt.accepted_at is None or attempt.accepted_at < timezone.now() - GONE_GRACE
    return state.status is not RemoteStatus.RUNNING


def _apply(ended: Mapping[Attempt, RemoteState]) -> None:
    """Record the ends of tasks, as the provider told them."""
    _record_together({a: state for a, state in ended.items() if _has_result(state)}, _apply_successes)
    for attempt, state in ended.items():
        if not _has_result(state):
            _record_together({attempt: state}, _apply_failures)


def _has_result(state: RemoteState) -> bool:
    return state.status is RemoteStatus.SUCCEEDED and bool(state.outputs)


def poll_due(account_id: int) -> None:
    """Ask about attempts that are due now, without waiting for the next tick: webhooks made them due.

    Many webhooks come at once.  Whoever finds something to do wakes one more worker, until one finds nothing.
    """
    with transaction.atomic():
        attempt_ids = _claim_due(account_id, timezone.now())
        if attempt_ids:
            queue.send("poll_due", account_id)
    if attempt_ids:
        poll(account_id, attempt_ids)


def poll_attempt(attempt_id: int) -> None:
    """Ask about one running attempt now: something hinted that it has ended."""
    claimed = Attempt.objects.filter(pk=attempt_id, status=AttemptStatus.RUNNING)
    if claimed.update(next_poll_at=timezone.now() + POLL_LEASE):
        poll(claimed.values_list("account_id", flat=True)[0], [attempt_id])


def _plan_next_polls(answers: Sequence[tuple[Attempt, RemoteState | ProviderError]]) -> None:
    """Say when to ask again about those that run on, or about which the question failed."""
    now = timezone.now()
    planned = []
    for attempt, answer in answers:
        if isinstance(answer, RemoteState):
            if _has_ended(attempt, answer):
                continue
            attempt.running_seen_at = now
        elapsed = (now - (attempt.accepted_at or now)).total_seconds()
        interval = _next_interval(elapsed, attempt.model)
        attempt.next_poll_at = now + timedelta(seconds=interval)
        attempt.poll_count += 1
        planned.append(attempt)
    if planned:
        Attempt.objects.bulk_update(planned, ["running_seen_at", "next_poll_at", "poll_count"])


def _next_interval(elapsed: float, model: str) -> float:
    return polling.next_interval(
        elapsed,
        selectors.expectation(model),
        floor=settings.POLL_FLOOR_SECONDS,
        is_told=bool(settings.PUBLIC_BASE_URL),
    )


def _apply_successes(ended: Mapping[Attempt, RemoteState]) -> None:
    now = timezone.now()
    output_ids = lifecycle.succeed(
        {
            attempt.pk: lifecycle.Success(
                outputs=[lifecycle.NewOutput(url=o.url, text=o.text, extension=o.extension) for o in state.outputs],
                cost=state.cost,
                raw=state.raw,
            )
            for attempt, state in ended.items()
        },
        expires_at=now + RESULT_LIFETIME,
        first_try_at=now + DOWNLOAD_LEASE,
    )
    queue.send_many("archive", [(output_id, 0) for output_id in output_ids], delay=ARCHIVE_DELAY_SECONDS)


def _apply_failures(ended: Mapping[Attempt, RemoteState]) -> None:
    for attempt, state in ended.items():
        _apply_failure(attempt, state)


def _apply_failure(attempt: Attempt, state: RemoteState) -> None:
    """Record an end that left no result."""
    wait: float | None = None
    if state.status is RemoteStatus.SUCCEEDED:
        if _is_asked_again(attempt):
            return
        code, message = "no_result", "The provider reported success without a result. It may have been charged."
    elif state.status is RemoteStatus.CANCELLED:
        code, message = "cancelled_remotely", "The task was cancelled at the provider."
    elif state.status is RemoteStatus.GONE:
        code, message = "gone", "The provider no longer knows this task. It may have been charged."
    else:
        code, message, wait = _judge_failure(attempt, state)
    lifecycle.fail(
        attempt.pk,
        code=code,
        message=message,
        cost=state.cost,
        raw=state.raw,
        retry_at=None if wait is None else _in(wait),
    )


def _is_asked_again(attempt: Attempt) -> bool:
    """A success without a result is asked about a few times more, before it is believed."""
    if attempt.empty_count + 1 >= EMPTY_RESULT_POLLS:
        return False
    Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.RUNNING).update(
        empty_count=F("empty_count") + 1, next_poll_at=_in(settings.POLL_FLOOR_SECONDS)
    )
    return True


def _judge_failure(attempt: Attempt, state: RemoteState) -> tuple[str, str, float | None]:
    if state.error is None:
        return "failed", "The task failed at the provider, which gave no reason.", None
    wait = retry.after_failure(
        state.error.remedy, attempts=attempt.item.attempt_count, limit=attempt.item.attempt_limit
    )
    return state.error.code, state.error.message, wait


def _hurry_peers(attempt: Attempt) -> None:
    """A model whose duration is not yet known has shown it: ask now about peers that run as long already."""
    if attempt.accepted_at is None:
        return
    now = timezone.now()
    duration = now - attempt.accepted_at
    peers = Attempt.objects.filter(
        account_id=attempt.account_id,
        model=attempt.model,
        status=AttemptStatus.RUNNING,
        accepted_at__lte=now - duration * 0.9,
        next_poll_at__gt=now + timedelta(seconds=settings.POLL_FLOOR_SECONDS),
    )
    with transaction.atomic():
        free = peers.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)
        Attempt.objects.filter(pk__in=list(free)).update(next_poll_at=now)


# --- Rescue ---


def rescue(attempt_id: int) -> None:
    """Ask the provider about the task that a webhook named for an attempt whose answer was lost, and attach it if it is known.

    The provider's answer is the proof.  When it cannot be asked now, ``reap`` tries again.
    """
    attempt = Attempt.objects.get(pk=attempt_id)
    if not attempt.hinted_task_id:
        return
    try:
        attach(attempt_id, attempt.hinted_task_id)
    except ProviderError:
        return
    Attempt.objects.filter(pk=attempt_id).update(hinted_task_id="")


def attach(attempt_id: int, remote_task_id: str) -> bool:
    """Attach a remote task to an attempt whose answer was lost, if the provider knows it and no other attempt has it.

    Raises ProviderError when the provider cannot be asked.
    """
    attempt = Attempt.objects.select_related("account").get(pk=attempt_id)
    if attempt.status not in (AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED):
        return False
    if Attempt.objects.filter(account=attempt.account, remote_task_id=remote_task_id).exists():
        return False
    answer = provider_accounts.connect(attempt.account).query([remote_task_id])[remote_task_id]
    if isinstance(answer, ProviderError):
        raise answer
    if answer.status is RemoteStatus.GONE:
        return False
    now = timezone.now()
    acceptance = lifecycle.Acceptance(
        remote_task_id=remote_task_id, raw=answer.raw, at=attempt.sending_at or now, next_poll_at=now
    )
    attached = lifecycle.accept({attempt_id: acceptance}, reason="The provider confirmed the task.")
    if attached:
        poll_attempt(attempt_id)
    return bool(attached)


# --- Reap ---


def reap(account_id: int) -> None:
    """Repair what dead workers left and start what time has made due.  Safe to run at any moment, any number of times."""
    now = timezone.now()
    repair(account_id)
    _reap_overdue(account_id)
    _resend_downloads(now)
    hinted = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.UNCONFIRMED).exclude(hinted_task_id="")
    for attempt_id in hinted.values_list("pk", flat=True)[:REAP_BATCH]:
        queue.send("rescue", attempt_id)
    _start_scheduled(now)
    for mission_id in _deletable_missions():
        queue.send("purge_mission", mission_id)
    if ProviderAccount.objects.filter(
        Q(checked_at=None) | Q(checked_at__lt=now - CHECK_INTERVAL), pk=account_id, paused_at=None
    ).update(checked_at=now):
        queue.send("check_account", account_id)
    dispatch(account_id)


def repair(account_id: int) -> None:
    """Settle the submissions of workers that have died."""
    now = timezone.now()
    _reap_prepared(account_id, now)
    _reap_sending(account_id, now)


def recover() -> None:
    """After a start with no other cluster alive: whatever is half done was left by the dead, so nothing has to be waited for."""
    for attempt in Attempt.objects.filter(status=AttemptStatus.PREPARED):
        lifecycle.withdraw(attempt.pk, reason="The worker died before it was sent.")
    for attempt in Attempt.objects.filter(status=AttemptStatus.SENDING):
        _give_up_sending(attempt)
    Output.objects.filter(status=OutputStatus.PENDING).update(next_try_at=timezone.now())
    # Two clusters' worth of leases at most: asking a little early does no harm.
    Attempt.objects.filter(status=AttemptStatus.RUNNING, next_poll_at__lte=timezone.now() + POLL_LEASE).update(
        next_poll_at=timezone.now()
    )


def _reap_prepared(account_id: int, now: datetime) -> None:
    prepared = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.PREPARED)
    lost = Q(worker="", created_at__lt=now - PREPARED_LIMIT) | Q(created_at__lt=now - PREPARING_LIMIT)
    for attempt in prepared.filter(lost | ~Q(worker=""))[:REAP_BATCH]:
        if not attempt.worker or attempt.created_at < now - PREPARING_LIMIT or _is_dead(attempt.worker, now):
            lifecycle.withdraw(attempt.pk, reason="The worker died before it was sent.")


def _reap_sending(account_id: int, now: datetime) -> None:
    sending = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.SENDING)
    for attempt in sending[:REAP_BATCH]:
        is_overdue = attempt.sending_at is None or attempt.sending_at < now - SENDING_LIMIT
        if is_overdue or _is_dead(attempt.worker, now):
            _give_up_sending(attempt)


def _give_up_sending(attempt: Attempt) -> None:
    lifecycle.mark_unconfirmed(
        attempt.pk,
        code=selectors.WORKER_DIED,
        message="The worker died while it was sending: the provider may have accepted and charged it.",
    )


def _reap_overdue(account_id: int) -> None:
    """End the wait for tasks that were seen running past their model's deadline.  The remote task id is kept.

    What nobody asked about for long is asked first: it may have ended well while the workers were down.
    """
    running = Attempt.objects.filter(account_id=account_id, status=AttemptStatus.RUNNING)
    shortest = timedelta(seconds=min(model.deadline_seconds for model in catalog.all_models()))
    late = running.filter(running_seen_at__gt=F("accepted_at") + shortest)
    for attempt in late.select_related("item__mission")[:REAP_BATCH]:
        model = catalog.find_model(attempt.model, attempt.item.mission.task_type)
        if _run_seconds(attempt) > model.deadline_seconds:
            lifecycle.fail(
                attempt.pk,
                code="deadline",
                message=f"No result after {model.deadline_seconds // 60} minutes. "
                f"Task {attempt.remote_task_id} may still end and be charged.",
            )


def _run_seconds(attempt: Attempt) -> float:
    """For how long a task was seen running."""
    if attempt.running_seen_at is None or attempt.accepted_at is None:
        return 0.0
    return (attempt.running_seen_at - attempt.accepted_at).total_seconds()


def _resend_downloads(now: datetime) -> None:
    due = Output.objects.filter(status=OutputStatus.PENDING, next_try_at__lte=now).order_by("next_try_at")
    with transaction.atomic():
        rows = list(due.select_for_update(skip_locked=True, no_key=True).values_list("pk", "try_count")[:REAP_BATCH])
        Output.objects.filter(pk__in=[pk for pk, _ in rows]).update(next_try_at=now + DOWNLOAD_LEASE)
        queue.send_many("archive", rows)


def _start_scheduled(now: datetime) -> None:
    due = Mission.objects.filter(status=MissionStatus.SCHEDULED, not_before__lte=now)
    for mission_id in due.values_list("pk", flat=True)[:REAP_BATCH]:
        try:
            lifecycle.start_scheduled(mission_id)
        except lifecycle.LostRace:
            continue


def _deletable_missions() -> list[int]:
    """Missions marked for removal of which nothing is in flight any more."""
    marked = Mission.objects.filter(delete_requested_at__isnull=False, submitting_count=0, processing_count=0)
    return list(marked.values_list("pk", flat=True)[:REAP_BATCH])


def warm_up() -> None:
    """Read what every task reads, so that a new worker's first task is as fast as its later ones."""
    catalog.all_models()
    for account in ProviderAccount.objects.filter(is_enabled=True):
        selectors.slots_in_use(account, now=timezone.now(), limit=1)
        selectors.dispatchable_missions(account, now=timezone.now(), limit=1)
        Attempt.objects.select_related("item__mission", "account").filter(account=account, pk=0).first()
        if provider_accounts.credentials(account).api_key:
            provider_accounts.connect(account)


# --- Who sends ---


def _worker_name() -> str:
    """This process, as ``Attempt.worker`` names it: CLUSTER:PID."""
    return f"{queue.cluster_id()}:{os.getpid()}"


def _is_dead(worker: str, now: datetime) -> bool:
    """Whether the process that an attempt names has certainly ended.

    On this host the process table knows; of another host only a silent heartbeat tells.
    """
    cluster_id, _, pid = worker.rpartition(":")
    cluster = WorkerCluster.objects.filter(pk=cluster_id).first() if cluster_id else None
    if cluster is None:
        return False  # not run by a supervisor: only time tells
    if cluster.host == os.uname().nodename:
        return not _is_in_group(int(pid), cluster.group_id)
    return cluster.beat_at < now - CLUSTER_DEAD_AFTER


def _is_in_group(pid: int, group_id: int | None) -> bool:
    try:
        is_member = os.getpgid(pid) == group_id
        return is_member and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
