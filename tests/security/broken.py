"""The site with a page that raises while it holds secrets."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from runninghub_batch.urls import handler404, handler500
from runninghub_batch.urls import urlpatterns as real


def break_down(request: HttpRequest) -> HttpResponse:
    """Raise an error."""
    raise RuntimeError(f"cannot log in with {settings.RUNNINGHUB_API_KEY}")


urlpatterns = [path("broken", break_down), *real]
__all__ = ["handler404", "handler500", "urlpatterns"]
