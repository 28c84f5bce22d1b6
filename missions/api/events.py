"""``/missions/{id}/events``: what happens to a mission, as it happens."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Field, Header, Path, Query, Router, Schema

from core.api.ids import RowId
from events import streams
from missions.api.missions import visible_mission

router = Router(tags=["Events"])

Position = Annotated[int, Field(ge=0, le=2**63 - 1)]
DOCUMENTED: dict[str, Any] = {
    "responses": {
        200: {
            "description": "Server-Sent Events, until the mission has ended.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    }
}


class FollowIn(Schema):
    after: Annotated[Position, Field(description="Only events that follow the one with this id.")] = 0


class ResumeIn(Schema):
    last_event_id: Annotated[
        Position, Field(alias="Last-Event-ID", description="As `after`; the later one counts.")
    ] = 0


@router.get("/{mission_id}/events", summary="Follow a mission", openapi_extra=DOCUMENTED)
def follow(
    request: HttpRequest, mission_id: Path[RowId], wanted: Query[FollowIn], headers: Header[ResumeIn]
) -> StreamingHttpResponse:
    """The mission's log from its beginning, or from where you left off, and then what happens, as it happens.

    `state` comes first and says how the mission stands. `item` and `mission` tell of one move each; their `id` is what to resume
    after. `end` comes last, when the mission has ended and no file is left to fetch. A stream that stops without it was broken
    off: connect again with the last id.
    """
    mission = visible_mission(request, mission_id)
    response = StreamingHttpResponse(
        streams.follow(
            mission, after=max(wanted.after, headers.last_event_id), latest=streams.latest_event_id(mission)
        ),
        content_type="text/event-stream; charset=utf-8",
    )
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would hold messages back
    return response
