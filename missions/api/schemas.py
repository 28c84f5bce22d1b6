"""Missions and their items, as the JSON API takes them in and gives them out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.urls import reverse
from django.utils.translation import gettext as _
from ninja import Field, Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from core.api.pagination import PageIn, PageOut
from missions import selectors
from missions.models import (
    Attempt,
    AttemptStatus,
    ItemEvent,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
    OutputStatus,
)
from providers.catalog.task_types import TaskType

MAX_INDEX = 2**31 - 1
LATEST = 100
_MONEY = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
ORDERINGS = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "name", "-name", "priority", "-priority", "cost", "-cost"
]  # fmt: skip


def money(amount: Decimal | None) -> str | None:
    """A sum as people write it: at least two decimals, no needless zeros."""
    if amount is None:
        return None
    whole, _, fraction = f"{amount:.6f}".rstrip("0").partition(".")
    return f"{whole}.{fraction:0<2}"


def _require_moment(value: Any) -> Any:
    """Pydantic would take a bare number for seconds since 1970."""
    if not isinstance(value, str) or not _MOMENT.match(value):
        raise PydanticCustomError("moment", _("Write a moment as in 2026-11-24T10:00:00Z."))
    return value


def _require_money(value: Any) -> Any:
    """Not a number: in many languages it would not be the one that was written."""
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise PydanticCustomError("money", _('Write an amount as in "20.00".'))
    return value


def _bounded(moment: datetime) -> datetime:
    if not 1970 <= moment.year <= 2200:
        raise PydanticCustomError("moment", _("Give a moment between 1970 and 2200."))
    return moment.astimezone(UTC)


def path_of(mission_id: int) -> str:
    return reverse("api:mission", args=[mission_id])


def urls_of(mission_id: int) -> dict[str, str]:
    path = path_of(mission_id)
    below = ("items", "events", "download", "cancel", "pause", "resume", "retry")
    files = {"results_jsonl": f"{path}/results.jsonl", "results_csv": f"{path}/results.csv"}
    return {"self": path, **{name: f"{path}/{name}" for name in below}, **files}


def output_url(output: Output) -> str:
    """Where a result's file is; its small picture is at /thumbnail below."""
    return f"{path_of(output.item.mission_id)}/items/{output.item.index}/outputs/{output.index}"


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_require_moment),
    AfterValidator(_bounded),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Priority = Annotated[int, Field(strict=True, ge=-100, le=100, description="Higher goes first.")]
ErrorCode = Annotated[str, Field(min_length=1, max_length=64)]
Index = Annotated[int, Field(strict=True, ge=1, le=MAX_INDEX)]
Cursor = Annotated[str, Field(pattern=r"^[0-9]{1,9}$", description="The next_cursor of the page before.")]
Money = Annotated[
    Decimal,
    BeforeValidator(_require_money),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,6})?$", "examples": ["20.00"]}),
]
Amount = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]{2,6}$", examples=["12.50"])]

CONFIG_SCHEMA = {
    "type": "object",
    "description": "The parameters that all items share, by the model's names, and batch_input: a row per item.",
    "required": ["batch_input"],
    "properties": {
        "batch_input": {
            "type": "array",
            "minItems": 1,
            "description": "A text fills the model's batch field. An object overrides shared parameters for its item, "
            'and may hold custom_id. A file is an address, or "media:ID" of an uploaded one.',
            "items": {"anyOf": [{"type": "string"}, {"type": "object"}]},
        }
    },
    "additionalProperties": True,
    "examples": [{"aspectRatio": "1:1", "batch_input": ["a red fox", {"prompt": "an owl", "custom_id": "B-2"}]}],
}


class Strict(Schema):
    """A body in which an unknown name is an error: a typo must never cost money."""

    model_config = ConfigDict(extra="forbid")


# --- In ---


class MissionIn(Strict):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=10_000)] = ""
    task_type: TaskType
    model: Annotated[str, Field(max_length=200, description="An endpoint of /models. Empty: the type's default.")] = ""
    config: Annotated[dict[str, Any], WithJsonSchema(CONFIG_SCHEMA)]
    priority: Priority = 0
    not_before: Annotated[Moment | None, Field(description="The planned start. Empty: now.")] = None
    repeat: Annotated[int, Field(strict=True, ge=1, le=1_000_000, description="Makes each row that many items.")] = 1
    template_id: Annotated[
        int | None, Field(strict=True, ge=1, le=2**63 - 1, description="Fills model and config where they are silent.")
    ] = None
    metadata: Annotated[dict[str, Any], Field(description="Yours: kept and shown, never read. At most 16 KiB.")] = {}
    max_attempts: Annotated[
        int | None, Field(strict=True, ge=1, le=10, description="Paid attempts per item. Empty: the model's own.")
    ] = None
    spending_limit: Annotated[
        Money | None,
        Field(description="Paused before charged and expected costs go beyond it. Empty: no limit but your own."),
    ] = None
    allow_free_form: Annotated[
        bool, Field(strict=True, description="Operators only: an endpoint that is not in /models, unchecked.")
    ] = False


class MissionChangeIn(Strict):
    """What is absent stays as it is."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = ""
    description: Annotated[str, Field(max_length=10_000)] = ""
    priority: Priority = 0
    spending_limit: Annotated[Money | None, Field(description="null takes it away. To go on, resume the mission.")] = (
        None
    )


class MissionFilterIn(PageIn):
    status: MissionStatus | None = None
    task_type: TaskType | None = None
    search: Annotated[str, Field(max_length=200, description="Part of the name or the description.")] = ""
    created_from: Annotated[Moment | None, Field(description="Not before this moment.")] = None
    created_to: Annotated[Moment | None, Field(description="Before this moment.")] = None
    ordering: ORDERINGS = "-created_at"


class ItemFilterIn(Schema):
    status: ItemStatus | None = None
    error_code: ErrorCode | None = None
    cursor: Cursor = "0"
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class RetryIn(Strict):
    """Which of the failed items: all of them, unless this says less."""

    # Without "| None": a null that a caller did not mean must not retry, and pay for, everything.
    error_code: ErrorCode = None  # type: ignore[assignment]
    indexes: Annotated[list[Index], Field(max_length=50_000)] = None  # type: ignore[assignment]


class ItemRetryIn(Strict):
    """``config``: parameters to replace for this item."""

    config: Annotated[
        dict[str, Any], WithJsonSchema({"type": "object", "examples": [{"prompt": "a red fox, awake"}]})
    ] = None  # type: ignore[assignment]


class ResolveIn(Strict):
    """Exactly one of the two: the task that was found at the provider, or that it never ran there."""

    model_config = ConfigDict(
        json_schema_extra={
            "minProperties": 1,
            "maxProperties": 1,
            "examples": [{"remote_task_id": "1904152026220003329"}],
        }
    )

    remote_task_id: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None
    not_run: Literal[True] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ResolveIn:
        if (self.remote_task_id is None) == (self.not_run is None):
            raise PydanticCustomError("either_or", _("Give either remote_task_id, or not_run: true."))
        return self


# --- Out ---


class EstimateOut(Schema):
    """``amount`` is null when a price is not known."""

    amount: Amount | None
    currency: str


class UrlsOut(Schema):
    """Paths on this host."""

    self: str
    items: str
    events: str
    download: str
    results_jsonl: str
    results_csv: str
    cancel: str
    pause: str
    resume: str
    retry: str


class SubmittedOut(Schema):
    api_mission_id: int
    total_count: int
    status: MissionStatus
    estimate: EstimateOut
    urls: UrlsOut


class ProblemOut(Schema):
    field: str
    message: str


class ValidationOut(Schema):
    """What would happen.  ``errors``: those of a 422 answer, up to 1,000.  ``estimate`` is null when there are any."""

    valid: bool
    total_count: int
    estimate: EstimateOut | None
    errors: list[ProblemOut]


class CountsOut(Schema):
    pending: int
    submitting: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    unconfirmed: int


class MissionOut(Schema):
    api_mission_id: int
    name: str
    description: str
    task_type: TaskType
    model: str
    status: MissionStatus
    pause_reason: str
    priority: int
    progress: Annotated[float, Field(description="Completed items in percent, to one decimal.")]
    total_count: int
    completed_count: int
    failed_count: int
    counts: CountsOut
    estimate: EstimateOut
    cost: Annotated[Amount, Field(description="What the provider has reported so far.")]
    reserved_cost: Annotated[Amount, Field(description="The expected price of what may still be charged.")]
    spending_limit: Annotated[Amount | None, Field(description="cost and reserved_cost stay within it.")]
    currency: str
    created_at: datetime
    updated_at: datetime
    not_before: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    urls: UrlsOut

    @staticmethod
    def resolve_api_mission_id(mission: Mission) -> int:
        return mission.pk

    @staticmethod
    def resolve_estimate(mission: Mission) -> dict[str, Any]:
        return {"amount": money(mission.estimated_cost), "currency": mission.currency}

    @staticmethod
    def resolve_cost(mission: Mission) -> str | None:
        return money(mission.cost)

    @staticmethod
    def resolve_reserved_cost(mission: Mission) -> str | None:
        return money(mission.reserved_cost)

    @staticmethod
    def resolve_spending_limit(mission: Mission) -> str | None:
        return money(mission.spending_limit)

    @staticmethod
    def resolve_urls(mission: Mission) -> dict[str, str]:
        return urls_of(mission.pk)


class MissionPage(PageOut):
    items: list[MissionOut]


class OutputOut(Schema):
    """One result.  The addresses are null until the file is stored."""

    number: Annotated[int, Field(description="From 1.")]
    status: OutputStatus
    content_type: str
    extension: str
    size_bytes: int | None
    sha256: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    text: str
    error_message: str
    removed_at: Annotated[datetime | None, Field(description="When the operator's retention removed the file.")]
    file_url: str | None
    thumbnail_url: str | None

    @staticmethod
    def resolve_number(output: Output) -> int:
        return output.index

    @staticmethod
    def resolve_file_url(output: Output) -> str | None:
        return output_url(output) if output.status == OutputStatus.STORED else None

    @staticmethod
    def resolve_thumbnail_url(output: Output) -> str | None:
        return f"{output_url(output)}/thumbnail" if output.thumbnail else None


class ItemOut(Schema):
    index: int
    custom_id: str
    status: ItemStatus
    config: Annotated[dict[str, Any], Field(description="All parameters that it is sent with.")]
    error_code: str
    error_message: str
    retry_count: int
    attempt_count: Annotated[int, Field(description="Attempts that may have been paid.")]
    cost: Amount
    currency: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outputs: list[OutputOut]

    @staticmethod
    def resolve_config(item: MissionItem) -> dict[str, Any]:
        return dict(item.mission.params | item.params)

    @staticmethod
    def resolve_cost(item: MissionItem) -> str | None:
        return money(item.cost)

    @staticmethod
    def resolve_currency(item: MissionItem) -> str:
        return item.mission.currency


class ItemPage(Schema):
    items: list[ItemOut]
    next_cursor: str | None


def item_page(mission: Mission, wanted: ItemFilterIn) -> dict[str, Any]:
    """One page of a mission's items, in two statements."""
    items, last = selectors.items_after(
        mission, int(wanted.cursor), limit=wanted.limit, status=wanted.status, error_code=wanted.error_code
    )
    return {"items": items, "next_cursor": None if last is None else str(last)}


class MissionDetailOut(MissionOut):
    config: Annotated[dict[str, Any], Field(description="The parameters that all items share.")]
    metadata: dict[str, Any]
    max_attempts: int
    template_id: int | None
    items: Annotated[ItemPage, Field(description="The first page of items.")]

    @staticmethod
    def resolve_config(mission: Mission) -> dict[str, Any]:
        return dict(mission.params)

    @staticmethod
    def resolve_items(mission: Mission) -> dict[str, Any]:
        return item_page(mission, ItemFilterIn())


class AttemptOut(Schema):
    number: int
    status: AttemptStatus
    model: str
    remote_task_id: str
    error_code: str
    error_message: str
    cost: Amount | None
    currency: str
    created_at: datetime
    sending_at: datetime | None
    accepted_at: datetime | None
    ended_at: datetime | None

    @staticmethod
    def resolve_cost(attempt: Attempt) -> str | None:
        return money(attempt.cost)


class EventOut(Schema):
    id: int
    at: datetime
    attempt_number: int | None
    from_status: str
    to_status: str
    reason: str
    actor: str


class ItemDetailOut(ItemOut):
    """``attempts`` and ``events`` hold the latest hundred, oldest first."""

    attempts: list[AttemptOut]
    events: list[EventOut]

    @staticmethod
    def resolve_attempts(item: MissionItem) -> list[Attempt]:
        return list(item.attempts.order_by("-number")[:LATEST])[::-1]

    @staticmethod
    def resolve_events(item: MissionItem) -> list[ItemEvent]:
        return list(item.events.order_by("-pk")[:LATEST])[::-1]


class StateOut(Schema):
    api_mission_id: int
    status: MissionStatus


class StoppedOut(StateOut):
    still_sending_count: Annotated[
        int,
        Field(
            description="Requests sent before the stop that have no answer yet; they may be paid. "
            "Nothing more is sent. Until they settle, the mission counts them in `counts.submitting`."
        ),
    ]


class CancelledOut(StoppedOut):
    cancelled_count: int


class RetriedOut(StateOut):
    retry_count: int
    estimate: EstimateOut


class DeletedOut(Schema):
    api_mission_id: int
    is_removed: Annotated[bool, Field(description="False: something is in flight, and it goes when that has ended.")]
    still_sending_count: int
