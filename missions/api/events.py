"""``/missions/{id}/events``: a mission's events as they happen."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Field, Header, Path, Query, Router, Schema

from core.api.ids import RowId
from events import sse
from missions import event_source
from missions.api.missions import visible_mission
from missions.api.schemas.events import EndEvent, ItemEvent, MissionEvent, StateEvent, TextEvent

router = Router(tags=["Events"])

Position = Annotated[int, Field(ge=0, le=2**63 - 1)]
DOCUMENTED: dict[str, Any] = {
    "responses": {
        200: {
            "description": "Server-Sent Events, until the mission has ended.",
            "content": {
                "text/event-stream": {
                    "schema": {
                        "type": "string",
                        "contentMediaType": "text/event-stream",
                        "contentSchema": {"oneOf": [StateEvent, ItemEvent, MissionEvent, TextEvent, EndEvent]},
                    }
                }
            },
        }
    }
}


class FollowIn(Schema):
    after: Annotated[Position, Field(description="Only events after the one with this id.")] = 0


class EventHeadersIn(Schema):
    last_event_id: Annotated[
        Position, Field(alias="Last-Event-ID", description="Same as `after`; the later one counts.")
    ] = 0


@router.get("/{mission_id}/events", summary="Follow a mission", openapi_extra=DOCUMENTED)
def follow_mission(
    request: HttpRequest, mission_id: Path[RowId], position: Query[FollowIn], headers: Header[EventHeadersIn]
) -> StreamingHttpResponse:
    """Stream the log of a mission, from its beginning or an id, then events as they happen.

    `state` comes first and holds the state of the mission. Each `item` or `mission` message reports
    one change of status; resume after its `id`. `text` holds the next piece of a text that is being
    written; the pieces are deleted when the item's output is there. `end` comes last, when the
    mission has ended and no file is left to fetch. A stream that stops without it was broken off:
    connect again with the last id.
    """
    mission = visible_mission(request, mission_id)
    return sse.response(
        event_source.hub,
        mission.pk,
        first=event_source.first_event(mission),
        after=max(position.after, headers.last_event_id),
        latest=event_source.latest_event_id(mission),
    )
