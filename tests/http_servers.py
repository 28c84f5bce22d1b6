"""Real servers on 127.0.0.1 that misbehave in one way each."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

Handler = Callable[[socket.socket], None]


@dataclass
class Server:
    """A listening server.  ``connections`` counts how often it was connected to."""

    port: int
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secure_url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def serving(handler: Handler) -> Iterator[Server]:
    """Run ``handler`` on each connection, then close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener.getsockname()[1])
        thread = threading.Thread(target=_accept, args=(listener, handler, server))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, handler: Handler, server: Server) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        server.connections += 1
        with connection, suppress(OSError):  # a client may hang up when it has seen enough
            handler(connection)


def read_request(connection: socket.socket) -> bytes:
    """Read one whole request: head and as much body as Content-Length says."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the client left in the middle of its request")
    return data


def http_answer(body: bytes, *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (size, body)


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def drips(start: bytes) -> Handler:
    """Send ``start``, then one byte at a time until the client gives up."""

    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(start)
        while True:
            connection.sendall(b"9")
            time.sleep(0.02)

    return handler


def answers(body: bytes) -> Handler:
    """Answer one request per connection, announce keep-alive, and close it anyway."""

    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(http_answer(body))

    return handler


def keeps_answering(body: bytes, times: int) -> Handler:
    def handler(connection: socket.socket) -> None:
        for _ in range(times):
            read_request(connection)
            connection.sendall(http_answer(body))

    return handler


def closes_at_once(connection: socket.socket) -> None:
    pass


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes_at_first_byte(connection: socket.socket) -> None:
    connection.recv(65536)


def resets_at_first_byte(connection: socket.socket) -> None:
    connection.recv(1)
    _reset(connection)


def speaks_plain_http(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def resets_after_reading(connection: socket.socket) -> None:
    read_request(connection)
    _reset(connection)


def closes_after_reading(connection: socket.socket) -> None:
    read_request(connection)


def sends_half_a_body(connection: socket.socket) -> None:
    read_request(connection)
    body = b'{"taskId":"2013508786110730241","status":"RUNNING"}'
    connection.sendall(http_answer(body[:20], length=len(body)))


def breaks_a_chunked_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n33\r\n{")


def sends_no_http(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"what is this?\r\n\r\n")


def never_answers(connection: socket.socket) -> None:
    """Hold the connection until the client gives up."""
    while connection.recv(65536):
        pass


def refuses_to_tunnel(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
