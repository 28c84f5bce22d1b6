"""Language, time zone and theme of a request: the person's own, else the browser's.

Cookies keep them for people who are not signed in, so that the sign-in page looks as the person
left it.  app.js writes the cookie with the browser's time zone.
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
    """Return the person's profile, unsaved if there is none yet.

    Without a session cookie nothing is queried.
    """
    user = getattr(request, "user", None)  # missing on a request that an earlier middleware refused
    if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(user, User):
        return Profile.objects.filter(user=user).first() or Profile(user=user)
    return Profile(theme=request.COOKIES.get(THEME_COOKIE, Theme.AUTO))


def time_zone_of(profile: Profile, request: HttpRequest) -> tzinfo | None:
    """Return the time zone of the profile or the browser; None means that of the settings."""
    for name in (profile.time_zone, request.COOKIES.get(TIME_ZONE_COOKIE, "")):
        if name in time_zone_names():
            return ZoneInfo(name)
    return None


@functools.cache
def time_zone_names() -> frozenset[str]:
    """Return all time zones.  Cached: listing them takes 14 ms, and every request needs them."""
    return frozenset(available_timezones())


def change(profile: Profile, **values: str) -> None:
    """Set preferences, and save them for a person who is signed in; others have only cookies."""
    for name, value in values.items():
        setattr(profile, name, value)
    if profile.user_id:
        Profile.objects.update_or_create(user_id=profile.user_id, defaults=values)


def set_cookies(response: HttpResponse, profile: Profile) -> None:
    """Write the cookies that keep theme and language after signing out."""
    for name, value in {THEME_COOKIE: profile.theme, settings.LANGUAGE_COOKIE_NAME: profile.language}.items():
        if value:
            secure = settings.SESSION_COOKIE_SECURE
            response.set_cookie(name, value, max_age=COOKIE_SECONDS, samesite="Lax", secure=secure, httponly=True)
        else:
            response.delete_cookie(name)
