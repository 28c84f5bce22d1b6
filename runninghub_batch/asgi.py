"""The application for ASGI servers (uvicorn)."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runninghub_batch.settings")
django.setup(set_prefix=False)

from core.http.body_limit import BodyLimit, MeasuredRequest  # noqa: E402
from core.http.streaming import call_in_thread, keep_connections  # noqa: E402
from core.http.web_metrics import Metered  # noqa: E402
from missions.provider_webhooks import Receiver  # noqa: E402  it needs the applications to be set up
from runninghub_batch import urls  # noqa: E402, F401  loaded now, so that the first request does not wait for it

# These receivers act on the thread that they are called in. Requests are answered in other threads,
# which do this for themselves, and a request that waits for its turn needs no thread for it.
for receiver in (close_old_connections, reset_queries):
    request_started.disconnect(receiver)


class Handler(ASGIHandler):
    """Django's handler, for synchronous views and many clients.

    A request is answered in one thread, from the first middleware to the last. Django would change
    between the loop and a thread for each of them: a third of all the work, and under load each
    change waits for its turn.

    AT_ONCE threads go from request to request and keep their database connections; other requests
    wait without one. In Django each request has a thread of its own, and a connection belongs to
    its thread: opening one takes as long as a small answer, and no other request could use it.

    A request ends when its answer is made. Django sends an answer in parts, and keeps thread and
    connection until the client has taken the last but one. Here the server holds the answer
    instead; an answer that is too large for that is streamed.
    """

    AT_ONCE = max(4, 16 // settings.WEB_PROCESSES)
    request_class = MeasuredRequest

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(self.AT_ONCE, thread_name_prefix="requests")

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await call_in_thread(partial(self._answer, request), self._threads)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        reset_queries()
        with keep_connections():
            return self.get_response(request)

    @classmethod
    def chunk_bytes(cls, data: Any) -> Iterator[tuple[Any, bool]]:
        yield data, True


application = Metered(Receiver(BodyLimit(Handler())))
