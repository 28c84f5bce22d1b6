"""Language, time zone and theme of a request: the person's own, then the browser's.

Cookies keep them for who is not signed in, so that the sign-in page looks as the person left it.  The cookie with the browser's
time zone is written by app.js.
"""

from __future__ import annotations

import functools
from datetime import tzinfo
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from accounts.models import Profile
from core.ui.themes import THEME_COOKIE, Theme

TIME_ZONE_COOKIE = "time_zone"
COOKIE_SECONDS = 365 * 86400


def profile_of(request: HttpRequest) -> Profile:
    """The person's, unsaved if there is none yet.  Who sends no session cookie costs no look at the database."""
    person = getattr(request, "user", None)  # a request that was refused on its way in has none
    if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(person, User):
        return Profile.objects.filter(user=person).first() or Profile(user=person)
    return Profile(theme=request.COOKIES.get(THEME_COOKIE, Theme.AUTO))


def time_zone_of(profile: Profile, request: HttpRequest) -> tzinfo | None:
    """None: that of the settings."""
    for name in (profile.time_zone, request.COOKIES.get(TIME_ZONE_COOKIE, "")):
        if name in known_time_zones():
            return ZoneInfo(name)
    return None


@functools.cache
def known_time_zones() -> frozenset[str]:
    """Looked up once: it takes 14 ms to list them, and every request asks."""
    return frozenset(available_timezones())


def change(profile: Profile, **wishes: str) -> None:
    """Keep what a person chose; who is not signed in has cookies only."""
    for name, value in wishes.items():
        setattr(profile, name, value)
    if profile.user_id:
        Profile.objects.update_or_create(user_id=profile.user_id, defaults=wishes)


def remember(response: HttpResponse, profile: Profile) -> None:
    """Write the cookies that hold after signing out."""
    wishes = {THEME_COOKIE: profile.theme, settings.LANGUAGE_COOKIE_NAME: profile.language}
    for name, value in wishes.items():
        if value:
            secure = settings.SESSION_COOKIE_SECURE
            response.set_cookie(name, value, max_age=COOKIE_SECONDS, samesite="Lax", secure=secure, httponly=True)
        else:
            response.delete_cookie(name)
