"""One HTTP request and its answer over raw ASGI, and the ways to spoil an answer on the wire.

Every simulator uses this module.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HTTP_FAULTS = frozenset(map(str, (400, 401, 403, 404, 405, 408, 413, 422, 429, 500, 502, 503, 504)))
CUT_FAULTS = frozenset({"drop", "hang", "half", "slow"})
PIECES = 20
LOOPBACK = ("127.", "::1", "::ffff:127.")


class Gone(Exception):
    """The caller closed the connection before the request was complete."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[bytes, bytes]
    is_local: bool  # the caller is on this machine
    body: bytes = b""

    @property
    def key(self) -> str:
        scheme, _, key = self.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    @property
    def base(self) -> str:
        """The address under which the caller reached us: file URLs must work for it."""
        return f"http://{self.headers.get(b'host', b'127.0.0.1').decode('latin-1')}"

    def json(self) -> dict[str, Any]:
        """Return the body as an object; anything else reads as an empty one."""
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """``how`` it leaves: "" whole, or one of CUT_FAULTS."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    how: str = ""


def as_json(content: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode())


async def read(scope: Message, receive: Receive) -> Request:
    """Read a whole request. Raises Gone if the caller closes the connection before its end."""
    pieces = []
    message: Message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
    client, server = scope["client"][0], scope["server"][0]
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=parse_qs(scope["query_string"].decode("latin-1")),
        headers=dict(scope["headers"]),
        is_local=client.startswith(LOOPBACK) or client == server,  # from the very address that it goes to
        body=b"".join(pieces),
    )


def spoil(answer: Answer, what: str, refuse: Callable[[str], Any], retry_after: int) -> Answer:
    """Return the answer after a fault: another status, a refusal, rubbish, or a cut.

    ``refuse`` makes the refusal in the envelope of the endpoint from the name of the fault.
    """
    if not what:
        return answer
    if what in CUT_FAULTS:
        return dataclasses.replace(answer, how=what)
    if what in HTTP_FAULTS:
        headers = {"retry-after": str(retry_after)} if what in ("429", "503") else {}
        return Answer(int(what), f"simulated HTTP {what}\n".encode(), "text/plain", headers)
    if what == "malformed":
        return Answer(200, b"<html><body>Bad gateway</body></html>", "text/html")
    return as_json(refuse(what))


async def deliver(answer: Answer, scope: Message, receive: Receive, send: Send, slow_seconds: float) -> None:
    """Send an answer whole, or spoil it on the wire as its ``how`` says."""
    if answer.how == "drop":
        scope["state"]["transport"].abort()
    if answer.how not in ("drop", "hang"):
        fields = {"content-type": answer.content_type, "content-length": str(len(answer.body)), **answer.headers}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = answer.body
        if answer.how == "half":
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        elif answer.how == "slow":
            size = len(body) // PIECES + 1
            for start in range(0, len(body), size):
                await asyncio.sleep(slow_seconds * size / len(body))
                await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": body})
    if answer.how in ("drop", "hang", "half"):
        while (await receive())["type"] != "http.disconnect":
            pass
