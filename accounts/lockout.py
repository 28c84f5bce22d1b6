"""The wait after failed logins.

django-axes counts them (``AXES_…`` in the settings) by the address that ``address_of`` returns, and
locks an address out.  ``Handler`` adds a wait for each username, from whatever addresses the
failures came: it grows with each failure, so that many addresses help little to guess one password.
A browser in which the person has signed in before is spared that wait (``KNOWN_COOKIE``), so nobody
can keep somebody else out.
"""

from __future__ import annotations

import ipaddress
import math
from datetime import timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.core import signing
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

FREE_FAILURES = 5  # of one username, before the first wait
LONGEST_WAIT = timedelta(minutes=15)
KNOWN_COOKIE = "known_person"
KNOWN_SECONDS = 365 * 86400
_SALT = "accounts.lockout.known"


class Handler(AxesDatabaseHandler):  # type: ignore[misc]  # axes has no types
    """The handler of axes, with a wait for each username."""

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        if super().is_locked(request, credentials):
            return True
        username = (credentials or {}).get("username") or ""
        wait = seconds_to_wait(username)
        if not wait or _is_known(request, username):
            return False
        request.is_name_locked = True  # type: ignore[attr-defined]
        request.seconds_to_wait = wait  # type: ignore[attr-defined]
        return True


def seconds_to_wait(username: str) -> int:
    """Return for how long a username cannot sign in: 1, 2, 4, … seconds after the last failure."""
    if not username:
        return 0
    since = timezone.now() - settings.AXES_COOLOFF_TIME
    attempts = AccessAttempt.objects.filter(username=username, attempt_time__gt=since)
    found = attempts.aggregate(count=Sum("failures_since_start"), last=Max("attempt_time"))
    excess = (found["count"] or 0) - FREE_FAILURES
    if excess < 0:
        return 0
    wait = min(timedelta(seconds=2 ** min(excess, 20)), LONGEST_WAIT)
    left: timedelta = found["last"] + wait - timezone.now()
    return max(0, math.ceil(left.total_seconds()))


def remember_browser(response: HttpResponse, username: str) -> None:
    """Note in a signed cookie that a person has signed in with this browser."""
    value = signing.dumps(username, salt=_SALT)
    secure = settings.SESSION_COOKIE_SECURE
    response.set_cookie(
        KNOWN_COOKIE, value, max_age=KNOWN_SECONDS, httponly=True, samesite="Lax", secure=secure, path="/"
    )


def _is_known(request: HttpRequest, username: str) -> bool:
    try:
        known = signing.loads(request.COOKIES.get(KNOWN_COOKIE, ""), salt=_SALT, max_age=KNOWN_SECONDS)
    except signing.BadSignature:
        return False
    return bool(known == username)


def address_of(request: HttpRequest) -> str | None:
    """Return the address that is counted, or None if it is unknown.

    Of IPv6 it is the network (/64), because one attacker has all of its addresses.
    """
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or ipaddress.IPv6Address(int(address) >> 64 << 64)
    return str(address)


def refuse(request: HttpRequest, *_: Any) -> HttpResponse:
    """Return the page for a locked-out address, or for a username that has to wait.

    axes also passes the original response and the credentials.
    """
    is_name_locked = getattr(request, "is_name_locked", False)
    cooloff: timedelta = settings.AXES_COOLOFF_TIME
    seconds = getattr(request, "seconds_to_wait", 0) if is_name_locked else cooloff.seconds
    context = {"is_name_locked": is_name_locked, "seconds": seconds, "minutes": math.ceil(seconds / 60)}
    response = render(request, "accounts/locked_out.html", context, status=429)
    response["Retry-After"] = str(seconds)
    response["Cache-Control"] = "no-store"
    return response
