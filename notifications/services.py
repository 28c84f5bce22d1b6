"""Record events, in the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from core.db import reasons
from notifications.models import Channel, Event, EventType, Topic

SETTLE = timedelta(minutes=1)  # unconfirmed items are often found within seconds


@dataclass(frozen=True, slots=True)
class MissionFacts:
    """The facts of a mission for its messages.

    ``is_settled`` is False while files of it are still being fetched. ``items`` holds facts about
    single items for programs, by index.
    """

    name: str
    total_count: int
    counts: Mapping[str, int]
    cost: str
    currency: str
    is_settled: bool
    items: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


# Returns the facts of missions by id; without those that are deleted. The second argument holds the
# indexes of the items that are asked for, by mission.
Describe = Callable[[Collection[int], Mapping[int, Collection[int]]], Mapping[int, MissionFacts]]
_describe: list[Describe] = []


def register_missions(describe: Describe) -> None:
    """Name the function that knows missions. The app of missions calls it when it starts."""
    _describe[:] = [describe]


def facts_of(mission_ids: Collection[int], items: Mapping[int, Collection[int]]) -> Mapping[int, MissionFacts]:
    """Return the facts of missions and of some of their items, without deleted missions."""
    return _describe[0](mission_ids, items) if _describe and mission_ids else {}


def record(
    event_type: EventType,
    *,
    owner_id: int,
    mission_id: int,
    mission_status: str,
    topics: Collection[Topic] = (),
    reason: str = "",
) -> None:
    """Store an event of a mission for its owner's channels, if the owner has any.

    Call it in the transaction of the event, under the lock of the mission. Unconfirmed items are
    reported together, not one by one: a waiting event stands for all, and one that was just
    announced is announced again when its quiet time is over.
    """
    if not Channel.objects.filter(owner=owner_id, is_enabled=True).exists():
        return
    available_at = timezone.now()
    if event_type == EventType.MISSION_UNCONFIRMED:
        if Event.objects.filter(mission_id=mission_id, type=event_type).update(is_quiet=False):
            return
        available_at += SETTLE
    Event.objects.create(
        owner_id=owner_id,
        type=event_type,
        topics=" ".join(topics),
        mission_id=mission_id,
        mission_status=mission_status,
        available_at=available_at,
        **reasons.columns(reason, text="reason", code="reason_code", params="reason_params"),
    )


def record_items(
    event_type: EventType, *, owner_id: int, mission_id: int, mission_status: str, indexes: Iterable[int]
) -> None:
    """Store an event for each of some items, if a program of the owner wants to know of them."""
    if Channel.objects.filter(owner=owner_id, is_enabled=True, wants_items=True).exists():
        Event.objects.bulk_create(
            Event(
                owner_id=owner_id,
                type=event_type,
                mission_id=mission_id,
                item_index=index,
                mission_status=mission_status,
            )
            for index in indexes
        )
