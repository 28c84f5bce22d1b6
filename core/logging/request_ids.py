"""The id of the current request: the caller's or a new one, in every log line and in the response.

A small context variable of our own: asgi-correlation-id is ASGI middleware on starlette, so
requests through WSGI and Django's test client would have no id, and neither would the 413 of a body
that is refused before Django sees it.
"""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

_VALID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # nothing that could forge a log line
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request that this thread or task answers; "" outside of one."""
    return _current.get()


def begin(caller_id: str | None) -> str:
    """Set and return the id of a request: the caller's if it is valid, else a new one."""
    request_id = caller_id if caller_id and _VALID.fullmatch(caller_id) else uuid.uuid4().hex
    _current.set(request_id)
    return request_id
