"""``/missions/{id}/items/{index}/outputs/{n}``: result files and their thumbnails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from django.core.files.storage import storages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from ninja import Field, Path, Router

from core.api.ids import RowId
from core.errors import Gone
from core.http.file_names import content_disposition
from core.http.streaming import ThreadedStream
from missions.api.items import ItemIndex, visible_item
from missions.models import Output, OutputStatus
from missions.results.export import file_stem

router = Router(tags=["Results"])

OutputNumber = Annotated[int, Field(ge=1, le=32767)]
CHUNK_BYTES = 256 * 1024
# Types that a browser shows; others are downloaded.
INLINE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4", "video/webm")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=86400",
}
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Removed(Gone):
    """The file was deleted on purpose. The message says why."""


def _responses(*types: str) -> dict[str, Any]:
    """Return the OpenAPI description of a file of one of these types."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in types}
    gone = {"description": "Deleted: the operator keeps results for a limited time."}
    return {"responses": {**{status: {"content": content} for status in (200, 206)}, 410: gone}}


@router.get(
    "/{mission_id}/items/{index}/outputs/{number}",
    response={200: None, 206: None, 304: None, 410: None},
    summary="Download a result file",
    openapi_extra=_responses("application/octet-stream", "text/plain", *INLINE_TYPES),
)
def fetch_output(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], number: Path[OutputNumber]
) -> HttpResponseBase:
    """Return the stored file. A single `Range` is supported."""
    output = _stored_output(request, mission_id, index, number)
    if not output.file:
        headers = HEADERS | {"Content-Disposition": content_disposition(_file_name(output, "txt"))}
        return HttpResponse(output.text, content_type="text/plain; charset=utf-8", headers=headers)
    return _serve(request, output, output.file, output.content_type, output.extension, output.sha256)


@router.get(
    "/{mission_id}/items/{index}/outputs/{number}/thumbnail",
    response={200: None, 206: None, 304: None, 410: None},
    summary="Download a result's thumbnail",
    openapi_extra=_responses("image/jpeg"),
)
def fetch_thumbnail(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], number: Path[OutputNumber]
) -> HttpResponseBase:
    """Return a JPEG of at most 384 pixels a side; for a video, its first frame."""
    output = _stored_output(request, mission_id, index, number)
    if not output.thumbnail:
        raise Http404
    return _serve(request, output, output.thumbnail, "image/jpeg", "thumb.jpg", f"{output.sha256}-thumbnail")


def _stored_output(request: HttpRequest, mission_id: int, index: int, number: int) -> Output:
    item = visible_item(request, mission_id, index)
    output = get_object_or_404(item.outputs.all(), index=number, status__in=[OutputStatus.STORED, OutputStatus.REMOVED])
    if output.status == OutputStatus.REMOVED:
        raise Removed(output.error_display)
    return output


def _file_name(output: Output, extension: str) -> str:
    suffix = f"-{output.index}" if output.index > 1 else ""
    return f"{file_stem(output.item)}{suffix}.{extension}"


def _serve(
    request: HttpRequest, output: Output, path: str, content_type: str, extension: str, digest: str
) -> HttpResponseBase:
    """Send a file of the results storage, or the single range of it that the request asks for."""
    etag = f'"{digest}"'
    unchanged: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    try:
        size = storages["results"].size(path)
    except FileNotFoundError:
        raise Http404 from None
    first, last = _requested_range(request, etag, size) or (0, size - 1)

    def chunks() -> Iterator[bytes]:
        left = last - first + 1
        with storages["results"].open(path) as file:
            file.seek(first)
            while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk

    response = ThreadedStream(chunks(), content_type=content_type, headers=HEADERS)
    is_attachment = content_type not in INLINE_TYPES
    response["Content-Disposition"] = content_disposition(_file_name(output, extension), is_attachment=is_attachment)
    response["Content-Length"] = str(last - first + 1)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    if last - first + 1 < size:
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    return response


def _requested_range(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte of a single valid range.

    None for anything else: the whole file is sent.
    """
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if not match or request.headers.get("If-Range", etag) != etag:
        return None
    start, end = match.groups()
    if start:
        first, last = int(start), min(int(end or size), size - 1)
    else:
        first, last = max(size - int(end or 0), 0), size - 1
    return (first, last) if first <= last else None
