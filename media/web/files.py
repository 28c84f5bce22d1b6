"""Serve the uploaded files themselves.

Anyone who has a file's URL may read it without signing in. The URL contains 192 random bits, is
shown only to the file's owner and to staff, and stops working when the file is deleted: it is a key
by itself, like the URLs of a provider's results. So an image can be shown on another site of its
owner, and read by a provider that accepts only URLs. The price: a person who passes the URL on
passes the file on. No cookie is read here, so no session is at risk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from core.http.file_names import content_disposition
from core.http.streaming import ThreadedStream
from media import renditions
from media.models import MediaFile
from media.previews import preview_of

CHUNK_BYTES = 256 * 1024

# A browser must use our content type. Opened as a page of its own, a file runs nothing and loads
# nothing.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cache-Control": "private, max-age=31536000, immutable",  # other bytes would have another key
    "X-Robots-Tag": "noindex",
}


@require_safe
def file(request: HttpRequest, key: str) -> HttpResponseBase:
    """Send the image with this unguessable key, in chunks; 304 when the browser has it."""
    media = get_object_or_404(MediaFile, key=key)

    def chunks() -> Iterator[bytes]:
        with media.file.storage.open(str(media.file.name), "rb") as opened:
            yield from opened.chunks(CHUNK_BYTES)

    def content() -> HttpResponseBase:
        if not media.file.storage.exists(str(media.file.name)):
            raise Http404
        response = ThreadedStream(chunks(), content_type=media.content_type)
        response["Content-Length"] = str(media.size_bytes)
        response["Content-Disposition"] = content_disposition(media.name, is_attachment=False)
        return response

    return _conditional_response(request, f'"{media.sha256}"', content)


@require_safe
def sent(request: HttpRequest, key: str) -> HttpResponseBase:
    """Send what most models get of the image with this key."""
    media = get_object_or_404(MediaFile, key=key)

    def content() -> HttpResponseBase:
        try:
            body, content_type = renditions.read_standard(media)
        except (FileNotFoundError, *renditions.UNREADABLE):
            raise Http404 from None
        return HttpResponse(body, content_type=content_type)

    return _conditional_response(request, f'"{media.sha256}-sent"', content)


@require_safe
def preview(request: HttpRequest, key: str) -> HttpResponseBase:
    """Send a small JPEG of the image with this key."""
    media = get_object_or_404(MediaFile, key=key)

    def content() -> HttpResponseBase:
        try:
            return HttpResponse(preview_of(media), content_type="image/jpeg")
        except FileNotFoundError:
            raise Http404 from None

    return _conditional_response(request, f'"{media.sha256}-preview"', content)


def _conditional_response(request: HttpRequest, etag: str, content: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Return 304 or 412 if the request's conditions say so, else ``content()``, with our
    headers.
    """
    response: HttpResponseBase = get_conditional_response(request, etag=etag) or content()
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        return response
    for name, value in HEADERS.items():
        response[name] = value
    response["ETag"] = etag
    return response
