"""The client for asyncio; ``client`` is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from runninghub_batch_client import calls, errors, streams
from runninghub_batch_client.types import (
    Check,
    Event,
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


class AsyncClient:
    """A client of one server, with one token.

    ``url`` is the server's address without ``/api/v1``.  Every POST has an Idempotency-Key.  GET
    and POST are repeated when the server does not answer or is not available; PATCH and DELETE are
    sent once.  Methods raise the errors of ``errors``.

    Use it in an ``async with`` block, or call ``close``.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = httpx.AsyncClient(**calls.client_options(url, token), transport=transport)
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # --- Missions ---

    async def submit(self, *, key: str = "", **fields: Unpack[MissionFields]) -> Submitted:
        """Create a mission, which costs money.

        The same ``key`` within 24 hours returns the first answer again, and creates nothing.
        """
        return await self.submit_body(calls.body_of(fields), key=key)

    async def submit_body(self, body: Mapping[str, Any], *, key: str = "") -> Submitted:
        """Create a mission from a whole request body."""
        return await self._send(calls.submit(body, key=key))

    async def check(self, **fields: Unpack[MissionFields]) -> Check:
        """Check and price a mission.  Nothing is created."""
        return await self.check_body(calls.body_of(fields))

    async def check_body(self, body: Mapping[str, Any]) -> Check:
        """Check and price a whole request body."""
        return await self._send(calls.check(body))

    async def submit_group(self, *, key: str = "", **fields: Unpack[GroupFields]) -> SubmittedGroup:
        """Create missions of the same rows, one per model: all or none.  It costs money.

        ``key`` is the key of all, as for ``submit``.
        """
        return await self._send(calls.submit_group(calls.body_of(fields), key=key))

    async def check_group(self, **fields: Unpack[GroupFields]) -> GroupCheck:
        """Check and price missions of the same rows.  Nothing is created."""
        return await self._send(calls.check_group(calls.body_of(fields)))

    async def submit_file(
        self, file: Path, options: FileOptions | None = None, *, key: str = "", **fields: Unpack[FileMissionFields]
    ) -> Submitted:
        """Create a mission whose rows are in a file: text, CSV, XLSX, JSON Lines.

        The server reads it.  Check it first: ``Check.input`` says what was read, and what was not.
        """
        form = calls.file_fields(fields, options or {})
        return await self._send(calls.submit_file(file.name, file.read_bytes(), form, key=key))

    async def check_file(
        self, file: Path, options: FileOptions | None = None, **fields: Unpack[FileMissionFields]
    ) -> Check:
        """Check and price a mission whose rows are in a file.  Nothing is created."""
        form = calls.file_fields(fields, options or {})
        return await self._send(calls.check_file(file.name, file.read_bytes(), form))

    async def mission(self, mission_id: int) -> Mission:
        return await self._send(calls.mission(mission_id))

    async def missions(self, **filters: Unpack[MissionFilters]) -> AsyncIterator[Mission]:
        """Yield your missions, newest first, each once."""
        cursor: str | None = None
        while cursor != "":
            page = await self._send(calls.missions(filters, cursor))
            for mission in page["items"]:
                yield Mission.read(mission)
            cursor = page["next_cursor"] or ""

    async def items(self, mission_id: int, **filters: Unpack[ItemFilters]) -> AsyncIterator[Item]:
        """Yield a mission's items in the order of the batch."""
        cursor: str | None = None
        while cursor != "":
            page = await self._send(calls.items(mission_id, filters, cursor))
            for item in page["items"]:
                yield Item.read(item)
            cursor = page["next_cursor"] or ""

    async def results(self, **filters: Unpack[ResultFilters]) -> AsyncIterator[Item]:
        """Yield the results of all missions, newest first; ``raw`` names their missions."""
        cursor: str | None = None
        while cursor != "":
            page = await self._send(calls.results(filters, cursor))
            for item in page["items"]:
                yield Item.read(item)
            cursor = page["next_cursor"] or ""

    async def set_tags(self, mission_id: int, index: int, tags: Sequence[str]) -> Item:
        """Let an item have these tags, by which it is found again, and no others."""
        return await self._send(calls.set_tags(mission_id, index, tags))

    async def change(self, mission_id: int, **changes: Unpack[MissionChanges]) -> Mission:
        return await self._send(calls.change(mission_id, changes))

    async def pause(self, mission_id: int) -> Mapping[str, Any]:
        return await self._send(calls.act(mission_id, "pause"))

    async def resume(self, mission_id: int, spending_limit: Decimal | None = None) -> Mapping[str, Any]:
        """Continue a paused mission, perhaps with another spending limit.

        Raises Conflict with the error ``limit_reached`` when a limit does not cover the next item.
        """
        return await self._send(calls.resume(mission_id, spending_limit))

    async def release(
        self, mission_id: int, *, at_most: Decimal | None = None, spending_limit: Decimal | None = None
    ) -> Mapping[str, Any]:
        """Send the items that wait behind those of ``run_first``, which costs money.

        ``at_most`` is the price that you agree to.  Raises Conflict when nothing waits, the price
        is higher, or a limit does not cover the next item.
        """
        return await self._send(calls.release(mission_id, at_most, spending_limit))

    async def change_rest(
        self, mission_id: int, *, only_check: bool = False, **changes: Unpack[RestChanges]
    ) -> Mapping[str, Any]:
        """Change the items that wait for a release.  Nothing is sent."""
        return await self._send(calls.change_rest(mission_id, changes, only_check=only_check))

    async def start(self, mission_id: int) -> Mapping[str, Any]:
        """Start a scheduled mission now."""
        return await self._send(calls.act(mission_id, "start"))

    async def cancel(self, mission_id: int) -> Mapping[str, Any]:
        return await self._send(calls.act(mission_id, "cancel"))

    async def retry(
        self, mission_id: int, *, indexes: list[int] | None = None, error_code: str | None = None
    ) -> Mapping[str, Any]:
        """Submit failed items again, which costs money: all of them, or those chosen."""
        return await self._send(calls.retry(mission_id, indexes=indexes, error_code=error_code))

    async def make_again(
        self, mission_id: int, indexes: list[int], config: Mapping[str, Any] | None = None, *, key: str = ""
    ) -> Mapping[str, Any]:
        """Make completed items again, which costs money: a new version of each.

        ``config`` replaces some parameters in all of them.  The answer has the new ``indexes`` and
        the ``estimate``.  The same ``key`` within 24 hours returns the first answer again.
        """
        return await self._send(calls.make_again(mission_id, indexes, config, key=key))

    async def choose(self, mission_id: int, index: int) -> Item:
        """Let galleries and downloads contain this version of a result that was made again."""
        return await self._send(calls.choose(mission_id, index))

    async def delete(self, mission_id: int) -> Mapping[str, Any]:
        return await self._send(calls.delete(mission_id))

    # --- Results ---

    async def follow(self, mission_id: int, *, after: int = 0) -> AsyncIterator[Event]:
        """Yield a mission's messages until its end, each once, over as many connections as needed.

        ``after`` is the id of the last message that you have seen.
        """
        reader = streams.EventReader(after)
        attempts = calls.Attempts()
        while True:
            reader.begin()
            error: httpx.TransportError | errors.ApiError = httpx.RemoteProtocolError("The stream was broken off.")
            try:
                async with self._http.stream(
                    "GET", f"/missions/{mission_id}/events", headers=reader.headers
                ) as response:
                    if not response.is_success:
                        await response.aread()
                        raise calls.error_of(response)
                    async for line in response.aiter_lines():
                        if event := reader.feed(line):
                            attempts.failed_count = 0
                            yield event
                            if event.kind == "end":
                                return
            except (httpx.TransportError, errors.ApiError) as failure:
                error = failure
            await self._sleep(attempts.wait_or_raise(error))

    async def wait(self, mission_id: int) -> Mission:
        """Return a mission when it has ended and all its files can be fetched.

        A paused mission, or one with unconfirmed items, has not ended.  Raises NotFound if it is
        deleted meanwhile.
        """
        async for _event in self.follow(mission_id):
            pass
        return await self.mission(mission_id)

    async def download(self, mission_id: int, target: Path) -> Path:
        """Store the archive of all results that are there now.  A broken download is continued."""
        return await self._fetch(f"/missions/{mission_id}/download", target)

    async def download_output(self, mission_id: int, index: int, number: int, target: Path) -> Path:
        """Store one result file.  Raises NotStored or Gone if the server does not have it."""
        return await self._fetch(f"/missions/{mission_id}/items/{index}/outputs/{number}", target)

    # --- The rest ---

    async def upload(self, file: Path) -> Media:
        """Upload an image.  The same bytes again return the same image."""
        return await self._send(calls.upload(file.name, file.read_bytes()))

    async def get(self, path: str, **query: Any) -> Any:
        """Return the data of any GET, such as ``get("/models", task_type="text_to_image")``."""
        return await self._send(calls.get(path, query))

    async def me(self) -> Mapping[str, Any]:
        """Return the caller, with limits and what is left of them."""
        caller: Mapping[str, Any] = await self.get("/me")
        return caller

    async def _send(self, call: calls.Call[T]) -> T:
        attempts = calls.Attempts(call.is_repeatable)
        while True:
            try:
                return call.read(calls.data_of(await self._http.request(call.method, call.path, **call.options)))
            except (httpx.TransportError, errors.ApiError) as error:
                wait = attempts.wait_or_raise(error)
            await self._sleep(wait)

    async def _fetch(self, path: str, target: Path) -> Path:
        part = streams.PartialFile(target)
        attempts = calls.Attempts()
        while True:
            size = part.size
            try:
                async with self._http.stream("GET", path, headers=part.headers()) as response:
                    if size and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                        if part.is_whole(response):
                            return part.finish()
                        part.discard()
                        continue  # from the start
                    if not response.is_success:
                        await response.aread()
                        raise calls.error_of(response)
                    with part.open(response) as file:
                        async for piece in response.aiter_bytes():
                            file.write(piece)
                    return part.finish()
            except (httpx.TransportError, errors.ApiError) as failure:
                if part.size > size:
                    attempts.failed_count = 0
                wait = attempts.wait_or_raise(failure)
            await self._sleep(wait)
