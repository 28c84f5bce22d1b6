"""``Idempotency-Key``: the way from a request to its claim, and from an answer to the stored one.

``claimed`` goes around each operation, after who is calling and the values were checked; ``settled`` around the whole of it.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _

from core.api import idempotency_keys
from core.api.idempotency_keys import Answer, Claim
from core.errors import FieldError, Invalid

log = logging.getLogger(__name__)

KEY_PATTERN = "^[!-~]{1,200}$"
KEPT_HEADERS = ("Location",)
Operation = Callable[..., Any]


def claimed(render: Callable[[Any], bytes]) -> Callable[[Operation], Operation]:
    """Gives operations ``request.idempotency``: a Claim for a POST with a key, else None.

    A request that is known by its key is answered without them.  Async operations are left alone: they create nothing.
    """

    def decorate(operation: Operation) -> Operation:
        if iscoroutinefunction(operation):
            return operation

        @functools.wraps(operation)
        def run(request: Any, *args: Any, **values: Any) -> Any:
            request.idempotency = None
            key = request.headers.get("Idempotency-Key")
            if request.method != "POST" or key is None:
                return operation(request, *args, **values)
            known = idempotency_keys.claim(user=request.user, key=_valid(key), digest=_digest(request), render=render)
            if isinstance(known, Answer):
                return _replay(known)
            request.idempotency = known
            return operation(request, *args, **values)

        return run

    return decorate


def settled(run: Operation) -> Operation:
    """Stores the answer of an operation that did not do it itself, and gives the key back when it failed."""
    if iscoroutinefunction(run):
        return run

    @functools.wraps(run)
    def settle(request: Any, *args: Any, **values: Any) -> HttpResponseBase:
        response: HttpResponseBase = run(request, *args, **values)
        claim: Claim | None = getattr(request, "idempotency", None)
        if claim is not None and not claim.is_finished:
            _settle(claim, response)
        return response

    return settle


def _settle(claim: Claim, response: HttpResponseBase) -> None:
    if not isinstance(response, HttpResponse) or response.status_code >= 300:
        claim.release()
        return
    try:
        claim.keep(_answer_of(response))
    except idempotency_keys.InProgress:
        log.warning("A request took longer than its claim holds, and was taken over by its repetition.")


def _answer_of(response: HttpResponse) -> Answer:
    headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    return Answer(response.status_code, response.content.decode(), headers)


def _replay(answer: Answer) -> HttpResponse:
    headers = {**answer.headers, "Idempotent-Replayed": "true"}
    return HttpResponse(
        answer.body, status=answer.status, headers=headers, content_type="application/json; charset=utf-8"
    )


def _valid(key: str) -> str:
    if not re.fullmatch(KEY_PATTERN, key):
        told = _("Use 1 to 200 visible ASCII characters, such as a UUID.")
        raise Invalid([FieldError("Idempotency-Key", told)])
    return key


def _digest(request: HttpRequest) -> str:
    """Tells a request from others.  A form is told by its values: each sending draws other boundaries between them."""
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    if request.content_type != "multipart/form-data":
        digest.update(request.body)
        return digest.hexdigest()
    for name, values in sorted(request.POST.lists()):
        digest.update(repr((name, values)).encode())
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            digest.update(repr((name, file.name, file.size)).encode())
            for chunk in file.chunks():
                digest.update(chunk)
            file.seek(0)
    return digest.hexdigest()
