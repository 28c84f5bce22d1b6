"""The routes of the simulator of RunningHub."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable

from devtools.simulators.http import Answer, Gone, Message, Receive, Request, Send, as_json, deliver, read
from devtools.simulators.runninghub import control_api, envelopes, files, service
from devtools.simulators.runninghub.faults import Faults
from devtools.simulators.runninghub.options import Options
from devtools.simulators.runninghub.service import Simulator
from devtools.simulators.runninghub.state import Store
from devtools.simulators.runninghub.webhooks import WebhookSender
from devtools.simulators.server import serve_app

Handler = Callable[[Simulator, Request], Awaitable[Answer]]

ROUTES: dict[tuple[str, str], Handler] = {
    ("POST", "/openapi/v2/query"): service.query,
    ("POST", "/openapi/v2/media/upload/binary"): service.upload,
    ("GET", "/openapi/v2/queue/status"): service.queue_status,
    ("POST", "/task/openapi/cancel"): service.cancel,
    ("POST", "/uc/openapi/accountStatus"): service.account_status,
}
PREFIXES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/openapi/v2/price-preview/", service.price_preview),
    ("POST", "/openapi/v2/", service.submit),
)


class App:
    """The ASGI application.  ``start`` puts the options of the command line into a simulator."""

    def __init__(self, sim: Simulator, start: control_api.Start) -> None:
        self.sim = sim
        self.gallery = files.Gallery()
        self._start = start

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            request = await read(scope, receive)
        except Gone:
            return
        handlers = [
            handler
            for method, prefix, handler in PREFIXES
            if request.method == method and request.path.startswith(prefix)
        ]
        if request.path.startswith("/files/"):
            answer = await files.serve(self.sim, self.gallery, request)
        elif request.path.startswith("/__sim__/"):
            answer = control_api.answer(self.sim, self._start, request)
        elif handler := ROUTES.get((request.method, request.path)) or next(iter(handlers), None):
            answer = await handler(self.sim, request)
        elif request.path.startswith("/openapi/v2/"):
            answer = as_json(envelopes.refusal("1009"))
        else:
            answer = as_json(envelopes.legacy(None, "412"))
        await deliver(answer, scope, receive, send, self.sim.options.slow_seconds)


def serve(host: str, port: int, state: str, options: Options, faults: dict[str, float], is_tied: bool) -> None:
    """Serve until SIGTERM or SIGINT, and when ``is_tied`` also until standard input closes.

    Raises OSError when the port is taken.
    """

    def start(sim: Simulator) -> None:
        sim.options, sim.faults = dataclasses.replace(options, price=dict(options.price)), Faults(sim.store.use)
        for name, amount in faults.items():
            sim.faults.arm(name, amount)

    store = Store(state)
    app = App(Simulator(Options(), Faults(store.use), store, Counter()), start)
    start(app.sim)
    serve_app(app, host, port, is_tied=is_tied, background=WebhookSender(app.sim).work)
    app.gallery.pool.shutdown(wait=False, cancel_futures=True)
    store.close()
