"""The limit of requests per caller and minute."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import SimpleRateThrottle


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The state of a caller's limit.

    ``seconds`` until the oldest request of the last minute no longer counts.
    """

    limit: int
    left: int
    seconds: int

    @property
    def headers(self) -> dict[str, str]:
        values = {"Limit": self.limit, "Remaining": self.left, "Reset": self.seconds}
        return {f"RateLimit-{name}": str(value) for name, value in values.items()}


class PerCaller(threading.local, SimpleRateThrottle):
    """At most API_REQUESTS_PER_MINUTE requests a minute per token or person; 0 is no limit.

    Each web process counts for itself, in its own memory.  django-ninja's class keeps the request
    that it looks at in its attributes; a ``threading.local`` has its own in each thread, so that
    requests do not mix.  ``request.rate_limit`` becomes the RateLimit after the request, unless the
    number is unlimited.
    """

    def __init__(self) -> None:
        super().__init__(rate="1/min")  # allow_request reads the setting

    def allow_request(self, request: HttpRequest) -> bool:
        self.num_requests = settings.API_REQUESTS_PER_MINUTE
        if not self.num_requests:
            return True
        duration = self.duration or 60
        is_allowed = super().allow_request(request)
        if self.key is not None:
            seconds = math.ceil(self.history[-1] + duration - self.now) if self.history else duration
            left = max(self.num_requests - len(self.history), 0)
            request.rate_limit = RateLimit(self.num_requests, left, seconds)  # type: ignore[attr-defined]
        return is_allowed

    def get_cache_key(self, request: HttpRequest) -> str | None:
        caller = getattr(request, "auth", None)  # an ApiToken or a User
        return None if caller is None else f"throttle:{type(caller).__name__}:{caller.pk}"
