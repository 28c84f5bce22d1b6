"""Webhooks in the API, and the payloads that they receive."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import BaseModel, ConfigDict, StringConstraints

from core.api.openapi import without_defaults
from core.api.pagination import PageIn, PageOut
from notifications import channels
from notifications.models import Cause, DeliveryState, EventType

Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]
Url = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=channels.MAX_URL)]
Events = Annotated[list[EventType], Field(min_length=1, max_length=20)]
EXAMPLE_URL = "https://example.com/hooks/runninghub-batch"


class WebhookIn(Schema):
    model_config = ConfigDict(extra="forbid")

    url: Url = Field(
        description="An https address on the internet; private addresses are refused.", examples=[EXAMPLE_URL]
    )
    events: Events = Field(description="The events to send.", examples=[[EventType.MISSION_FINISHED]])
    name: Name = ""


class WebhookChangeIn(Schema):
    """Absent fields stay unchanged."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=without_defaults)

    url: Url = Field("", examples=[EXAMPLE_URL])
    events: Events = Field([], examples=[[EventType.MISSION_FINISHED]])
    name: Name = ""
    is_enabled: bool = Field(True, description="What waits is sent when it is enabled again.")


class WebhookOut(Schema):
    """A webhook without its secret."""

    id: int
    name: str
    host: str = Field(description="The host of its address. The address itself may be secret and is not shown.")
    events: list[str]
    is_enabled: bool
    given_up_at: datetime | None = Field(
        description="When it was disabled because nothing could be delivered for more than a day."
    )
    failing_since: datetime | None = Field(description="Null while the latest delivery worked.")
    succeeded_at: datetime | None
    old_secret_until: datetime | None = Field(description="Until then messages are signed with the old secret, too.")
    created_at: datetime


class NewWebhookOut(WebhookOut):
    secret: str | None = Field(
        description="Signs the messages: `whsec_` and base64. Only in this response, and null when it is replayed."
    )


class WebhookPage(PageOut):
    items: list[WebhookOut]


class TryOut(Schema):
    at: datetime
    status: int | None = Field(description="The HTTP status of the answer; null without one.")
    milliseconds: int
    answer: str = Field(description="The beginning of the answer, or why there was none.")


class DeliveryOut(Schema):
    id: int
    message_id: str = Field(description="The header `webhook-id`: the same for every try and replay.")
    type: str
    state: DeliveryState
    payload: dict[str, Any] = Field(description="The body: a `WebhookMessage`.")
    tries: list[TryOut] = Field(description="The latest 20, the oldest first.")
    next_try_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


class DeliveryPage(PageOut):
    items: list[DeliveryOut]


class DeliveryFilterIn(PageIn):
    state: DeliveryState | None = None


class MissionEventData(BaseModel):
    """``reason_code``: why a mission was paused; null if a person did it."""

    api_mission_id: int
    status: str
    reason_code: str | None
    name: str = ""
    total_count: int = 0
    counts: dict[str, int] = {}
    cost: str = "0"
    currency: str = ""


class ItemEventData(BaseModel):
    api_mission_id: int
    item: int = Field(description="The index of the item in its mission.")
    custom_id: str = ""
    error_code: str = ""


class ServiceEventData(BaseModel):
    """``cause``: to operators a blocked ``account`` or the full ``disk`` of a host, named by
    ``subject``; to owners of waiting missions a ``provider`` without a usable account, or
    ``all_disks``. ``reason_code``: why an account is blocked.
    """

    cause: Cause
    subject: str
    provider: str = ""
    account_id: int | None = None
    reason_code: str | None


class NoData(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WebhookMessage(BaseModel):
    """The body of a message. It holds ids and numbers: read the results with the API."""

    type: EventType | Literal["ping"]
    timestamp: datetime
    data: MissionEventData | ItemEventData | ServiceEventData | NoData


def webhook_messages(components: dict[str, Any]) -> dict[str, Any]:
    """Return the section ``webhooks`` of an OpenAPI schema, and add the models that it names."""
    schema = WebhookMessage.model_json_schema(ref_template="#/components/schemas/{model}")
    components |= schema.pop("$defs")
    components["WebhookMessage"] = schema
    headers = {
        "webhook-id": "Names the message: the same for every try and replay.",
        "webhook-timestamp": "Seconds since 1970, of this try.",
        "webhook-signature": "One or two of `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.",
    }
    operation = {
        "summary": "A message to a webhook, by Standard Webhooks",
        "operationId": "webhook_message",
        "tags": ["Webhooks"],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": text}
            for name, text in headers.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookMessage"}}},
        },
        "responses": {"2XX": {"description": "Received. Any other answer, or none in 10 seconds: it is sent again."}},
    }
    return {"message": {"post": operation}}
