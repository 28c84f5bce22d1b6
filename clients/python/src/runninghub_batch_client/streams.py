"""Event streams and resumable downloads, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import httpx

from runninghub_batch_client.types import Event


class EventReader:
    """Reads the lines of Server-Sent Events, and remembers the last id over several connections."""

    def __init__(self, after: int) -> None:
        self.last_id = after
        self._fields: dict[str, str] = {}

    @property
    def headers(self) -> dict[str, str]:
        return {"Last-Event-ID": str(self.last_id), "Accept": "text/event-stream"}

    def begin(self) -> None:
        """Forget a message of which a connection brought only a part."""
        self._fields = {}

    def feed(self, line: str) -> Event | None:
        """Return the message that ends with this line, if one does."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        number = int(fields["id"]) if fields.get("id") else None
        self.last_id = number or self.last_id
        return Event(fields.get("event", "message"), number, json.loads(fields["data"]))


class PartialFile:
    """A download on its way to ``target``: NAME.part, and NAME.part.etag with its version.

    A download that was broken off, also by the end of the program, continues where it stopped if
    the server still has the same version.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f"{target.name}.part")
        self._etag = target.with_name(f"{target.name}.part.etag")

    @property
    def size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def headers(self) -> dict[str, str]:
        """Return the headers that continue the download."""
        etag = self._etag.read_text() if self._etag.exists() else ""
        return {"Range": f"bytes={self.size}-", "If-Range": etag} if self.size and etag else {}

    def is_whole(self, response: httpx.Response) -> bool:
        """Return True if nothing is left to send.  ``response`` has the status 416."""
        return bool(response.headers.get("Content-Range") == f"bytes */{self.size}")

    def open(self, response: httpx.Response) -> IO[bytes]:
        """Open the file for the body of a response: a part is appended, a whole starts again."""
        self._etag.write_text(response.headers.get("ETag", ""))
        return self._part.open("ab" if response.status_code == httpx.codes.PARTIAL_CONTENT else "wb")

    def finish(self) -> Path:
        self._part.replace(self._target)
        self._etag.unlink(missing_ok=True)
        return self._target

    def discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._etag.unlink(missing_ok=True)
