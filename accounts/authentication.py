"""Authentication of the API: a bearer token, or the session of the pages with its CSRF check.

Both are plain functions that may query the database.  In an async operation django-ninja runs them
in the request's thread (``ninja.operation.AsyncOperation``), so they serve both kinds.  After them
``request.user`` is the caller.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from accounts import services
from accounts.models import ApiToken
from core.errors import DomainError


class BearerToken(HttpBearer):
    """``Authorization: Bearer rhb_…``.  ``request.auth`` becomes the ApiToken."""

    def authenticate(self, request: HttpRequest, secret: str) -> ApiToken | None:
        token = services.authenticate(secret.strip())
        if token is not None:
            request.user = token.user
        return token


class Session(APIKeyCookie):
    """The session cookie of a person who is signed in to the pages.

    ``request.auth`` becomes the User.

    The person is checked first, so that strangers get 401 and only a person without a CSRF token
    gets 403.  A request with an Authorization header, even an invalid one, never counts as a
    person's.
    """

    param_name = "sessionid"

    def __call__(self, request: HttpRequest) -> User | None:
        return None if "Authorization" in request.headers else self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        user = request.user
        if not isinstance(user, User) or not user.is_authenticated:
            return None
        if self.csrf and check_csrf(request):
            message = _("The CSRF token is missing or wrong. Nothing was done. Send it as X-CSRFToken.")
            raise DomainError(message, status=403, error="csrf_failed")
        return user
