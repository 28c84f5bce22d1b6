"""Chat completions of an OpenAI-compatible server as a ``Provider``: text in, text out.

Works with OpenAI, vLLM, Ollama, llama.cpp, DashScope and gateways. There is no task to poll, and
the server does not know our id: the answer to the one POST is the result. If no answer begins, the
server may have written and charged one: Unconfirmed. If an answer begins and breaks, the task has
failed: it was accepted, and the rest of the answer is lost.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from core.reasons import define
from providers.adapters import http
from providers.adapters.base import (
    NO_UPDATES,
    Accepted,
    AccountStatus,
    Capabilities,
    Finished,
    Provider,
    ProviderSettings,
    RemoteOutput,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
    translatable,
)
from providers.adapters.errors import (
    AccountBlocked,
    ProviderError,
    Rejected,
    Remedy,
    TryAgainLater,
    Unavailable,
    Unconfirmed,
)
from providers.adapters.json_answers import read_object
from providers.adapters.openai import codes
from providers.adapters.openai.answers import BadAnswer, ChatAnswer, error_code, error_text, events

ENDPOINT = "chat/completions"
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
IMAGES_MAX_BYTES = 20 * 1024 * 1024
LONGEST_QUOTE = 300
LONGEST_RAW_TEXT = 20_000
TOKENS_PER_PRICE = 1_000_000
UNREACHABLE = define("openai.unreachable", "The server could not be reached (%(reason)s). Nothing was sent.")
NO_ANSWER = define(
    "openai.no_answer", "The server did not answer (%(reason)s). The answer may have been written and charged."
)
NOT_READ = define("openai.not_read", "The server did not answer (%(reason)s).")
MALFORMED = define(
    "openai.malformed", "The server's answer could not be read. The answer may have been written and charged."
)
NO_BASE_URL = define(
    "openai.no_base_url",
    "The base URL of the account is not a web address. Set OPENAI_BASE_URL, or correct the account.",
)
NO_MODEL = define("openai.no_model", 'No model is chosen: set CHAT_MODEL or the parameter "model".')
BAD_PICTURE = define("openai.bad_picture", "The image cannot be used. Upload a file or give an http address.")


class OpenAI(Provider):
    """One account at an OpenAI-compatible server. Safe to use from several threads."""

    name = "openai"
    label = "OpenAI-compatible chat"
    account_name = "openai"
    address_help = translatable("the base URL of the server's API, such as http://127.0.0.1:11434/v1.")
    capabilities = Capabilities(needs_key=False, finishes_in_submit=True, streams_text=True)
    defaults = ProviderSettings(
        concurrency=4,
        submit_limit_seconds=600,
        options={"model": "", "input_price": "", "output_price": ""},
    )
    environment = {
        "api_key": "OPENAI_API_KEY",
        "base_url": "OPENAI_BASE_URL",
        "concurrency": "OPENAI_CONCURRENCY",
        "submit_limit_seconds": "CHAT_TIMEOUT_SECONDS",
        "model": "CHAT_MODEL",
        "input_price": "CHAT_INPUT_PRICE",
        "output_price": "CHAT_OUTPUT_PRICE",
    }

    def submit(self, request: SubmitRequest, updates: Updates = NO_UPDATES) -> Accepted | Finished:
        """Ask for one answer with exactly one POST, and pass its text on while it is written."""
        data = json.dumps(self._body(request), ensure_ascii=False).encode()
        url = self._url("/chat/completions")
        deadline = time.monotonic() + self.settings.submit_limit_seconds
        limit = self.settings.submit_limit_seconds
        timeout = http.Timeout(http.SUBMIT_TIMEOUT.connect, limit, limit)
        answer = ChatAnswer()
        try:
            with http.stream_once(
                self.settings.api_key, url, timeout=timeout, data=data, headers=JSON_HEADERS
            ) as stream:
                if stream.status != 200:
                    body = b""
                    with suppress(http.TransportFailure):  # the status alone decides if money was spent
                        body = http.read_all(stream.chunks)
                    raise self._refusal(stream.status, body, stream.retry_after_seconds)
                if stream.content_type != "text/event-stream":
                    self._read_whole(answer, http.read_all(stream.chunks), updates)
                else:
                    _read_stream(answer, stream.chunks, updates, deadline)
        except http.TransportFailure as failure:
            if not failure.may_have_arrived:
                raise TryAgainLater(UNREACHABLE(reason=failure.reason), code="unreachable") from failure
            raise Unconfirmed(NO_ANSWER(reason=failure.reason), code="no_answer") from failure
        except BadAnswer as bad:
            return Finished(self._failed(answer, bad.code, bad.text))
        return Finished(self._state(answer, is_json="response_schema" in request.params))

    def check_account(self) -> AccountStatus:
        """Read the list of models. A server without such a list answers 404, which is enough."""
        session = http.new_session(self.settings.api_key)
        try:
            with session:
                reply = http.exchange(session, "GET", self._url("/models"), timeout=http.ACCOUNT_TIMEOUT)
        except http.TransportFailure as failure:
            raise Unavailable(NOT_READ(reason=failure.reason), code="no_answer") from failure
        if reply.status not in (200, 404, 405):
            raise codes.read_error(self._refusal(reply.status, reply.body, reply.retry_after_seconds))
        return AccountStatus()

    @staticmethod
    def remedy_of(code: str) -> Remedy:
        return codes.remedy_of(code)

    # --- The request ---

    def _url(self, path: str) -> str:
        """Return an address below the base URL, to which "/v1" is added if it has no path."""
        try:
            parts = urlsplit(self.settings.base_url)
            is_valid = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
            )
        except ValueError:
            is_valid = False
        if not is_valid:
            raise AccountBlocked(NO_BASE_URL())
        base = self.settings.base_url.rstrip("/")
        return base + ("" if parts.path.strip("/") else "/v1") + path

    def _body(self, request: SubmitRequest) -> dict[str, Any]:
        """Return the request in the server's words. Raises Rejected."""
        if request.endpoint != ENDPOINT:
            raise Rejected(f'This provider has no endpoint "{request.endpoint}". Use {ENDPOINT}.', code="unknown_model")
        params = request.params
        model = params.get("model") or self.settings.options.get("model")
        if not model:
            raise Rejected(NO_MODEL(), code="no_model")
        content: str | list[dict[str, Any]] = str(params.get("prompt", ""))
        if images := params.get("images"):
            parts = [{"type": "image_url", "image_url": {"url": url}} for url in _image_urls(request, images)]
            content = [{"type": "text", "text": content}, *parts]
        system = [{"role": "system", "content": params["system"]}] if params.get("system") else []
        body: dict[str, Any] = {
            "model": model,
            "messages": [*system, {"role": "user", "content": content}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body |= {name: params[name] for name in ("temperature", "max_tokens") if params.get(name) is not None}
        if schema := params.get("response_schema"):
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        return body

    # --- The answer ---

    def _refusal(self, status: int, body: bytes, wait_seconds: float | None) -> ProviderError:
        content = read_object(body) or {}
        return codes.refusal(status, error_code(content), self._without_key(error_text(content)), wait_seconds)

    def _without_key(self, text: str) -> str:
        key = self.settings.api_key
        return (text.replace(key, "***") if key else text)[:LONGEST_QUOTE]

    def _read_whole(self, answer: ChatAnswer, body: bytes, updates: Updates) -> None:
        """Read the answer of a server that does not stream. Raises Unconfirmed if it is none."""
        content = read_object(body)
        if content is None or not content.get("choices"):
            if content and content.get("error"):
                raise self._refusal(200, body, None)
            raise Unconfirmed(MALFORMED(), code="malformed_answer")
        updates.text(answer.add(content))

    def _state(self, answer: ChatAnswer, *, is_json: bool) -> RemoteState:
        """Return the state of a complete answer. ``length`` cuts JSON, so that it is of no use."""
        if answer.finish_reason == "content_filter":
            return self._failed(answer, "content_filter")
        if is_json and answer.finish_reason == "length":
            return self._failed(answer, "length")
        if not answer.text.strip():
            return self._failed(answer, "empty")
        if is_json:
            try:
                json.loads(answer.text)
            except (ValueError, RecursionError):
                return self._failed(answer, "not_json")
        output = RemoteOutput(text=answer.text, extension="json" if is_json else "txt")
        return RemoteState(
            answer.id, RemoteStatus.SUCCEEDED, outputs=(output,), cost=self._cost(answer), raw=answer.raw()
        )

    def _failed(self, answer: ChatAnswer, code: str, text: str = "") -> RemoteState:
        """Return the state of an unusable answer. Its text is kept: it may be charged."""
        return RemoteState(
            answer.id,
            RemoteStatus.FAILED,
            cost=self._cost(answer),
            error=codes.failure(code, self._without_key(text)),
            raw={**answer.raw(), "text": answer.text[:LONGEST_RAW_TEXT]},
        )

    def _cost(self, answer: ChatAnswer) -> Decimal | None:
        """Return the price of the tokens, None if it or their number is unknown.

        Prices are per million tokens. The server's own discounts, such as for cached input, are not
        known here, so this is the most that it can be.
        """
        amount = Decimal(0)
        for option, count_name in (("input_price", "prompt_tokens"), ("output_price", "completion_tokens")):
            count = answer.usage.get(count_name)
            try:
                price = Decimal(self.settings.options.get(option, ""))
            except InvalidOperation:
                return None
            if not isinstance(count, int) or count < 0:
                return None
            amount += price * count / TOKENS_PER_PRICE
        return amount


def _read_stream(answer: ChatAnswer, chunks: Iterator[bytes], updates: Updates, deadline: float) -> None:
    """Read a stream to its end. Raises BadAnswer."""

    def in_time() -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            if time.monotonic() > deadline:
                raise BadAnswer("stream_timeout")

    try:
        for event in events(in_time()):
            if event is None:
                return
            if text := answer.add(event):
                updates.text(text)
    except http.TransportFailure as failure:
        if answer.finish_reason:
            return
        code = "stream_timeout" if time.monotonic() > deadline else "stream_cut"
        raise BadAnswer(code) from failure
    if not answer.finish_reason:
        raise BadAnswer("stream_cut")


def _image_urls(request: SubmitRequest, names: Any) -> Iterator[str]:
    """Return pictures as the server takes them: a web address, or the bytes in a data URI."""
    size = 0
    for name in names:
        if file := request.files.get(name):
            size += file.size_bytes
            if size > IMAGES_MAX_BYTES:
                raise Rejected(f"The pictures are larger than {IMAGES_MAX_BYTES // 1024**2} MB.", code="too_large")
            with file.open() as stream:
                content = base64.b64encode(stream.read()).decode()
            yield f"data:{file.content_type};base64,{content}"
        elif str(name).lower().startswith(("http://", "https://")):
            yield str(name)
        else:
            raise Rejected(BAD_PICTURE(), code="bad_picture")
