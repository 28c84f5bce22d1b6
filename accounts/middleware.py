"""Middleware: a person's preferences, and pages that outlive their session."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils import timezone, translation
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _

from accounts import preferences
from accounts.models import Profile
from core.api import errors
from core.errors import DomainError, NotPossible

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


class PagePersonMiddleware(MiddlewareMixin):
    """Refuses what an open page sends after its person's session has ended.

    The scripts of a page name the person whom it was rendered for in ``X-Signed-In-As``. Nobody is
    signed in: 401. Somebody else is: 409 ``other_person``, so that a page never acts for another
    person. Forms are sent by the browser, without the header: ``core/static/app/app.js`` asks
    ``accounts.views.session`` first, and a sign-in changes the CSRF token.

    Stands after PreferencesMiddleware, whose language the messages have.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        person = request.headers.get("X-Signed-In-As")
        if person is None or (request.user.is_authenticated and person == str(request.user.pk)):
            return None
        if not request.user.is_authenticated:
            message = _("You are signed out. Nothing was sent. Sign in again in another tab, then try again.")
            return errors.respond(DomainError(message, status=401))
        message = _("You are now signed in as %(name)s. Nothing was sent. Reload the page.")
        name = request.user.get_username()
        return errors.respond(NotPossible(message % {"name": name}, error="other_person"))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Lead a POST without a session back to the page with the form, not to the form's target.

        The target may refuse GET, and what was typed is on the page.
        """
        if request.method != "POST" or not isinstance(response, HttpResponseRedirect):
            return response
        target, login = urlsplit(response.url), urlsplit(resolve_url(settings.LOGIN_URL))
        if (target.path, target.netloc) != (login.path, "") or not target.query.startswith("next="):
            return response
        page = urlsplit(request.headers.get("Referer", ""))
        back = page._replace(scheme="", netloc="", fragment="").geturl() if page.netloc == request.get_host() else "/"
        response["Location"] = f"{login.path}?{urlencode({'next': back})}"
        messages.warning(request, _("You were signed out. Nothing was sent. Sign in, then send the form again."))
        return response
