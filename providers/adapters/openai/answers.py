"""The answer of a chat server, read piece by piece or as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from providers.adapters.json_answers import read_object

MAX_TEXT_CHARACTERS = 1_000_000
MAX_LINE_BYTES = 1024 * 1024


class BadAnswer(Exception):
    """The answer cannot be used.

    ``code`` is a key of ``codes.FAILURES``; ``text`` is the server's own sentence, or "".
    """

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.text = text


class ChatAnswer:
    """The part of an answer that has arrived.

    ``usage``          the server's count of tokens, {} until it says so
    ``finish_reason``  "stop", "length", "content_filter" …, "" until the end
    """

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.id = ""
        self.model = ""
        self.finish_reason = ""
        self.usage: Mapping[str, Any] = {}
        self._size = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def raw(self) -> dict[str, Any]:
        """Return the facts to keep for support cases; the text itself is the output."""
        return {"id": self.id, "model": self.model, "finish_reason": self.finish_reason, "usage": self.usage}

    def add(self, chunk: Mapping[str, Any]) -> str:
        """Take one chunk, or a whole answer, and return the text in it.

        A chunk may have no choices (usage), no content, or a content of null (the first one).
        Raises BadAnswer for an error in the stream and for a text without end.
        """
        if error := chunk.get("error"):
            raise BadAnswer("stream_error", error_text(chunk) or str(error))
        self.id = str(chunk.get("id") or self.id)
        self.model = str(chunk.get("model") or self.model)
        if isinstance(usage := chunk.get("usage"), dict):
            self.usage = usage
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        if not isinstance(choice, dict):
            raise BadAnswer("stream_malformed")
        part = choice.get("delta") or choice.get("message")
        content = part.get("content") if isinstance(part, dict) else None
        text = content if isinstance(content, str) else ""
        self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)
        self._size += len(text)
        if self._size > MAX_TEXT_CHARACTERS:
            raise BadAnswer("answer_too_long")
        if text:
            self.pieces.append(text)
        return text


def events(pieces: Iterable[bytes]) -> Iterator[Mapping[str, Any] | None]:
    """Read server-sent events: the JSON object of each, and None for ``[DONE]``.

    Comments and empty lines, which keep a connection alive, are skipped. Raises BadAnswer.
    """
    buffer = b""
    for piece in pieces:
        *lines, buffer = (buffer + piece).split(b"\n")
        if len(buffer) > MAX_LINE_BYTES:
            raise BadAnswer("stream_malformed")
        for line in lines:
            if line.startswith(b"data:"):
                yield _event(line)
    if buffer.startswith(b"data:"):
        yield _event(buffer)


def _event(line: bytes) -> Mapping[str, Any] | None:
    data = line.removeprefix(b"data:").strip()
    if data == b"[DONE]":
        return None
    chunk = read_object(data)
    if chunk is None:
        raise BadAnswer("stream_malformed")
    return chunk


def error_text(body: Mapping[str, Any]) -> str:
    """Return the server's sentence, from any of the places where servers put it, or ""."""
    error = body.get("error")
    message = error.get("message") if isinstance(error, dict) else error or body.get("detail") or body.get("message")
    return " ".join(message.split()) if isinstance(message, str) else ""


def error_code(body: Mapping[str, Any]) -> str:
    """Return the server's code, or its type where the code is missing or a number."""
    error = body.get("error")
    values = (error.get("code"), error.get("type")) if isinstance(error, dict) else ()
    return next((value for value in values if isinstance(value, str) and value), "")
