"""Record events, in the transaction of what they tell of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from core.db import reasons
from notifications.models import Cause, Channel, Event, EventType, Incident, Topic

log = logging.getLogger(__name__)
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


# --- Incidents ---


def incident_for(provider: str) -> Incident | None:
    """Return the incident for which the missions of a provider wait, None if there is none."""
    rows = Incident.objects.filter(Q(cause=Cause.PROVIDER, subject=provider) | Q(cause=Cause.ALL_DISKS))
    return rows.first()


def begin_incident(
    cause: Cause, subject: str, *, people: Callable[[], Collection[int]], details: Mapping[str, Any], reason: str = ""
) -> bool:
    """Store an incident and an event for each of the people. Return False if it is known."""
    with transaction.atomic():
        columns = reasons.columns(reason, text="reason", code="reason_code", params="reason_params")
        facts = {"cause": cause.value, "subject": subject, **details}
        incident, is_new = Incident.objects.get_or_create(
            cause=cause, subject=subject, defaults={"details": facts, **columns}
        )
        if is_new:
            log.error("Incident: %s", f"{incident}: {reason}" if reason else incident)
            _store_events(EventType.SERVICE_STOPPED, incident, people())
        return is_new


def end_incident(incident: Incident, *, people: Callable[[], Collection[int]] = list) -> bool:
    """Delete an incident, with an event for each of the people. Return False if it has ended."""
    with transaction.atomic():
        deleted, _rows = Incident.objects.filter(pk=incident.pk).delete()
        if deleted:
            log.info("End of the incident: %s", incident)
            _store_events(EventType.SERVICE_RESUMED, incident, people())
        return bool(deleted)


def _store_events(event_type: EventType, incident: Incident, people: Collection[int]) -> None:
    """Store an event of an incident for each of the people who have a channel."""
    with_channels = Channel.objects.filter(owner__in=people, is_enabled=True).order_by("owner_id")
    Event.objects.bulk_create(
        Event(
            owner_id=owner_id,
            type=event_type,
            topics=Topic.TROUBLE,
            details=incident.details,
            reason=incident.reason,
            reason_code=incident.reason_code,
            reason_params=incident.reason_params,
        )
        for owner_id in with_channels.values_list("owner_id", flat=True).distinct()
    )
