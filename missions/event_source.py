"""The events of missions for ``events.feed``, as they happen.

The ItemEvent log is the only source. Events of one mission are committed in the order of their
ids, so "after id N" resumes without loss.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Case, Exists, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce

from core.money import amount_text
from events.feed import Event, Head, Hub, encode
from missions import lifecycle
from missions.models import ItemEvent, ItemStatus, Mission, Output, OutputStatus

_STATE_FIELDS = ("status", "total_count", "cost", "currency", *(f"{status.value}_count" for status in ItemStatus))
_EVENT_FIELDS = (
    "pk",
    "item__index",
    "from_status",
    "to_status",
    "reason",
    "reason_code",
    "attempt_number",
    "at",
    "text",
)


@dataclass(frozen=True, slots=True)
class MissionHead(Head):
    """The head of a mission's log. ``state`` is the mission's state at that moment, as JSON."""

    state: str


class MissionSource:
    """A reader of the logs of missions. A mission is over when no item and no file is under way."""

    def heads(self, keys: Collection[int]) -> dict[int, MissionHead]:
        log = ItemEvent.objects.filter(mission=OuterRef("pk")).order_by("-pk")
        fetching = Output.objects.filter(item__mission=OuterRef("pk"), status=OutputStatus.PENDING)
        missions: Any = Mission.objects.filter(pk__in=keys, delete_requested_at=None).annotate(
            latest_event=Coalesce(Subquery(log.values("pk")[:1]), 0),
            is_over=Case(
                When(status__in=lifecycle.ENDED, submitting_count=0, processing_count=0, then=~Exists(fetching)),
                default=Value(False),
                output_field=BooleanField(),
            ),
        )
        return {
            mission.pk: MissionHead(mission.latest_event, mission.is_over, encode(state_of(mission)))
            for mission in missions.only(*_STATE_FIELDS)
        }

    def events(self, key: int, *, after: int, head: MissionHead, limit: int) -> list[Event]:
        rows = ItemEvent.objects.filter(mission=key, pk__gt=after, pk__lte=head.position).order_by("pk")
        events = []
        for row in rows.values(*_EVENT_FIELDS)[:limit]:
            index = row["item__index"]
            if row["text"]:  # the next piece of a text that is being written
                piece = {"item": index, "attempt": row["attempt_number"], "text": row["text"], "at": row["at"]}
                events.append(Event(row["pk"], "text", encode(piece).encode()))
                continue
            data = encode(
                {
                    "item": index,
                    "from": row["from_status"],
                    "to": row["to_status"],
                    "reason": row["reason"],
                    "reason_code": row["reason_code"],
                    "attempt": row["attempt_number"],
                    "at": row["at"],
                }
            )
            # The state is the same for all events of a page, so it is encoded only once.
            data = f'{data[:-1]}, "mission": {head.state}}}'
            events.append(Event(row["pk"], "mission" if index is None else "item", data.encode()))
        return events

    def end(self, head: MissionHead | None) -> Event:
        return Event(0, "end", f'{{"mission": {head.state if head else "null"}}}'.encode())


hub = Hub(MissionSource())


def first_event(mission: Mission) -> Event:
    """Return the message that begins every stream: the state of the mission."""
    return Event(0, "state", encode({"mission": state_of(mission)}).encode())


def latest_event_id(mission: Mission) -> int:
    """Return the id of the latest event of a mission; 0 if it has none."""
    latest = ItemEvent.objects.filter(mission=mission).order_by("-pk").values_list("pk", flat=True).first()
    return latest or 0


def state_of(mission: Mission) -> dict[str, Any]:
    """Return the state that every message carries; a page can draw itself from any message."""
    return {
        "api_mission_id": mission.pk,
        "status": mission.status,
        "total_count": mission.total_count,
        "counts": mission.counts,
        "progress": mission.progress,
        "cost": amount_text(mission.cost),
        "currency": mission.currency,
    }
