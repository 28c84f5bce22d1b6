"""Authentication of the API: a bearer token, or the session of the pages with its CSRF check.

Both are plain functions that may query the database.  In an async operation django-ninja runs them
in the request's thread (``ninja.operation.AsyncOperation``), so they serve both kinds.  After them
``request.user`` is the caller.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from accounts import services
from accounts.models import ApiToken, Scope
from core.errors import DomainError


class BearerToken(HttpBearer):
    """``Authorization: Bearer rhb_…``.  ``request.auth`` becomes the ApiToken.

    The token needs the scope "read" for GET and "operate" for all other methods.  An operation that
    only creates says so (``CREATING``), so none is too open by mistake.
    """

    @staticmethod
    def scope_of(method: str) -> Scope:
        """Return the scope that a request with a method needs."""
        return Scope.READ if method.upper() in ("GET", "HEAD", "OPTIONS") else Scope.OPERATE

    def authenticate(self, request: HttpRequest, secret: str) -> ApiToken | None:
        token = services.authenticate(secret.strip())
        if token is None:
            return None
        request.user = token.user
        scope = self.scope_of(request.method or "")
        if scope not in token.scopes:
            raise services.InsufficientScope(scope)
        return token


class CreatingToken(BearerToken):
    """The token of an operation that creates something."""

    @staticmethod
    def scope_of(method: str) -> Scope:
        return Scope.CREATE


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


# The ``auth`` of an operation that creates something: a token needs the scope "create".
CREATING = [CreatingToken(), Session()]


def document_scopes(schema: dict[str, Any]) -> None:
    """Name the scopes in the ``security`` of each operation of an OpenAPI schema."""
    schemes = schema["components"]["securitySchemes"]
    schemes.pop(CreatingToken.__name__, None)
    for operations in schema["paths"].values():
        for method, operation in operations.items():
            for requirement in operation.get("security", ()):
                for kind in (CreatingToken, BearerToken):
                    if requirement.pop(kind.__name__, None) is not None:
                        requirement[BearerToken.__name__] = [kind.scope_of(method).value]
                        break
