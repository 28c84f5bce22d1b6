"""What a line of the log is about: the ids of the rows that are worked on, in every line that is written meanwhile."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:  # logging is set up before there are models
    from missions.models import Attempt

_P = ParamSpec("_P")
_R = TypeVar("_R")
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


def about_attempt(verb: Callable[Concatenate[Attempt, _P], _R]) -> Callable[Concatenate[Attempt, _P], _R]:
    """For what is done with one attempt, read together with its item."""

    @functools.wraps(verb)
    def told(attempt: Attempt, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        item = attempt.item
        with about(account=attempt.account_id, mission=item.mission_id, item=item.pk, attempt=attempt.pk):
            return verb(attempt, *args, **kwargs)

    return told
