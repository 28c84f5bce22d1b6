"""Actions that apps add to the pages of other apps, such as "Share" on a mission's pages."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise

from core.ui.navigation import Link, url_of

MISSION = "mission"  # the menu of a mission: a link to a page
SELECTED_RESULTS = "selected results"  # the bar below a gallery: the selection is sent to the page


@dataclass(frozen=True, slots=True)
class Action:
    """A registered action. Its URL takes the ID of the row that the page is about."""

    url_name: str
    text: str | Promise
    icon: str


_actions: dict[tuple[str, str], Action] = {}


def register(place: str, action: Action) -> None:
    """Add an action to a place: MISSION or SELECTED_RESULTS."""
    _actions[place, action.url_name] = action


def shown(place: str, row_id: int) -> list[Link]:
    """Return the actions of a place for one row, in the order in which they were registered."""
    here = [action for (other, _name), action in _actions.items() if other == place]
    urls = [(url_of(action.url_name, row_id), action) for action in here]
    return [Link(url, action.text, action.icon, is_current=False) for url, action in urls if url]
