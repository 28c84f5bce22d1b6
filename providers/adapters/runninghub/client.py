"""RunningHub's API over HTTP: addresses, headers, JSON, and the spellings of its answers.

This module only reads answers; ``codes`` and ``adapter`` decide what they mean. Source of the
facts: API reference, sections 1 to 8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from core.reasons import define
from providers.adapters import http
from providers.adapters.base import ProviderSettings
from providers.adapters.errors import AccountBlocked, Rejected
from providers.adapters.json_answers import read_object, shortened

BAD_KEY = define("runninghub.bad_key", "The API key is empty or has characters that no key has. Enter it again.")
BAD_BASE_URL = define("runninghub.bad_base_url", "The base URL of the account is not a web address. Correct it.")
BAD_PARAMS = define("runninghub.bad_params", "The parameters hold a value that cannot be sent. Change them.")
BAD_ENDPOINT = define("runninghub.bad_endpoint", "This is not the name of a model endpoint. Correct it.")

JSON_HEADERS = {"Content-Type": "application/json"}
FINE_CODES = {"0", "200"}  # an upload answers 0 on one site and reportedly 200 on the other
NO_TASK_IDS = {"0", "null", "None"}
LONGEST_TEXT = 300
LONGEST_RAW_BYTES = 64 * 1024

_ENDPOINT = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_TASK_ID = re.compile(r"[!-~]{1,64}")  # as long as the column that stores it
_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of RunningHub, read the same way for all spellings.

    ``body``   the JSON object, or {} if ``is_readable`` is False (no JSON or no object)
    ``raw``    what is kept of it for support cases
    ``text``   the vendor's message, shortened and without our key
    """

    http_status: int
    body: Mapping[str, Any]
    is_readable: bool
    text: str = ""
    retry_after_seconds: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Mapping[str, Any]:
        return task_of(self.body)

    @property
    def task_id(self) -> str:
        return task_id_of(self.body)

    @property
    def status(self) -> str:
        """The status in capitals, or ""."""
        return (word(self.task, "status", "taskStatus") or word(self.body, "data")).upper()

    @property
    def code(self) -> str:
        """The error code, or "" if there is none or it means success."""
        codes = (word(self.task, "errorCode", "error_code"), word(self.body, "errorCode", "error_code", "code"))
        return next((code for code in codes if code and code not in FINE_CODES), "")

    @property
    def data(self) -> Mapping[str, Any]:
        return mapping(self.body.get("data"))

    @property
    def is_fine(self) -> bool:
        return self.is_readable and self.http_status < 300 and not self.code


class Client:
    """The API calls of one account.

    Each raises TransportFailure if there is no answer, AccountBlocked for settings that cannot
    work, and Rejected for a request that cannot be sent.

    The key is sent in the Authorization header, and for the older calls in the JSON body: never in
    an address.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._session = http.new_session(settings.api_key)

    def submit(self, endpoint: str, body: Mapping[str, Any]) -> Reply:
        """Start a generation. This call spends money: one POST over a new connection."""
        if not _ENDPOINT.fullmatch(endpoint) or not all(part.strip(".") for part in endpoint.split("/")):
            raise Rejected(BAD_ENDPOINT())
        url = self._url(f"/openapi/v2/{endpoint}")
        content = encode(body)
        key = self._settings.api_key
        return self._reply(http.post_once(key, url, timeout=http.SUBMIT_TIMEOUT, data=content, headers=JSON_HEADERS))

    def query(self, task_id: str) -> Reply:
        return self._post("/openapi/v2/query", {"taskId": task_id}, http.QUERY_TIMEOUT)

    def upload(self, file: BinaryIO, *, filename: str, content_type: str) -> Reply:
        url = self._url("/openapi/v2/media/upload/binary")
        parts = {"file": (filename, file, content_type)}
        return self._reply(http.exchange(self._session, "POST", url, timeout=http.UPLOAD_TIMEOUT, files=parts))

    def queue_status(self) -> Reply:
        url = self._url("/openapi/v2/queue/status")
        return self._reply(http.exchange(self._session, "GET", url, timeout=http.ACCOUNT_TIMEOUT))

    def account_status(self) -> Reply:
        body = {"apikey": self._settings.api_key}  # lower case here, else code 1601
        return self._post("/uc/openapi/accountStatus", body, http.ACCOUNT_TIMEOUT)

    def cancel(self, task_id: str) -> Reply:
        body = {"apiKey": self._settings.api_key, "taskId": task_id}
        return self._post("/task/openapi/cancel", body, http.QUERY_TIMEOUT)

    def _post(self, path: str, body: Mapping[str, Any], timeout: http.Timeout) -> Reply:
        url, content = self._url(path), encode(body)
        return self._reply(
            http.exchange(self._session, "POST", url, timeout=timeout, data=content, headers=JSON_HEADERS)
        )

    def _url(self, path: str) -> str:
        """Return the address of ``path``.

        Raises AccountBlocked for a key or a base URL with which no call can work.
        """
        if not _KEY.fullmatch(self._settings.api_key):
            raise AccountBlocked(BAD_KEY())
        try:
            parts = urlsplit(self._settings.base_url)
            host = parts.hostname
        except ValueError:
            raise AccountBlocked(BAD_BASE_URL()) from None
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
            raise AccountBlocked(BAD_BASE_URL())
        return self._settings.base_url.rstrip("/") + path

    def _reply(self, answer: http.Answer) -> Reply:
        body = read_object(answer.body)
        text = _message(body or {}).replace(self._settings.api_key, "***")
        return Reply(
            http_status=answer.status,
            body=body or {},
            is_readable=body is not None,
            text=" ".join(text.split())[:LONGEST_TEXT],
            retry_after_seconds=answer.retry_after_seconds,
            raw=(body if len(answer.body) <= LONGEST_RAW_BYTES else shortened(body)) or {},
        )


def encode(body: Mapping[str, Any]) -> bytes:
    """Write ``body`` as JSON. Raises Rejected for values that JSON does not have."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise Rejected(BAD_PARAMS()) from exc


def word(source: Mapping[str, Any], *names: str) -> str:
    """Return the first of the fields ``names`` that is not empty, as text; "" if all are empty.

    Ids and codes come as strings or as numbers.
    """
    values = (source.get(name) for name in names)
    texts = (str(value).strip() for value in values if isinstance(value, str | int) and not isinstance(value, bool))
    return next((text for text in texts if text), "")


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def task_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object with the fields of the task.

    It is ``body``, unless only its ``data`` can be one.
    """
    inner = mapping(body.get("data"))
    return inner if inner and not word(body, "taskId", "task_id") else body


def task_id_of(body: Mapping[str, Any]) -> str:
    """Return the task id, "" if there is none that can be used.

    It is a text because it exceeds 2^53.
    """
    task_id = word(task_of(body), "taskId", "task_id")
    return task_id if _TASK_ID.fullmatch(task_id) and task_id not in NO_TASK_IDS else ""


def _message(body: Mapping[str, Any]) -> str:
    """Return the error message of an answer, with the workflow node that failed and its error.

    Models leave the object ``failedReason`` empty.
    """
    task = task_of(body)
    message = word(task, "errorMessage", "error_message") or word(body, "errorMessage", "message", "msg")
    if message.lower() in {"success", "ok"}:
        message = ""
    reason = task.get("failedReason")
    details = read_object(reason) if isinstance(reason, str) else mapping(reason)
    if details is None:
        failure = str(reason)
    else:
        failure = ": ".join(filter(None, (word(details, "node_name"), word(details, "exception_message"))))
    return "; ".join(filter(None, (message, failure)))
