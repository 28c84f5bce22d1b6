"""The application, whose views read a request's body only after a while, and say in a file what they read."""

from __future__ import annotations

import os
import time
from pathlib import Path

from django.http import HttpRequest, HttpResponse

from runninghub_batch import asgi


class LateHandler(asgi.Handler):
    def get_response(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            time.sleep(3.0)
            path = Path(os.environ["WHAT_WAS_READ"])
            part = path.with_suffix(".part")
            part.write_bytes(request.read())
            part.rename(path)  # whoever finds it finds all of it
        return HttpResponse()


application = LateHandler()
