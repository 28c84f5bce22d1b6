"""The lines of the log: for people, or as JSON for programs.

Each names its request and the rows that it is about, and none holds a key.
"""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import UTC, datetime

from core.logging import request_ids
from core.logging.context import current_ids

SHORTEST_SECRET = 12  # of the environment: what is shorter may be a word that is no secret
_SECRET_NAME = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)S?$")
_PASSWORD_IN_URL = re.compile(r"[a-z0-9+.-]{1,30}://[^:@/\s]*:([^@\s]+)@")  # DATABASE_URL
_TOKEN = re.compile(r"\brhb_[\w-]{20,}|(?<=Bearer )\S+")


class JsonLines(logging.Formatter):
    """An object per line: at, level, logger, message, and as far as there are any the ids, and the exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            **_context(),
        }
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        tags = " ".join(str(value) if name == "request_id" else f"{name}={value}" for name, value in _context().items())
        record.tags = f" [{tags}]" if tags else ""
        return without_secrets(super().format(record))


def _context() -> dict[str, str | int]:
    request_id = request_ids.current()
    return {**({"request_id": request_id} if request_id else {}), **current_ids()}


def without_secrets(text: str) -> str:
    """A text without the keys and passwords of the environment and the tokens of the API, wherever they came from."""
    for secret in _secrets():
        text = text.replace(secret, "***")
    return _TOKEN.sub("***", text)


def _secrets() -> list[str]:
    named = [value for name, value in os.environ.items() if _SECRET_NAME.search(name)]
    inside = [found[1] for value in os.environ.values() if (found := _PASSWORD_IN_URL.match(value))]
    return [value for value in (*named, *inside) if len(value) >= SHORTEST_SECRET]
