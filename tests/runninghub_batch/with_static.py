"""The application with its static files where a test has collected them."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

settings.STATIC_ROOT = Path(os.environ["STATIC_ROOT_OF_TEST"])

from runninghub_batch.asgi import application  # noqa: E402

__all__ = ["application"]
