"""Who failed to sign in too often has to wait.

django-axes counts (``AXES_…`` in the settings).  Here is whom it counts, and what they see.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def address_of(request: HttpRequest) -> str | None:
    """The address that is counted; of IPv6 the network (/64), of which a single guesser has all addresses.  None: unknown."""
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or ipaddress.IPv6Address(int(address) >> 64 << 64)
    return str(address)


def refuse(request: HttpRequest, *_: Any) -> HttpResponse:
    """The page instead of an answer.  (axes also hands over what would have been answered, and for whom.)"""
    wait = settings.AXES_COOLOFF_TIME
    response = render(request, "accounts/locked_out.html", {"minutes": wait.seconds // 60}, status=429)
    response["Retry-After"] = str(wait.seconds)
    response["Cache-Control"] = "no-store"
    return response
