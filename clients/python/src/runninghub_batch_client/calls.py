"""The requests of the API, without a network: both clients send them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import httpx

from runninghub_batch_client import errors
from runninghub_batch_client.types import (
    Check,
    FileMissionFields,
    FileOptions,
    GroupCheck,
    GroupFields,
    Item,
    ItemFilters,
    Media,
    Mission,
    MissionChanges,
    MissionFields,
    MissionFilters,
    RestChanges,
    ResultFilters,
    Submitted,
    SubmittedGroup,
)

T = TypeVar("T")
API = "/api/v1"
VERSION = "0.3.0"
TRIES = 5
TIMEOUT = httpx.Timeout(60, connect=10)  # an event stream sends something every 15 seconds
LONGEST_WAIT = 60.0
UNAVAILABLE = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and the function that reads the ``data`` of its answer.

    ``is_repeatable``: a GET, or a POST with an Idempotency-Key.  Everything else is sent once.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    body: Any = None
    query: Mapping[str, Any] = field(default_factory=dict)
    files: Any = None
    form: Mapping[str, str] = field(default_factory=dict)
    key: str = ""

    @property
    def is_repeatable(self) -> bool:
        return self.method == "GET" or (self.method == "POST" and bool(self.key))

    @property
    def options(self) -> dict[str, Any]:
        """Return the arguments for a request of httpx."""
        headers = {"Idempotency-Key": self.key} if self.key else {}
        query = {name: value for name, value in self.query.items() if value is not None}
        options: dict[str, Any] = {"params": query, "headers": headers}
        if self.body is not None:
            options["json"] = self.body
        if self.files is not None:
            options |= {"files": self.files, "data": dict(self.form)}
        return options


def client_options(url: str, token: str) -> dict[str, Any]:
    """Return the arguments for both clients of httpx."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": f"runninghub-batch-client/{VERSION}"}
    return {"base_url": url.rstrip("/") + API, "headers": headers, "timeout": TIMEOUT}


@dataclass(slots=True)
class Attempts:
    """The attempts at one request.

    ``failed_count`` is the number of failed ones since the last progress.  ``may_be_done``: one of
    them may have been carried out although it failed.
    """

    is_repeatable: bool = True
    failed_count: int = 0
    may_be_done: bool = False

    def wait_or_raise(self, error: httpx.TransportError | errors.ApiError) -> float:
        """Count a failed attempt, and return the seconds before the next one.

        Only requests that can be repeated without effect are, when the server did not answer, is
        not available, limits requests, or is still working on the same request.  Otherwise, and
        after the last attempt, the error is raised.
        """
        self.failed_count += 1
        may_repeat = self.is_repeatable and self.failed_count < TRIES
        backoff: float = 0.5 * 2 ** (self.failed_count - 1)
        if isinstance(error, httpx.TransportError):
            is_unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            self.may_be_done |= not is_unsent
            if may_repeat:
                return backoff
            message = f"No answer: {error or type(error).__name__}"
            raise errors.ConnectionFailed(message, may_be_done=self.may_be_done) from error
        is_running = error.error == "idempotency_in_progress"
        self.may_be_done |= is_running or error.status >= 500
        if may_repeat and (error.status in UNAVAILABLE or is_running):
            return min(error.retry_after or backoff, LONGEST_WAIT)
        error.may_be_done = self.may_be_done
        raise error


def error_of(response: httpx.Response) -> errors.ApiError:
    """Return the error for an answer whose body was read."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    kind = errors.BY_WORD.get(str(body.get("error"))) or errors.BY_STATUS.get(response.status_code)
    if kind is None:
        kind = errors.ServerError if response.status_code >= 500 else errors.ApiError
    wait = response.headers.get("Retry-After", "")
    return kind(
        response.status_code,
        body,
        request_id=response.headers.get("X-Request-Id", ""),
        retry_after=float(wait) if wait.isdecimal() else None,
    )


def data_of(response: httpx.Response) -> Any:
    """Return the payload of an answer; a copy of an earlier one is marked.  Raises ApiError."""
    if not response.is_success:
        raise error_of(response)
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    try:
        data = response.json()["data"]
        return data | {"is_replay": True} if "Idempotent-Replayed" in response.headers else data
    except (ValueError, KeyError, TypeError):  # such as a page of a proxy
        raise errors.ServerError(
            response.status_code, {"message": "The answer is not one of this API."}, request_id="", retry_after=None
        ) from None


def body_of(fields: FileMissionFields | MissionFields | GroupFields) -> dict[str, Any]:
    """Return the request body for the fields of a mission, with its rows unless a file has them."""
    values: dict[str, Any] = {**fields}
    config = {**values.pop("params", {})}
    if "rows" in values:
        config["batch_input"] = list(values.pop("rows"))
    return {name: _plain(value) for name, value in values.items()} | {"config": config}


def submit(body: Mapping[str, Any], *, key: str = "") -> Call[Submitted]:
    return Call("POST", "/missions/submit", Submitted.read, body=body, key=key or new_key())


def check(body: Mapping[str, Any]) -> Call[Check]:
    query = {"validate_only": "true"}
    return Call("POST", "/missions/submit", Check.read, body=body, query=query, key=new_key())


def submit_group(body: Mapping[str, Any], *, key: str = "") -> Call[SubmittedGroup]:
    return Call("POST", "/missions/group", SubmittedGroup.read, body=body, key=key or new_key())


def check_group(body: Mapping[str, Any]) -> Call[GroupCheck]:
    query = {"validate_only": "true"}
    return Call("POST", "/missions/group", GroupCheck.read, body=body, query=query, key=new_key())


def file_fields(fields: FileMissionFields, options: FileOptions) -> dict[str, str]:
    """Return the form fields, beside the file, of a mission whose rows are in a file."""
    form = {"mission": json.dumps(body_of(fields))}
    for name, value in options.items():
        form[name] = value if isinstance(value, str) else json.dumps(value)
    return form


def submit_file(name: str, content: bytes, form: Mapping[str, str], *, key: str = "") -> Call[Submitted]:
    path, files = "/missions/file", {"file": (name, content)}
    return Call("POST", path, Submitted.read, files=files, form=form, key=key or new_key())


def check_file(name: str, content: bytes, form: Mapping[str, str]) -> Call[Check]:
    path, files, query = "/missions/file", {"file": (name, content)}, {"validate_only": "true"}
    return Call("POST", path, Check.read, files=files, form=form, query=query, key=new_key())


def mission(mission_id: int) -> Call[Mission]:
    return Call("GET", f"/missions/{mission_id}", Mission.read)


def missions(filters: MissionFilters, cursor: str | None) -> Call[Mapping[str, Any]]:
    query = {name: _plain(value) for name, value in filters.items() if name != "metadata"}
    query |= {f"metadata.{name}": value for name, value in filters.get("metadata", {}).items()}
    return Call("GET", "/missions", dict, query=query | {"cursor": cursor, "page_size": 100})


def items(mission_id: int, filters: ItemFilters, cursor: str | None) -> Call[Mapping[str, Any]]:
    return Call("GET", f"/missions/{mission_id}/items", dict, query={**filters, "cursor": cursor, "limit": 500})


def results(filters: ResultFilters, cursor: str | None) -> Call[Mapping[str, Any]]:
    query = {name: _plain(value) for name, value in filters.items()}
    return Call("GET", "/results", dict, query=query | {"cursor": cursor, "limit": 100})


def set_tags(mission_id: int, index: int, tags: Sequence[str]) -> Call[Item]:
    return Call("PUT", f"/missions/{mission_id}/items/{index}/tags", Item.read, body={"tags": [*tags]})


def change(mission_id: int, changes: MissionChanges) -> Call[Mission]:
    body = {name: _plain(value) for name, value in changes.items()}
    return Call("PATCH", f"/missions/{mission_id}", Mission.read, body=body)


def act(mission_id: int, verb: str) -> Call[Mapping[str, Any]]:
    """Return the request to start, pause or cancel."""
    return Call("POST", f"/missions/{mission_id}/{verb}", dict, key=new_key())


def resume(mission_id: int, spending_limit: Decimal | None) -> Call[Mapping[str, Any]]:
    body = {} if spending_limit is None else {"spending_limit": _plain(spending_limit)}
    return Call("POST", f"/missions/{mission_id}/resume", dict, body=body, key=new_key())


def release(mission_id: int, at_most: Decimal | None, spending_limit: Decimal | None) -> Call[Mapping[str, Any]]:
    amounts = {"at_most": at_most, "spending_limit": spending_limit}
    body = {name: _plain(amount) for name, amount in amounts.items() if amount is not None}
    return Call("POST", f"/missions/{mission_id}/release", dict, body=body, key=new_key())


def change_rest(mission_id: int, changes: RestChanges, *, only_check: bool) -> Call[Mapping[str, Any]]:
    query = {"validate_only": "true"} if only_check else {}
    return Call("PATCH", f"/missions/{mission_id}/rest", dict, body=dict(changes), query=query)


def retry(mission_id: int, *, indexes: list[int] | None, error_code: str | None) -> Call[Mapping[str, Any]]:
    chosen = {"indexes": indexes, "error_code": error_code}
    body = {name: value for name, value in chosen.items() if value is not None}
    return Call("POST", f"/missions/{mission_id}/retry", dict, body=body, key=new_key())


def make_again(
    mission_id: int, indexes: list[int], config: Mapping[str, Any] | None, *, key: str = ""
) -> Call[Mapping[str, Any]]:
    body = {"indexes": indexes} | ({} if config is None else {"config": dict(config)})
    return Call("POST", f"/missions/{mission_id}/items/again", dict, body=body, key=key or new_key())


def choose(mission_id: int, index: int) -> Call[Item]:
    return Call("POST", f"/missions/{mission_id}/items/{index}/choose", Item.read, key=new_key())


def delete(mission_id: int) -> Call[Mapping[str, Any]]:
    return Call("DELETE", f"/missions/{mission_id}", dict)


def upload(name: str, content: bytes) -> Call[Media]:
    return Call("POST", "/media/upload", Media.read, files={"file": (name, content)}, key=new_key())


def get(path: str, query: Mapping[str, Any]) -> Call[Any]:
    return Call("GET", path, lambda data: data, query=query)


def new_key() -> str:
    """Return a new Idempotency-Key."""
    return str(uuid.uuid4())


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value
