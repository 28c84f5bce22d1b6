"""Items, their attempts, results and events in requests and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from ninja import Field, Schema
from pydantic import ConfigDict, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from core.api.values import Amount, Cursor, ErrorCode, Index, Strict
from core.tags import MAX_COUNT
from missions import links, selectors
from missions.models import (
    LIVE_ATTEMPTS,
    Attempt,
    AttemptStatus,
    ItemEvent,
    ItemStatus,
    Mission,
    MissionItem,
    Output,
    OutputStatus,
)
from missions.results.names import file_name, source_names

TASK_ID = r"^[A-Za-z0-9_-]{1,64}$"
LATEST = 100  # attempts and events that an item shows


# --- Requests ---


class ItemFilterIn(Schema):
    status: Annotated[list[ItemStatus], Field(description="One or several: status=failed&status=cancelled.")] = []
    error_code: ErrorCode | None = None
    custom_id: Annotated[str | None, Field(max_length=200, description="Exactly this one.")] = None
    is_chosen: Annotated[
        bool | None, Field(description="true: of results that were made again, only the chosen version.")
    ] = None
    cursor: Cursor = "0"
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ItemRetryIn(Strict):
    """``config``: parameters to replace for this item."""

    config: Annotated[
        dict[str, Any], WithJsonSchema({"type": "object", "examples": [{"prompt": "a red fox, awake"}]})
    ] = None  # type: ignore[assignment]


class AgainIn(Strict):
    """The completed items to make again; ``config``: parameters to replace in all new versions."""

    indexes: Annotated[list[Index], Field(min_length=1, max_length=5000, examples=[[22]])]
    config: Annotated[
        dict[str, Any], WithJsonSchema({"type": "object", "examples": [{"prompt": "a red fox, awake"}]})
    ] = None  # type: ignore[assignment]


class TagsIn(Strict):
    """All tags of an item; others are removed. Each has 1 to 40 characters, no commas."""

    tags: Annotated[list[str], Field(max_length=MAX_COUNT, examples=[["approved"]])]


class CorrectionsIn(Strict):
    """The form that comes with a sheet of corrected rows."""

    retry: Annotated[bool, Field(description="Submit the changed items again, which costs money.")] = False
    sheet: Annotated[str, Field(max_length=200, description="The sheet of a workbook. Empty: the first with rows.")] = (
        ""
    )


class ResolveIn(Strict):
    """Exactly one of the two: the task that you found at the provider, or that it never ran
    there.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "minProperties": 1,
            "maxProperties": 1,
            "examples": [{"remote_task_id": "1904152026220003329"}],
        }
    )

    remote_task_id: Annotated[
        str | None, Field(pattern=TASK_ID), WithJsonSchema({"type": "string", "pattern": TASK_ID})
    ] = None
    not_run: Annotated[Literal[True] | None, WithJsonSchema({"type": "boolean", "const": True})] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ResolveIn:
        if (self.remote_task_id is None) == (self.not_run is None):
            raise PydanticCustomError("either_or", _("Give either remote_task_id, or not_run: true."))
        return self


# --- Responses ---


class OutputOut(Schema):
    """One result. The URLs are null until the file is stored."""

    number: Annotated[int, Field(description="From 1.", alias="index")]
    status: OutputStatus
    content_type: str
    extension: str
    size_bytes: int | None
    sha256: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    text: str
    error_message: str = Field(alias="error_display")
    removed_at: Annotated[datetime | None, Field(description="When the operator's retention deleted the file.")]
    file_name: Annotated[str, Field(description="The name of its file in every download.")]
    file_url: str | None
    thumbnail_url: str | None
    reference: Annotated[
        str | None, Field(description="Names the file as input of another mission; null until it is stored.")
    ]

    @staticmethod
    def resolve_reference(output: Output) -> str | None:
        return output.reference if output.status == OutputStatus.STORED and output.file else None

    @staticmethod
    def resolve_file_name(output: Output) -> str:
        return file_name(output.item, output)

    @staticmethod
    def resolve_file_url(output: Output) -> str | None:
        return links.output_url(output) if output.status == OutputStatus.STORED else None

    @staticmethod
    def resolve_thumbnail_url(output: Output) -> str | None:
        return links.thumbnail_url(output) if output.thumbnail else None


class ItemOut(Schema):
    index: int
    first_index: Annotated[int | None, Field(description="The item that this one is a new version of; null: none.")]
    version: Annotated[int, Field(description="From 1.")]
    is_chosen: Annotated[bool, Field(description="Galleries and downloads contain this version.")]
    custom_id: str
    source_names: Annotated[list[str], Field(description="The original names of the images that it is made from.")]
    status: ItemStatus
    config: Annotated[dict[str, Any], Field(description="All parameters that are sent for it.")]
    error_code: str
    error_message: str = Field(alias="error_display")
    progress: Annotated[
        float | None, Field(description="How much of the running attempt is done, from 0 to 1; null if not reported.")
    ]
    retry_count: int
    attempt_count: Annotated[int, Field(description="Attempts that may have been paid.")]
    cost: Amount
    currency: str = Field(alias="mission.currency")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    tags: Annotated[list[str], Field(description="Words that people gave to its results.")]
    outputs: list[OutputOut]

    @staticmethod
    def resolve_tags(item: MissionItem) -> list[str]:
        names: list[str] | None = getattr(item, "tag_names", None)  # selectors.items_with_outputs loads them
        return [tag.name for tag in item.tags.all()] if names is None else names

    @staticmethod
    def resolve_outputs(item: MissionItem) -> list[Output]:
        outputs = getattr(item, "loaded_outputs", None)
        return list(item.outputs.all()) if outputs is None else outputs

    @staticmethod
    def resolve_source_names(item: MissionItem) -> list[str]:
        return source_names(item)

    @staticmethod
    def resolve_progress(item: MissionItem) -> float | None:
        progress: float | None = item.progress  # type: ignore[attr-defined]  # selectors.items_after annotates it
        return progress

    @staticmethod
    def resolve_config(item: MissionItem) -> dict[str, Any]:
        return dict(item.mission.params | item.params)


class ItemPage(Schema):
    items: list[ItemOut]
    next_cursor: str | None


def item_page(mission: Mission, filters: ItemFilterIn) -> dict[str, Any]:
    """Read one page of a mission's items, in three statements."""
    items, last = selectors.items_after(
        mission,
        int(filters.cursor),
        limit=filters.limit,
        statuses=filters.status,
        error_code=filters.error_code,
        custom_id=filters.custom_id,
        is_chosen=filters.is_chosen,
    )
    return {"items": items, "next_cursor": None if last is None else str(last)}


class AttemptOut(Schema):
    number: int
    status: AttemptStatus
    model: str
    remote_task_id: str
    error_code: str
    error_message: str = Field(alias="error_display")
    cost: Amount | None
    currency: str
    created_at: datetime
    sending_at: datetime | None
    accepted_at: datetime | None
    ended_at: datetime | None


class EventOut(Schema):
    id: int
    at: datetime
    attempt_number: int | None
    from_status: str
    to_status: str
    reason: str = Field(alias="reason_display")
    reason_code: Annotated[str | None, Field(description="A stable word for the reason, if it has one.")]
    actor: str


class ItemDetailOut(ItemOut):
    """``attempts`` and ``events`` hold the latest hundred, oldest first."""

    attempts: list[AttemptOut]
    events: list[EventOut]

    @staticmethod
    def resolve_progress(item: MissionItem) -> float | None:
        attempts = ItemDetailOut.resolve_attempts(item)
        return attempts[-1].progress if attempts and attempts[-1].status in LIVE_ATTEMPTS else None

    @staticmethod
    def resolve_attempts(item: MissionItem) -> list[Attempt]:
        if not hasattr(item, "latest_attempts"):  # two fields of the response need them
            item.latest_attempts = list(item.attempts.order_by("-number")[:LATEST])[::-1]  # type: ignore[attr-defined]
        attempts: list[Attempt] = item.latest_attempts  # type: ignore[attr-defined]
        return attempts

    @staticmethod
    def resolve_events(item: MissionItem) -> list[ItemEvent]:
        return list(item.events.filter(text="").order_by("-pk")[:LATEST])[::-1]
