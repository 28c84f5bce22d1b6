"""The uploaded files themselves.

Who has the address may read the file, without signing in.  The address holds 192 random bits, is shown to the file's owner only
(and to staff), and ends when the file is deleted: it is a key by itself, as the addresses of the provider's own results are.
That lets an image be shown by another site of its owner, and be read by a provider that takes nothing but addresses.  What it
costs: a person who hands the address on hands the file on.  No cookie is read here, so nobody's session is at stake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from core.http.streaming import ThreadedStream
from media.models import MediaFile
from media.previews import preview_of

CHUNK_BYTES = 256 * 1024

# Whatever else the bytes may be taken for: our type holds, and as a page of its own it runs nothing and loads nothing.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cache-Control": "private, max-age=31536000, immutable",  # other bytes would have another key
    "X-Robots-Tag": "noindex",
}


@require_safe
def file(request: HttpRequest, key: str) -> HttpResponseBase:
    """The image under its unguessable key; 304 for who has it.  Nobody can make this process hold many of them at once."""
    media = get_object_or_404(MediaFile, key=key)
    return _answer(request, f'"{media.sha256}"', lambda: _content(media))


@require_safe
def preview(request: HttpRequest, key: str) -> HttpResponseBase:
    """A small picture of the image, for whoever may see the image."""
    media = get_object_or_404(MediaFile, key=key)
    return _answer(request, f'"{media.sha256}-preview"', lambda: _preview(media))


def _answer(request: HttpRequest, etag: str, make: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    response: HttpResponseBase = get_conditional_response(request, etag=etag) or make()
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        return response
    for name, value in HEADERS.items():
        response[name] = value
    response["ETag"] = etag
    return response


def _content(media: MediaFile) -> ThreadedStream:
    if not media.file.storage.exists(str(media.file.name)):
        raise Http404
    response = ThreadedStream(_pieces(media), content_type=media.content_type)
    response["Content-Length"] = str(media.size_bytes)
    response["Content-Disposition"] = content_disposition_header(as_attachment=False, filename=media.name) or "inline"
    return response


def _pieces(media: MediaFile) -> Iterator[bytes]:
    with media.file.storage.open(str(media.file.name), "rb") as opened:
        yield from opened.chunks(CHUNK_BYTES)


def _preview(media: MediaFile) -> HttpResponse:
    try:
        return HttpResponse(preview_of(media), content_type="image/jpeg")
    except FileNotFoundError:
        raise Http404 from None
