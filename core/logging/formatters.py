"""Log lines as text for people or JSON for programs.

Each line has the id of its request and of the rows that it is about, and no line contains a secret.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from core.logging import request_ids
from core.logging.context import current_ids

SHORTEST_SECRET = 12  # a shorter value in the environment may be a common word
_SECRET_NAME = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)S?$")
_PASSWORD_IN_URL = re.compile(r"[a-z0-9+.-]{1,30}://[^:@/\s]*:([^@\s]+)@")  # DATABASE_URL
# The addresses of uploaded files, share links and webhooks are keys by themselves.
_SECRET_PATH = re.compile(r"(/media/|/shared/|/hooks/[^/\s]+/)[A-Za-z0-9_.-]{20,}")
_TOKEN = re.compile(r"\brhb_[\w-]{20,}|(?<=Bearer )\S+")


class JsonLines(JsonFormatter):
    """An object per line: at, level, logger, message, ids, plain values of ``extra``, exception."""

    def __init__(self) -> None:
        names = {"levelname": "level", "name": "logger", "exc_info": "exception"}
        reserved = [*RESERVED_ATTRS, "color_message"]  # uvicorn's copy of the message for terminals
        super().__init__(
            ["levelname", "name", "message"], rename_fields=names, reserved_attrs=reserved, json_ensure_ascii=False
        )

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        fields: dict[str, Any] = {}
        super().add_fields(fields, record, message_dict)
        log_data["at"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        for name, value in (fields | _ids()).items():
            if isinstance(value, str):
                log_data[name] = without_secrets(value)
            elif isinstance(value, int | float | None):  # objects, such as Django's request, may hold secrets
                log_data[name] = value


class PlainLines(logging.Formatter):
    """The same as text."""

    def format(self, record: logging.LogRecord) -> str:
        tags = " ".join(str(value) if name == "request_id" else f"{name}={value}" for name, value in _ids().items())
        record.tags = f" [{tags}]" if tags else ""
        return without_secrets(super().format(record))


def without_secrets(text: str) -> str:
    """Replace keys and passwords of the environment, API tokens and secret paths by ``***``."""
    secrets = [value for name, value in os.environ.items() if _SECRET_NAME.search(name)]
    secrets += [match[1] for value in os.environ.values() if (match := _PASSWORD_IN_URL.match(value))]
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return _SECRET_PATH.sub(r"\1***", _TOKEN.sub("***", text))


def _ids() -> dict[str, str | int]:
    request_id = request_ids.current()
    return {**({"request_id": request_id} if request_id else {}), **current_ids()}
