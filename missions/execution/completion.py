"""How a task ended, and what becomes of its item."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop

from core.db import bulk
from missions import lifecycle
from missions.execution.batch_record import record_together
from missions.execution.intervals import seconds_from_now
from missions.models import Attempt, AttemptStatus
from missions.policy import retry
from missions.results import download
from providers.adapters.base import RemoteState, RemoteStatus
from workers import queue

RESULT_LIFETIME = timedelta(hours=24)  # API reference, section 10
DOWNLOAD_LEASE = timedelta(seconds=10)  # then its message is taken for lost
ARCHIVE_DELAY_SECONDS = 1.0  # many tasks may end at once: their slots are filled first, then their files are fetched
EMPTY_RESULT_POLLS = 6  # each twice as long after the one before: with the usual floor, a minute in all


def record_ends(ended: Mapping[Attempt, RemoteState]) -> None:
    """Record the ends of tasks, as the provider told them."""
    record_together({a: state for a, state in ended.items() if has_result(state)}, _apply_successes)
    for attempt, state in ended.items():
        if not has_result(state):
            record_together({attempt: state}, _apply_failures)


def has_result(state: RemoteState) -> bool:
    """Whether a task succeeded and its results are listed."""
    return state.status is RemoteStatus.SUCCEEDED and bool(state.outputs)


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
    queue.send_many(
        "archive", [(0, *batch) for batch in bulk.batches(output_ids, download.BATCH)], delay=ARCHIVE_DELAY_SECONDS
    )


def _apply_failures(ended: Mapping[Attempt, RemoteState]) -> None:
    for attempt, state in ended.items():
        _apply_failure(attempt, state)


def _apply_failure(attempt: Attempt, state: RemoteState) -> None:
    """Record an end that left no result."""
    wait: float | None = None
    if state.status is RemoteStatus.SUCCEEDED:
        if _is_asked_again(attempt):
            return
        code = "no_result"
        message = gettext_noop("The provider reported success without a result. It may have been charged.")
    elif state.status is RemoteStatus.CANCELLED:
        code, message = "cancelled_remotely", gettext_noop("The task was cancelled at the provider.")
    elif state.status is RemoteStatus.GONE:
        code, message = "gone", gettext_noop("The provider no longer knows this task. It may have been charged.")
    else:
        code, message, wait = _judge_failure(attempt, state)
    lifecycle.fail(
        attempt.pk,
        code=code,
        message=message,
        cost=state.cost,
        raw=state.raw,
        retry_at=None if wait is None else seconds_from_now(wait),
    )


def _is_asked_again(attempt: Attempt) -> bool:
    """A success without a result may be paid: it is asked about some more, before it is believed (API reference, section 4)."""
    if attempt.empty_count + 1 >= EMPTY_RESULT_POLLS:
        return False
    wait = settings.POLL_FLOOR_SECONDS * 2**attempt.empty_count
    Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.RUNNING).update(
        empty_count=F("empty_count") + 1, next_poll_at=seconds_from_now(wait), unanswered_since=None, gone_count=0
    )
    return True


def _judge_failure(attempt: Attempt, state: RemoteState) -> tuple[str, str, float | None]:
    if state.error is None:
        return "failed", gettext_noop("The task failed at the provider, which gave no reason."), None
    wait = retry.after_failure(
        state.error.remedy, attempts=attempt.item.attempt_count, limit=attempt.item.attempt_limit
    )
    return state.error.code, state.error.message, wait
