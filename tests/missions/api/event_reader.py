"""Clients that follow a mission's events over a network, as programs do."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import psutil
import requests
from django.db import connection

from tests.process_fixtures import Web

SECONDS = 60.0
ANSWERED_AT_ONCE = 16  # as runninghub_batch.asgi says
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Message:
    event: str
    id: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


class Listener:
    """One connection to a stream of events."""

    def __init__(self, web: Web, mission_id: int, token: str, *, last_id: int | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        url = f"{web.url}/api/v1/missions/{mission_id}/events"
        self.answer = requests.get(url, headers=headers, stream=True, timeout=SECONDS)

    def __iter__(self) -> Iterator[Message]:
        lines: list[str] = []
        for line in self.answer.iter_lines(chunk_size=None):
            if line:
                lines.append(line.decode())
            else:
                yield from parse(lines)
                lines = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()


def parse(lines: list[str]) -> Iterator[Message]:
    fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
    if "event" in fields:
        number = int(fields["id"]) if "id" in fields else None
        yield Message(fields["event"], number, json.loads(fields["data"]))


async def join(web: Web, mission_id: int, token: str) -> Ends:
    """Open a stream and wait until it is accepted. Over HTTP/1.0, which has no chunks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(request_for(mission_id, token))
    status = await reader.readline()
    assert b" 200 " in status, status
    return reader, writer


async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[int]:
    """Return the ids of all events up to ``end``."""
    ids: list[int] = []
    async for line in reader:
        if line.startswith(b"id: "):
            ids.append(int(line[4:]))
        if line.startswith(b"event: end"):
            break
    writer.close()
    return ids


def deaf(web: Web, mission_id: int, token: str, what: str = "events") -> socket.socket:
    """Open a connection that sends a request and never reads the answer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", web.port))
    connection.sendall(request_for(mission_id, token, what))
    return connection


def request_for(mission_id: int, token: str, what: str = "events") -> bytes:
    lines = [f"GET /api/v1/missions/{mission_id}/{what} HTTP/1.0", "Host: 127.0.0.1", f"Authorization: Bearer {token}"]
    return "\r\n".join([*lines, "", ""]).encode()


def wait_for(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def connections(web: Web) -> int:
    """Return the number of connections that the server has with its clients."""
    assert web.process is not None
    sockets = psutil.Process(web.process.pid).net_connections("tcp")
    return sum(one.laddr.port == web.port and one.status == psutil.CONN_ESTABLISHED for one in sockets)


def database_connections(web: Web) -> int:
    """Return the number of database connections that the server holds.

    PostgreSQL: all but ours; SQLite: its open files.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
            return int(cursor.fetchone()[0])
    assert web.process is not None
    files = [file.path for file in psutil.Process(web.process.pid).open_files()]
    return files.count(str(connection.settings_dict["NAME"]))
