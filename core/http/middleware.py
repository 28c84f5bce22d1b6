"""What surrounds every request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.cache import patch_vary_headers
from django.utils.encoding import escape_uri_path

from core.api import errors, throttling
from core.errors import DomainError, TooLarge
from core.logging import request_ids

log = logging.getLogger(__name__)

API = "/api/v1/"
PROBES = (API + "health", API + "ready")
SPELLINGS = {"/api/v1/api_missions": "/api/v1/missions"}


def frame(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Names the request, refuses a body that is too large, and puts the answers of the API into their form."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        response = _refusal(_arrive(request)) or get_response(request)
        return _leave(request, response, began)

    return answer


def lead_to_https(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Leads whoever asks PUBLIC_BASE_URL's host by http to https.

    By another name (127.0.0.1: ``make serve``) there is no https to lead to, and probes want an answer.  Whoever comes by https
    as a proxy says that we do not trust would be led in a circle.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        return _redirect(request) or get_response(request)

    return answer


def _redirect(request: HttpRequest) -> HttpResponse | None:
    """307: the method and the body stay, and a mistake in the settings is not remembered by browsers."""
    public = urlsplit(settings.PUBLIC_BASE_URL)
    if not settings.HTTPS_ONLY or public.scheme != "https" or request.is_secure() or request.path_info in PROBES:
        return None
    asked = urlsplit(f"//{request.get_host()}").hostname
    if asked != public.hostname or request.headers.get("X-Forwarded-Proto") == "https":
        return None
    return HttpResponseRedirect(f"https://{public.netloc}{request.get_full_path()}", preserve_request=True)


def _arrive(request: HttpRequest) -> HttpRequest:
    """Name the request, and spell its address as we do."""
    request_ids.begin(request.headers.get("X-Request-Id"))
    for other, ours in SPELLINGS.items():
        if request.path_info == other or request.path_info.startswith(other + "/"):
            request.path = request.path.replace(other, ours, 1)
            request.path_info = request.path_info.replace(other, ours, 1)
    return request


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """As BoundedBodies does, for servers that do not go through it."""
    length = request.META.get("CONTENT_LENGTH") or ""
    return errors.respond(TooLarge()) if throttling.is_too_large(request.path_info, length) else None


def _leave(request: HttpRequest, response: HttpResponseBase, began: float) -> HttpResponseBase:
    if request.path_info.startswith(API):
        if isinstance(response, HttpResponse):
            _in_form(response)
        response.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(response, ["Authorization", "Cookie"])
        seconds = time.monotonic() - began
        address = escape_uri_path(request.path)  # a line break in it would begin a forged line
        log.info("%s %s %d in %.0f ms", request.method, address, response.status_code, seconds * 1000)
    response["X-Request-Id"] = request_ids.current()
    return response


def _in_form(response: HttpResponse) -> None:
    """Django's own error pages (no such address, no such method, a bad host) become the API's error body."""
    if response.status_code < 400 or response.get("Content-Type", "").startswith("application/json"):
        return
    told = errors.respond(DomainError(status=response.status_code))
    response.content = told.content
    del response["ETag"]  # it was that of Django's page
    for name, value in told.items():
        response[name] = value
    response["Content-Length"] = str(len(told.content))
