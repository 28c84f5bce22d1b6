"""What surrounds every page: where one can go, how it looks, and what there is to know about the state of things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts import preferences
from accounts.models import Theme
from core.version import VERSION
from operations import notices

# An address, its words and icon, and where its pages lie.
NAVIGATION = (
    ("missions:list", _("Missions"), "missions"),
    ("missions:new", _("New mission"), "add"),
    ("templates:list", _("Templates"), "template"),
    ("media:library", _("Media"), "image"),
)
# The same for the administration: for whom a place is, as well ("": everybody who may come in).
ADMINISTRATION = (
    ("admin:index", _("Overview"), "shield", ""),
    ("control_room:show", _("Control room"), "bolt", ""),
    ("admin:missions_mission_changelist", _("Missions"), "missions", "missions.view_mission"),
    ("admin:missions_missionitem_changelist", _("Items"), "list", "missions.view_missionitem"),
    ("admin:providers_provideraccount_changelist", _("Accounts"), "key", "providers.view_provideraccount"),
    ("admin-models", _("Models"), "sliders", ""),
    ("home", _("To the site"), "external", ""),
)
THEME_ICONS = {Theme.AUTO: "screen", Theme.LIGHT: "sun", Theme.DARK: "moon"}


@dataclass(frozen=True, slots=True)
class Place:
    url: str
    text: str | Promise
    icon: str
    is_current: bool


class Frame:
    """For templates, as ``frame``.  Nothing is asked for before a page shows it: a fragment shows none of it."""

    version = VERSION

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def theme(self) -> str:
        return preferences.theme_of(self._request)

    @property
    def places(self) -> list[Place]:
        """Where one can go.  The longest address that this one begins with is the one where we are."""
        places = self._administration if self._is_administration else NAVIGATION
        found = [(url, text, icon) for name, text, icon in places if (url := _address(name))]
        around = [url for url, _text, _icon in found if _lies_in(self._request.path, url)]
        current = max(around, key=len, default="")
        return [Place(url, text, icon, url == current) for url, text, icon in found]

    @property
    def _is_administration(self) -> bool:
        return _lies_in(self._request.path, _address("admin:index"))

    @property
    def _administration(self) -> list[tuple[str, Promise, str]]:
        user = self._request.user
        return [(name, text, icon) for name, text, icon, right in ADMINISTRATION if not right or user.has_perm(right)]

    @property
    def themes(self) -> list[dict[str, Any]]:
        return [
            {"value": theme.value, "text": theme.label, "icon": THEME_ICONS[theme], "is_chosen": theme == self.theme}
            for theme in Theme
        ]

    @property
    def languages(self) -> list[dict[str, Any]]:
        now = get_language()
        return [{"value": code, "text": name, "is_chosen": code == now} for code, name in settings.LANGUAGES]

    @property
    def notices(self) -> list[notices.Notice]:
        return notices.current(self._request.user)


def frame(request: HttpRequest) -> dict[str, Frame]:
    return {"frame": Frame(request)}


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def _lies_in(path: str, url: str) -> bool:
    return path == url or path.startswith(url.rstrip("/") + "/")
