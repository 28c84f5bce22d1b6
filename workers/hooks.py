"""Hooks of other apps for the start, the life and the end of workers.

``workers`` knows nothing of the apps above it. An app that needs hooks registers a subclass of
``WorkerHooks`` in its ``AppConfig.ready()``; the supervisor imports them when it starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from django.db.models import QuerySet
from django.utils.module_loading import import_string

_paths: list[str] = []


class WorkerHooks:
    """The moments in the life of a worker cluster. Override those that an app needs.

    All but ``warm_up`` run in the supervisor. ``is_alone`` is true when no other cluster of this
    database is alive, on any host.
    """

    def on_start(self, *, is_alone: bool) -> None:
        """Run once, before the workers of this cluster are forked."""

    def warm_up(self) -> None:
        """Load what every task reads: before workers are forked, and in each new core worker."""

    def on_restart(self) -> None:
        """Run after a failed cluster was replaced by a new one."""

    def on_beat(self) -> None:
        """Run every few seconds."""

    def on_stop(self, *, is_alone: bool) -> None:
        """Run once, after the last worker of this cluster has ended."""

    def due_times(self) -> Iterable[tuple[QuerySet[Any], list[str]]]:
        """Return rows, and their columns, that hold times computed from this machine's clock.

        They are moved when the clock is set back. Leave out times that a person chose.
        """
        return ()


def register(path: str) -> None:
    """Name a subclass of ``WorkerHooks`` by its dotted path."""
    if path not in _paths:
        _paths.append(path)


@cache
def all_hooks() -> tuple[WorkerHooks, ...]:
    """Return the registered hooks, in the order of INSTALLED_APPS."""
    return tuple(import_string(path)() for path in _paths)
