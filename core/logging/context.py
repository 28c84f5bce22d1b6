"""What a line of the log is about: the ids of the rows that are worked on, in every line that is written meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType

_NONE: Mapping[str, int] = MappingProxyType({})
_ids: ContextVar[Mapping[str, int]] = ContextVar("log_ids", default=_NONE)


def current_ids() -> Mapping[str, int]:
    """By name: account, mission, item (its row), attempt, output."""
    return _ids.get()


@contextlib.contextmanager
def about(**ids: int) -> Iterator[None]:
    """Lines that are written inside name these rows, beside those that are named around it."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)
