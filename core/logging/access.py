"""The access log: one line per request, with the person and the client's address.

It takes the place of the server's own, which has neither, and which writes paths that are secrets.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.encoding import escape_uri_path
from django.utils.functional import SimpleLazyObject

from core.logging.context import about

log = logging.getLogger("access")


def log_request(
    method: str, path: str, status: int, started: float, *, address: str = "", user: int | None = None
) -> None:
    """Write the line of one request. ``started``: monotonic time at which it came.

    Static files are at DEBUG. ``without_secrets`` hides the secret parts of a path.
    """
    is_static = path.startswith(f"/{settings.STATIC_URL.strip('/')}/")
    ids: dict[str, Any] = {"address": address} if address else {}
    if user is not None:
        ids["user"] = user
    with about(**ids):
        log.log(
            logging.DEBUG if is_static else logging.INFO,
            "%s %s %d in %.0f ms",
            method,
            escape_uri_path(path),  # a line break in it would start a forged line
            status,
            (time.monotonic() - started) * 1000,
        )


def person_of(request: HttpRequest) -> int | None:
    """Return the id of the person who sent a request; None if nobody asked who it is."""
    user = request.__dict__.get("user")
    if isinstance(user, SimpleLazyObject):
        user = getattr(request, "_cached_user", None)
    return getattr(user, "pk", None)
