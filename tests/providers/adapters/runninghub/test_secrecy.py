"""The key spends money: it appears in the header or body of a request, and nowhere else."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses

from providers.adapters.base import RemoteState
from providers.adapters.errors import ProviderError
from providers.adapters.runninghub.adapter import RunningHub
from tests import http_servers
from tests.providers.adapters.runninghub import answers

Call = Callable[[RunningHub], Any]

CALLS: dict[str, Call] = {
    "submit": lambda provider: provider.submit(answers.REQUEST),
    "query": lambda provider: provider.query([answers.TASK])[answers.TASK],
    "upload": lambda provider: provider.upload(io.BytesIO(b"x"), filename="x.png", content_type="image/png"),
    "cancel": lambda provider: provider.cancel(answers.TASK),
    "check_account": lambda provider: provider.check_account(),
}
ADDRESSES = [answers.SUBMIT, answers.QUERY, answers.UPLOAD, answers.CANCEL, answers.ACCOUNT, answers.PRICE]

ECHO = f"bad header 'Authorization: Bearer {answers.KEY}' from {answers.KEY}"
ANSWERS: dict[str, dict[str, Any]] = {
    "code": {"json": answers.refusal("1002", ECHO)},
    "unknown code": {"json": answers.refusal("9999", ECHO)},
    "old code": {"json": {"code": 412, "msg": ECHO, "data": None}},
    "failed reason": {"json": {"code": 500, "data": {"failedReason": {"exception_message": ECHO}}}},
    "failed reason as text": {"json": {"code": 500, "data": {"failedReason": ECHO}}},
    "failed task": {"json": {"status": "FAILED", "errorCode": "1015", "errorMessage": ECHO}},
    "html": {"body": f"<html>{ECHO}</html>"},
    "http 401": {"status": 401, "body": ECHO},
    "http 403": {"status": 403, "json": {"message": ECHO}},
    "http 500": {"status": 500, "json": {"message": ECHO}},
    "redirect": {"status": 307, "headers": {"Location": f"https://x.example/?key={answers.KEY}"}},
    "connect time-out": {"body": requests.ConnectTimeout(ECHO)},
    "read time-out": {"body": requests.ReadTimeout(ECHO)},
    "connection error": {"body": requests.ConnectionError(ECHO)},
    "value error": {"body": ValueError(ECHO)},
}


def failure(call: Call, provider: RunningHub) -> ProviderError:
    """Return the error that ``call`` raised or returned, with its traceback if it has one."""
    try:
        result = call(provider)
    except ProviderError as error:
        return error
    answer = result.error if isinstance(result, RemoteState) else result
    assert isinstance(answer, ProviderError)
    return answer


def everything_about(error: ProviderError) -> str:
    return f"{error!r} {error} {error.message} {error.code} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_error_tells_the_key(call: Call, answer: dict[str, Any], caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG), responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for address in ADDRESSES:
            mock.post(address, **answer)
        mock.get(answers.QUEUE, **answer)
        error = failure(call, answers.runninghub())
        assert answers.KEY not in everything_about(error)
        assert all(answers.KEY not in str(sent.request.url) for sent in mock.calls)
    assert answers.KEY not in caplog.text


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "handler",
    [
        http_servers.closes_after_reading,
        http_servers.sends_half_a_body,
        http_servers.sends_no_http,
        http_servers.resets_after_reading,
    ],
)
def test_no_broken_connection_tells_the_key(
    call: Call, handler: http_servers.Handler, caplog: pytest.LogCaptureFixture
):
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, logger="urllib3"),
        http_servers.serving(handler) as server,
    ):
        error = failure(call, answers.runninghub(host=server.url))
    assert answers.KEY not in everything_about(error)
    assert answers.KEY not in caplog.text


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("key", ["0123456789\nabcdef", "0123456789 abcdef", "钥匙0123456789"])
def test_unsendable_key_is_not_shown(call: Call, key: str):
    assert key not in everything_about(failure(call, answers.runninghub(key=key)))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_successful_call_puts_the_key_in_an_address(call: Call):
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        data = {"download_url": "https://files.example/x.png"}
        answer = {"code": 0, "taskId": answers.TASK, "status": "RUNNING", "estimatedPrice": "1", "data": data}
        for address in ADDRESSES:
            mock.post(address, json=answer)
        mock.get(answers.QUEUE, json=answer)
        call(answers.runninghub())
        assert len(mock.calls) >= 1
        assert all(answers.KEY not in str(sent.request.url) for sent in mock.calls)


def test_no_repr_tells_the_key():
    provider = answers.runninghub()
    assert answers.KEY not in repr(provider)
    assert answers.KEY not in repr(provider.settings)
    assert all(answers.KEY not in repr(value) for value in vars(provider).values())
