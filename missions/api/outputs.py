"""``/missions/{id}/items/{index}/outputs/{n}``: result files and their thumbnails."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any

from django.core.files.storage import storages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Field, Path, Router

from core.api.ids import RowId
from core.api.openapi import file_extra
from core.errors import Gone, NotPossible
from core.http.file_names import content_disposition
from core.http.ranges import ranged_response
from missions.api.items import ItemIndex, visible_item
from missions.models import Output, OutputStatus
from missions.results.names import file_name

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
RETRY_SECONDS = 2  # a file is usually fetched by then


class Removed(Gone):
    """The file was deleted on purpose, or lost. The message says why."""


class NotStored(NotPossible):
    """The file is still being downloaded from the provider."""

    error = "output_not_stored"

    def __init__(self) -> None:
        message = _("This file is still being downloaded from the provider. Try again in a moment.")
        super().__init__(message, headers={"Retry-After": str(RETRY_SECONDS)})


def _extra(description: str, *types: str) -> dict[str, Any]:
    """Return the OpenAPI description of a file of one of these types."""
    extra = file_extra(description, *types, is_ranged=True)
    extra["responses"] |= {
        409: {"description": "`output_not_stored`: the file is still being downloaded from the provider."},
        410: {"description": "Deleted by retention, or lost: its URL expired before it could be downloaded."},
    }
    return extra


@router.get(
    "/{mission_id}/items/{index}/outputs/{number}",
    response={200: None, 206: None, 304: None, 409: None, 410: None, 416: None},
    summary="Download a result file",
    openapi_extra=_extra("The file, or a text.", *INLINE_TYPES, "text/plain"),
)
def download_output(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], number: Path[OutputNumber]
) -> HttpResponseBase:
    """Return the stored file. A single `Range` is supported."""
    return file_response(request, _stored_output(request, mission_id, index, number))


@router.get(
    "/{mission_id}/items/{index}/outputs/{number}/thumbnail",
    response={200: None, 206: None, 304: None, 409: None, 410: None, 416: None},
    summary="Download a result's thumbnail",
    openapi_extra=_extra("The thumbnail.", "image/jpeg"),
)
def download_thumbnail(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], number: Path[OutputNumber]
) -> HttpResponseBase:
    """Return a JPEG of at most 384 pixels a side; for a video, its first frame."""
    return thumbnail_response(request, _stored_output(request, mission_id, index, number))


def file_response(request: HttpRequest, output: Output, name: str = "") -> HttpResponseBase:
    """Return the file of a stored output, or a range of it. ``name`` replaces its usual name.

    Raises Http404 if the file is missing.
    """
    name = name or file_name(output.item, output)
    if not output.file:
        headers = HEADERS | {"Content-Disposition": content_disposition(name)}
        return HttpResponse(output.text, content_type="text/plain; charset=utf-8", headers=headers)
    return _serve(request, output.file, name, output.content_type, output.sha256)


def thumbnail_response(request: HttpRequest, output: Output, name: str = "") -> HttpResponseBase:
    """Return the thumbnail of a stored output. Raises Http404 if it has none."""
    if not output.thumbnail:
        raise Http404
    name = f"{(name or file_name(output.item, output)).rpartition('.')[0]}.thumb.jpg"
    return _serve(request, output.thumbnail, name, "image/jpeg", f"{output.sha256}-thumbnail")


def _stored_output(request: HttpRequest, mission_id: int, index: int, number: int) -> Output:
    item = visible_item(request, mission_id, index)
    output = get_object_or_404(item.outputs.all(), index=number)
    if output.status == OutputStatus.PENDING:
        raise NotStored
    if output.status != OutputStatus.STORED:
        raise Removed(output.error_display)
    return output


def _serve(request: HttpRequest, path: str, name: str, content_type: str, digest: str) -> HttpResponseBase:
    """Send a file of the results storage, or the single range of it that the request asks for."""
    try:
        size = storages["results"].size(path)
    except FileNotFoundError:
        raise Http404 from None

    def chunks(first: int, last: int) -> Generator[bytes]:
        left = last - first + 1
        with storages["results"].open(path) as file:
            file.seek(first)
            while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk

    response = ranged_response(
        request, chunks, size=size, etag=f'"{digest}"', content_type=content_type, headers=HEADERS
    )
    is_attachment = content_type not in INLINE_TYPES
    response["Content-Disposition"] = content_disposition(name, is_attachment=is_attachment)
    return response
