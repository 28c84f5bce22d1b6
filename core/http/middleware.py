"""The outermost middleware: request ids, body limit, API errors, NUL characters, https."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers
from django.utils.encoding import escape_uri_path
from django.utils.translation import get_language_from_request, override
from django.utils.translation import gettext as _

from core.api import errors
from core.errors import BadRequest, DomainError, TooLarge, UnsupportedMediaType
from core.http import body_limit
from core.logging import access, request_ids

log = logging.getLogger(__name__)

BELOW_API = "/api/"
API = "/api/v1/"
PROBES = (API + "health", API + "ready")
ALIASES = {"/api/v1/api_missions": "/api/v1/missions"}
# Paths of an older description of this API, and where the same is found here.
FORMER_PATHS = {
    "/api/api-missions": "/api/v1/missions",
    "/api/api-templates": "/api/v1/templates",
    "/api/upload-image": "/api/v1/media/upload",
    "/api/images": "/api/v1/media/files",
}
GetResponse = Callable[[HttpRequest], HttpResponseBase]


def request_boundary(get_response: GetResponse) -> GetResponse:
    """Set the request id, refuse large bodies, answer HEAD, format the API's responses, log all."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        request_ids.begin(request.headers.get("X-Request-Id"))
        for alias, path in ALIASES.items():
            if request.path_info == alias or request.path_info.startswith(alias + "/"):
                request.path = request.path.replace(alias, path, 1)
                request.path_info = request.path_info.replace(alias, path, 1)
        is_head = request.method == "HEAD"
        if is_head:  # answered as GET, so that every page and operation has it
            request.method = "GET"
        is_api = request.path_info.startswith(BELOW_API)
        # BodyLimit does the same for uvicorn; this is for servers without it.
        if body_limit.is_too_large(request.path_info, request.META.get("CONTENT_LENGTH") or ""):
            response: HttpResponseBase = errors.respond(TooLarge())
        elif is_api and request.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            message = _("Send the body without Content-Encoding.")
            response = errors.respond(UnsupportedMediaType(message, headers={"Accept-Encoding": "identity"}))
        else:
            response = get_response(request)
        if is_api:
            if isinstance(response, HttpResponse):
                _format_error(request, response)
            if limit := getattr(request, "rate_limit", None):
                for name, value in limit.headers.items():
                    response[name] = value
            patch_vary_headers(response, ["Authorization", "Cookie"])
        # Pages need a login or show who is signed in: no proxy may keep them, and browsers ask.
        response.setdefault("Cache-Control", "private, no-cache")
        access.log_request(
            "HEAD" if is_head else request.method or "",
            request.path,
            response.status_code,
            started,
            address=request.META.get("REMOTE_ADDR", ""),
            user=access.person_of(request),
        )
        response["X-Request-Id"] = request_ids.current()
        return _without_body(response) if is_head else response

    return respond


def compress_pages(get_response: GetResponse) -> GetResponse:
    """Send pages compressed. Files are compressed already, and streams must not wait.

    Django hides the length of a compressed page, so that it does not give away its CSRF token
    (BREACH).
    """
    gzip = GZipMiddleware(get_response)

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            return gzip.process_response(request, response)
        return response

    return respond


def refuse_nul(get_response: GetResponse) -> GetResponse:
    """Answer 400 to a request with a NUL character in its path, query, cookies or form.

    PostgreSQL refuses that character in every text, wherever the text comes from.  The API's own
    parser refuses queries, and names the parameter.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        is_api = request.path_info.startswith(API)
        query = "" if is_api else unquote(request.META.get("QUERY_STRING", ""))
        texts = [request.path_info, query, *request.COOKIES.values()]
        if request.content_type == "application/x-www-form-urlencoded":
            texts += [text for name, values in request.POST.lists() for text in (name, *values)]
        if not any("\0" in text for text in texts):
            return get_response(request)
        with override(get_language_from_request(request)):
            message = _("The request contains a NUL character. Remove it.")
            if is_api:
                return errors.respond(BadRequest(message))
            return HttpResponseBadRequest(message, "text/plain; charset=utf-8")

    return respond


class DeletedMeanwhile:
    """Answer 404 when a row that a page needs is deleted between two of its steps.

    The API's errors do the same (``core.api.errors``).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        if isinstance(exception, ObjectDoesNotExist):
            log.warning("%s %s: a row is gone", request.method, escape_uri_path(request.path), exc_info=exception)
            raise Http404 from exception


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


def _without_body(response: HttpResponseBase) -> HttpResponse:
    """Return the response to HEAD for that to GET: the same status and headers."""
    head = HttpResponse(status=response.status_code, headers=dict(response.items()))
    if isinstance(response, HttpResponse):
        head.setdefault("Content-Length", str(len(response.content)))
    head.cookies = response.cookies
    # Such as the open file of a download: it is closed with this response.
    closers = vars(head)["_resource_closers"]
    closers += vars(response)["_resource_closers"]
    return head


def _format_error(request: HttpRequest, response: HttpResponse) -> None:
    """Replace an error page of Django (unknown path or method, bad host) by our body."""
    if response.status_code < 400 or response.get("Content-Type", "").startswith("application/json"):
        return
    message = ""
    if response.status_code == 404 and not request.path_info.startswith(API):
        message = _("There is nothing here. The API is at /api/v1; /api/v1/docs describes it.")
        for former, path in FORMER_PATHS.items():
            if request.path_info == former or request.path_info.startswith(f"{former}/"):
                message = _("There is nothing here. Use %s instead; /api/v1/docs describes it.") % path
    error = errors.respond(DomainError(message, status=response.status_code))
    response.content = error.content
    del response["ETag"]  # of Django's page
    for name, value in error.items():
        response[name] = value
    response["Content-Length"] = str(len(error.content))
