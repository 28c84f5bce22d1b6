"""Moves of outputs: downloads and their ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from missions.lifecycle.moves import OPEN, atomic, lock_mission, message_columns, reason_columns
from missions.models import ItemEvent, Output, OutputStatus, OutputUse


def claim_downloads(output_ids: Sequence[int], *, try_number: int, lease_until: datetime) -> list[int]:
    """Claim downloads.

    Return those that are still pending and whose try ``try_number`` was not made yet.
    """
    with atomic():
        free = Output.objects.filter(pk__in=output_ids, status=OutputStatus.PENDING, try_count=try_number)
        locked = free.order_by("pk").select_for_update(skip_locked=True, no_key=True)
        ids = list(locked.values_list("pk", flat=True))
        Output.objects.filter(pk__in=ids).update(try_count=try_number + 1, next_try_at=lease_until)
        return ids


def store_outputs(facts: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Move pending → stored.

    ``facts`` holds the columns of each file, by output. Return the moved outputs.
    """
    stored = {"status": OutputStatus.STORED, "stored_at": timezone.now(), "next_try_at": None} | message_columns("")
    with atomic():
        return {
            pk
            for pk, columns in facts.items()
            if Output.objects.filter(pk=pk, status=OutputStatus.PENDING).update(**stored, **columns)
        }


def lose_output(output_id: int, *, message: str) -> bool:
    """Move pending → lost: its address has expired. The item stays completed: it was paid."""
    with atomic():
        output = Output.objects.select_related("item", "attempt").get(pk=output_id)
        mission = lock_mission(output.item.mission_id)
        is_lost = Output.objects.filter(pk=output_id, status=OutputStatus.PENDING).update(
            status=OutputStatus.LOST, next_try_at=None, **message_columns(message)
        )
        if is_lost:
            ItemEvent.objects.create(
                mission=mission,
                item_id=output.item_id,
                attempt_number=output.attempt.number,
                from_status=output.item.status,
                to_status=output.item.status,
                **reason_columns(message),
            )
        return bool(is_lost)


def remove_outputs(outputs: QuerySet[Output], *, message: str, now: datetime) -> list[str]:
    """Move stored → removed. Return the names of the files, to be deleted after the commit.

    A result that an open mission needs as input stays. The rows are locked before the uses are
    read, as in ``references.record_output_uses``.
    """
    with atomic():
        stored = outputs.filter(status=OutputStatus.STORED).order_by("pk")
        rows = list(stored.select_for_update(no_key=True, of=("self",)).values_list("pk", "file", "thumbnail"))
        uses = OutputUse.objects.filter(output__in=[pk for pk, _, _ in rows], mission__status__in=OPEN)
        needed = set(uses.values_list("output", flat=True))
        rows = [row for row in rows if row[0] not in needed]
        Output.objects.filter(pk__in=[pk for pk, _, _ in rows], status=OutputStatus.STORED).update(
            status=OutputStatus.REMOVED, file="", thumbnail="", removed_at=now, **message_columns(message)
        )
        return [name for _, *names in rows for name in names if name]


def abandon_outputs(mission_id: int) -> None:
    """Move pending → lost for all outputs of a mission that is being deleted.

    After that, no download in flight can store a file of the mission.
    """
    pending = Output.objects.filter(item__mission=mission_id, status=OutputStatus.PENDING)
    pending.update(status=OutputStatus.LOST, next_try_at=None)
