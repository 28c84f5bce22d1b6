"""The entries of the main navigation, on the site and in the administration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise

SITE = "site"
ADMINISTRATION = "administration"


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered entry.

    ``permission`` limits it to users who have it; "" shows it to everybody.
    """

    url_name: str
    text: str | Promise
    icon: str
    order: int
    permission: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as one page shows it."""

    url: str
    text: str | Promise
    icon: str
    is_current: bool


_entries: dict[tuple[str, str], Entry] = {}


def register(menu: str, *entries: Entry) -> None:
    """Add entries to SITE or ADMINISTRATION.

    They are sorted by ``order``, whatever app comes first.
    """
    for entry in entries:
        _entries[menu, entry.url_name] = entry


def registered() -> Sequence[Entry]:
    """Return all entries of all menus."""
    return list(_entries.values())


def links(request: HttpRequest) -> list[Link]:
    """Return the navigation for the page of a request.

    The current entry is the one with the longest URL that contains the page.
    """
    menu = ADMINISTRATION if _contains(url_of("admin:index"), request.path) else SITE
    entries = sorted((entry for (place, _), entry in _entries.items() if place == menu), key=lambda entry: entry.order)
    shown = [
        (url, entry)
        for entry in entries
        if (not entry.permission or request.user.has_perm(entry.permission)) and (url := url_of(entry.url_name))
    ]
    current = max((url for url, _ in shown if _contains(url, request.path)), key=len, default="")
    return [Link(url, entry.text, entry.icon, url == current) for url, entry in shown]


def url_of(name: str, *args: int) -> str:
    """Return the URL of a name, or "" where it is not mounted (tests mount parts of the site)."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def _contains(url: str, path: str) -> bool:
    return bool(url) and (path == url or path.startswith(url.rstrip("/") + "/"))
