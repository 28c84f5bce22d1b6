"""The outermost middleware: request ids, the body limit, the format of API errors, and https."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.cache import patch_vary_headers
from django.utils.encoding import escape_uri_path

from core.api import errors
from core.errors import DomainError, TooLarge
from core.http import body_limit
from core.logging import request_ids

log = logging.getLogger(__name__)

API = "/api/v1/"
PROBES = (API + "health", API + "ready")
ALIASES = {"/api/v1/api_missions": "/api/v1/missions"}
GetResponse = Callable[[HttpRequest], HttpResponseBase]


def request_boundary(get_response: GetResponse) -> GetResponse:
    """Set the request id, refuse large bodies, format and log the responses of the API."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        request_ids.begin(request.headers.get("X-Request-Id"))
        for alias, path in ALIASES.items():
            if request.path_info == alias or request.path_info.startswith(alias + "/"):
                request.path = request.path.replace(alias, path, 1)
                request.path_info = request.path_info.replace(alias, path, 1)
        # BodyLimit does the same for uvicorn; this is for servers without it.
        if body_limit.is_too_large(request.path_info, request.META.get("CONTENT_LENGTH") or ""):
            response: HttpResponseBase = errors.respond(TooLarge())
        else:
            response = get_response(request)
        if request.path_info.startswith(API):
            if isinstance(response, HttpResponse):
                _format_error(response)
            response.setdefault("Cache-Control", "private, no-cache")
            patch_vary_headers(response, ["Authorization", "Cookie"])
            path = escape_uri_path(request.path)  # a line break in it would start a forged line
            milliseconds = (time.monotonic() - started) * 1000
            log.info("%s %s %d in %.0f ms", request.method, path, response.status_code, milliseconds)
        response["X-Request-Id"] = request_ids.current()
        return response

    return respond


def redirect_to_https(get_response: GetResponse) -> GetResponse:
    """Redirect plain http on the host of PUBLIC_BASE_URL to https.

    Other names (127.0.0.1 with ``make serve``) have no https, and probes need an answer.  A request
    that came by https according to a proxy that we do not trust would be redirected in a circle.
    The status is 307: method and body stay, and browsers do not remember a mistake in the settings.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        public = urlsplit(settings.PUBLIC_BASE_URL)
        is_exempt = request.is_secure() or request.path_info in PROBES
        if not settings.HTTPS_ONLY or public.scheme != "https" or is_exempt:
            return get_response(request)
        host = urlsplit(f"//{request.get_host()}").hostname
        if host != public.hostname or request.headers.get("X-Forwarded-Proto") == "https":
            return get_response(request)
        return HttpResponseRedirect(f"https://{public.netloc}{request.get_full_path()}", preserve_request=True)

    return respond


def _format_error(response: HttpResponse) -> None:
    """Replace an error page of Django (unknown path or method, bad host) by our body."""
    if response.status_code < 400 or response.get("Content-Type", "").startswith("application/json"):
        return
    error = errors.respond(DomainError(status=response.status_code))
    response.content = error.content
    del response["ETag"]  # of Django's page
    for name, value in error.items():
        response[name] = value
    response["Content-Length"] = str(len(error.content))
