"""Locks, and the compare-and-swap of missions, items and attempts.

Private to ``missions.lifecycle``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from billing import reasons as limit_reasons
from core.db import bulk, reasons
from core.logging.context import about
from core.reasons import stored
from missions.models import Attempt, AttemptStatus, ItemEvent, ItemStatus, Mission, MissionItem, MissionStatus
from missions.reasons import FIRST_ROWS_DONE
from notifications import services as notifications
from notifications.models import EventType, Topic

log = logging.getLogger(__name__)

ENGINE = "engine"  # the actor of moves that no person asked for
BATCH = 2000  # rows per statement in bulk moves

RUNNABLE = (MissionStatus.QUEUED, MissionStatus.RUNNING)
OPEN = (MissionStatus.SCHEDULED, *RUNNABLE, MissionStatus.PAUSED)
ENDED = (MissionStatus.COMPLETED, MissionStatus.FAILED, MissionStatus.CANCELLED)
LIMIT_CODES = (limit_reasons.MISSION_LIMIT_REACHED.code, limit_reasons.OWNER_LIMIT_REACHED.code)
LIVE_ITEMS = (ItemStatus.SUBMITTING, ItemStatus.PROCESSING, ItemStatus.UNCONFIRMED)

# The engine moves many attempts in one transaction; a savepoint for each would cost two statements.
atomic = functools.partial(transaction.atomic, savepoint=False)

_MISSION_FIELDS = (
    "owner",
    "status",
    "model",
    "currency",
    "max_attempts",
    "not_before",
    "started_at",
    "delete_requested_at",
    "failure_streak",
    "failure_streak_code",
    "pause_reason_code",
    "paused_at",
    "ended_at",
    "run_first",
    "held_count",
    *(f"{status}_count" for status in ItemStatus.values),
)
_ATTEMPT_FIELDS = (
    "status",
    "number",
    "key_fingerprint",
    "expected_cost",
    "item__status",
    "item__mission",
    "item__index",
    "item__first_index",
    "item__version",
    "account__paused_at",
    "account__is_enabled",
    "account__key_fingerprint",
)
# When items that wait for a release may be taken up. The claim decides by ``held_count``; the time
# also stops workers of an older version, which do not know it, during an upgrade.
HELD_UNTIL = datetime(9999, 1, 1, tzinfo=UTC)
NO_PAUSE: dict[str, Any] = {"pause_reason": "", "pause_reason_code": None, "pause_reason_params": None}
_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class LostRace(Exception):
    """The row is no longer in the expected state: another process or person was faster."""


def lose_race_unless(condition: bool) -> None:
    """Raise LostRace unless ``condition`` holds."""
    if not condition:
        raise LostRace


def group_by(pairs: Iterable[tuple[_K, _V]]) -> dict[_K, list[_V]]:
    """Group values by key, both in the order of their first appearance."""
    groups: dict[_K, list[_V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def reason_columns(reason: str) -> dict[str, Any]:
    """Return the columns of an event for a reason."""
    return reasons.columns(reason, text="reason", code="reason_code", params="reason_params")


def message_columns(message: str) -> dict[str, Any]:
    """Return the columns of an item, attempt or output for the message of an error."""
    return reasons.columns(message, text="error_message", code="error_reason", params="error_params")


def error_columns(code: str, message: str) -> dict[str, Any]:
    """Return the columns of an item or attempt for an error. ``code`` is the provider's or ours."""
    return {"error_code": code[:64], **message_columns(message)}


def pause_columns(reason: str) -> dict[str, Any]:
    """Return the columns of a mission for the reason of its pause."""
    return reasons.columns(reason, text="pause_reason", code="pause_reason_code", params="pause_reason_params")


NO_ERROR = error_columns("", "")


def expected_cost(attempts: Iterable[Attempt]) -> Decimal:
    """Return what is reserved for ``attempts``."""
    return sum((attempt.expected_cost or Decimal(0) for attempt in attempts), Decimal(0))


# --- Locks ---


def lock_mission(mission_id: int, *fields: str) -> Mission:
    """Lock a mission's row and load the columns that moves need, plus ``fields``."""
    return Mission.objects.select_for_update(no_key=True).only(*_MISSION_FIELDS, *fields).get(pk=mission_id)


def lock_attempts(attempt_ids: Iterable[int], *statuses: AttemptStatus) -> list[tuple[Mission, Attempt]]:
    """Lock the missions of attempts, then read those attempts that have one of ``statuses``.

    Each comes with its item and account. An attempt that has moved on, or was deleted with its
    mission, is left out. Two attempts of one mission share the mission object.
    """
    attempts = Attempt.objects.filter(pk__in=attempt_ids)
    locked = Mission.objects.select_for_update(no_key=True).only(*_MISSION_FIELDS).order_by("pk")
    missions = {mission.pk: mission for mission in locked.filter(pk__in=attempts.values("item__mission"))}
    rows = attempts.select_related("item", "account").only(*_ATTEMPT_FIELDS).order_by("pk")
    return [(missions[attempt.item.mission_id], attempt) for attempt in rows if attempt.status in statuses]


def lock_attempt(attempt_id: int, *statuses: AttemptStatus) -> tuple[Mission, Attempt] | None:
    """Lock one attempt like ``lock_attempts``. Return None when it has none of ``statuses``."""
    return next(iter(lock_attempts([attempt_id], *statuses)), None)


# --- Missions ---


def move_mission(
    mission: Mission, to: MissionStatus, *, actor: str = ENGINE, reason: str = "", is_new: bool = False, **changes: Any
) -> None:
    """Move a locked mission to another status. ``changes`` are written with it. Raises LostRace."""
    source = mission.status
    now = timezone.now()
    if to == MissionStatus.PAUSED:
        changes["paused_at"] = now
    elif source == MissionStatus.PAUSED:
        changes["paused_at"] = None
    idle_since = mission.paused_at if source == MissionStatus.PAUSED else mission.ended_at
    if mission.started_at and idle_since:  # what lies between its end and a new start is no work either
        idle = now - max(idle_since, mission.started_at)
        changes["paused_seconds"] = F("paused_seconds") + idle.total_seconds()
    moved = Mission.objects.filter(pk=mission.pk, status=source).update(status=to, updated_at=now, **changes)
    lose_race_unless(moved == 1)
    mission.status = to
    ItemEvent.objects.create(
        mission=mission,
        from_status="" if is_new else source,
        to_status=to,
        actor=actor,
        **reason_columns(reason),
    )
    _announce(mission, actor=actor, reason=reason)


def _announce(mission: Mission, *, actor: str, reason: str) -> None:
    """Record the new status of a mission for notifications.

    People hear of what they did not do themselves; programs hear of all.
    """
    topics: tuple[Topic, ...] = ()
    match mission.status:
        case MissionStatus.COMPLETED:
            event, topics = EventType.MISSION_FINISHED, (Topic.FINISHED,)
        case MissionStatus.FAILED:
            event, topics = EventType.MISSION_FINISHED, (Topic.FINISHED, Topic.TROUBLE)
        case MissionStatus.CANCELLED:
            event = EventType.MISSION_CANCELLED
        case MissionStatus.PAUSED:
            event = EventType.MISSION_PAUSED
            code = stored(reason)[0]
            if code == FIRST_ROWS_DONE.code:
                topics = (Topic.FINISHED,)
            elif actor == ENGINE:
                topics = (Topic.LIMIT,) if code in LIMIT_CODES else (Topic.TROUBLE,)
        case _:
            return
    announce(event, mission, topics=topics, reason=reason)


def announce(event: EventType, mission: Mission, *, topics: tuple[Topic, ...], reason: str = "") -> None:
    """Record an event of a locked mission."""
    notifications.record(
        event,
        owner_id=mission.owner_id,
        mission_id=mission.pk,
        mission_status=mission.status,
        topics=topics,
        reason=reason,
    )


def end_if_done(mission: Mission) -> None:
    """End a locked mission when its counts say that nothing is left to do.

    One whose first rows have ended is paused, until its other rows are released.
    """
    if mission.waits_for_release and mission.status in RUNNABLE:
        reason = FIRST_ROWS_DONE(count=mission.run_first)
        move_mission(mission, MissionStatus.PAUSED, reason=reason, **pause_columns(reason))
        return
    is_busy = mission.in_flight_count or mission.pending_count
    if is_busy or (mission.unconfirmed_count and mission.status != MissionStatus.CANCELLED):
        return
    now = timezone.now()
    if mission.status == MissionStatus.CANCELLED:
        Mission.objects.filter(pk=mission.pk).update(ended_at=now)
    elif mission.status in OPEN:
        to = MissionStatus.COMPLETED if mission.completed_count else MissionStatus.FAILED
        move_mission(mission, to, ended_at=now, **NO_PAUSE)
    else:
        return
    with about(mission=mission.pk):
        counts = ", ".join(f"{count} {status}" for status, count in mission.counts.items() if count)
        log.info("A mission has ended: %s", counts)


def reopen(mission: Mission, *, actor: str) -> None:
    """Put a locked mission that has ended back to work, when it has pending items again.

    So does one whose first rows have ended: these items are wanted before the release.
    """
    is_paused = mission.status == MissionStatus.PAUSED
    if is_paused and mission.pause_reason_code == FIRST_ROWS_DONE.code and mission.may_run_count:
        move_mission(mission, MissionStatus.RUNNING, actor=actor, **NO_PAUSE)
    if mission.status in (MissionStatus.COMPLETED, MissionStatus.FAILED) and mission.pending_count:
        to = MissionStatus.RUNNING if mission.started_at else MissionStatus.QUEUED
        move_mission(mission, to, actor=actor, ended_at=None)


def _shift_counts(
    mission: Mission, source: str, to: str, number: int, *, cost: Decimal | None = None, reserved: Decimal = Decimal(0)
) -> None:
    """Move ``number`` items between a mission's counts; add to its cost and its reserved cost."""
    changes: dict[str, Any] = {
        f"{source}_count": F(f"{source}_count") - number,
        f"{to}_count": F(f"{to}_count") + number,
        "updated_at": timezone.now(),
    }
    if cost:
        changes["cost"] = F("cost") + cost
    if to == ItemStatus.COMPLETED:
        changes["failure_streak"] = 0
    if reserved:
        changes["reserved_cost"] = F("reserved_cost") + reserved
    Mission.objects.filter(pk=mission.pk).update(**changes)
    setattr(mission, f"{source}_count", getattr(mission, f"{source}_count") - number)
    setattr(mission, f"{to}_count", getattr(mission, f"{to}_count") + number)


# --- Items ---


def move_items(
    mission: Mission,
    attempts: Sequence[Attempt],
    to: ItemStatus,
    *,
    reason: str = "",
    actor: str = ENGINE,
    cost: Decimal | None = None,
    **changes: Any,
) -> None:
    """Move the items of ``attempts`` from the one status that was read under the mission's lock.

    ``cost`` is what each was charged. The money reserved for them is released once the provider is
    done with them and their cost is known. Raises LostRace.
    """
    [source] = {attempt.item.status for attempt in attempts}
    if cost:
        changes["cost"] = F("cost") + cost
    items = MissionItem.objects.filter(pk__in=[attempt.item_id for attempt in attempts], status=source)
    lose_race_unless(items.update(status=to, **changes) == len(attempts))
    columns = reason_columns(reason)
    ItemEvent.objects.bulk_create(
        ItemEvent(
            mission=mission,
            item_id=attempt.item_id,
            attempt_number=attempt.number,
            from_status=source,
            to_status=to,
            actor=actor,
            **columns,
        )
        for attempt in attempts
    )
    if event := {ItemStatus.COMPLETED: EventType.ITEM_COMPLETED, ItemStatus.FAILED: EventType.ITEM_FAILED}.get(to):
        notifications.record_items(
            event,
            owner_id=mission.owner_id,
            mission_id=mission.pk,
            mission_status=mission.status,
            indexes=[attempt.item.index for attempt in attempts],
        )
    is_reserved = to in LIVE_ITEMS or (to == ItemStatus.COMPLETED and cost is None)
    _shift_counts(
        mission,
        source,
        to,
        len(attempts),
        cost=cost * len(attempts) if cost else None,
        reserved=Decimal(0) if is_reserved else -expected_cost(attempts),
    )
    end_if_done(mission)


def move_many(
    mission: Mission,
    items: QuerySet[MissionItem],
    source: ItemStatus,
    to: ItemStatus,
    *,
    actor: str = ENGINE,
    reason: str = "",
    changes: Mapping[str, Any] | None = None,
    reserved: Decimal = Decimal(0),
) -> int:
    """Move all of ``items`` that are in ``source``. Return how many. Raises LostRace.

    ``reserved`` is added to the mission's reserved cost.
    """
    ids = list(items.filter(status=source).order_by("pk").values_list("pk", flat=True))
    ended = {"ended_at": timezone.now()} if to == ItemStatus.CANCELLED else {}
    moved = 0
    for part in bulk.batches(ids, BATCH):
        rows = MissionItem.objects.filter(pk__in=part, status=source)
        moved += rows.update(**{"status": to, **ended, **(changes or {})})
    lose_race_unless(moved == len(ids))
    events = bulk.Table(ItemEvent, "item_id")
    for pk in ids:
        events.add(pk)
    events.write(mission_id=mission.pk, from_status=source, to_status=to, actor=actor, **reason_columns(reason))
    if moved:
        _shift_counts(mission, source, to, moved, reserved=reserved)
    return moved


# --- Attempts ---


def move_attempt(attempt: Attempt, to: AttemptStatus, **changes: Any) -> None:
    """Move one attempt from the status that was read under its mission's lock. Raises LostRace."""
    lose_race_unless(Attempt.objects.filter(pk=attempt.pk, status=attempt.status).update(status=to, **changes) == 1)


def move_attempts(attempts: Sequence[tuple[Mission, Attempt]], to: AttemptStatus, *fields: str) -> None:
    """Move attempts and write ``fields`` of their objects, in one statement per old status."""
    for source, rows in group_by((attempt.status, attempt) for _, attempt in attempts).items():
        ids = [attempt.pk for attempt in rows]
        moved = Attempt.objects.filter(pk__in=ids, status=source).update(status=to, **bulk.columns(rows, *fields))
        lose_race_unless(moved == len(rows))
        for attempt in rows:
            attempt.status = to


def submitting_attempts(mission: Mission, status: AttemptStatus) -> QuerySet[Attempt]:
    """Return the attempts that hold a slot and have no task yet.

    They are selected by their items: few items are being submitted, however large the mission is.
    """
    items = ItemStatus.SUBMITTING
    return Attempt.objects.filter(item__mission=mission, item__status=items, status=status).order_by("pk")


def withdraw_unsent(mission: Mission, to: ItemStatus, *, actor: str, reason: str) -> int:
    """Take the slot from every item of the mission that holds one and was not sent.

    Return how many.
    """
    attempts = list(submitting_attempts(mission, AttemptStatus.PREPARED).only("item", "expected_cost"))
    item_ids = [attempt.item_id for attempt in attempts]
    Attempt.objects.filter(item_id__in=item_ids, status=AttemptStatus.PREPARED).update(
        status=AttemptStatus.VOID, ended_at=timezone.now(), **message_columns(reason)
    )
    items = MissionItem.objects.filter(pk__in=item_ids)
    reserved = -expected_cost(attempts)
    return move_many(mission, items, ItemStatus.SUBMITTING, to, actor=actor, reason=reason, reserved=reserved)
