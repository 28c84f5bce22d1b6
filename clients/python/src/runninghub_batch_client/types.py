"""The answers of the server as typed values.  ``raw`` holds the whole answer, also fields that
newer servers add.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NotRequired, Self, TypedDict

Row = str | Mapping[str, Any]
Raw = Mapping[str, Any]
ENDED = ("completed", "failed", "cancelled")


class SharedFields(TypedDict):
    """The fields of one mission or of a group; ``params`` are shared by all rows."""

    name: str
    task_type: str
    params: NotRequired[Mapping[str, Any]]
    description: NotRequired[str]
    priority: NotRequired[int]
    not_before: NotRequired[datetime]
    repeat: NotRequired[int]
    template_id: NotRequired[int]
    metadata: NotRequired[Mapping[str, Any]]
    max_attempts: NotRequired[int]
    spending_limit: NotRequired[Decimal]
    run_first: NotRequired[int]
    prefix: NotRequired[str]
    suffix: NotRequired[str]
    variables: NotRequired[bool]
    file_name_pattern: NotRequired[str]
    variations: NotRequired[Mapping[str, Sequence[Any]]]


class FileMissionFields(SharedFields):
    """The arguments of ``submit_file`` and ``check_file``."""

    model: NotRequired[str]
    provider: NotRequired[str]


class MissionFields(FileMissionFields):
    """The arguments of ``submit`` and ``check``.  A row is a text, or an object of parameters."""

    rows: Sequence[Row]


class GroupModel(TypedDict):
    """A model of a group; ``config`` has the parameters of its mission alone."""

    model: str
    provider: NotRequired[str]
    config: NotRequired[Mapping[str, Any]]


class GroupFields(SharedFields):
    """The arguments of ``submit_group`` and ``check_group``."""

    rows: Sequence[Row]
    models: Sequence[GroupModel]


class FileOptions(TypedDict, total=False):
    """The way in which the server reads a file: see ``POST /missions/file``.

    ``columns`` holds the parameter of each column by the column's name.
    """

    sheet: str
    columns: Mapping[str, str]
    has_header: bool
    include_hidden: bool


class MissionChanges(TypedDict, total=False):
    """The arguments of ``change``.  A spending limit of None removes it."""

    name: str
    description: str
    folder: str
    priority: int
    spending_limit: Decimal | None
    not_before: datetime
    metadata: Mapping[str, Any]
    file_name_pattern: str


class RestChanges(TypedDict, total=False):
    """The arguments of ``change_rest``.

    In the prompts ``find`` is replaced by ``replace``; then ``prefix`` and ``suffix`` are put
    around them.
    """

    config: Mapping[str, Any]
    prefix: str
    suffix: str
    find: str
    replace: str
    match_case: bool


class MissionFilters(TypedDict, total=False):
    """The arguments of ``missions``.  ``metadata`` finds missions by your own data."""

    status: str | list[str]
    task_type: str
    folder: str
    group: str
    search: str
    created_from: datetime
    created_to: datetime
    metadata: Mapping[str, str]


class ItemFilters(TypedDict, total=False):
    """The arguments of ``items``."""

    status: str | list[str]
    error_code: str
    custom_id: str
    is_chosen: bool


class ResultFilters(TypedDict, total=False):
    """The arguments of ``results``."""

    search: str
    mission_id: int
    custom_id: str
    task_type: str
    provider: str
    model: str
    starred: bool
    tag: str
    completed_from: datetime
    completed_to: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of one field: its path in the request, and a sentence."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """An expected price.  ``amount`` is None if a price is not known."""

    amount: Decimal | None
    currency: str

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(None if raw["amount"] is None else Decimal(raw["amount"]), raw["currency"])


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check: with problems, nothing can be submitted.

    ``input`` has the facts of a file that was read, ``summary`` in it a line for people.
    """

    is_valid: bool
    total_count: int
    estimate: Estimate | None
    problems: list[Problem]
    warnings: list[str]
    input: Mapping[str, Any] | None
    raw: Raw = field(repr=False)

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(
            is_valid=raw["valid"],
            total_count=raw["total_count"],
            estimate=Estimate.read(raw["estimate"]) if raw["estimate"] else None,
            problems=[Problem(problem["field"], problem["message"]) for problem in raw["errors"]],
            warnings=[warning["message"] for warning in raw.get("warnings", [])],
            input=raw.get("input"),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Submitted:
    """A mission that was created; ``is_replay``: by an earlier request with the same key."""

    mission_id: int
    total_count: int
    status: str
    estimate: Estimate
    is_replay: bool
    raw: Raw = field(repr=False)

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(
            mission_id=raw["api_mission_id"],
            total_count=raw["total_count"],
            status=raw["status"],
            estimate=Estimate.read(raw["estimate"]),
            is_replay=raw.get("is_replay", False),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class GroupCheck:
    """The check of a group; ``missions`` are in the order of the models."""

    is_valid: bool
    total_count: int
    estimate: Estimate | None
    problems: list[Problem]
    missions: list[Check]
    raw: Raw = field(repr=False)

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(
            is_valid=raw["valid"],
            total_count=raw["total_count"],
            estimate=Estimate.read(raw["estimate"]) if raw["estimate"] else None,
            problems=[Problem(problem["field"], problem["message"]) for problem in raw["errors"]],
            missions=[Check.read(part) for part in raw["missions"]],
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class SubmittedGroup:
    """Missions of the same rows that were created together, in the order of the models."""

    group: str
    total_count: int
    estimate: Estimate
    missions: list[Submitted]
    is_replay: bool
    raw: Raw = field(repr=False)

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(
            group=raw["group"],
            total_count=raw["total_count"],
            estimate=Estimate.read(raw["estimate"]),
            missions=[Submitted.read(part) for part in raw["missions"]],
            is_replay=raw.get("is_replay", False),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Mission:
    """A mission.  ``counts`` has the number of items per status, ``progress`` is in percent."""

    id: int
    name: str
    status: str
    total_count: int
    counts: Mapping[str, int]
    progress: float
    files_pending_count: int
    is_collectable: bool
    cost: Decimal
    currency: str
    pause_reason: str
    metadata: Mapping[str, Any]
    created_at: datetime
    raw: Raw = field(repr=False)

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_complete(self) -> bool:
        """True if every item succeeded."""
        return self.counts["completed"] == self.total_count

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(
            id=raw["api_mission_id"],
            name=raw["name"],
            status=raw["status"],
            total_count=raw["total_count"],
            counts=raw["counts"],
            progress=raw["progress"],
            files_pending_count=raw["files_pending_count"],
            is_collectable=raw["is_collectable"],
            cost=Decimal(raw["cost"]),
            currency=raw["currency"],
            pause_reason=raw["pause_reason"],
            metadata=raw["metadata"],
            created_at=datetime.fromisoformat(raw["created_at"]),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Output:
    """A result: a file or a text.

    ``file_name`` is its name in downloads, ``reference`` names it as input of another mission.
    """

    number: int
    status: str
    content_type: str
    size_bytes: int | None
    sha256: str
    text: str
    error_message: str
    reference: str | None
    file_name: str
    raw: Raw = field(repr=False)

    @classmethod
    def read(cls, raw: Raw) -> Self:
        names = ("number", "status", "content_type", "size_bytes", "sha256", "text", "error_message", "reference")
        return cls(**{name: raw[name] for name in names}, file_name=raw.get("file_name", ""), raw=raw)


@dataclass(frozen=True, slots=True)
class Item:
    """One generation of a mission.  ``config`` has all parameters that are sent for it,
    ``source_names`` the original names of its images.

    One with a ``first_index`` is a new ``version`` of that item; downloads have the chosen one.
    """

    index: int
    first_index: int | None
    version: int
    is_chosen: bool
    custom_id: str
    source_names: list[str]
    status: str
    config: Mapping[str, Any]
    error_code: str
    error_message: str
    cost: Decimal
    tags: list[str]
    outputs: list[Output]
    raw: Raw = field(repr=False)

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(
            **{name: raw[name] for name in ("index", "custom_id", "status", "config", "error_code", "error_message")},
            first_index=raw.get("first_index"),
            version=raw.get("version", 1),
            is_chosen=raw.get("is_chosen", True),
            source_names=raw.get("source_names", []),
            cost=Decimal(raw["cost"]),
            tags=raw.get("tags", []),
            outputs=[Output.read(output) for output in raw["outputs"]],
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Media:
    """An uploaded image.  ``reference`` names it in a mission's rows."""

    id: int
    reference: str
    name: str
    sha256: str
    raw: Raw = field(repr=False)

    @classmethod
    def read(cls, raw: Raw) -> Self:
        return cls(raw["id"], raw["reference"], raw["name"], raw["sha256"], raw)


@dataclass(frozen=True, slots=True)
class Event:
    """A message of a mission's stream: ``state``, ``item``, ``mission``, ``text`` or ``end``.

    ``id`` is the position after which a stream can be resumed; None for state and end.
    """

    kind: str
    id: int | None
    data: Raw
