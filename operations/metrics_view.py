"""``/metrics`` for Prometheus: with METRICS_TOKEN, or from this machine."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from operations import metrics

# Requests through a proxy seem to come from the proxy's machine; any of these headers reveals a
# proxy.
PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "Via")


@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """Send all metrics.

    With METRICS_TOKEN set, the answer to another token is 401; without it, to another machine 403.
    """
    if settings.METRICS_TOKEN:
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not constant_time_compare(token.strip(), settings.METRICS_TOKEN):
            return _refuse(401, "Send METRICS_TOKEN: Authorization: Bearer TOKEN.")
    elif not _is_local(request):
        return _refuse(403, "Without METRICS_TOKEN, metrics are sent only to this machine, and not through a proxy.")
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _refuse(status: int, text: str) -> HttpResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)


def _is_local(request: HttpRequest) -> bool:
    """Return True for a loopback address without any sign of a proxy.

    A proxy may add no header, so a public URL counts as a sign, too.
    """
    if settings.PUBLIC_BASE_URL or any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
