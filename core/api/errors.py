"""Every error that a caller of the API can see, in one place: which of ours becomes which, and how it is written down."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils.encoding import escape_uri_path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from ninja.errors import HttpError, Throttled, ValidationError

from accounts.services import TooManyTokens
from core.api import idempotency_keys
from core.logging import request_ids
from media.services import UploadInvalid
from missions.api.outputs import Removed
from missions.api.schemas import place_in_body
from missions.services import MissionInvalid, NotPossible
from operations.readiness import NotReady
from templates_app.services import TemplateInvalid

log = logging.getLogger(__name__)

# The stable word of a status, and what it says when nothing better is known.
STANDARD: dict[int, tuple[str, str]] = {
    400: ("bad_request", gettext_noop("The request cannot be read.")),
    401: ("unauthenticated", gettext_noop("Send a valid token: Authorization: Bearer …")),
    403: ("forbidden", gettext_noop("This is not allowed to you.")),
    404: ("not_found", gettext_noop("There is nothing here, or it is not yours.")),
    405: ("method_not_allowed", gettext_noop("This address does not know that method.")),
    409: ("not_possible", gettext_noop("This does not fit the state of things.")),
    413: ("too_large", gettext_noop("The body is larger than is allowed.")),
    415: ("unsupported_media_type", gettext_noop("Send JSON, with Content-Type: application/json.")),
    422: ("invalid", gettext_noop("Some values cannot be used.")),
    429: ("rate_limited", gettext_noop("Too many requests: wait a moment.")),
    500: ("internal_error", gettext_noop("Something went wrong here. The request id helps to find out what.")),
    503: ("unavailable", gettext_noop("The service cannot answer now. Try again in a moment.")),
}
RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a caller sees it.  ``errors`` are pairs of a field's path in the request and what is wrong with it."""

    status: int
    error: str = ""
    message: str = ""
    errors: Sequence[tuple[str, str]] = ()
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """Raised by the frame of the API itself; routers raise the errors of their services."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message or failure.error)
        self.failure = failure


def failure_of(exception: BaseException) -> Failure:
    """What a caller is told about an exception.  What nobody foresaw is 500."""
    for kind in type(exception).__mro__:
        if kind in _FAILURES:
            return _FAILURES[kind](exception)
    return Failure(500)


def respond_to(request: HttpRequest, exception: BaseException) -> HttpResponse:
    """The answer to a request that failed.  What is our fault is logged with its traceback."""
    failure = failure_of(exception)
    if failure.status >= 500 and not isinstance(exception, NotReady):
        log.error("%s %s failed", request.method, escape_uri_path(request.path), exc_info=exception)
    return respond(failure)


def respond(failure: Failure) -> HttpResponse:
    """The one error body."""
    response = HttpResponse(
        json.dumps(body_of(failure), ensure_ascii=False).encode("utf-8", "replace"),
        status=failure.status,
        content_type="application/json; charset=utf-8",
        headers={**failure.headers, "Cache-Control": "no-store"},
    )
    if failure.status == 401:
        response.setdefault("WWW-Authenticate", "Bearer")
    if failure.status == 503:
        response.setdefault("Retry-After", str(RETRY_SECONDS))
    return response


def body_of(failure: Failure) -> dict[str, Any]:
    word, message = STANDARD.get(failure.status) or _by_the_book(failure.status)
    return {
        "code": failure.status,
        "error": failure.error or word,
        "message": failure.message or _(message),
        "data": None,
        "errors": [{"field": field, "message": message} for field, message in failure.errors],
        "request_id": request_ids.current(),
    }


def _by_the_book(status: int) -> tuple[str, str]:
    """For a status that is rare: 416, ``requested_range_not_satisfiable``."""
    known = HTTPStatus(status)
    return known.name.lower(), f"{known.phrase}."


# --- Ours and the libraries', one by one ---


def _mission_invalid(exception: MissionInvalid) -> Failure:
    return Failure(422, errors=[(place_in_body(error.field), error.message) for error in exception.errors])


def _template_invalid(exception: TemplateInvalid) -> Failure:
    return Failure(422, errors=[(error.field, error.message) for error in exception.errors])


def _upload_invalid(exception: UploadInvalid) -> Failure:
    return Failure(422, "upload_invalid", str(exception), [("file", str(exception))])


def _validation(exception: ValidationError) -> Failure:
    return Failure(422, errors=[(_dotted(error["loc"]), error["msg"]) for error in exception.errors])


def _dotted(place: Sequence[str | int]) -> str:
    """``("body", "config", "batch_input", 17, "aspectRatio")`` → ``config.batch_input.17.aspectRatio``."""
    return ".".join(str(part) for part in place[1:]) or str(place[0])


def _http(exception: HttpError) -> Failure:
    """Ninja's own: 400 for a body that its parser could not read (ours says why), 401, 403."""
    if isinstance(exception.__cause__, ApiError):
        return exception.__cause__.failure
    if exception.status_code == 400:
        return Failure(400, "bad_json", _("The body is no JSON that can be read."))
    message = exception.message if exception.status_code == 403 else ""
    return Failure(exception.status_code, message=message)


def _mismatch(exception: idempotency_keys.Mismatch) -> Failure:
    return Failure(409, "idempotency_mismatch", _("This Idempotency-Key was used for another request: take a new one."))


def _in_progress(exception: idempotency_keys.InProgress) -> Failure:
    told = _("The same request is still being carried out: ask again in a moment.")
    return Failure(409, "idempotency_in_progress", told, headers={"Retry-After": str(RETRY_SECONDS)})


def _not_ready(exception: NotReady) -> Failure:
    told = [(name, part.message) for name, part in exception.parts.items() if not part.is_ok]
    return Failure(503, "not_ready", str(exception), told)


def _unreadable(exception: BaseException) -> Failure:
    return Failure(400)


_FAILURES: dict[type[BaseException], Callable[[Any], Failure]] = {
    ApiError: lambda exception: exception.failure,
    MissionInvalid: _mission_invalid,
    NotPossible: lambda exception: Failure(409, message=str(exception)),
    NotReady: _not_ready,
    Removed: lambda exception: Failure(410, message=str(exception)),
    TooManyTokens: lambda exception: Failure(409, message=str(exception)),
    idempotency_keys.Mismatch: _mismatch,
    idempotency_keys.InProgress: _in_progress,
    TemplateInvalid: _template_invalid,
    UploadInvalid: _upload_invalid,
    Http404: lambda exception: Failure(404),
    ObjectDoesNotExist: lambda exception: Failure(404),
    PermissionDenied: lambda exception: Failure(403),
    ValidationError: _validation,
    Throttled: lambda exception: Failure(429),
    HttpError: _http,
    RequestDataTooBig: lambda exception: Failure(413),
    RawPostDataException: lambda exception: Failure(415),
    UnreadablePostError: _unreadable,
    MultiPartParserError: _unreadable,
    BadRequest: _unreadable,
    SuspiciousOperation: _unreadable,
    OperationalError: lambda exception: Failure(503),
    InterfaceError: lambda exception: Failure(503),
}
