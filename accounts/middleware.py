"""The middleware that applies a person's preferences."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.deprecation import MiddlewareMixin

from accounts import preferences
from accounts.models import Profile

# Values of Sec-Fetch-Dest for responses without text: neither language nor time zone matters.
TEXTLESS = {"image", "video", "audio", "style", "script", "font"}


class PreferencesMiddleware(MiddlewareMixin):
    """Activates language and time zone; stands after AuthenticationMiddleware and LocaleMiddleware.

    Sets ``request.profile`` (a Profile, unsaved for strangers) and ``request.theme``, which
    ``core.ui`` reads.  Without a preference, the language of LocaleMiddleware (cookie or browser)
    stays.  Requests for pictures and scripts read no profile, so that their responses do not vary
    by cookie.
    """

    def process_request(self, request: HttpRequest) -> None:
        is_textless = request.headers.get("Sec-Fetch-Dest") in TEXTLESS
        profile = Profile() if is_textless else preferences.profile_of(request)
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
