"""The context processor of every page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from core.ui.navigation import Link, links
from core.ui.notices import Notice, current
from core.ui.themes import ICONS, Theme, theme_of
from core.version import VERSION


class Layout:
    """The parts around the content of a page, as ``layout`` in templates.

    Nothing is queried before a template uses it.
    """

    version = VERSION

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def theme(self) -> str:
        return theme_of(self._request)

    @property
    def navigation(self) -> list[Link]:
        return links(self._request)

    @property
    def themes(self) -> list[dict[str, Any]]:
        return [
            {"value": theme.value, "text": theme.label, "icon": ICONS[theme], "is_chosen": theme == self.theme}
            for theme in Theme
        ]

    @property
    def languages(self) -> list[dict[str, Any]]:
        language = get_language()
        return [{"value": code, "text": name, "is_chosen": code == language} for code, name in settings.LANGUAGES]

    @property
    def notices(self) -> list[Notice]:
        return current(self._request.user)


def layout(request: HttpRequest) -> dict[str, Layout]:
    return {"layout": Layout(request)}
