"""The wait after too many failed logins.

django-axes counts them (``AXES_…`` in the settings) by the address that ``address_of`` returns.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


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
    """Return the page for a locked-out address.

    axes also passes the original response and the credentials.
    """
    wait = settings.AXES_COOLOFF_TIME
    response = render(request, "accounts/locked_out.html", {"minutes": wait.seconds // 60}, status=429)
    response["Retry-After"] = str(wait.seconds)
    response["Cache-Control"] = "no-store"
    return response
