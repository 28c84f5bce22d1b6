"""Notices at the top of every page, such as "no workers are running"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union

if TYPE_CHECKING:  # apps import this module before their models are ready
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

User: TypeAlias = Union["AbstractBaseUser", "AnonymousUser"]
KINDS = ("error", "warning", "neutral")  # the most serious first


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice.

    ``kind`` is one of KINDS; ``url`` leads to the page where the person can act on it.
    """

    name: str
    kind: str
    text: str
    url: str = ""
    link_text: str = ""


Source: TypeAlias = Callable[[User], Sequence[Notice]]
_sources: list[Source] = []


def register(source: Source) -> None:
    """Add a function that returns the current notices for a user."""
    if source not in _sources:
        _sources.append(source)


def current(user: User) -> list[Notice]:
    """Return the notices that a user sees now, the most serious first."""
    notices = [notice for source in _sources for notice in source(user)]
    return sorted(notices, key=lambda notice: KINDS.index(notice.kind))
