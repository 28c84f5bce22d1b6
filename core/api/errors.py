"""The error responses of the JSON API, also for the errors of Django and django-ninja."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    BadRequest as DjangoBadRequest,
)
from django.core.exceptions import (
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

from core.api import validation
from core.errors import (
    BadRequest,
    DomainError,
    FieldError,
    Invalid,
    RateLimited,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from core.logging import request_ids
from core.storage.disk import OutOfSpace, is_no_space

log = logging.getLogger(__name__)

# The stable word and the standard message of each status.
STANDARD: dict[int, tuple[str, str]] = {
    400: ("bad_request", gettext_noop("The request cannot be read.")),
    401: ("unauthenticated", gettext_noop("Send a valid token: Authorization: Bearer …")),
    403: ("forbidden", gettext_noop("Permission denied.")),
    404: ("not_found", gettext_noop("Not found, or not yours.")),
    405: ("method_not_allowed", gettext_noop("Method not allowed.")),
    409: ("not_possible", gettext_noop("Not possible in the current state.")),
    410: ("gone", gettext_noop("It existed and was deleted.")),
    413: ("too_large", gettext_noop("The request body is too large.")),
    415: ("unsupported_media_type", gettext_noop("Send JSON, with Content-Type: application/json.")),
    416: ("range_not_satisfiable", gettext_noop("The file has no bytes in this range.")),
    422: ("invalid", gettext_noop("Some values are invalid.")),
    429: ("rate_limited", gettext_noop("Too many requests. Wait a moment.")),
    500: ("internal_error", gettext_noop("Internal error. Give the request id to the operator.")),
    507: ("insufficient_storage", gettext_noop("The server's disk is full. Tell an operator, and try again later.")),
    503: ("unavailable", gettext_noop("The service is unavailable. Try again in a moment.")),
}
# Words that are no error class of their own: sessions of our pages get them.
SESSION_WORDS = ("csrf_failed", "other_person")
BAD_JSON = "bad_json"  # the word for a body that is not JSON, or JSON that no database can store
RETRY_SECONDS = 5


def as_domain_error(exception: BaseException) -> DomainError:
    """Return the error that a caller sees for an exception.  An unexpected one is a 500."""
    if isinstance(exception, DomainError):
        return exception
    if is_no_space(exception):
        return OutOfSpace()
    for kind in type(exception).__mro__:
        if kind in _LIBRARY_ERRORS:
            return _LIBRARY_ERRORS[kind](exception)
    return DomainError()


def respond_to(request: HttpRequest, exception: BaseException) -> HttpResponse:
    """Return the error response for an exception that a request raised.

    Errors on our side are logged with their traceback.
    """
    error = as_domain_error(exception)
    if error.status >= 500 and error is not exception:
        log.error("%s %s failed", request.method, escape_uri_path(request.path), exc_info=exception)
    return respond(error)


def respond(error: DomainError) -> HttpResponse:
    """Return the response for an error, in the one format of the API."""
    if error.status in STANDARD:
        word, message = STANDARD[error.status]
    else:  # a rare status, such as 416 requested_range_not_satisfiable
        status = HTTPStatus(error.status)
        word, message = status.name.lower(), f"{status.phrase}."
    body = {
        "code": error.status,
        "error": error.error or word,
        "message": error.message or _(message),
        "data": None,
        "errors": [{"field": problem.field, "message": problem.message} for problem in error.request_errors],
        "request_id": request_ids.current(),
    }
    response = HttpResponse(
        json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        status=error.status,
        content_type="application/json; charset=utf-8",
        headers={**error.headers, "Cache-Control": "no-store"},
    )
    if error.status == 401:
        response.setdefault("WWW-Authenticate", "Bearer")
    if error.status == 503:
        response.setdefault("Retry-After", str(RETRY_SECONDS))
    return response


def _from_validation(exception: ValidationError) -> DomainError:
    """Name each field by its path: ``("body", "config", "rows", 17)`` is ``config.rows.17``."""
    errors = []
    for error in exception.errors:
        path = error["loc"]
        errors.append(FieldError(validation.path_of(path[1:]) or str(path[0]), validation.message_of(error)))
    return Invalid(errors)


def _from_ninja(exception: HttpError) -> DomainError:
    """Convert django-ninja's own 400 (with our parser's error as its cause), 401 and 403."""
    if isinstance(exception.__cause__, DomainError):
        return exception.__cause__
    if exception.status_code == 400:
        return BadRequest(_("The body is not valid JSON."), error=BAD_JSON)
    return DomainError(exception.message if exception.status_code == 403 else "", status=exception.status_code)


_LIBRARY_ERRORS: dict[type[BaseException], Callable[[Any], DomainError]] = {
    Http404: lambda exception: DomainError(status=404),
    ObjectDoesNotExist: lambda exception: DomainError(status=404),
    PermissionDenied: lambda exception: DomainError(status=403),
    ValidationError: _from_validation,
    Throttled: lambda exception: RateLimited(),
    HttpError: _from_ninja,
    RequestDataTooBig: lambda exception: TooLarge(),
    RawPostDataException: lambda exception: UnsupportedMediaType(),
    UnreadablePostError: lambda exception: BadRequest(),
    MultiPartParserError: lambda exception: BadRequest(),
    DjangoBadRequest: lambda exception: BadRequest(),
    SuspiciousOperation: lambda exception: BadRequest(),
    OperationalError: lambda exception: Unavailable(),
    InterfaceError: lambda exception: Unavailable(),
}
