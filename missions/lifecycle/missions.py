"""Moves of a mission: open, start, pause, resume, release, cancel, request deletion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.db import bulk
from missions import reasons
from missions.lifecycle.moves import (
    BATCH,
    ENGINE,
    NO_PAUSE,
    OPEN,
    RUNNABLE,
    end_if_done,
    lock_mission,
    lose_race_unless,
    move_many,
    move_mission,
    pause_columns,
    submitting_attempts,
    withdraw_unsent,
)
from missions.models import AttemptStatus, ItemStatus, Mission, MissionItem, MissionStatus

log = logging.getLogger(__name__)

CHANGED_AT_ONCE = 400  # rows whose parameters one statement writes


def open_mission(mission: Mission, *, actor: str) -> None:
    """Give a new mission its first status: scheduled if it starts in the future, else queued."""
    is_later = mission.not_before is not None and mission.not_before > timezone.now()
    with transaction.atomic():
        move_mission(mission, MissionStatus.SCHEDULED if is_later else MissionStatus.QUEUED, actor=actor, is_new=True)


def start_scheduled(mission_id: int) -> None:
    """Move scheduled → queued, when the time has come.

    Raises LostRace when it is not scheduled, or its start was moved to a later time.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        is_later = mission.not_before is not None and mission.not_before > timezone.now()
        lose_race_unless(mission.status == MissionStatus.SCHEDULED and not is_later)
        move_mission(mission, MissionStatus.QUEUED, reason=reasons.START_REACHED())


def start_now(mission_id: int, *, actor: str) -> None:
    """Move scheduled → queued before its time. Raises LostRace when it is not scheduled."""
    with transaction.atomic():
        mission = lock_mission(mission_id)
        lose_race_unless(mission.status == MissionStatus.SCHEDULED)
        move_mission(mission, MissionStatus.QUEUED, actor=actor, reason=reasons.STARTED_BY_PERSON(), not_before=None)


def pause(mission_id: int, *, actor: str, reason: str, may_be_paused: bool = False) -> list[int]:
    """Pause a mission: no item is claimed. Items with a slot that were not sent become pending.

    Return the ids of the attempts that are being sent at this moment: they cannot be called back.
    Raises LostRace when the mission is not scheduled, queued or running. With ``may_be_paused`` it
    may also be paused already, and gets the new reason.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        lose_race_unless(mission.status in (OPEN if may_be_paused else (MissionStatus.SCHEDULED, *RUNNABLE)))
        pause_locked(mission, actor=actor, reason=reason)
        return _sending_ids(mission)


def pause_locked(mission: Mission, *, actor: str = ENGINE, reason: str) -> None:
    """Pause a locked mission."""
    move_mission(mission, MissionStatus.PAUSED, actor=actor, reason=reason, **pause_columns(reason))
    if actor == ENGINE:
        log.warning("Mission %s was paused by the engine: its page says why.", mission.pk)
    withdraw_unsent(mission, ItemStatus.PENDING, actor=actor, reason=reasons.PAUSED_BEFORE_SENDING())


def resume(mission_id: int, *, actor: str) -> None:
    """Move paused → scheduled, queued or running.

    Raises LostRace when it is not paused, or everything that is left waits for a release.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        lose_race_unless(mission.status == MissionStatus.PAUSED and not mission.waits_for_release)
        _resume_locked(mission, actor=actor)


def release(mission_id: int, *, actor: str) -> None:
    """Let the rows run that waited for it, and resume the mission if it is paused.

    Raises LostRace when no row waits, or the mission has ended.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        lose_race_unless(mission.status in OPEN and bool(mission.held_count))
        held = held_items(mission)
        ids = list(held.order_by("pk").values_list("pk", flat=True))
        lose_race_unless(len(ids) == mission.held_count)
        for part in bulk.batches(ids, BATCH):
            held.filter(pk__in=part).update(available_at=timezone.now())
        Mission.objects.filter(pk=mission_id).update(held_count=0, held_cost=None, updated_at=timezone.now())
        mission.held_count = 0
        if mission.status == MissionStatus.PAUSED:
            _resume_locked(mission, actor=actor, reason=reasons.RELEASED(count=len(ids)))


def held_items(mission: Mission) -> QuerySet[MissionItem]:
    """Return the items of a mission that wait for a release."""
    first = mission.run_first if mission.held_count else None
    if first is None:
        return mission.items.none()
    return mission.items.filter(status=ItemStatus.PENDING, index__gt=first, first_index=None)


def change_held(
    mission_id: int, items: Sequence[MissionItem], *, price: Decimal | None, estimate: Decimal | None
) -> None:
    """Store the parameters, origins and file names of items that wait for a release.

    ``price`` is then that of all that wait, ``estimate`` that of the whole mission. Raises LostRace
    when one was released.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        held = held_items(mission)
        for part in bulk.batches(items, CHANGED_AT_ONCE):
            changed = held.filter(pk__in=[item.pk for item in part])
            lose_race_unless(changed.update(**bulk.columns(part, "params", "origin", "file_name")) == len(part))
        changes = {"held_cost": price, "estimated_cost": estimate, "updated_at": timezone.now()}
        Mission.objects.filter(pk=mission_id).update(**changes)


def _resume_locked(mission: Mission, *, actor: str, reason: str = "") -> None:
    is_later = mission.not_before is not None and mission.not_before > timezone.now()
    waiting = MissionStatus.SCHEDULED if is_later else MissionStatus.QUEUED
    status = MissionStatus.RUNNING if mission.started_at else waiting
    move_mission(mission, status, actor=actor, reason=reason, failure_streak=0, **NO_PAUSE)


def cancel(mission_id: int, *, actor: str, reason: str = "") -> tuple[int, list[int]]:
    """Stop a mission for good.

    Items that were not sent are cancelled. Sent ones are paid, and polled to their end.

    Return how many items were cancelled, and the ids of the attempts that are being sent at this
    moment. Raises LostRace when the mission has already ended.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        lose_race_unless(mission.status in OPEN)
        move_mission(mission, MissionStatus.CANCELLED, actor=actor, reason=reason, held_count=0, **NO_PAUSE)
        mission.held_count = 0
        reason = reason or reasons.CANCELLED_BEFORE_SENDING()
        count = withdraw_unsent(mission, ItemStatus.CANCELLED, actor=actor, reason=reason)
        pending = mission.items.filter(status=ItemStatus.PENDING)
        count += move_many(mission, pending, ItemStatus.PENDING, ItemStatus.CANCELLED, actor=actor, reason=reason)
        end_if_done(mission)
        return count, _sending_ids(mission)


def request_deletion(mission_id: int, *, actor: str) -> list[int]:
    """Stop a mission for good and mark it for removal.

    Return the ids of the attempts that are being sent at this moment.
    """
    with transaction.atomic():
        mission = lock_mission(mission_id)
        sending: list[int] = []
        if mission.status in OPEN:
            _, sending = cancel(mission_id, actor=actor, reason=reasons.DELETED())
        Mission.objects.filter(pk=mission_id, delete_requested_at=None).update(delete_requested_at=timezone.now())
        return sending


def _sending_ids(mission: Mission) -> list[int]:
    return list(submitting_attempts(mission, AttemptStatus.SENDING).values_list("pk", flat=True))
