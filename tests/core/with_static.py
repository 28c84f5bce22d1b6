"""The application with the static files that a test collected.

Tests truncate all tables, so content types get new ids.  The server outlives a test and must not
cache them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import request_started

settings.STATIC_ROOT = Path(os.environ["STATIC_ROOT_OF_TEST"])

from runninghub_batch.asgi import application  # noqa: E402


def _forget(**_: Any) -> None:
    from django.contrib.contenttypes.models import ContentType

    ContentType.objects.clear_cache()


request_started.connect(_forget)

__all__ = ["application"]
