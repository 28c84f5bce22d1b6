"""``/metrics``, for Prometheus: with METRICS_TOKEN, or from this machine."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from operations import metrics

# Whoever asks through a proxy seems to come from the proxy's machine; any of these tells that one stands between.
PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "Via")


@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    if settings.METRICS_TOKEN:
        return _metrics() if _has_token(request) else _refuse(401, "Send METRICS_TOKEN: Authorization: Bearer TOKEN.")
    if _is_from_here(request):
        return _metrics()
    return _refuse(403, "Without METRICS_TOKEN, metrics are told to this machine only, and not through a proxy.")


def _metrics() -> HttpResponse:
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _refuse(status: int, text: str) -> HttpResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return HttpResponse(text + "\n", status=status, content_type="text/plain; charset=utf-8", headers=headers)


def _has_token(request: HttpRequest) -> bool:
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and constant_time_compare(given.strip(), settings.METRICS_TOKEN)


def _is_from_here(request: HttpRequest) -> bool:
    """From a loopback address, and by all signs not through a proxy: one may be silent, so a public address is a sign."""
    if settings.PUBLIC_BASE_URL or any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
