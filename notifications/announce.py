"""Turn due events into deliveries: one message per event for programs, few messages for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet

from notifications import services
from notifications.channels import timestamp
from notifications.models import ITEM_EVENTS, PING, Channel, Delivery, DeliveryState, Event, EventType
from notifications.services import MissionFacts

BATCH = 500  # events per transaction
QUIET_AFTER_UNCONFIRMED = timedelta(hours=1)  # of one mission
PEOPLE_PAUSE = timedelta(minutes=1)  # between two messages to one channel of a person
FILES_PAUSE = timedelta(seconds=2)  # then it is checked again if all files of the mission are stored
FILES_LIMIT = timedelta(minutes=10)  # then its end is announced all the same


def due_events(now: datetime) -> QuerySet[Event]:
    """Return the events that are to be announced now."""
    return Event.objects.filter(available_at__lte=now)


def announce(now: datetime) -> int:
    """Announce a batch of events: write their deliveries and delete them, in one transaction.

    Return how many were taken up. The end of a mission waits until its files are stored.
    """
    with transaction.atomic():
        events = list(due_events(now).order_by("pk").select_for_update(skip_locked=True)[:BATCH])
        if not events:
            return 0
        items: defaultdict[int, set[int]] = defaultdict(set)
        for event in events:
            if event.mission_id is not None and event.item_index is not None:
                items[event.mission_id].add(event.item_index)
        missions = services.facts_of({event.mission_id for event in events if event.mission_id is not None}, items)
        ready, done = [], []
        for event in events:
            mission = _mission_of(event, missions)
            is_end = event.type == EventType.MISSION_FINISHED
            if is_end and mission and not mission.is_settled and event.created_at > now - FILES_LIMIT:
                Event.objects.filter(pk=event.pk).update(available_at=now + FILES_PAUSE)
                continue
            is_unconfirmed = event.type == EventType.MISSION_UNCONFIRMED
            if event.mission_id is None:
                is_wanted = True
            elif not mission:
                is_wanted = is_end  # nobody can act on a deleted mission
            elif is_unconfirmed:
                is_wanted = not event.is_quiet and mission.counts["unconfirmed"] > 0  # else they were found
            else:
                is_wanted = True
            if is_wanted:
                ready.append(event)
            if is_wanted and is_unconfirmed:
                quiet_until = now + QUIET_AFTER_UNCONFIRMED
                Event.objects.filter(pk=event.pk).update(is_quiet=True, available_at=quiet_until)
            else:
                done.append(event.pk)
        Event.objects.filter(pk__in=done).delete()
        # Locked, so that two workers do not add to one message at once.
        channels = Channel.objects.filter(owner__in={event.owner_id for event in ready}, is_enabled=True)
        channels = channels.filter(owner__is_active=True).order_by("pk")
        for channel in channels.select_for_update(no_key=True, of=("self",)):
            mine = [event for event in ready if event.owner_id == channel.owner_id]
            if channel.is_for_people:
                mine = [event for event in mine if set(event.topics.split()) & set(channel.events)]
                _add_to_message(channel, [_entry(event, _mission_of(event, missions)) for event in mine], now)
            else:
                Delivery.objects.bulk_create(
                    Delivery(
                        channel=channel,
                        type=event.type,
                        payload=_payload(event, _mission_of(event, missions)),
                        created_at=now,
                        next_try_at=now,
                    )
                    for event in mine
                    if event.type in channel.events
                )
        return len(events)


def _mission_of(event: Event, missions: Mapping[int, MissionFacts]) -> MissionFacts | None:
    return missions.get(event.mission_id) if event.mission_id is not None else None


def _payload(event: Event, mission: MissionFacts | None) -> dict[str, Any]:
    """Return the body for a program: ids and numbers, no prompts and no results."""
    data: dict[str, Any] = {"api_mission_id": event.mission_id}
    if event.mission_id is None:
        data = {**event.details, "reason_code": event.reason_code}
    elif event.type in ITEM_EVENTS:
        data |= {"item": event.item_index}
        data |= mission.items.get(event.item_index or 0, {}) if mission else {}
    else:
        data |= {"status": event.mission_status, "reason_code": event.reason_code, **_numbers(mission)}
    return {"type": event.type, "timestamp": timestamp(event.created_at), "data": data}


def _entry(event: Event, mission: MissionFacts | None) -> dict[str, Any]:
    """Return the facts of an event for a message to a person."""
    return {
        "type": event.type,
        "api_mission_id": event.mission_id,
        "status": event.mission_status,
        "topics": event.topics.split(),
        "reason": event.reason,
        "reason_code": event.reason_code,
        "reason_params": event.reason_params,
        "details": event.details,
        **_numbers(mission),
    }


def _numbers(mission: MissionFacts | None) -> dict[str, Any]:
    if mission is None:
        return {}
    return {
        "name": mission.name,
        "total_count": mission.total_count,
        "counts": dict(mission.counts),
        "cost": mission.cost,
        "currency": mission.currency,
    }


def _add_to_message(channel: Channel, entries: list[Mapping[str, Any]], now: datetime) -> None:
    """Add events to the message that waits for a channel, or begin one.

    The first is sent at once. Those of the next minute are one message.
    """
    if not entries:
        return
    messages = channel.deliveries.exclude(type=PING)
    waiting = messages.filter(state=DeliveryState.WAITING, try_count=0, next_try_at__gt=now).first()
    if waiting:
        payload = {"events": [*waiting.payload["events"], *entries]}
        if Delivery.objects.filter(pk=waiting.pk, try_count=0, next_try_at__gt=now).update(payload=payload):
            return
    latest = messages.aggregate(latest=Max("next_try_at", filter=Q(try_count=0)), created=Max("created_at"))
    last = max(filter(None, latest.values()), default=None)
    at = max(now, last + PEOPLE_PAUSE) if last else now
    Delivery.objects.create(
        channel=channel, type=entries[0]["type"], payload={"events": entries}, created_at=now, next_try_at=at
    )
