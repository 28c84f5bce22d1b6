"""The name of a request: taken from the caller or made, in every line that is logged on its way, and in the answer."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")  # nothing that could forge a line of the log
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The id of the request that is being answered here; "" outside of one."""
    return _current.get()


def begin(given: str | None) -> str:
    """Name the request: as its caller does, if that can be used, else anew."""
    name = given if given and _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
    _current.set(name)
    return name
