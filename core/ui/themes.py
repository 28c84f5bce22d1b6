"""The colour themes of the pages."""

from __future__ import annotations

from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

THEME_COOKIE = "theme"


class Theme(models.TextChoices):
    AUTO = "auto", _("Follow the system")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


ICONS = {Theme.AUTO: "screen", Theme.LIGHT: "sun", Theme.DARK: "moon"}


def theme_of(request: HttpRequest) -> str:
    """Return the theme of a request without a query.

    It is ``request.theme``, set by the middleware of accounts, or the cookie where that did not
    run.
    """
    theme = getattr(request, "theme", None) or request.COOKIES.get(THEME_COOKIE, "")
    return theme if theme in Theme.values else Theme.AUTO
