"""Log lines about an attempt."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from core.logging.context import about
from missions.models import Attempt

_P = ParamSpec("_P")
_R = TypeVar("_R")


def about_attempt(function: Callable[Concatenate[Attempt, _P], _R]) -> Callable[Concatenate[Attempt, _P], _R]:
    """Add the ids of the attempt, the first argument, to every log line of a function.

    The attempt's item must be loaded.
    """

    @functools.wraps(function)
    def wrapper(attempt: Attempt, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        item = attempt.item
        with about(account=attempt.account_id, mission=item.mission_id, item=item.pk, attempt=attempt.pk):
            return function(attempt, *args, **kwargs)

    return wrapper
