"""Each request in its person's language and time zone."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.deprecation import MiddlewareMixin

from accounts import preferences
from accounts.models import Profile

WORDLESS = {"image", "video", "audio", "style", "script", "font"}


class PreferencesMiddleware(MiddlewareMixin):
    """After AuthenticationMiddleware and LocaleMiddleware, whose choice by cookie or browser holds if the person has none.

    Sets ``request.profile`` (a Profile, unsaved for strangers) and ``request.theme``, which ``core.ui`` reads.  A request for a picture asks for no person: its answer must not vary by cookie.
    """

    def process_request(self, request: HttpRequest) -> None:
        is_wordless = request.headers.get("Sec-Fetch-Dest") in WORDLESS
        profile = Profile() if is_wordless else preferences.profile_of(request)
        request.profile = profile  # type: ignore[attr-defined]
        request.theme = profile.theme  # type: ignore[attr-defined]
        if profile.language and translation.check_for_language(profile.language):
            translation.activate(profile.language)
            request.LANGUAGE_CODE = translation.get_language()
        zone = preferences.time_zone_of(profile, request)
        if zone:
            timezone.activate(zone)
        else:
            timezone.deactivate()
