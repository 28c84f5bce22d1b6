"""Missions in requests and responses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from ninja import Field, Schema
from pydantic import (
    BaseModel,
    ConfigDict,
    Json,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from batch_input.report import InputReport
from batch_input.variables import MAX_AROUND
from core.api.openapi import without_defaults
from core.api.pagination import PageIn, PageOut
from core.api.validation import message_of, path_of
from core.api.values import WHOLE, Amount, DateTime, ErrorCode, Index, Money, Priority, Strict
from core.db.reasons import translate
from core.errors import FieldError
from core.file_names import MAX_PATTERN
from core.money import amount_text
from core.reasons import Reason
from missions import selectors
from missions.api.schemas.items import ItemFilterIn, ItemPage, item_page
from missions.lifecycle import ENDED
from missions.links import mission_urls
from missions.models import Mission, MissionStatus
from missions.services import Corrections
from providers.catalog.task_types import TaskType

PATTERN = (
    "Placeholders: `{image}`, `{custom_id}`, `{prompt}`, `{index}`, `{model}`, `{date}`, and the names of parameters, of "
    "columns and of your metadata."
)
TRUE_WORDS = ("1", "true", "t", "yes", "y", "on")  # pydantic's
ORDERINGS = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "name", "-name", "priority", "-priority", "cost", "-cost"
]  # fmt: skip

CONFIG_SCHEMA = {
    "type": "object",
    "description": "The model's parameters that all items share, and batch_input: one row per item.",
    "required": ["batch_input"],
    "properties": {
        "batch_input": {
            "type": "array",
            "minItems": 1,
            "description": "A string fills the model's batch field. An object overrides shared parameters for its item "
            'and may contain custom_id. A file is a URL, or "media:ID" of an uploaded file.',
            "items": {"anyOf": [{"type": "string"}, {"type": "object"}]},
        }
    },
    "additionalProperties": True,
    "examples": [{"aspectRatio": "1:1", "batch_input": ["a red fox", {"prompt": "an owl", "custom_id": "B-2"}]}],
}


# --- Requests ---


class RowsIn(Strict):
    """The rows to submit, without their model.

    In a check (``validate_only``) invalid fields raise no error: they are in ``problems`` and have
    a substitute, so that the rows can be checked as well.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=10_000)] = ""
    task_type: TaskType
    config: Annotated[dict[str, Any], WithJsonSchema(CONFIG_SCHEMA)]
    priority: Priority = 0
    not_before: Annotated[DateTime | None, Field(description="The planned start. Empty: now.")] = None
    repeat: Annotated[
        int, Field(strict=True, ge=1, le=1_000_000, description="Makes this many items of each row."), WHOLE
    ] = 1
    template_id: Annotated[
        int | None,
        Field(
            strict=True, ge=1, le=2**63 - 1, description="Supplies model and parameters that the request leaves out."
        ),
        WHOLE,
    ] = None
    metadata: Annotated[
        dict[str, Any], Field(description="Your own data: stored and returned, never read. At most 16 KiB.")
    ] = {}
    max_attempts: Annotated[
        int | None,
        Field(strict=True, ge=1, le=10, description="Paid attempts per item. Empty: the model's default."),
        WHOLE,
    ] = None
    spending_limit: Annotated[
        Money | None,
        Field(
            description="The mission pauses before charged and expected costs exceed it. Empty: only your own limit."
        ),
    ] = None
    prefix: Annotated[str, Field(max_length=MAX_AROUND, description="Put before every prompt.")] = ""
    suffix: Annotated[str, Field(max_length=MAX_AROUND, description="Put after every prompt.")] = ""
    variables: Annotated[
        bool,
        Field(
            strict=True,
            description="{red|blue} in a prompt makes an item for each alternative; {{name}} is another field of the "
            "row, or a column of the file. Without it prompts are sent as they are.",
        ),
    ] = False
    variations: Annotated[
        dict[str, list[Any]],
        Field(
            max_length=20,
            description="Several values of parameters: each row that has none of its own becomes an item for each "
            "value, or each combination of values.",
            examples=[{"aspectRatio": ["1:1", "16:9"]}],
        ),
    ] = {}
    run_first: Annotated[
        int | None,
        Field(
            strict=True,
            ge=1,
            le=1_000_000,
            description="Sends only so many items, the first ones, then pauses until POST /missions/{id}/release. "
            "Empty, or as many as there are: sends all.",
        ),
        WHOLE,
    ] = None
    file_name_pattern: Annotated[
        str, Field(max_length=MAX_PATTERN, description=f"The names of the result files. {PATTERN} Empty: a usual one.")
    ] = ""
    allow_free_form: Annotated[
        bool, Field(strict=True, description="Operators only: allow an endpoint that is not in /models, unchecked.")
    ] = False
    _problems: list[FieldError] = PrivateAttr(default_factory=list)
    _substitutes: ClassVar[dict[str, Any]] = {"name": "-", "task_type": TaskType.TEXT, "config": {}}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of ``create_mission``."""
        return {name: getattr(self, name) for name in ("priority", "not_before", "max_attempts", "run_first")}

    @property
    def problems(self) -> list[FieldError]:
        """The errors in the fields of a request that only checks a mission."""
        return self._problems

    @model_validator(mode="wrap")
    @classmethod
    def _collect_problems(cls, values: Any, validate: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        request = (info.context or {}).get("request")
        try:
            return validate(values)
        except ValidationError as error:
            only_check = request is not None and request.GET.get("validate_only", "").lower() in TRUE_WORDS
            if not only_check or not isinstance(values, dict):
                raise
            problems = [FieldError(path_of(detail["loc"]), message_of(detail)) for detail in error.errors()]
            invalid = {detail["loc"][0] for detail in error.errors()}
            valid = {name: value for name, value in values.items() if name in cls.model_fields and name not in invalid}
            draft = validate(cls._substitutes | valid)
            draft._problems = problems
            return draft


class MissionIn(RowsIn):
    """A mission to submit."""

    provider: Annotated[
        str, Field(max_length=32, description="Needed where several providers have the endpoint. Empty: any.")
    ] = ""
    model: Annotated[
        str, Field(max_length=233, description="An endpoint of /models. Empty: the task type's default.")
    ] = ""


class GroupModelIn(BaseModel):
    """A model of a group, and parameters of its mission that override the shared ones."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[
        str,
        Field(
            min_length=1,
            max_length=233,
            description="An endpoint of /models.",
            examples=["rhart-image-v1/text-to-image"],
        ),
    ]
    provider: Annotated[str, Field(max_length=32, description="Needed where several have the endpoint.")] = ""
    config: dict[str, Any] = {}


class GroupIn(RowsIn):
    """Missions of the same rows, one per model. All fields but ``models`` hold for each of them."""

    models: Annotated[list[GroupModelIn], Field(min_length=1, max_length=10)]
    _substitutes: ClassVar[dict[str, Any]] = RowsIn._substitutes | {"models": [{"model": "-"}]}


class FileMissionIn(MissionIn):
    """A mission whose rows come from a file."""

    config: Annotated[
        dict[str, Any], Field(description="The model's parameters that all items share, without batch_input.")
    ] = {}


class MissionFileIn(Strict):
    """The form of a mission that comes with a file of rows.

    ``mission`` is a FileMissionIn as text, because a form has no objects.
    """

    mission: Annotated[
        str,
        Field(
            max_length=1_000_000,
            description="The body of POST /missions as JSON, without config.batch_input.",
            json_schema_extra={"contentMediaType": "application/json"},
            examples=['{"name": "Foxes", "task_type": "text_to_image", "config": {"aspectRatio": "1:1"}}'],
        ),
    ]
    columns: Annotated[
        Json[dict[str, Any]] | None,
        Field(
            description="The parameter of each column by the column's name (or letter), as a JSON object; "
            '"" for a column that is not used. Others are matched by their names and cells.',
            examples=['{"text": "prompt"}'],
        ),
    ] = None
    has_header: Annotated[
        bool | None, Field(description="Whether the first row holds the names of the columns. Empty: recognized.")
    ] = None
    sheet: Annotated[
        str, Field(max_length=200, description="The sheet of a workbook. Empty: the first visible one with rows.")
    ] = ""
    include_hidden: Annotated[bool, Field(description="Read hidden rows and columns as well.")] = False


class MissionChangeIn(Strict):
    """Absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra=without_defaults)

    name: Annotated[str, Field(min_length=1, max_length=200)] = ""
    description: Annotated[str, Field(max_length=10_000)] = ""
    folder: Annotated[str, Field(max_length=100, description="Where the list keeps it; empty: in none.")] = ""
    priority: Priority = 0
    spending_limit: Annotated[
        Money | None, Field(description="null removes it. A mission that it paused continues after a resume.")
    ] = None
    not_before: Annotated[DateTime, Field(description="Of a mission that waits for its planned start.")] = None  # type: ignore[assignment]
    metadata: Annotated[dict[str, Any], Field(description="Replaces all of your own data. At most 16 KiB.")] = {}
    file_name_pattern: Annotated[
        str, Field(min_length=1, max_length=MAX_PATTERN, description=f"Names all result files anew. {PATTERN}")
    ] = ""


class ResumeIn(Strict):
    """``spending_limit`` replaces the mission's limit before it is resumed."""

    spending_limit: Money = None  # type: ignore[assignment]


class ReleaseIn(Strict):
    """``at_most`` is the price that you agree to; ``spending_limit`` replaces the mission's."""

    at_most: Annotated[Money, Field(description="Refused if the estimate is higher by now.")] = None  # type: ignore[assignment]
    spending_limit: Money = None  # type: ignore[assignment]


class RestChangeIn(Strict):
    """A change of all items that wait for a release.

    Words are replaced first; then ``prefix`` and ``suffix`` are put around each prompt.
    """

    model_config = ConfigDict(json_schema_extra=without_defaults)

    config: Annotated[dict[str, Any], Field(description="Parameters to replace in all of them.")] = {}
    prefix: Annotated[str, Field(max_length=MAX_AROUND)] = ""
    suffix: Annotated[str, Field(max_length=MAX_AROUND)] = ""
    find: Annotated[str, Field(max_length=1000, description="Words to replace in the prompts.")] = ""
    replace: Annotated[str, Field(max_length=1000)] = ""
    match_case: Annotated[bool, Field(strict=True)] = False


SEARCH = (
    "Words, each a part of the name or the description, or the beginning of a word of a prompt, a custom ID or the "
    "name of an uploaded file."
)


class MissionFilterIn(PageIn):
    status: Annotated[list[MissionStatus], Field(description="One or several: status=queued&status=running.")] = []
    task_type: TaskType | None = None
    folder: Annotated[str, Field(max_length=100, description="Exactly this one.")] = ""
    group: Annotated[str, Field(max_length=32, description="Missions that were submitted together.")] = ""
    search: Annotated[str, Field(max_length=200, description=SEARCH)] = ""
    created_from: Annotated[DateTime | None, Field(description="At or after this time.")] = None
    created_to: Annotated[DateTime | None, Field(description="Before this time.")] = None
    ordering: ORDERINGS = "-created_at"


class RetryIn(Strict):
    """The failed items to retry: all of them, unless an error code or indexes are given."""

    # Without "| None": a null that a caller did not intend must not retry, and pay for, everything.
    error_code: ErrorCode = None  # type: ignore[assignment]
    indexes: Annotated[list[Index], Field(max_length=50_000)] = None  # type: ignore[assignment]


# --- Responses ---


class EstimateOut(Schema):
    """``amount`` is null when a price is unknown."""

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
    sheet_xlsx: str
    sheet_csv: str
    cancel: str
    pause: str
    resume: str
    release: str
    retry: str


class WarningOut(Schema):
    """Something to look at before paying. ``code`` is a stable word."""

    code: str
    message: str


class ColumnOut(Schema):
    """A column and the parameter that it fills."""

    column: str
    field: str
    is_guess: Annotated[bool, Field(description="Not named like the parameter, but matched by a synonym or its cells.")]


class InputOut(Schema):
    """The facts of the file that the rows come from."""

    name: str
    kind: Annotated[str, Field(description="text, csv, tsv, xlsx, xls, ods, jsonl, json, pasted or mission.")]
    summary: Annotated[str, Field(description="The facts in one line for people.")]
    encoding: str
    delimiter: str
    sheet: str
    other_sheets: list[str]
    header_line: Annotated[int, Field(description="The line of the column names; 0 if there is none.")]
    columns: list[ColumnOut]
    unused_columns: list[str]
    lines: int
    rows: int
    blank: int
    hidden: int
    skipped: int
    characters: int
    warnings: list[WarningOut]


def input_of(report: InputReport) -> dict[str, Any]:
    """Return what was read from a file as InputOut has it, in plain JSON values."""
    columns = [{"column": match.column, "field": match.field, "is_guess": match.is_guess} for match in report.matches]
    facts = {"summary": report.line, "columns": columns, "warnings": warnings_of(report.warnings)}
    stored = report.to_json()
    return {name: stored.get(name) for name in InputOut.model_fields} | facts


def warnings_of(reasons: Iterable[Reason]) -> list[dict[str, str]]:
    """Return reasons as code and message in the caller's language, each code and text once."""
    return [{"code": reason.code, "message": translate(reason)} for reason in dict.fromkeys(reasons)]


class SubmittedOut(Schema):
    api_mission_id: int
    total_count: int
    status: MissionStatus
    estimate: EstimateOut
    urls: UrlsOut
    warnings: list[WarningOut]
    input: Annotated[InputOut | None, Field(description="What was read from the file; null without one.")]


class GroupSubmittedOut(Schema):
    """Missions that were submitted together, in the order of the models.

    The amount of ``estimate`` is null when a price is unknown or the currencies differ.
    """

    group: Annotated[str, Field(description="GET /missions?group=… lists them.")]
    total_count: int
    estimate: EstimateOut
    missions: list[SubmittedOut]


class ProblemOut(Schema):
    field: str
    message: str


class ValidationOut(Schema):
    """The result of a check.

    ``errors``: those of a 422 response, up to 1,000; with any, ``estimate`` is null.
    """

    valid: bool
    total_count: int
    estimate: EstimateOut | None
    first_estimate: Annotated[
        EstimateOut | None, Field(description="The part of it for the items of run_first; null without.")
    ]
    errors: list[ProblemOut]
    warnings: list[WarningOut]
    file_name_pattern: Annotated[str | None, Field(description="As given, or the usual one; null with errors.")]
    file_names: Annotated[list[str], Field(description="The first names of result files, without their endings.")]
    input: Annotated[InputOut | None, Field(description="What was read from the file; null without one.")]


class GroupValidationOut(Schema):
    """The result of a check, in the order of the models; ``errors`` are those of a 422 response."""

    valid: bool
    total_count: int
    estimate: EstimateOut | None
    errors: list[ProblemOut]
    missions: list[ValidationOut]


class CountsOut(Schema):
    pending: int
    submitting: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    unconfirmed: int


class MissionOut(Schema):
    api_mission_id: int = Field(alias="pk")
    name: str
    description: str
    folder: str
    task_type: TaskType
    provider: str
    model: str
    status: MissionStatus
    pause_reason: str = Field(alias="pause_reason_display")
    pause_reason_code: Annotated[str | None, Field(description="A stable word for the reason, if it has one.")]
    priority: int
    progress: Annotated[float, Field(description="Completed items in percent, to one decimal.")]
    total_count: int
    completed_count: int
    failed_count: int
    counts: CountsOut
    files_pending_count: Annotated[int, Field(description="Result files that are still being downloaded.")]
    is_collectable: Annotated[
        bool, Field(description="It has ended, and no file is left to download: the results can be fetched.")
    ]
    estimate: EstimateOut
    cost: Annotated[Amount, Field(description="The cost that the provider has reported so far.")]
    reserved_cost: Annotated[Amount, Field(description="The expected price of attempts that may still be charged.")]
    spending_limit: Annotated[Amount | None, Field(description="cost plus reserved_cost never exceeds it.")]
    group: Annotated[str | None, Field(description="The same for missions that were submitted together.")]
    run_first: Annotated[int | None, Field(description="So many items run before a release; null: all.")]
    held_count: Annotated[int, Field(description="Items that wait for a release; 0: none, or released.")]
    held_cost: Annotated[Amount | None, Field(description="The estimated price of the items that wait.")]
    currency: str
    metadata: dict[str, Any]
    file_name_pattern: Annotated[
        str, Field(description="The pattern of the names of the result files; empty for missions of older releases.")
    ]
    created_at: datetime
    updated_at: datetime
    not_before: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    urls: UrlsOut

    @staticmethod
    def resolve_files_pending_count(mission: Mission) -> int:
        return pending_files(mission)

    @staticmethod
    def resolve_is_collectable(mission: Mission) -> bool:
        return mission.status in ENDED and not mission.in_flight_count and not pending_files(mission)

    @staticmethod
    def resolve_estimate(mission: Mission) -> dict[str, Any]:
        return {"amount": amount_text(mission.estimated_cost), "currency": mission.currency}

    @staticmethod
    def resolve_urls(mission: Mission) -> dict[str, str]:
        return mission_urls(mission.pk)


def pending_files(*missions: Mission) -> int:
    """Return how many files of missions are still being downloaded; read them together, once."""
    unread = [mission for mission in missions if not hasattr(mission, "pending_files")]
    counts = selectors.pending_file_counts() if any(mission.completed_count for mission in unread) else {}
    for mission in unread:
        mission.pending_files = counts.get(mission.pk, 0)  # type: ignore[attr-defined]
    return sum(mission.pending_files for mission in missions)  # type: ignore[attr-defined]


class MissionPage(PageOut):
    items: list[MissionOut]


class MissionDetailOut(MissionOut):
    config: Annotated[dict[str, Any], Field(description="The parameters that all items share.", alias="params")]
    max_attempts: int
    template_id: int | None
    input: Annotated[
        InputOut | None, Field(description="What was read from the file that it was created from; null without one.")
    ]
    items: Annotated[ItemPage, Field(description="The first page of items.")]

    @staticmethod
    def resolve_input(mission: Mission) -> dict[str, Any] | None:
        return input_of(InputReport.from_json(mission.input)) if mission.input else None

    @staticmethod
    def resolve_items(mission: Mission) -> dict[str, Any]:
        return item_page(mission, ItemFilterIn())


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


class ReleasedOut(StateOut):
    released_count: int
    estimate: EstimateOut


class RestExampleOut(Schema):
    index: int
    before: str
    after: str


class RestChangedOut(StateOut):
    changed_count: int
    estimate: Annotated[EstimateOut, Field(description="The price of all items that wait.")]
    examples: Annotated[list[RestExampleOut], Field(description="The first prompts that change.")]


class MadeAgainOut(StateOut):
    indexes: Annotated[list[int], Field(description="Of the new items, in the order of the request.")]
    estimate: EstimateOut


class CorrectedRowOut(Schema):
    line: Annotated[int, Field(description="Of the sheet, from 1.")]
    index: int
    config: Annotated[dict[str, Any], Field(description="The parameters that change.")]


class CorrectionsOut(StateOut):
    """The changes by a sheet. ``estimate`` is the price of one attempt for each changed item."""

    changed: list[CorrectedRowOut]
    unchanged: Annotated[list[int], Field(description="Indexes of failed items that stay as they are.")]
    not_failed: Annotated[list[int], Field(description="Indexes of items that are not failed any more.")]
    unknown: Annotated[list[int], Field(description="Lines that name no item of this mission.")]
    repeated: Annotated[list[int], Field(description="Lines that name an item for the second time.")]
    unused_columns: list[str]
    problems: list[ProblemOut]
    retry_count: int
    estimate: EstimateOut


def corrections(mission: Mission, found: Corrections) -> dict[str, Any]:
    """Return what a sheet would change, in plain JSON values."""
    names = ("unchanged", "not_failed", "unknown", "repeated", "unused_columns")
    return {
        "changed": [{"line": row.line, "index": row.index, "config": row.params} for row in found.changed],
        "problems": [{"field": error.field, "message": error.message} for error in found.problems],
        "estimate": {"amount": amount_text(found.estimate), "currency": mission.currency},
    } | {name: getattr(found, name) for name in names}


class DeletedOut(Schema):
    api_mission_id: int
    is_removed: Annotated[
        bool, Field(description="false: something is still in flight; the mission is removed when that has ended.")
    ]
    still_sending_count: int
