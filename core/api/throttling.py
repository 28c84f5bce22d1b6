"""The limit of requests per caller and minute."""

from __future__ import annotations

import threading

from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import SimpleRateThrottle


class PerCaller(threading.local, SimpleRateThrottle):
    """At most API_REQUESTS_PER_MINUTE requests a minute per token or person; 0 is no limit.

    Each web process counts for itself, in its own memory.  django-ninja's class keeps the request
    that it looks at in its attributes; a ``threading.local`` has its own in each thread, so that
    requests do not mix.
    """

    def __init__(self) -> None:
        super().__init__(rate="1/min")  # allow_request reads the setting

    def allow_request(self, request: HttpRequest) -> bool:
        self.num_requests = settings.API_REQUESTS_PER_MINUTE
        return not self.num_requests or super().allow_request(request)

    def get_cache_key(self, request: HttpRequest) -> str | None:
        caller = getattr(request, "auth", None)  # an ApiToken or a User
        return None if caller is None else f"throttle:{type(caller).__name__}:{caller.pk}"
