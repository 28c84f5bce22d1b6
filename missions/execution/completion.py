"""The end of a task, and the next step of its item."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import timedelta

from django.db import DataError, transaction
from django.db.models import F
from django.utils import timezone

from core.db import bulk
from missions import lifecycle, reasons
from missions.execution.batch_record import record_together
from missions.execution.intervals import poll_floor, seconds_from_now
from missions.models import Attempt, AttemptStatus
from missions.policy import retry
from missions.results import download
from providers import provider_accounts
from providers.adapters.base import RemoteState, RemoteStatus
from workers import queue

DOWNLOAD_LEASE = timedelta(seconds=10)  # a download not begun by then is sent again
ARCHIVE_DELAY_SECONDS = 1.0  # new submissions go before downloads
MAX_OUTPUTS = 1000  # results of one task that are stored
MAX_UNRECORDED = 3  # after so many failures to record it, an end is given up
EMPTY_RESULT_POLLS = 6  # pauses double; with the default floor, a minute in all


def record_ends(ends: Mapping[Attempt, RemoteState]) -> None:
    """Record the ends of tasks of one account, as the provider reported them.

    Files of results that are not behind a URL must be stored already
    (``download.store_result_files``). An end that cannot be recorded several times fails the item.
    """

    def give_up(attempt: Attempt, error: Exception) -> None:
        _give_up_recording(attempt, ends[attempt])

    successes = {attempt: state for attempt, state in ends.items() if has_result(state)}
    record_together(successes, _record_successes, give_up)
    for attempt, state in ends.items():
        if attempt not in successes:
            record_together({attempt: state}, _record_failures, give_up)


def has_result(state: RemoteState) -> bool:
    """Return True when a task succeeded and its results are listed."""
    return state.status is RemoteStatus.SUCCEEDED and bool(state.outputs)


def _record_successes(ends: Mapping[Attempt, RemoteState]) -> None:
    now = timezone.now()
    account = next(iter(ends)).account
    lifetime = provider_accounts.public_settings(account).result_lifetime_seconds
    output_ids = lifecycle.succeed(
        {
            attempt.pk: lifecycle.Success(
                outputs=[
                    lifecycle.NewOutput(url=output.url, text=output.text, extension=output.extension)
                    for output in state.outputs[:MAX_OUTPUTS]
                ],
                cost=state.cost,
                raw=state.raw,
                note=reasons.TOO_MANY_RESULTS(count=len(state.outputs), stored=MAX_OUTPUTS)
                if len(state.outputs) > MAX_OUTPUTS
                else "",
            )
            for attempt, state in ends.items()
        },
        expires_at=None if lifetime is None else now + timedelta(seconds=lifetime),
        first_try_at=now + DOWNLOAD_LEASE,
    )
    queue.send_many(
        "archive", [(0, *batch) for batch in bulk.batches(output_ids, download.BATCH)], delay=ARCHIVE_DELAY_SECONDS
    )


def _record_failures(ends: Mapping[Attempt, RemoteState]) -> None:
    """Record ends that left no result: fail the item, retry it later, or poll again."""
    for attempt, state in ends.items():
        wait: float | None = None
        message: str
        if state.status is RemoteStatus.SUCCEEDED:
            # It may be charged and its result may come late, so it is polled a few more times.
            if attempt.empty_count + 1 < EMPTY_RESULT_POLLS:
                pause = poll_floor(attempt.account) * 2**attempt.empty_count
                Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.RUNNING).update(
                    empty_count=F("empty_count") + 1,
                    next_poll_at=seconds_from_now(pause),
                    unanswered_since=None,
                    gone_count=0,
                )
                continue
            code, message = "no_result", reasons.NO_RESULT()
        elif state.status is RemoteStatus.CANCELLED:
            code, message = "cancelled_remotely", reasons.CANCELLED_REMOTELY()
        elif state.status is RemoteStatus.GONE:
            code, message = "gone", reasons.GONE()
        elif state.error is None:
            code, message = "failed", reasons.FAILED()
        else:
            code, message = state.error.code, state.error.message
            item = attempt.item
            wait = retry.after_failure(state.error.remedy, attempts=item.attempt_count, limit=item.attempt_limit)
        lifecycle.fail(
            attempt.pk,
            code=code,
            message=message,
            cost=state.cost,
            raw=state.raw,
            retry_at=None if wait is None else seconds_from_now(wait),
            is_cancelled=state.status is RemoteStatus.CANCELLED,
        )


def _give_up_recording(attempt: Attempt, state: RemoteState) -> None:
    """Poll a task again whose end could not be recorded; after MAX_UNRECORDED times, fail its item.

    The task has ended, so its slot is free. Its cost is recorded if that is possible.
    """
    count = attempt.unrecorded_count + 1
    if count < MAX_UNRECORDED:
        pause = poll_floor(attempt.account) * 2**count
        Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.RUNNING).update(
            unrecorded_count=count, next_poll_at=seconds_from_now(pause)
        )
        return
    message = reasons.UNRECORDABLE(task_id=attempt.remote_task_id)
    for cost in (state.cost, None):
        with contextlib.suppress(DataError, ValueError, ArithmeticError), transaction.atomic():
            lifecycle.fail(attempt.pk, code="unrecordable", message=message, cost=cost)
            return
