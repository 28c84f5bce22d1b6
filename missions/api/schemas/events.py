"""The messages of a mission's event stream, for the documented schema.

They are encoded by ``missions.event_source``, once for all who follow a mission.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Field, Schema

from core.api.values import Amount
from missions.api.schemas.missions import CountsOut
from missions.models import ItemStatus, MissionStatus


class MissionState(Schema):
    """A mission at the time of a message."""

    api_mission_id: int
    status: MissionStatus
    total_count: int
    counts: CountsOut
    progress: float
    cost: Amount
    currency: str


class StateEvent(Schema):
    """``event: state``, the first message: the mission's state now."""

    mission: MissionState


class ItemEvent(Schema):
    """``event: item``: a change of an item's status."""

    item: Annotated[int, Field(description="The item's index.")]
    from_: Annotated[str, Field(alias="from", description="A status of items, or empty.")]
    to: ItemStatus
    reason: str
    reason_code: str | None
    attempt: int | None
    at: datetime
    mission: MissionState


class MissionEvent(Schema):
    """``event: mission``: a change of the mission's status."""

    item: None
    from_: Annotated[str, Field(alias="from")]
    to: str
    reason: str
    reason_code: str | None
    attempt: None
    at: datetime
    mission: MissionState


class TextEvent(Schema):
    """``event: text``: the next piece of a text that is being written."""

    item: int
    attempt: int
    text: str
    at: datetime


class EndEvent(Schema):
    """``event: end``, the last message: the mission has ended, and no file is left to download."""

    mission: Annotated[MissionState | None, Field(description="null: it was deleted.")]
