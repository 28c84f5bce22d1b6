"""The ids of the rows that the current code works on, for every log line written meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType

_NONE: Mapping[str, int | str] = MappingProxyType({})
_ids: ContextVar[Mapping[str, int | str]] = ContextVar("log_ids", default=_NONE)


def current_ids() -> Mapping[str, int | str]:
    """Return the ids by name: account, mission, item (its row), attempt, output; user, address."""
    return _ids.get()


@contextlib.contextmanager
def about(**ids: int | str) -> Iterator[None]:
    """Add ids to the log lines written inside the block, beside those of blocks around it."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)
