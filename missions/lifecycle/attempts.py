"""Moves of attempts and their items: sending, accepted, refused, unconfirmed, succeeded, failed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F
from django.utils import timezone

from core.db.transactions import durable_transaction
from core.db.values import storable
from core.logging.context import about
from core.money import amount_text
from core.reasons import without_detail
from missions import reasons
from missions.lifecycle.items import choose_completed
from missions.lifecycle.missions import pause_locked
from missions.lifecycle.moves import (
    ENGINE,
    NO_ERROR,
    RUNNABLE,
    announce,
    atomic,
    error_columns,
    group_by,
    lock_attempt,
    lock_attempts,
    message_columns,
    move_attempt,
    move_attempts,
    move_items,
    pause_columns,
    reopen,
)
from missions.models import (
    Attempt,
    AttemptStatus,
    ItemEvent,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
    OutputStatus,
)
from missions.policy import charges, circuit_breaker
from notifications.models import EventType, Topic

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NewOutput:
    """A result that the provider reported: a file that is still to be fetched, or a text."""

    url: str = ""
    text: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An accepted submission: its task, the raw answer, and the time of the first poll."""

    remote_task_id: str
    raw: Mapping[str, Any]
    at: datetime
    next_poll_at: datetime


@dataclass(frozen=True, slots=True)
class Success:
    """A task that ended well. ``cost`` is None when the provider did not report it.

    ``note`` is a remark for people, shown in the item's history.
    """

    outputs: Sequence[NewOutput]
    cost: Decimal | None
    raw: Mapping[str, Any]
    note: str = ""


# --- Submission ---


def mark_sending(requests: Mapping[int, Mapping[str, Any]], *, worker: str) -> set[int]:
    """Move prepared → sending: the mark that is on disk before a POST goes out.

    ``requests`` holds the parameters to send, by attempt. Return the attempts that may be sent now.
    Left out are those that were withdrawn, whose mission or account was stopped, or whose account
    got another key.
    """
    with durable_transaction():
        now = timezone.now()
        ready = []
        for mission, attempt in lock_attempts(requests, AttemptStatus.PREPARED):
            account = attempt.account
            is_usable = account.is_enabled and not account.paused_at
            if mission.status in RUNNABLE and is_usable and attempt.key_fingerprint == account.key_fingerprint:
                attempt.request, attempt.worker, attempt.sending_at = storable(requests[attempt.pk]), worker, now
                ready.append((mission, attempt))
            else:
                _void(mission, attempt, reason=reasons.STOPPED_BEFORE_SENDING())
        move_attempts(ready, AttemptStatus.SENDING, "request", "worker", "sending_at")
        items = MissionItem.objects.filter(pk__in=[attempt.item_id for _, attempt in ready], started_at=None)
        items.update(started_at=now)
        return {attempt.pk for _, attempt in ready}


def accept(acceptances: Mapping[int, Acceptance], *, reason: str = "", actor: str = ENGINE) -> set[int]:
    """Move sending → running, and the items submitting → processing, when the tasks have ids.

    Also moves unconfirmed attempts, for which a person may be the ``actor``. ``acceptances`` by
    attempt. Return the attempts that were moved; one that had already moved on is left out.
    """
    with atomic():
        attempts = lock_attempts(acceptances, AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED)
        for _, attempt in attempts:
            answer = acceptances[attempt.pk]
            attempt.remote_task_id, attempt.raw = answer.remote_task_id, storable(answer.raw)
            attempt.accepted_at, attempt.next_poll_at = answer.at, answer.next_poll_at
            attempt.unanswered_since, attempt.gone_count = None, 0
            for name, value in NO_ERROR.items():
                setattr(attempt, name, value)
        move_attempts(
            attempts,
            AttemptStatus.RUNNING,
            "remote_task_id",
            "raw",
            "accepted_at",
            "next_poll_at",
            "unanswered_since",
            "gone_count",
            *NO_ERROR,
        )
        by_source = group_by(((mission, attempt.item.status), attempt) for mission, attempt in attempts)
        for (mission, source), group in by_source.items():
            is_counted = source == ItemStatus.UNCONFIRMED
            move_items(
                mission,
                group,
                ItemStatus.PROCESSING,
                reason=reason,
                actor=actor,
                refusal_count=0,
                attempt_count=F("attempt_count") + (0 if is_counted else 1),
                **NO_ERROR,
            )
        return {attempt.pk for _, attempt in attempts}


def add_text(attempt_id: int, text: str) -> bool:
    """Add an event with the next piece of the text that an attempt *sending* writes. Moves nothing.

    The mission is locked, as in every move, so that its events are committed in the order of their
    ids.
    """
    with atomic():
        locked = lock_attempt(attempt_id, AttemptStatus.SENDING)
        if not locked:
            return False
        mission, attempt = locked
        status = attempt.item.status
        ItemEvent.objects.create(
            mission=mission,
            item_id=attempt.item_id,
            attempt_number=attempt.number,
            from_status=status,
            to_status=status,
            text=storable(text),
        )
        return True


def refuse(
    attempt_id: int,
    *,
    code: str,
    message: str,
    retry_at: datetime | None,
    counts_as_refusal: bool = True,
    sources: Collection[AttemptStatus] = (AttemptStatus.PREPARED, AttemptStatus.SENDING),
) -> bool:
    """Move prepared or sending → refused: certainly not accepted by the provider, not paid.

    With ``retry_at`` the item is pending until then, without it the item has failed.
    ``counts_as_refusal=False`` when the refusal does not concern the item (no free slot, blocked
    account). Return False when the attempt is in none of ``sources`` any more, or was deleted with
    its mission.
    """
    with atomic():
        locked = lock_attempt(attempt_id, *sources)
        if not locked:
            return False
        mission, attempt = locked
        error = error_columns(code, message)
        move_attempt(attempt, AttemptStatus.REFUSED, ended_at=timezone.now(), **error)
        with about(account=attempt.account_id, mission=mission.pk, item=attempt.item_id, attempt=attempt.pk):
            log.info("An attempt was refused (%s): %s", code or "no code", without_detail(message))
        count = F("refusal_count") + (1 if counts_as_refusal else 0)
        _end_or_requeue(mission, attempt, code=code, message=message, retry_at=retry_at, refusal_count=count)
        return True


def withdraw(attempt_id: int, *, reason: str) -> bool:
    """Move prepared → void, and its item back to pending: it was provably never sent."""
    with atomic():
        locked = lock_attempt(attempt_id, AttemptStatus.PREPARED)
        if locked:
            _void(*locked, reason=reason)
        return bool(locked)


# --- Unconfirmed ---


def mark_unconfirmed(attempt_id: int, *, code: str, message: str) -> bool:
    """Move sending → unconfirmed: it may have been paid, so only a person or proof moves it on."""
    return _to_unconfirmed(
        attempt_id, AttemptStatus.SENDING, code=code, message=message, attempt_count=F("attempt_count") + 1
    )


def mark_unreachable(attempt_id: int, *, code: str, message: str) -> bool:
    """Move running → unconfirmed: accepted, but the provider has not answered polls for long."""
    return _to_unconfirmed(attempt_id, AttemptStatus.RUNNING, code=code, message=message)


def _to_unconfirmed(attempt_id: int, source: AttemptStatus, *, code: str, message: str, **changes: Any) -> bool:
    with atomic():
        locked = lock_attempt(attempt_id, source)
        if not locked:
            return False
        mission, attempt = locked
        error = error_columns(code, message)
        move_attempt(attempt, AttemptStatus.UNCONFIRMED, **error)
        move_items(mission, [attempt], ItemStatus.UNCONFIRMED, reason=message, **error, **changes)
        announce(EventType.MISSION_UNCONFIRMED, mission, topics=(Topic.TROUBLE,))
        return True


def void_unconfirmed(attempt_id: int, *, actor: str, reason: str) -> bool:
    """Move unconfirmed → void: a person says, or a late refusal proves, that it never ran.

    The item may be submitted again. Return False when the attempt had already moved on, or when a
    webhook has named its task and that is still to be checked.
    """
    with atomic():
        locked = lock_attempt(attempt_id, AttemptStatus.UNCONFIRMED)
        if not locked:
            return False
        mission, attempt = locked
        without_hint = Attempt.objects.filter(pk=attempt_id, status=AttemptStatus.UNCONFIRMED, hinted_task_id="")
        if not without_hint.select_for_update(no_key=True).exists():
            return False
        changes = {"attempt_count": F("attempt_count") - 1, **NO_ERROR}
        _void(mission, attempt, reason=reason, actor=actor, **changes)
        reopen(mission, actor=actor)
        return True


def _void(mission: Mission, attempt: Attempt, *, reason: str, actor: str = ENGINE, **changes: Any) -> None:
    """Move a locked attempt to void, its item to pending, or to cancelled with its mission."""
    now = timezone.now()
    move_attempt(attempt, AttemptStatus.VOID, ended_at=now, **message_columns(reason))
    if mission.status == MissionStatus.CANCELLED:
        move_items(mission, [attempt], ItemStatus.CANCELLED, reason=reason, actor=actor, ended_at=now, **changes)
    else:
        move_items(mission, [attempt], ItemStatus.PENDING, reason=reason, actor=actor, available_at=now, **changes)


# --- The end of a task ---


def succeed(successes: Mapping[int, Success], *, expires_at: datetime | None, first_try_at: datetime) -> list[int]:
    """Move running → succeeded, and the items processing → completed. Return the outputs to fetch.

    ``successes`` by attempt; one that had already moved on is left out. ``expires_at``: when the
    provider deletes the files, None: never. ``first_try_at``: the time from which the reaper
    fetches a file that no worker has fetched.
    """
    with atomic():
        attempts = lock_attempts(successes, AttemptStatus.RUNNING)
        now = timezone.now()
        odd_charges: dict[int, str] = {}
        for mission, attempt in attempts:
            success = successes[attempt.pk]
            attempt.cost, odd_charges[attempt.pk] = _judge_charge(mission, attempt, success.cost)
            attempt.raw, attempt.ended_at = storable(success.raw), now
        move_attempts(attempts, AttemptStatus.SUCCEEDED, "raw", "cost", "ended_at")
        alike = group_by(
            ((mission, attempt.cost, odd_charges[attempt.pk] or successes[attempt.pk].note), attempt)
            for mission, attempt in attempts
        )
        for (mission, cost, note), group in alike.items():
            move_items(mission, group, ItemStatus.COMPLETED, reason=note, cost=cost, ended_at=now, **NO_ERROR)
            choose_completed(mission, [attempt.item for attempt in group])
        rows = Output.objects.bulk_create(
            Output(
                item_id=attempt.item_id,
                attempt=attempt,
                index=index,
                status=OutputStatus.PENDING if output.url else OutputStatus.STORED,
                text=storable(output.text),
                remote_url=storable(output.url),
                extension=storable(output.extension)[:16],
                expires_at=expires_at if output.url else None,
                next_try_at=first_try_at if output.url else None,
                stored_at=None if output.url else now,
            )
            for _, attempt in attempts
            for index, output in enumerate(successes[attempt.pk].outputs, start=1)
        )
        for mission, attempt in attempts:
            _pause_after_charge(mission, odd_charges[attempt.pk])
        return [row.pk for row in rows if row.status == OutputStatus.PENDING]


def fail(
    attempt_id: int,
    *,
    code: str,
    message: str,
    cost: Decimal | None = None,
    raw: Mapping[str, Any] | None = None,
    retry_at: datetime | None = None,
    is_cancelled: bool = False,
) -> bool:
    """Move running → failed. The item fails too, or waits until ``retry_at`` for a new attempt.

    ``is_cancelled``: the provider stopped the task. In a cancelled mission, attempt and item are
    then cancelled, too.
    """
    with atomic():
        locked = lock_attempt(attempt_id, AttemptStatus.RUNNING)
        if not locked:
            return False
        mission, attempt = locked
        cost, odd_charge = _judge_charge(mission, attempt, cost)
        was_stopped = is_cancelled and mission.status == MissionStatus.CANCELLED
        changes: dict[str, Any] = {"cost": cost, **error_columns(code, message)}
        if raw is not None:
            changes["raw"] = storable(raw)
        now = timezone.now()
        retries = {} if retry_at is None else {"retry_count": F("retry_count") + 1}
        status = AttemptStatus.CANCELLED if was_stopped else AttemptStatus.FAILED
        move_attempt(attempt, status, ended_at=now, **changes)
        with about(account=attempt.account_id, mission=mission.pk, item=attempt.item_id, attempt=attempt.pk):
            log.info("An attempt ended as %s (%s): %s", status, code or "no code", without_detail(message))
        if was_stopped:
            retry_at = now
        _end_or_requeue(mission, attempt, code=code, message=message, retry_at=retry_at, cost=cost, **retries)
        _pause_after_charge(mission, odd_charge)
        return True


def _judge_charge(mission: Mission, attempt: Attempt, cost: Decimal | None) -> tuple[Decimal | None, str]:
    """Return the cost to record for an attempt, and why its mission has to be paused, or ""."""
    if charges.is_unbelievable(cost, attempt.expected_cost):
        reason, recorded = reasons.UNBELIEVABLE_CHARGE, None
    elif charges.is_surprise(cost, attempt.expected_cost):
        reason, recorded = reasons.CHARGED_ABOVE_PRICE, cost
    else:
        return cost, ""
    amounts = {"charged": f"{cost:f}", "expected": amount_text(attempt.expected_cost), "currency": mission.currency}
    return recorded, reason(**amounts)


def _pause_after_charge(mission: Mission, reason: str) -> None:
    """Pause a mission after an odd charge if it has items that are not sent yet.

    One that is paused until a release gives this as the reason instead, and its owner is notified.
    """
    if reason and mission.waits_for_release and mission.status == MissionStatus.PAUSED:
        Mission.objects.filter(pk=mission.pk).update(**pause_columns(reason))
        announce(EventType.MISSION_PAUSED, mission, topics=(Topic.TROUBLE,), reason=reason)
    elif reason and mission.status in RUNNABLE and mission.pending_count + mission.submitting_count:
        pause_locked(mission, reason=reason)


def _end_or_requeue(
    mission: Mission, attempt: Attempt, *, code: str, message: str, retry_at: datetime | None, **changes: Any
) -> None:
    """Move the item of an attempt without result.

    It is pending until ``retry_at``, cancelled with its mission, or failed.
    """
    changes |= {"reason": message, **error_columns(code, message)}
    if retry_at is None:
        move_items(mission, [attempt], ItemStatus.FAILED, ended_at=timezone.now(), **changes)
        _count_failure(mission, code=code[:64], message=message)
    elif mission.status == MissionStatus.CANCELLED:
        move_items(mission, [attempt], ItemStatus.CANCELLED, ended_at=timezone.now(), **changes)
    else:
        move_items(mission, [attempt], ItemStatus.PENDING, available_at=retry_at, **changes)


def _count_failure(mission: Mission, *, code: str, message: str) -> None:
    """Count a failed item. Pause the mission when too many in a row failed with one code."""
    streak = mission.failure_streak + 1 if code == mission.failure_streak_code else 1
    Mission.objects.filter(pk=mission.pk).update(failure_streak=streak, failure_streak_code=code)
    is_at_work = mission.status in RUNNABLE and mission.pending_count + mission.in_flight_count
    if not is_at_work or not circuit_breaker.trips(streak):
        return
    failed = mission.items.filter(status=ItemStatus.FAILED, error_code=code, ended_at__isnull=False)
    latest = failed.order_by("-ended_at").values_list("cost", flat=True)[:streak]
    charged = sum(latest, Decimal(0))
    reason = reasons.FAILURES_IN_A_ROW(
        count=streak, code=code, charged=f"{charged:.2f}", currency=mission.currency, hint=message
    )
    pause_locked(mission, reason=reason)
