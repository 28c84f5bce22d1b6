from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests

from devtools.simulators.openai.process import ChatSimulatorProcess
from providers.adapters.base import (
    Finished,
    InputFile,
    ProviderSettings,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
)
from providers.adapters.errors import (
    AccountBlocked,
    ProviderError,
    Rejected,
    Remedy,
    TaskFailed,
    TryAgainLater,
    Unavailable,
    Unconfirmed,
)
from providers.adapters.openai import codes
from providers.adapters.openai.adapter import OpenAI
from tests import http_servers
from tests.ports import free_port

KEY = "sk-0123456789abcdef"
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "scenes": {"type": "array", "items": {"type": "integer"}}},
}


class Recorder(Updates):
    def __init__(self) -> None:
        self.deltas: list[str] = []

    def text(self, delta: str) -> None:
        self.deltas.append(delta)


@pytest.fixture(scope="module")
def server() -> Iterator[ChatSimulatorProcess]:
    with ChatSimulatorProcess(context_words=500) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _clean(server: ChatSimulatorProcess) -> None:
    server.reset()


def provider(url: str, api_key: str = KEY, seconds: float = 30, **options: Any) -> OpenAI:
    options = {"model": "simulated-chat", **options}
    return OpenAI(ProviderSettings(base_url=url, api_key=api_key, submit_limit_seconds=seconds, options=options))


def request(prompt: str = "Tell a story.", **params: Any) -> SubmitRequest:
    return SubmitRequest("chat/completions", {"prompt": prompt, **params})


def state_of(answer: object) -> RemoteState:
    assert isinstance(answer, Finished)
    return answer.state


def text_of(state: RemoteState) -> str:
    assert state.status is RemoteStatus.SUCCEEDED, state.error
    [output] = state.outputs
    return output.text


def error_of(call: Any, *args: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        call(*args)
    assert KEY not in str(caught.value)
    return caught.value


def test_text_is_streamed_and_returned_whole(server: ChatSimulatorProcess):
    updates = Recorder()
    state = state_of(provider(server.url).submit(request(), updates))
    assert text_of(state) == "".join(updates.deltas)
    assert len(updates.deltas) == 20
    assert state.outputs[0].extension == "txt"
    assert state.raw["finish_reason"] == "stop"
    assert state.raw["usage"]["completion_tokens"] == 20
    assert server.stats()["paid"] == 1


def test_request_has_every_parameter(server: ChatSimulatorProcess):
    seen: list[dict[str, Any]] = []

    def answer(connection: Any) -> None:
        head, _, body = http_servers.read_request(connection).partition(b"\r\n\r\n")
        seen.append({"body": json.loads(body), "has_key": b"authorization: bearer" in head.lower()})
        content = json.dumps({"choices": [{"message": {"content": '{"a": 1}'}, "finish_reason": "stop"}]})
        connection.sendall(http_servers.http_answer(content.encode()))

    with http_servers.serving(answer) as plain:
        sent = request("Hello", system="Be kind.", temperature=0.5, max_tokens=9, model="other", response_schema=SCHEMA)
        state = state_of(provider(plain.url, api_key="").submit(sent))
    assert (text_of(state), state.outputs[0].extension) == ('{"a": 1}', "json")
    assert seen == [
        {
            "has_key": False,
            "body": {
                "model": "other",
                "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "temperature": 0.5,
                "max_tokens": 9,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
                },
            },
        }
    ]


def test_json_answer_fits_the_schema(server: ChatSimulatorProcess):
    state = state_of(provider(server.url).submit(request(response_schema=SCHEMA)))
    assert set(json.loads(text_of(state))) == {"title", "scenes"}


def test_pictures_are_sent_inline_or_by_address(server: ChatSimulatorProcess):
    content = b"\x89PNG"
    file = InputFile(
        "a.png", "image/png", len(content), hashlib.sha256(content).hexdigest(), lambda: io.BytesIO(content)
    )
    params = {
        "prompt": "What is this?",
        "images": ["media:1", "https://example.com/b.png"],
        "model": "simulated-vision",
    }
    sent = SubmitRequest("chat/completions", params, files={"media:1": file})
    assert text_of(state_of(provider(server.url).submit(sent))).startswith("2 pictures: ")
    for name in ("media:2", "file:///etc/passwd"):
        error = error_of(provider(server.url).submit, request(images=[name]))
        assert (type(error), error.code) == (Rejected, "bad_picture")


def test_cost_is_tokens_times_price(server: ChatSimulatorProcess):
    cases: list[tuple[dict[str, Any], str, Decimal | None]] = [
        ({"input_price": "2", "output_price": "10"}, "", Decimal("0.000206")),  # 3 and 20 tokens
        ({"input_price": "0", "output_price": "0"}, "", Decimal(0)),
        ({"input_price": "2"}, "", None),
        ({}, "", None),
        ({"input_price": "2", "output_price": "10"}, "[[sim:paid:no_usage]]", None),
    ]
    for prices, marker, cost in cases:
        prompt = f"Tell a story.{marker}"
        assert state_of(provider(server.url, **prices).submit(request(prompt))).cost == cost, (prices, marker)


# Failures: marker in the prompt, error, code, number of paid calls.
REFUSALS: list[tuple[str, type[ProviderError], str, int]] = [
    ("submit:400", Rejected, "invalid_request_error", 0),
    ("submit:401", AccountBlocked, "invalid_api_key", 0),
    ("submit:403", AccountBlocked, "permission_error", 0),
    ("submit:404", Rejected, "model_not_found", 0),
    ("submit:408", Unconfirmed, "server_error", 0),
    ("submit:413", Rejected, "server_error", 0),
    ("submit:422", Rejected, "server_error", 0),
    ("submit:429", TryAgainLater, "rate_limit_exceeded", 0),
    ("submit:quota", AccountBlocked, "insufficient_quota", 0),
    ("submit:context", Rejected, "context_length_exceeded", 0),
    ("submit:context_500", Rejected, "server_error", 0),
    ("submit:503", TryAgainLater, "server_error", 0),
    ("submit:500", Unconfirmed, "server_error", 0),
    ("submit:502", Unconfirmed, "server_error", 0),
    ("submit:504", Unconfirmed, "server_error", 0),
    ("submit:drop", Unconfirmed, "no_answer", 0),
    ("submit:hang", Unconfirmed, "no_answer", 0),
    ("paid:drop", Unconfirmed, "no_answer", 1),
    ("paid:hang", Unconfirmed, "no_answer", 1),
    ("paid:500", Unconfirmed, "server_error", 1),
    ("paid:malformed", Unconfirmed, "malformed_answer", 1),
    ("paid:no_choices", Unconfirmed, "malformed_answer", 1),
]


def test_refusals_say_whether_money_was_spent(server: ChatSimulatorProcess):
    for marker, kind, code, paid in REFUSALS:
        server.reset()
        chat = provider(server.url, seconds=1 if "hang" in marker else 30)
        error = error_of(chat.submit, request(f"[[sim:{marker}]]"))
        assert (type(error), error.code) == (kind, code), marker
        assert server.stats()["paid"] == paid, marker
        if kind is TryAgainLater:
            assert error.wait_seconds == 1, marker  # the Retry-After of the simulator


# Streams that started: marker, schema, code ("" for a success), remedy.
ENDS: list[tuple[str, Any, str, Remedy]] = [
    ("paid:half", None, "stream_cut", Remedy.ONE_MORE_TRY),
    ("paid:stall", None, "stream_timeout", Remedy.NONE),
    ("paid:bad_chunk", None, "stream_malformed", Remedy.ONE_MORE_TRY),
    ("paid:error_chunk", None, "stream_error", Remedy.ONE_MORE_TRY),
    ("paid:empty", None, "empty", Remedy.ONE_MORE_TRY),
    ("paid:filter", None, "content_filter", Remedy.NONE),
    ("paid:not_json", SCHEMA, "not_json", Remedy.ONE_MORE_TRY),
    ("paid:length", SCHEMA, "length", Remedy.NONE),
    ("paid:length", None, "", Remedy.NONE),
    ("paid:no_done", None, "", Remedy.NONE),
    ("paid:no_usage", None, "", Remedy.NONE),
    ("paid:whole", None, "", Remedy.NONE),
]


def test_answers_that_begin_end_as_paid_tasks(server: ChatSimulatorProcess):
    for marker, schema, code, remedy in ENDS:
        server.reset()
        chat = provider(server.url, seconds=2 if "stall" in marker else 30)
        params = {"response_schema": schema} if schema else {}
        state = state_of(chat.submit(request(f"[[sim:{marker}]]", **params)))
        assert server.stats()["paid"] == 1, marker
        if code:
            assert state.status is RemoteStatus.FAILED, marker
            assert isinstance(state.error, TaskFailed)
            assert (state.error.code, state.error.remedy) == (code, remedy), marker
            assert OpenAI.remedy_of(code) is remedy
        else:
            assert text_of(state), marker
    untested = codes.FAILURES.keys() - {code for _, _, code, _ in ENDS}
    assert untested == {"answer_too_long"}  # a million characters


def test_length_is_reported(server: ChatSimulatorProcess):
    state = state_of(provider(server.url).submit(request(max_tokens=3)))
    assert (state.raw["finish_reason"], len(text_of(state).split())) == ("length", 3)


def test_unsent_requests_are_not_accepted(server: ChatSimulatorProcess):
    error = error_of(provider(f"http://127.0.0.1:{free_port()}").submit, request())
    assert (type(error), error.code) == (TryAgainLater, "unreachable")
    for url in ("", "ftp://example.com", "http://", "http://example.com/?a=1", "nonsense"):
        error = error_of(provider(url).submit, request())
        assert (type(error), "OPENAI_BASE_URL" in str(error)) == (AccountBlocked, True), url
    assert error_of(provider(server.url, model="").submit, request()).code == "no_model"
    assert error_of(provider(server.url).submit, SubmitRequest("other", {})).code == "unknown_model"
    assert server.stats()["submits"] == 0


def test_key_is_never_quoted(server: ChatSimulatorProcess):
    body = json.dumps({"error": {"message": f"Incorrect API key {KEY}.", "code": "invalid_api_key"}}).encode()
    head = f"HTTP/1.1 401 Unauthorized\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def answer(connection: Any) -> None:
        http_servers.read_request(connection)
        connection.sendall(head + body)

    with http_servers.serving(answer) as plain:
        assert "***" in str(error_of(provider(plain.url).submit, request()))
    assert KEY not in repr(provider(server.url).settings)


def test_check_account(server: ChatSimulatorProcess):
    assert provider(server.url).check_account().concurrency is None
    assert provider(f"{server.url}/v1/").check_account().concurrency is None
    assert type(error_of(provider(server.url, api_key="bad").check_account)) is AccountBlocked
    assert type(error_of(provider(f"http://127.0.0.1:{free_port()}").check_account)) is Unavailable
    assert server.stats()["paid"] == 0


def test_official_client_reads_the_simulator(server: ChatSimulatorProcess):
    """Prove the shape of the double: the vendor's own SDK reads its answers, streams and errors."""
    import openai

    client: Any = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
    assert [model.id for model in client.models.list()] == ["simulated-chat", "simulated-vision"]
    ask: dict[str, Any] = {"model": "simulated-chat", "messages": [{"role": "user", "content": "Hi"}]}
    whole = client.chat.completions.create(**ask)
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.content is None
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == whole.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    answer = client.chat.completions.create(**ask, response_format=form)
    assert "scenes" in json.loads(answer.choices[0].message.content or "")
    for marker, kind in (
        ("401", openai.AuthenticationError),
        ("404", openai.NotFoundError),
        ("429", openai.RateLimitError),
        ("context", openai.BadRequestError),
        ("500", openai.InternalServerError),
    ):
        with pytest.raises(kind):
            client.chat.completions.create(
                model="simulated-chat", messages=[{"role": "user", "content": f"[[sim:submit:{marker}]]"}]
            )
    client.close()


def test_simulator_counts_and_resets(server: ChatSimulatorProcess):
    server.set(answer_words=3, paid_half=1, submit_429=1)
    error_of(provider(server.url).submit, request("a"))
    assert state_of(provider(server.url).submit(request("a"))).status is RemoteStatus.FAILED
    assert len(text_of(state_of(provider(server.url).submit(request("a")))).split()) == 3
    assert server.paid() == {"prompts": {"a": 2}}
    for bad in ({"no_such": 1}, {"paid_429": 1}, {"answer_words": "x"}):
        with pytest.raises(ValueError):
            server.set(**bad)
    server.reset()
    assert server.stats()["submits"] == 0
    assert requests.get(f"{server.url}/__sim__/other", timeout=10).status_code == 404
