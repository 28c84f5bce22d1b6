"""``Idempotency-Key``: requests that may be repeated without being done twice.

A caller names a request with a key.  The key is claimed in a commit of its own before the operation
runs; the response is stored in the transaction that does the work.  So a process may die at any
moment: either nothing was done and the claim can be taken over, or the response is there.  See
docs/decisions/0006-idempotency.md.

``claim_key`` wraps each operation, after authentication and validation; ``store_response`` wraps
the whole of it.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _

from core.api.errors import RETRY_SECONDS
from core.errors import FieldError, Invalid, NotPossible
from core.models import IdempotencyKey

log = logging.getLogger(__name__)

KEY_PATTERN = "^[!-~]{1,200}$"
LIFETIME = timedelta(hours=24)
LEASE = timedelta(minutes=1)  # an older unfinished request counts as dead; if it still runs, ``remember`` rolls it back
DELETE_AT_ONCE = 100
STORED_HEADERS = ("Location",)
Operation = Callable[..., Any]


class Mismatch(NotPossible):
    """The key was used for another request."""

    error = "idempotency_mismatch"

    def __init__(self) -> None:
        super().__init__(_("This Idempotency-Key was used for another request. Use a new one."))


class InProgress(NotPossible):
    """The same request is still running, here or in another process."""

    error = "idempotency_in_progress"

    def __init__(self) -> None:
        message = _("The same request is still running. Try again in a moment.")
        super().__init__(message, headers={"Retry-After": str(RETRY_SECONDS)})


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response that was sent.  ``body`` is its text on the wire."""

    status: int
    body: str
    headers: Mapping[str, str]


class Claim:
    """The right to carry out one request, as ``request.idempotency`` in operations."""

    def __init__(self, row: IdempotencyKey, render: Callable[[Any], bytes]) -> None:
        self._rows = IdempotencyKey.objects.filter(pk=row.pk, claimed_at=row.claimed_at, finished_at=None)
        self._render = render
        self.is_finished = False

    def remember(self, status: int, payload: Any, headers: Mapping[str, str] | None = None) -> None:
        """Store the response.

        Call it in the transaction that does the work, with the payload that is returned.

        Raises InProgress, which rolls that transaction back, when another process took the claim
        over.
        """
        self.store(StoredResponse(status, self._render(payload).decode(), headers or {}))

    def store(self, response: StoredResponse) -> None:
        """Store a rendered response.  Raises InProgress as ``remember`` does."""
        updated = self._rows.update(
            finished_at=timezone.now(), status=response.status, body=response.body, headers=dict(response.headers)
        )
        if not updated:
            raise InProgress
        self.is_finished = True

    def release(self) -> None:
        """Free the key, because nothing was done."""
        self._rows.delete()


def claim(*, user: AbstractBaseUser, key: str, digest: str, render: Callable[[Any], bytes]) -> Claim | StoredResponse:
    """Return the right to carry out a request, or its response of the last 24 hours.

    ``digest`` distinguishes requests; ``render`` encodes a payload.  Call it outside a transaction:
    a claim holds once it is committed.  Raises Mismatch or InProgress.
    """
    _delete_some_old_keys()
    now = timezone.now()
    try:
        row, is_new = IdempotencyKey.objects.get_or_create(
            user_id=user.pk, key=key, defaults={"digest": digest, "claimed_at": now}
        )
    except IntegrityError:  # claimed and released between two statements of get_or_create
        raise InProgress from None
    if is_new:
        return Claim(row, render)
    is_expired = row.finished_at < now - LIFETIME if row.finished_at else row.claimed_at < now - LEASE
    if is_expired:  # take it over, unless another process does so at the same time
        unchanged = IdempotencyKey.objects.filter(pk=row.pk, claimed_at=row.claimed_at, finished_at=row.finished_at)
        if not unchanged.update(digest=digest, claimed_at=now, finished_at=None, status=None, body="", headers={}):
            raise InProgress
        row.claimed_at = now
        return Claim(row, render)
    if row.digest != digest:
        raise Mismatch
    if row.status is None:
        raise InProgress
    return StoredResponse(row.status, row.body, row.headers)


def claim_key(render: Callable[[Any], bytes]) -> Callable[[Operation], Operation]:
    """Give operations ``request.idempotency``: a Claim for a POST with a key, else None.

    A repeated request gets its stored response, and the operation does not run.  Async operations
    are not wrapped: they create nothing.
    """

    def decorate(operation: Operation) -> Operation:
        if iscoroutinefunction(operation):
            return operation

        @functools.wraps(operation)
        def run(request: Any, *args: Any, **kwargs: Any) -> Any:
            request.idempotency = None
            key = request.headers.get("Idempotency-Key")
            if request.method != "POST" or key is None:
                return operation(request, *args, **kwargs)
            if not re.fullmatch(KEY_PATTERN, key):
                message = _("Use 1 to 200 visible ASCII characters, such as a UUID.")
                raise Invalid([FieldError("Idempotency-Key", message)])
            claimed = claim(user=request.user, key=key, digest=_digest(request), render=render)
            if isinstance(claimed, StoredResponse):
                return HttpResponse(
                    claimed.body,
                    status=claimed.status,
                    headers={**claimed.headers, "Idempotent-Replayed": "true"},
                    content_type="application/json; charset=utf-8",
                )
            request.idempotency = claimed
            return operation(request, *args, **kwargs)

        return run

    return decorate


def store_response(run: Operation) -> Operation:
    """Store the response of an operation that did not do so itself; a failure frees the key."""
    if iscoroutinefunction(run):
        return run

    @functools.wraps(run)
    def run_and_store(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = run(request, *args, **kwargs)
        own: Claim | None = getattr(request, "idempotency", None)
        if own is None or own.is_finished:
            return response
        if not isinstance(response, HttpResponse) or response.status_code >= 300:
            own.release()
            return response
        headers = {name: response[name] for name in STORED_HEADERS if name in response}
        try:
            own.store(StoredResponse(response.status_code, response.content.decode(), headers))
        except InProgress:
            log.warning("A request ran longer than its claim, and its repetition took it over.")
        return response

    return run_and_store


def _digest(request: HttpRequest) -> str:
    """Return a hash of method, URL and body.

    Forms are hashed by their fields, because the multipart boundary differs each time.
    """
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


def _delete_some_old_keys() -> None:
    """Delete a few expired keys, so that the table stays small without a job of its own."""
    expired = IdempotencyKey.objects.filter(claimed_at__lt=timezone.now() - LIFETIME - LEASE)
    if not expired.exists():
        return
    with transaction.atomic():
        rows = expired.select_for_update(skip_locked=True).values_list("pk", flat=True)[:DELETE_AT_ONCE]
        IdempotencyKey.objects.filter(pk__in=list(rows)).delete()
