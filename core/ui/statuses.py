"""The label, tone and icon of every status that a page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import models
from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class StatusLook:
    """The look of one status.  Colour never stands alone: there is always an icon and a word."""

    label: str | Promise
    tone: str  # neutral, busy, good, warn, bad or still: a class of components.css
    icon: str  # the name of an icon in icons.svg


_looks: dict[str, dict[str, StatusLook]] = {}
_bar_orders: dict[str, Sequence[str]] = {}


def register(
    kind: str,
    statuses: type[models.TextChoices],
    looks: Mapping[str, tuple[str, str]],
    *,
    labels: Mapping[str, str | Promise] | None = None,
    bar_order: Sequence[str] = (),
) -> None:
    """Add a kind of status, such as ``item``.

    ``looks`` has the tone and the icon of each status.  ``labels`` replace those of the statuses.
    ``bar_order`` lists the pieces of a status bar from left to right; only kinds with counts need
    it.
    """
    words = labels or {}
    _looks[kind] = {
        status.value: StatusLook(words.get(status.value, status.label), *looks[status.value]) for status in statuses
    }
    _bar_orders[kind] = bar_order


def look_of(kind: str, status: str) -> StatusLook:
    """Return the look of a status.  Raises KeyError for one that no app registered."""
    return _looks[kind][status]


def bar_order(kind: str) -> Sequence[str]:
    """Return the statuses of a kind in the order of a status bar."""
    return _bar_orders[kind]


def registered() -> Mapping[str, Mapping[str, StatusLook]]:
    """Return all looks, by kind and status."""
    return _looks
