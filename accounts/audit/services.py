"""Write the audit log, in the transaction of the action; remove entries that are too old."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase

from accounts.audit.models import AuditEntry, Verb, Via
from core.logging import request_ids

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def remember_request(get_response: GetResponse) -> GetResponse:
    """Middleware: let ``record`` know the request, and so who acts and from where."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        before = _request.set(request)
        try:
            return get_response(request)
        finally:
            _request.reset(before)

    return respond


def record(verb: Verb, row: Model | None = None, *, actor: str = "", name: str = "", **details: Any) -> None:
    """Add an entry to the audit log.  Call it in the transaction that does what it records.

    ``row`` is the object, and ``name`` its name if that is not ``str(row)``.  ``actor`` ("user:7")
    is the person where there is no request, as in a command; else it is the person of the request.
    ``details`` are plain JSON values; never a secret.
    """
    request = _request.get()
    person = _person(actor)
    AuditEntry.objects.create(
        verb=verb,
        person_id=person.pk if person else None,
        person_name=person.get_username() if person else "",
        object_id="" if row is None or row.pk is None else str(row.pk),
        object_name=(name or ("" if row is None else str(row)))[:255],
        details=details,
        **_origin(request),
    )


def expire(*, before: datetime) -> int:
    """Remove the entries from before a moment.  Return how many."""
    old = AuditEntry.objects.filter(at__lt=before)
    return int(old._raw_delete(old.db))  # delete() refuses


def expired_count(*, before: datetime) -> int:
    """Return how many entries ``expire`` would remove."""
    return AuditEntry.objects.filter(at__lt=before).count()


def actor_name(actor: str) -> str:
    """Return the username of the person who acts, as in ``record``; "" if no person does."""
    person = _person(actor)
    return person.get_username() if person else ""


def _person(actor: str) -> User | None:
    person = getattr(_request.get(), "user", None)
    if isinstance(person, User):
        return person
    number = actor.removeprefix("user:")
    return User.objects.filter(pk=int(number)).first() if number != actor and number.isdecimal() else None


def _origin(request: HttpRequest | None) -> dict[str, str]:
    """Return from where a request came: the address, and the token or session."""
    if request is None:
        return {"via": Via.COMMAND}
    origin = {"address": (request.META.get("REMOTE_ADDR") or "")[:45], "request_id": request_ids.current()}
    token = getattr(request, "auth", None)
    if hasattr(token, "prefix"):
        return origin | {"via": Via.TOKEN, "credential": str(token)[:120]}
    key = getattr(getattr(request, "session", None), "session_key", None)
    digest = hashlib.sha256(key.encode()).hexdigest()[:8] if key else ""
    return origin | {"via": Via.SESSION, "credential": digest}
