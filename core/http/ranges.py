"""Files and archives that a client can resume: ranges, ETags and conditional requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import get_conditional_response

from core.errors import RangeNotSatisfiable
from core.http.streaming import ThreadedStream

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Content(Protocol):
    """Bytes that are read once.  ``close`` frees what they need, read or not."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


def ranged_response(
    request: HttpRequest,
    read: Callable[[int, int], Content],
    *,
    size: int,
    etag: str,
    content_type: str,
    headers: Mapping[str, str] | None = None,
) -> HttpResponseBase:
    """Return the response to a GET for ``size`` bytes: 304, the requested range (206), or all.

    ``etag`` is in quotes and differs whenever a byte differs.  ``read`` returns the bytes from the
    first to the last position.  Raises RangeNotSatisfiable.
    """
    unchanged: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    first, last = requested_range(request, etag=etag, size=size) or (0, size - 1)
    response = ThreadedStream(read(first, last), content_type=content_type, headers=headers)
    response["Content-Length"] = str(last - first + 1)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    if last - first + 1 < size:
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    return response


def requested_range(request: HttpRequest, *, etag: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte of the range that a request asks for.

    None stands for the whole: no Range, several, an invalid one, or one of another version
    (If-Range).  Raises RangeNotSatisfiable for a valid range behind the end.
    """
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if not match or request.headers.get("If-Range", etag) != etag:
        return None
    start, end = match.groups()
    if not start and not end:
        return None
    if start:
        first, last = int(start), min(int(end or size), size - 1)
        if end and int(end) < first:
            return None
    else:
        first, last = max(size - int(end), 0), size - 1
    if first > last:
        raise RangeNotSatisfiable(size)
    return first, last


class Slice:
    """The bytes of a content from the first to the last position; those before are skipped."""

    def __init__(self, content: Content, first: int, last: int) -> None:
        self._content = content
        self._pieces = _slice(content, first, last)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._content.close()


def _slice(pieces: Iterable[bytes], first: int, last: int) -> Iterator[bytes]:
    position = 0
    for piece in pieces:
        part = piece[max(first - position, 0) : last + 1 - position]
        position += len(piece)
        if part:
            yield part
        if position > last:
            return
