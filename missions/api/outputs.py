"""``/missions/{id}/items/{index}/outputs/{n}``: the result files themselves, and their thumbnails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from django.core.files.storage import storages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from ninja import Field, Path, Router

from core.api.ids import RowId
from core.errors import Gone
from core.http.streaming import ThreadedStream
from core.translated_reasons import in_readers_language
from missions.api.items import ItemIndex, visible_item
from missions.models import Output, OutputStatus
from missions.results.export import file_stem

router = Router(tags=["Results"])

OutputNumber = Annotated[int, Field(ge=1, le=32767)]
CHUNK_BYTES = 256 * 1024
SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "video/webm")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=86400",
}
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def _documented(*types: str) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in types}
    gone = {"description": "It was removed: the operator keeps results for a limited time."}
    return {"responses": {**{status: {"content": content} for status in (200, 206)}, 410: gone}}


@router.get(
    "/{mission_id}/items/{index}/outputs/{number}",
    response={200: None, 206: None, 304: None, 410: None},
    summary="Fetch a result file",
    openapi_extra=_documented("application/octet-stream", "text/plain", *SHOWN),
)
def fetch_output(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], number: Path[OutputNumber]
) -> HttpResponseBase:
    """As it was stored. A single `Range` is served."""
    output = _stored_output(request, mission_id, index, number)
    if not output.file:
        return _serve_text(output)
    kept = _Kept(output.file, output.content_type, _name(output, output.extension), output.sha256)
    return _serve(request, kept)


@router.get(
    "/{mission_id}/items/{index}/outputs/{number}/thumbnail",
    response={200: None, 206: None, 304: None, 410: None},
    summary="Fetch a small picture of a result",
    openapi_extra=_documented("image/jpeg"),
)
def fetch_thumbnail(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], number: Path[OutputNumber]
) -> HttpResponseBase:
    """A JPEG of at most 384 pixels a side; of a video its first frame."""
    output = _stored_output(request, mission_id, index, number)
    if not output.thumbnail:
        raise Http404
    kept = _Kept(output.thumbnail, "image/jpeg", _name(output, "thumb.jpg"), f"{output.sha256}-thumbnail")
    return _serve(request, kept)


class Removed(Gone):
    """The file was removed on purpose.  The message says why."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file in the results storage, and how it is handed out."""

    stored_as: str
    content_type: str
    name: str
    digest: str


def _stored_output(request: HttpRequest, mission_id: int, index: int, number: int) -> Output:
    item = visible_item(request, mission_id, index)
    output = get_object_or_404(item.outputs.all(), index=number, status__in=[OutputStatus.STORED, OutputStatus.REMOVED])
    if output.status == OutputStatus.REMOVED:
        raise Removed(in_readers_language(output.error_message))
    return output


def _name(output: Output, extension: str) -> str:
    suffix = f"-{output.index}" if output.index > 1 else ""
    return f"{file_stem(output.item)}{suffix}.{extension}"


def _disposition(name: str, *, is_shown: bool) -> str:
    return str(content_disposition_header(not is_shown, name))


def _serve_text(output: Output) -> HttpResponse:
    headers = HEADERS | {"Content-Disposition": _disposition(_name(output, "txt"), is_shown=False)}
    return HttpResponse(output.text, content_type="text/plain; charset=utf-8", headers=headers)


def _serve(request: HttpRequest, kept: _Kept) -> HttpResponseBase:
    etag = f'"{kept.digest}"'
    unchanged: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    try:
        size = storages["results"].size(kept.stored_as)
    except FileNotFoundError:
        raise Http404 from None
    first, last = _wanted_bytes(request, etag, size) or (0, size - 1)
    response = ThreadedStream(_pieces(kept.stored_as, first, last), content_type=kept.content_type, headers=HEADERS)
    response["Content-Disposition"] = _disposition(kept.name, is_shown=kept.content_type in SHOWN)
    response["Content-Length"] = str(last - first + 1)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    if last - first + 1 < size:
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    return response


def _wanted_bytes(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """The first and last byte of a single range that the file has.  Anything else is answered with all of it."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if not match or request.headers.get("If-Range", etag) != etag:
        return None
    start, end = match.groups()
    if start:
        first, last = int(start), min(int(end or size), size - 1)
    else:
        first, last = max(size - int(end or 0), 0), size - 1
    return (first, last) if first <= last else None


def _pieces(stored_as: str, first: int, last: int) -> Iterator[bytes]:
    left = last - first + 1
    with storages["results"].open(stored_as) as file:
        file.seek(first)
        while left > 0 and (piece := file.read(min(left, CHUNK_BYTES))):
            left -= len(piece)
            yield piece
