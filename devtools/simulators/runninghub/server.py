"""Routes, and the process: one uvicorn on one socket."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from devtools.simulators.runninghub import control_api, envelopes, files, service
from devtools.simulators.runninghub.faults import Faults
from devtools.simulators.runninghub.http import Answer, Gone, Message, Receive, Request, Send, as_json, deliver, read
from devtools.simulators.runninghub.options import Knobs
from devtools.simulators.runninghub.service import Simulator
from devtools.simulators.runninghub.state import Store
from devtools.simulators.runninghub.webhooks import WebhookSender

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
    """The ASGI application.  ``start`` puts the knobs of the command line into a simulator."""

    def __init__(self, sim: Simulator, start: control_api.Start) -> None:
        self.sim = sim
        self.gallery = files.Gallery()
        self._start = start

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            request = await read(scope, receive)
            answer = await self._answer(request)
            await deliver(answer, scope, receive, send, self.sim.knobs.slow_seconds)
        except Gone:
            pass

    async def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/files/"):
            return await files.serve(self.sim, self.gallery, request)
        if request.path.startswith("/__sim__/"):
            return control_api.answer(self.sim, self._start, request)
        handler = ROUTES.get((request.method, request.path)) or _by_prefix(request)
        return await handler(self.sim, request) if handler else _no_route(request)


def _by_prefix(request: Request) -> Handler | None:
    matches = (
        handler for method, prefix, handler in PREFIXES if request.method == method and request.path.startswith(prefix)
    )
    return next(matches, None)


def _no_route(request: Request) -> Answer:
    is_v2 = request.path.startswith("/openapi/v2/")
    return as_json(envelopes.refusal("1009") if is_v2 else envelopes.legacy(None, "412"))


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Protocol(H11Protocol):
    """Lets the application reach its connection, so that it can cut it, and sends each piece at once.

    asyncio leaves Nagle's algorithm on for a socket that it did not make itself: 40 ms per answer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class Server(uvicorn.Server):
    """Says when it listens, and stops at once: a simulator owes its callers no goodbye."""

    ready = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self.ready}\n")
        sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.disable()
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def serve(host: str, port: int, state: str, knobs: Knobs, faults: dict[str, float], is_tied: bool) -> None:
    """Serve until SIGTERM or SIGINT, and when ``is_tied`` also until standard input closes.

    Raises OSError when the port is taken.
    """
    with socket.create_server((host, port), backlog=2048) as listener:
        app = App(_simulator(state), lambda sim: _start(sim, knobs, faults))
        _start(app.sim, knobs, faults)
        config = uvicorn.Config(
            app,
            http=Protocol,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=75,
        )
        server = Server(config)
        server.ready = f"Simulator ready at http://{_shown(host)}:{listener.getsockname()[1]}"
        asyncio.run(_run(server, app, listener, is_tied))
    app.gallery.pool.shutdown(wait=False, cancel_futures=True)
    app.sim.store.close()


async def _run(server: Server, app: App, listener: socket.socket, is_tied: bool) -> None:
    postman = asyncio.create_task(WebhookSender(app.sim).work())
    if is_tied:
        await _stop_with_stdin(server)
    await server.serve(sockets=[listener])
    postman.cancel()


async def _stop_with_stdin(server: Server) -> None:
    class Watch(asyncio.Protocol):
        def connection_lost(self, problem: Exception | None) -> None:
            server.should_exit = True

    await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin)


def _simulator(state: str) -> Simulator:
    store = Store(state)
    return Simulator(Knobs(), Faults(store.use), store, Counter())


def _start(sim: Simulator, knobs: Knobs, faults: dict[str, float]) -> None:
    sim.knobs, sim.faults = dataclasses.replace(knobs, price=dict(knobs.price)), Faults(sim.store.use)
    for name, amount in faults.items():
        sim.faults.arm(name, amount)


def _shown(host: str) -> str:
    """How a host is written in a URL; a listener on every address is reached here."""
    if host in ("", "::") or not host.strip("0."):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
