"""The application with views that read a body once READ_WHEN exists and write it to a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from django.http import HttpRequest, HttpResponse

from runninghub_batch import asgi


class LateHandler(asgi.Handler):
    def get_response(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            deadline = time.monotonic() + 60
            while not Path(os.environ["READ_WHEN"]).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            path = Path(os.environ["WHAT_WAS_READ"])
            part = path.with_suffix(".part")
            part.write_bytes(request.read())
            part.rename(path)  # a reader of the final name sees the whole file
        return HttpResponse()


application = LateHandler()
