"""Routes of the chat simulator, streaming, and its control API."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

from devtools.simulators.http import Answer, Gone, Message, Receive, Request, Send, as_json, deliver, read
from devtools.simulators.openai import answers
from devtools.simulators.openai.answers import Chat, Reply
from devtools.simulators.openai.options import Faults, Options
from devtools.simulators.server import serve_app

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS calls (at REAL, model TEXT, prompt TEXT, fault TEXT, is_paid INTEGER, tokens INTEGER);
"""
SLOW_SECONDS = 5.0
RETRY_AFTER = "1"


class Refused(Exception):
    """A call that is not accepted.  Nothing is paid."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


class App:
    """The ASGI application. Every call is written to the state file before its answer leaves."""

    def __init__(self, state: str, options: Options, faults: dict[str, Any]) -> None:
        self._start = (options, faults)
        self._db = sqlite3.connect(state, isolation_level=None)
        self._db.executescript(SCHEMA)
        self._reset_options()

    def _reset_options(self) -> None:
        options, faults = self._start
        self.options, self.faults = dataclasses.replace(options), Faults()
        for name, amount in faults.items():
            self.faults.arm(name, amount)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            request = await read(scope, receive)
        except Gone:
            return
        if request.path.startswith("/__sim__/"):
            answer = self.control(request)
        elif (request.method, request.path) == ("GET", "/v1/models"):
            names = self.options.models.split(",")
            entries = [{"id": name, "object": "model", "created": 0, "owned_by": "simulator"} for name in names]
            answer = self._without_key(request) or as_json({"object": "list", "data": entries})
        elif (request.method, request.path) == ("POST", "/v1/chat/completions"):
            await self.chat(request, scope, receive, send)
            return
        else:
            answer = _refusal("404")
        await deliver(answer, scope, receive, send, SLOW_SECONDS)

    # --- Chat ---

    async def chat(self, request: Request, scope: Message, receive: Receive, send: Send) -> None:
        """Check a call, count it as paid, then answer it whole or as a stream."""
        try:
            chat, reply, fault = self.accept(request)
        except Refused as refused:
            await deliver(refused.answer, scope, receive, send, SLOW_SECONDS)
            return
        if fault in ("drop", "hang"):
            await deliver(Answer(200, b"", how=fault), scope, receive, send, SLOW_SECONDS)
            return
        await asyncio.sleep(self.options.first_token_seconds)
        if fault in ("500", "502", "504"):
            answer = _refusal(fault)
        elif fault == "malformed":
            answer = Answer(200, b"<html><body>Bad gateway</body></html>", "text/html")
        elif fault == "no_choices":
            answer = as_json({"id": reply.id, "object": "chat.completion"})
        elif not chat.is_stream or fault == "whole":
            answer = as_json(reply.whole())
        else:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for line in self.lines(chat, reply, fault):
                await send({"type": "http.response.body", "body": line, "more_body": True})
            if fault == "half":
                scope["state"]["transport"].abort()
            if fault in ("half", "stall"):
                while (await receive())["type"] != "http.disconnect":
                    pass
            else:
                await send({"type": "http.response.body", "body": b""})
            return
        await deliver(answer, scope, receive, send, SLOW_SECONDS)

    def accept(self, request: Request) -> tuple[Chat, Reply, str]:
        """Return the call, its reply, and the fault that spoils it on the wire.  Raises Refused."""
        if refusal := self._without_key(request):
            raise Refused(refusal)
        try:
            chat = Chat.read(request.json())
            fault = self.faults.draw("submit", chat.prompt)
            if not fault and len(chat.prompt.split()) > self.options.context_words:
                fault = "context"
            if not fault and chat.model not in self.options.models.split(","):
                fault = "404"
            if fault:
                self._note(chat, fault, is_paid=False)
                raise Refused(Answer(200, b"", how=fault) if fault in ("drop", "hang") else _refusal(fault))
            fault = self.faults.draw("paid", chat.prompt)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            _, body = answers.error("400")
            body["error"]["message"] = str(problem)
            raise Refused(as_json(body, 400)) from problem
        number = int(self._db.execute("SELECT count(*) FROM calls").fetchone()[0]) + 1
        reply = answers.write(chat, number, self.options.answer_words, fault)
        self._note(chat, fault, is_paid=True, tokens=reply.usage["total_tokens"])
        return chat, reply, fault

    async def lines(self, chat: Chat, reply: Reply, fault: str) -> AsyncIterator[bytes]:
        """Yield the events of a stream, to their end or to the fault that ends them early."""
        yield _event(reply.chunk({"role": "assistant", "content": None}))
        yield b": keep-alive\n\n"
        for place, word in enumerate(reply.words):
            if place == len(reply.words) // 2:
                if fault == "bad_chunk":
                    yield b'data: {"choices": [{"delta": {"conte\n\n'
                if fault == "error_chunk":
                    yield _event(answers.error("500")[1])
                if fault in ("bad_chunk", "error_chunk", "half", "stall"):
                    return
            if place:
                await asyncio.sleep(self.options.token_seconds)
            yield _event(reply.chunk({"content": word}))
        yield _event(reply.chunk({}, reply.finish_reason))
        if chat.has_usage and fault != "no_usage":
            yield _event(reply.usage_chunk())
        if fault != "no_done":
            yield b"data: [DONE]\n\n"

    def _without_key(self, request: Request) -> Answer | None:
        return (
            _refusal("401") if request.key.startswith("bad") or (self.options.needs_key and not request.key) else None
        )

    # --- Control ---

    def control(self, request: Request) -> Answer:
        """Answer /__sim__/: GET stats, GET paid, GET options, POST options, POST reset."""
        if not request.is_local:
            return as_json({"error": "only from the same machine"}, 403)
        match f"{request.method} {request.path.removeprefix('/__sim__/').rstrip('/')}":
            case "GET stats":
                sql = "SELECT count(*), total(is_paid), total(tokens) FROM calls"
                submits, paid, tokens = self._db.execute(sql).fetchone()
                return as_json({"submits": submits, "paid": int(paid), "tokens": int(tokens), "now": time.time()})
            case "GET paid":
                sql = "SELECT prompt, count(*) FROM calls WHERE is_paid GROUP BY prompt"
                return as_json({"prompts": dict(self._db.execute(sql).fetchall())})
            case "GET options":
                return as_json(self._options_and_faults())
            case "POST options":
                before, armed = dataclasses.replace(self.options), dict(self.faults.armed)
                try:
                    for name, value in request.json().items():
                        set_one = self.options.change if name in self._options_and_faults() else self.faults.arm
                        set_one(name, value)
                except ValueError as problem:
                    self.options, self.faults.armed = before, armed
                    return as_json({"error": str(problem)}, 400)
                return as_json(self._options_and_faults())
            case "POST reset":
                self._db.execute("DELETE FROM calls")
                self._reset_options()
                return as_json({"reset": True})
        return as_json({"error": "no such page"}, 404)

    def _options_and_faults(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self.options), "faults": self.faults.armed}

    def _note(self, chat: Chat, fault: str, *, is_paid: bool, tokens: int = 0) -> None:
        row = (time.time(), chat.model, chat.prompt, fault, is_paid, tokens)
        self._db.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", row)


def _refusal(name: str) -> Answer:
    status, body = answers.error(name)
    headers = {"retry-after": RETRY_AFTER} if status in (429, 503) else {}
    return dataclasses.replace(as_json(body, status), headers=headers)


def _event(content: Any) -> bytes:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()


def serve(host: str, port: int, state: str, options: Options, faults: dict[str, Any], is_tied: bool) -> None:
    """Serve until SIGTERM or SIGINT, and when ``is_tied`` also until standard input closes."""
    serve_app(App(state, options, faults), host, port, is_tied=is_tied)
