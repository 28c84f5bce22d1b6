"""Unknown names in a query are errors: a filter that is not applied would show everything."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from core.errors import FieldError, Invalid

PREFIXES = "query_prefixes"
Operation = Callable[..., Any]


def allow_prefixes(*prefixes: str) -> Callable[[Operation], Operation]:
    """Let an operation also read query names that begin with one of ``prefixes``."""

    def decorate(operation: Operation) -> Operation:
        setattr(operation, PREFIXES, prefixes)
        return operation

    return decorate


def note_names(run: Operation) -> Operation:
    """Tell ``refuse_unknown`` which names the operation reads: its query parameters."""
    operation = inspect.unwrap(run).__self__
    queries = [model for model in operation.models if model.__ninja_param_source__ == "query"]
    names = frozenset(name for model in queries for name in model.__ninja_flatten_map__)

    if iscoroutinefunction(run):

        @functools.wraps(run)
        async def run_async(request: Any, *args: Any, **kwargs: Any) -> Any:
            request.query_names = names
            return await run(request, *args, **kwargs)

        return run_async

    @functools.wraps(run)
    def run_sync(request: Any, *args: Any, **kwargs: Any) -> Any:
        request.query_names = names
        return run(request, *args, **kwargs)

    return run_sync


def refuse_unknown(operation: Operation) -> Operation:
    """Raise Invalid, which names each unknown query name, before the operation runs."""
    prefixes = getattr(inspect.unwrap(operation), PREFIXES, ())

    @functools.wraps(operation)
    def run(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        known: frozenset[str] = request.query_names  # type: ignore[attr-defined]
        unknown = [name for name in request.GET if name not in known and not name.startswith(prefixes)]
        if unknown:
            allowed = ", ".join([*sorted(known), *(f"{prefix}NAME" for prefix in prefixes)])
            message = _("Unknown. Allowed: %s.") % allowed if allowed else _("Unknown. This address takes no query.")
            raise Invalid([FieldError(name, message) for name in unknown])
        return operation(request, *args, **kwargs)

    return run
