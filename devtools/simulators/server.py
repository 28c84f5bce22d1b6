"""The process of a simulator: one uvicorn on one socket."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from devtools.simulators.http import Message, Receive, Send

App = Callable[[Message, Receive, Send], Awaitable[None]]


class Protocol(H11Protocol):
    """HTTP/1.1 for simulators: gives the application its connection, and sends each piece at once.

    The application cuts the connection to simulate a fault.  asyncio leaves Nagle's algorithm on
    for a socket that it did not make itself, which costs 40 ms per answer.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class Server(uvicorn.Server):
    """A server that prints ``ready`` once it listens, and stops at once without draining."""

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


def serve_app(
    app: App, host: str, port: int, *, is_tied: bool, background: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Serve ``app`` until SIGTERM or SIGINT; with ``is_tied`` also until standard input closes.

    ``background`` runs beside it.  Raises OSError when the port is taken.
    """

    async def run(server: Server, listener: socket.socket) -> None:
        class StdinWatch(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                server.should_exit = True

        work = asyncio.ensure_future(background()) if background else None
        if is_tied:
            await asyncio.get_running_loop().connect_read_pipe(StdinWatch, sys.stdin)
        await server.serve(sockets=[listener])
        if work:
            work.cancel()

    name = f"[{host}]" if ":" in host else host
    if host in ("", "::") or not host.strip("0."):  # a listener on every address is reached here
        name = "127.0.0.1"
    with socket.create_server((host, port), backlog=2048) as listener:
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
        server.ready = f"Simulator ready at http://{name}:{listener.getsockname()[1]}"
        asyncio.run(run(server, listener))
