"""Requests that came in chunks, and so without a length."""

from __future__ import annotations

import io
from typing import IO, Any

from django.core.handlers.asgi import ASGIRequest


class MeasuredRequest(ASGIRequest):
    """A request that knows its length in any case: Django takes a form without one for empty.

    Its body has arrived as a whole by now, within the bounds of ``limits.BoundedBodies``.
    """

    def __init__(self, scope: dict[str, Any], body_file: IO[bytes]) -> None:
        super().__init__(scope, body_file)
        if "CONTENT_LENGTH" not in self.META:
            body_file.seek(0, io.SEEK_END)
            self.META["CONTENT_LENGTH"] = str(body_file.tell())
            body_file.seek(0)
