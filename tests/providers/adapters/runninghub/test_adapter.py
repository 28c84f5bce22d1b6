from __future__ import annotations

import io
import json
import multiprocessing
import threading
from decimal import Decimal
from typing import Any

import pytest
import requests
import responses

from core.db.values import is_storable
from providers.adapters.base import (
    Accepted,
    AccountStatus,
    Finished,
    RemoteOutput,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    UploadedFile,
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
from tests import http_servers
from tests.ports import free_port
from tests.providers.adapters.runninghub import answers as wire

pytestmark = pytest.mark.usefixtures("mocked")


@pytest.fixture
def mocked(request: pytest.FixtureRequest):
    if "real_sockets" in request.fixturenames:
        yield
    else:
        with responses.mock:
            yield


@pytest.fixture
def real_sockets() -> None:
    """Leave the network alone: the test brings its own server."""


def ask(body: object, task_id: str = wire.TASK) -> RemoteState | ProviderError:
    responses.post(wire.QUERY, json=body)
    return wire.runninghub().query([task_id])[task_id]


def state(body: object) -> RemoteState:
    answer = ask(body)
    assert isinstance(answer, RemoteState)
    return answer


def error_of(call: Any, *args: Any, **kwargs: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        call(*args, **kwargs)
    return caught.value


# --- Submit ---


def test_a_submit_posts_the_parameters_and_the_webhook_once():
    responses.post(wire.SUBMIT, json=wire.submitted())
    request = SubmitRequest(wire.ENDPOINT, {"prompt": "红茶壶", "duration": "10"}, "https://us.example/hook")
    task = wire.runninghub().submit(request)
    assert isinstance(task, Accepted)
    assert task.state.task_id == wire.TASK
    assert task.state.status is RemoteStatus.RUNNING
    assert task.state.raw == wire.submitted()
    assert wire.sent_json() == {"prompt": "红茶壶", "duration": "10", "webhookUrl": "https://us.example/hook"}
    assert responses.calls[0].request.headers["Authorization"] == f"Bearer {wire.KEY}"
    assert responses.calls[0].request.headers["Content-Type"] == "application/json"
    assert len(responses.calls) == 1


def test_a_submit_without_a_webhook_names_none():
    responses.post(wire.SUBMIT, json=wire.submitted())
    wire.runninghub().submit(wire.REQUEST)
    assert wire.sent_json() == wire.REQUEST.params


def test_a_slash_at_the_end_of_the_base_url_does_no_harm():
    responses.post(wire.SUBMIT, json=wire.submitted())
    assert wire.runninghub(host=f"{wire.HOST}/").submit(wire.REQUEST).state.task_id == wire.TASK


@pytest.mark.parametrize(
    "body",
    [
        wire.submitted(taskId=int(wire.TASK)),
        {"task_id": wire.TASK, "status": "running"},
        {"code": 0, "message": "success", "data": {"taskId": wire.TASK, "status": "QUEUED"}},
        {"code": 0, "msg": "success", "data": {"taskId": int(wire.TASK), "taskStatus": "CREATE"}},
        {"taskId": wire.TASK},
        {"taskId": wire.TASK, "status": "", "errorCode": "0"},
        {"taskId": wire.TASK, "status": "SOMETHING_NEW"},
    ],
)
def test_a_submit_finds_the_task_in_every_spelling(body: dict[str, object]):
    responses.post(wire.SUBMIT, json=body)
    task = wire.runninghub().submit(wire.REQUEST)
    assert isinstance(task, Accepted)
    assert task.state.task_id == wire.TASK
    assert task.state.status is RemoteStatus.RUNNING


def test_a_submit_may_be_answered_with_the_result_at_once():
    responses.post(wire.SUBMIT, json=wire.queried())
    answer = wire.runninghub().submit(wire.REQUEST)
    assert isinstance(answer, Finished)
    state = answer.state
    assert state.status is RemoteStatus.SUCCEEDED
    assert state.outputs == (RemoteOutput("https://files.example/x.png", "", "png"),)
    assert state.cost == Decimal("0.05")


@pytest.mark.parametrize("status", ["RUNNING", "QUEUED", "", "SOMETHING_NEW"])
@pytest.mark.parametrize("code", ["1003", "1004", "1005", "1011", "1014", "1520", "421", "9999"])
def test_an_answer_with_a_task_and_a_code_is_an_accepted_task(status: str, code: str):
    responses.post(wire.SUBMIT, json=wire.submitted(status=status, errorCode=code))
    task = wire.runninghub().submit(wire.REQUEST)
    assert isinstance(task, Accepted)
    assert task.state.task_id == wire.TASK
    assert task.state.status is RemoteStatus.RUNNING


@pytest.mark.parametrize("status", [400, 500, 504])
def test_answer_with_a_task_is_accepted_at_any_http_status(status: int):
    responses.post(wire.SUBMIT, json=wire.submitted(), status=status)
    assert wire.runninghub().submit(wire.REQUEST).state.task_id == wire.TASK


def test_immediate_failure_is_a_failed_task():
    responses.post(wire.SUBMIT, json=wire.submitted(status="FAILED", errorCode="1501"))
    state = wire.runninghub().submit(wire.REQUEST).state
    assert state.status is RemoteStatus.FAILED
    assert state.error is not None
    assert state.error.code == "1501"


def test_a_refused_connection_means_not_accepted(real_sockets: None):
    provider = wire.runninghub(host=f"http://127.0.0.1:{free_port()}")
    error = error_of(provider.submit, wire.REQUEST)
    assert type(error) is TryAgainLater
    assert "Nothing was sent" in error.message


@pytest.mark.parametrize(
    "handler",
    [
        http_servers.closes_after_reading,
        http_servers.resets_after_reading,
        http_servers.sends_half_a_body,
        http_servers.breaks_a_chunked_body,
        http_servers.sends_no_http,
    ],
)
def test_lost_answer_leaves_doubt_and_is_not_repeated(handler: http_servers.Handler, real_sockets: None):
    with http_servers.serving(handler) as server:
        error = error_of(wire.runninghub(host=server.url).submit, wire.REQUEST)
        assert type(error) is Unconfirmed
        assert server.connections == 1


def test_a_read_time_out_leaves_doubt():
    responses.post(wire.SUBMIT, body=requests.ReadTimeout("too slow"))
    assert type(error_of(wire.runninghub().submit, wire.REQUEST)) is Unconfirmed


def test_an_error_of_the_library_without_a_cause_leaves_doubt():
    responses.post(wire.SUBMIT, body=requests.ConnectionError())
    assert type(error_of(wire.runninghub().submit, wire.REQUEST)) is Unconfirmed


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), Decimal("1.5"), "\ud800"])
def test_a_value_that_json_does_not_have_is_rejected_unsent(value: object):
    request = SubmitRequest(wire.ENDPOINT, {"prompt": value})
    assert type(error_of(wire.runninghub().submit, request)) is Rejected


@pytest.mark.parametrize(
    "endpoint", ["", "/query", "a//b", "a/../b", "a/b?c=d", "a/b#c", "a b", "a/./b", "模型/文生图"]
)
def test_an_endpoint_that_is_no_path_is_rejected_unsent(endpoint: str):
    assert type(error_of(wire.runninghub().submit, SubmitRequest(endpoint, {}))) is Rejected


@pytest.mark.parametrize("key", ["", " ", "two words", "line\nbreak", "钥匙"])
def test_a_key_that_cannot_be_sent_blocks_the_account_unsent(key: str):
    assert type(error_of(wire.runninghub(key=key).submit, wire.REQUEST)) is AccountBlocked


@pytest.mark.parametrize(
    "host", ["", "www.runninghub.cn", "ftp://x.example", "https://", "http://[", "https://x.example?a"]
)
def test_a_base_url_that_is_no_address_blocks_the_account_unsent(host: str):
    assert type(error_of(wire.runninghub(host=host).submit, wire.REQUEST)) is AccountBlocked


# --- Query ---


def test_a_query_posts_the_id_as_text():
    ask(wire.queried())
    assert wire.sent_json() == {"taskId": wire.TASK}


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "CREATE", "PENDING", "running", "SOMETHING_NEW"])
def test_a_task_that_has_not_ended_is_running(status: str):
    answer = state(wire.queried(status=status, results=None, usage=None, taskUsageList=None))
    is_waiting = status in ("QUEUED", "CREATE", "PENDING")
    unknown = "SOMETHING_NEW" if status == "SOMETHING_NEW" else ""
    assert answer == RemoteState(
        wire.TASK, RemoteStatus.RUNNING, raw=answer.raw, is_waiting=is_waiting, unknown_status=unknown
    )


@pytest.mark.parametrize("code", ["", "0", "804", "805", "1003", "1004", "1005", "1501", "9999"])
def test_a_success_is_a_success_whatever_the_code(code: str):
    assert state(wire.queried(errorCode=code)).status is RemoteStatus.SUCCEEDED


def test_a_failure_is_a_failure_whatever_the_code():
    answer = state(wire.queried(status="FAILED", errorCode="1003"))
    assert answer.status is RemoteStatus.FAILED
    assert answer.outputs == ()
    assert answer.error is not None
    assert answer.error.remedy is Remedy.TRY_LATER


@pytest.mark.parametrize("code", ["805", "1003", "1004", "1011", "9999"])
def test_a_running_task_is_running_whatever_the_code(code: str):
    body = wire.queried(status="RUNNING", errorCode=code)
    assert state(body).status is RemoteStatus.RUNNING


@pytest.mark.parametrize("status", ["CANCEL", "CANCELED", "CANCELLED", "cancelled"])
def test_a_cancelled_task_is_cancelled(status: str):
    answer = state(wire.queried(status=status, results=None))
    assert answer.status is RemoteStatus.CANCELLED
    assert answer.error is None


@pytest.mark.parametrize("body", [wire.refusal("1004"), wire.old_refusal("807"), wire.old_refusal("423")])
def test_a_task_that_is_not_known_is_gone(body: dict[str, object]):
    assert state(body).status is RemoteStatus.GONE


@pytest.mark.parametrize(
    ("code", "status"),
    [("804", RemoteStatus.RUNNING), ("813", RemoteStatus.RUNNING), ("805", RemoteStatus.FAILED)],
)
def test_the_older_codes_tell_how_a_task_stands(code: str, status: RemoteStatus):
    assert state(wire.old_refusal(code)).status is status


def test_the_older_status_is_a_bare_word():
    assert state({"code": 0, "msg": "success", "data": "SUCCESS"}).status is RemoteStatus.SUCCEEDED


def test_a_failed_workflow_says_which_node_broke():
    reason = {"node_name": "KSampler", "exception_message": "out of memory", "traceback": "secret path"}
    answer = state({"code": 805, "msg": "APIKEY_TASK_STATUS_ERROR", "data": {"failedReason": reason}})
    assert answer.error is not None
    assert "KSampler: out of memory" in answer.error.message
    assert "secret path" not in answer.error.message


@pytest.mark.parametrize("reason", [{"exception_message": "broken"}, '{"exception_message": "broken"}', "broken"])
def test_the_reason_of_a_failure_may_be_an_object_or_text(reason: object):
    error = state(wire.queried(status="FAILED", failedReason=reason)).error
    assert error is not None
    assert "RunningHub says: broken" in error.message


def test_the_word_success_is_no_reason_for_a_failure():
    body = {"code": 0, "msg": "success", "data": {"taskId": wire.TASK, "status": "FAILED", "errorCode": 1005}}
    error = state(body).error
    assert error is not None
    assert error.code == "1005"
    assert "success" not in error.message


@pytest.mark.parametrize(
    "body",
    [
        {"code": 0, "message": "success", "data": wire.queried()},
        {"task_id": wire.TASK, **{k: v for k, v in wire.queried().items() if k != "taskId"}},
        wire.queried(taskId=int(wire.TASK)),
        wire.queried(status="success"),
        {k: v for k, v in wire.queried().items() if k not in ("taskId", "errorCode", "errorMessage", "failedReason")},
    ],
)
def test_a_success_is_found_in_every_envelope(body: dict[str, object]):
    answer = state(body)
    assert answer.task_id == wire.TASK
    assert answer.status is RemoteStatus.SUCCEEDED
    assert answer.outputs == (RemoteOutput("https://files.example/x.png", "", "png"),)
    assert answer.cost == Decimal("0.05")
    assert answer.raw == body


def test_aliases_of_the_error_fields_are_read():
    error = state({"task_id": wire.TASK, "status": "FAILED", "error_code": 1501, "error_message": "no"}).error
    assert error is not None
    assert error.code == "1501"
    assert "RunningHub says: no" in error.message


URL = "https://files.example/a/b.MP4?sign=1/2.exe#x.txt"


@pytest.mark.parametrize(
    ("results", "outputs"),
    [
        (None, ()),
        ([], ()),
        ({}, ()),
        ("", ()),
        ([None, {}, 7, {"nodeId": "2"}], ()),
        ([{"url": URL, "outputType": "mp4"}], (RemoteOutput(URL, "", "mp4"),)),
        ([{"url": URL, "outputType": ".PNG"}], (RemoteOutput(URL, "", "png"),)),
        ([{"url": URL, "outputType": "video"}], (RemoteOutput(URL, "", "mp4"),)),
        ([{"url": URL, "outputType": "image"}], (RemoteOutput(URL, "", "mp4"),)),
        ([{"url": URL, "outputType": "video/mp4"}], (RemoteOutput(URL, "", "mp4"),)),
        ([{"url": URL}], (RemoteOutput(URL, "", "mp4"),)),
        ([{"url": "https://x.example/noext", "outputType": "image"}], (RemoteOutput("https://x.example/noext"),)),
        ([{"outputUrl": URL}], (RemoteOutput(URL, "", "mp4"),)),
        ([{"fileUrl": URL, "fileType": "mp4"}], (RemoteOutput(URL, "", "mp4"),)),
        ([{"text": "a cat", "outputType": "txt", "url": None}], (RemoteOutput("", "a cat", "txt"),)),
        ([{"content": "a cat"}], (RemoteOutput("", "a cat"),)),
        ([{"output": "a cat", "outputType": "text"}], (RemoteOutput("", "a cat"),)),
        ([URL, "a cat"], (RemoteOutput(URL, "", "mp4"), RemoteOutput("", "a cat"))),
        ({"url": URL}, (RemoteOutput(URL, "", "mp4"),)),
        (URL, (RemoteOutput(URL, "", "mp4"),)),
        ([{"url": "http://[", "outputType": "image"}], (RemoteOutput("http://["),)),
    ],
)
def test_outputs_are_read_in_every_shape(results: object, outputs: tuple[RemoteOutput, ...]):
    answer = state(wire.queried(results=results))
    assert answer.status is RemoteStatus.SUCCEEDED
    assert answer.outputs == outputs


@pytest.mark.parametrize(
    ("usage", "parts", "cost"),
    [
        ({"thirdPartyConsumeMoney": "0.14"}, None, "0.14"),
        ({"thirdPartyConsumeMoney": 0.8}, None, "0.8"),
        ({"thirdPartyConsumeMoney": "0"}, None, "0"),
        ({"thirdPartyConsumeMoney": "0.14", "consumeMoney": "9"}, None, "0.14"),
        ({"thirdPartyConsumeMoney": None, "consumeMoney": "0.3"}, None, "0.3"),
        ({"consumeCoins": "30"}, None, None),
        ({"thirdPartyConsumeMoney": "0.14"}, ["0.14", "0.14"], "0.14"),
        (None, ["0.14", None, "0.06"], "0.20"),
        ({}, ["0.5"], "0.5"),
        (None, [None], None),
        (wire.NO_USAGE, ["0.5"], None),
        (None, None, None),
        ({"thirdPartyConsumeMoney": "free"}, None, None),
        ({"thirdPartyConsumeMoney": "NaN"}, None, None),
        ({"thirdPartyConsumeMoney": "1e99"}, None, None),
        ({"thirdPartyConsumeMoney": "-1"}, None, None),
        ({"thirdPartyConsumeMoney": True}, None, None),
        ({"thirdPartyConsumeMoney": 0.00005}, None, "0.00005"),
        ({"thirdPartyConsumeMoney": " 0.5 "}, None, "0.5"),
        *(
            ({"thirdPartyConsumeMoney": odd}, None, None)
            for odd in (
                "1e3",
                "1_0",
                "1,234.50",
                "0.5 CNY",
                "¥0.5",
                "+1",
                "０.５",
                ".5",
                "999999999.99",
                10**40,
                -1,
                [1],
            )
        ),
        ("0.5", None, None),
    ],
)
def test_the_cost_is_the_money_that_was_charged(usage: object, parts: list[str | None] | None, cost: str | None):
    rows = [{"taskId": 1, "usage": {"thirdPartyConsumeMoney": part}} for part in parts] if parts else None
    answer = state(wire.queried(usage=usage, taskUsageList=rows))
    assert answer.cost == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize("parts", ["x", {}, [None], [{}], [{"usage": "x"}]])
def test_junk_in_the_list_of_part_tasks_is_no_cost(parts: object):
    assert state(wire.queried(usage=None, taskUsageList=parts)).cost is None


@pytest.mark.parametrize(
    "body", [{}, {"taskId": wire.TASK}, {"status": ""}, {"code": 0, "data": None}, {"status": 404}]
)
def test_an_answer_without_a_status_says_nothing_about_the_task(body: dict[str, object]):
    assert type(ask(body)) is Unavailable


def test_answer_about_another_task_is_ignored():
    assert type(ask(wire.queried(taskId="2013508786110730242"))) is Unavailable


ODD_VALUES = ["NaN", "Infinity", "-Infinity", "1e3", "1e999", "9" * 5000, "[" * 900 + "]" * 900, "{}", "[]", '"x"']


@pytest.mark.parametrize("value", ODD_VALUES, ids=range(len(ODD_VALUES)))
def test_odd_values_spoil_neither_state_nor_raw_answer(value: str):
    usage = f'{{"thirdPartyConsumeMoney": {value}}}'
    for body in (f'{{"usage": {usage}', f'{{"usage": {value}', f'{{"usage": {usage}, "extra": {value}'):
        responses.post(wire.QUERY, body=f'{body}, "status": "SUCCESS", "results": ["a text"]}}')
        answer = wire.runninghub().query([wire.TASK])[wire.TASK]
        assert isinstance(answer, RemoteState)
        assert (answer.status, answer.cost, len(answer.outputs)) == (RemoteStatus.SUCCEEDED, None, 1)
        assert is_storable(answer.raw)
        responses.reset()


def test_an_answer_nested_without_end_cannot_be_read():
    responses.post(wire.SUBMIT, body='{"taskId": ' + "[" * 100_000)
    assert type(error_of(wire.runninghub().submit, wire.REQUEST)) is Unconfirmed


@pytest.mark.parametrize("task_id", ["9" * 65, "1" * 5000, "a b", "任务"])
def test_a_submit_with_an_unusable_task_id_is_unconfirmed(task_id: str):
    for code in ("", "1007"):
        responses.post(wire.SUBMIT, json=wire.submitted(taskId=task_id, errorCode=code))
        assert type(error_of(wire.runninghub().submit, wire.REQUEST)) is Unconfirmed
        responses.reset()


def test_the_beginning_of_a_long_answer_is_kept():
    answer = state(wire.queried(results=[{"url": f"https://r.example/{n}.png"} for n in range(40_000)]))
    assert len(answer.outputs) == 40_000
    assert len(answer.raw["results"]) == 51
    assert answer.raw["results"][-1] == "… 39950 more"


def test_an_unknown_status_is_named_with_its_results():
    answer = state(wire.queried(status="finished", results=["a text"]))
    assert (answer.status, answer.unknown_status) == (RemoteStatus.RUNNING, "FINISHED")
    assert len(answer.outputs) == 1
    assert state(wire.queried(status="RUNNING")).unknown_status == ""


@pytest.mark.parametrize(
    ("limit", "concurrency"),
    [
        (0, 0),
        ("50", 50),
        (10_000, 10_000),
        (10_001, None),
        (10**23, None),
        ("５０", None),
        (None, None),
        (-1, None),
        (2.5, None),
    ],
)
def test_implausible_limit_of_an_account_is_ignored(limit: object, concurrency: int | None):
    responses.get(wire.QUEUE, json={"code": 0, "data": {**QUEUE, "concurrentLimit": limit}})
    responses.post(wire.ACCOUNT, json={"code": 0, "data": WALLET})
    assert wire.runninghub().check_account().concurrency == concurrency


@pytest.mark.parametrize("failure", [requests.ConnectTimeout(), requests.ReadTimeout(), requests.ConnectionError()])
def test_a_query_that_got_no_answer_says_nothing_about_the_task(failure: Exception):
    responses.post(wire.QUERY, body=failure)
    assert type(wire.runninghub().query([wire.TASK])[wire.TASK]) is Unavailable


def test_a_query_of_many_has_an_entry_for_each():
    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        assert request.body is not None
        task_id = json.loads(request.body)["taskId"]
        status = {"0": "SUCCESS", "1": "FAILED"}.get(task_id[-1], "RUNNING")
        return (500, {}, "") if task_id.endswith("9") else (200, {}, json.dumps({"taskId": task_id, "status": status}))

    responses.add_callback(responses.POST, wire.QUERY, callback=answer)
    ids = [str(2013508786110730000 + number) for number in range(50)]
    answers = wire.runninghub().query([*ids, ids[0]])
    assert list(answers) == ids
    assert len(responses.calls) == 50
    for task_id, entry in answers.items():
        if task_id.endswith("9"):
            assert type(entry) is Unavailable
        else:
            assert isinstance(entry, RemoteState)
            assert entry.task_id == task_id


def test_a_query_of_none_asks_nothing():
    assert wire.runninghub().query([]) == {}


def test_queries_run_side_by_side_on_few_threads_that_stay():
    together = threading.Barrier(8, timeout=10)
    threads = set()

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        threads.add(threading.current_thread())
        together.wait()
        return 200, {}, '{"status": "RUNNING"}'

    responses.add_callback(responses.POST, wire.QUERY, callback=answer)
    provider = wire.runninghub()
    for batch in range(2):
        provider.query([str(batch * 8 + number) for number in range(8)])
    assert len(threads) == 8


def test_no_thread_is_started_before_the_first_query():
    before = set(threading.enumerate())
    wire.runninghub()
    assert set(threading.enumerate()) <= before


def test_queries_go_on_after_a_fork():
    responses.post(wire.QUERY, json={"status": "RUNNING"})
    provider = wire.runninghub()
    provider.query([wire.TASK])
    child = multiprocessing.get_context("fork").Process(target=provider.query, args=([wire.TASK],))
    child.start()
    child.join(10)
    child.kill()
    child.join()
    assert child.exitcode == 0


# --- Upload ---


def upload() -> UploadedFile:
    return wire.runninghub().upload(io.BytesIO(b"\x89PNG"), filename="小猫.png", content_type="image/png")


LINK = "https://files.example/input/openapi/x.png"


@pytest.mark.parametrize("code", [0, 200, "0", None, 7])
def test_an_upload_succeeds_wherever_there_is_a_link(code: object):
    data = {"type": "image", "download_url": LINK, "fileName": "openapi/x.png", "size": "3490"}
    responses.post(wire.UPLOAD, json={"code": code, "message": "success", "data": data})
    assert upload() == UploadedFile(LINK, lifetime_seconds=86400)


def test_an_upload_is_one_part_named_file():
    responses.post(wire.UPLOAD, json={"code": 0, "data": {"download_url": LINK}})
    upload()
    request = responses.calls[0].request
    assert isinstance(request.body, bytes)
    assert request.headers["Content-Type"].startswith("multipart/form-data")
    assert request.headers["Authorization"] == f"Bearer {wire.KEY}"
    assert request.body.count(b"Content-Disposition") == 1
    assert b'name="file"' in request.body
    assert b"Content-Type: image/png" in request.body
    assert b"\x89PNG" in request.body


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"code": 401, "message": "ApiKey verification failed: API Key不存在", "data": None}, 200, AccountBlocked),
        (wire.refusal("1002"), 200, AccountBlocked),
        (wire.refusal("1014"), 200, AccountBlocked),
        ({"code": 809, "message": "too big", "data": None}, 200, Rejected),
        (wire.refusal("1008"), 200, Rejected),
        ({}, 413, Rejected),
        ({"code": 808, "message": "upload failed"}, 200, Unavailable),
        (wire.refusal("1013"), 200, Unavailable),
        ({"code": 0, "message": "success", "data": {}}, 200, Unavailable),
        ({"code": 0, "message": "success", "data": {"download_url": ""}}, 200, Unavailable),
        ([], 200, Unavailable),
        ({}, 502, Unavailable),
    ],
)
def test_a_failed_upload_says_whether_asking_again_may_help(body: object, status: int, error: type[ProviderError]):
    responses.post(wire.UPLOAD, json=body, status=status)
    assert type(error_of(upload)) is error


def test_an_upload_that_got_no_answer_may_be_tried_again():
    responses.post(wire.UPLOAD, body=requests.ReadTimeout())
    assert type(error_of(upload)) is Unavailable


# --- Cancel ---


def test_a_cancel_sends_key_and_task_in_the_body():
    responses.post(wire.CANCEL, json={"code": 0, "msg": "success", "data": None})
    assert wire.runninghub().cancel(wire.TASK) is True
    assert wire.sent_json() == {"apiKey": wire.KEY, "taskId": wire.TASK}


@pytest.mark.parametrize("code", ["807", "423", "1004"])
def test_a_cancel_of_an_unknown_task_is_false(code: str):
    responses.post(wire.CANCEL, json=wire.old_refusal(code))
    assert wire.runninghub().cancel(wire.TASK) is False


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (wire.old_refusal("412"), 200, AccountBlocked),
        (wire.old_refusal("301"), 200, Rejected),
        (wire.old_refusal("500"), 200, Unavailable),
        ({"code": 0}, 502, Unavailable),
        ("nonsense", 200, Unavailable),
    ],
)
def test_a_cancel_that_failed_says_why(body: object, status: int, error: type[ProviderError]):
    responses.post(wire.CANCEL, json=body, status=status)
    assert type(error_of(wire.runninghub().cancel, wire.TASK)) is error


# --- Account and price ---

QUEUE = {
    "apiKeyType": "SHARED",
    "concurrentLimit": 30,
    "runningCount": "4",
    "queuedCount": "2",
    "totalCurrentTasks": "6",
    "instanceCount": None,
}
WALLET = {
    "remainCoins": "99999",
    "currentTaskCounts": "0",
    "remainMoney": "12.3",
    "currency": "CNY",
    "apiType": "NORMAL",
}


def test_an_account_tells_its_limits_and_its_balance():
    responses.get(wire.QUEUE, json={"code": 0, "message": "success", "data": QUEUE})
    responses.post(wire.ACCOUNT, json={"code": 0, "msg": "success", "data": WALLET})
    assert wire.runninghub().check_account() == AccountStatus(30, 4, 2, Decimal("12.3"), "CNY", "SHARED")
    assert wire.sent_json(1) == {"apikey": wire.KEY}


def test_an_account_without_money_fields_has_no_balance():
    responses.get(wire.QUEUE, json={"code": 0, "data": {**QUEUE, "concurrentLimit": "x", "apiKeyType": None}})
    responses.post(wire.ACCOUNT, json={"code": 0, "data": {**WALLET, "remainMoney": None, "currency": None}})
    assert wire.runninghub().check_account() == AccountStatus(None, 4, 2, None, "", "NORMAL")


@pytest.mark.parametrize(
    "answer", [{"json": wire.old_refusal("1601")}, {"body": requests.ReadTimeout()}, {"status": 500}, {"body": "?"}]
)
def test_a_balance_that_cannot_be_had_spoils_nothing(answer: dict[str, Any]):
    responses.get(wire.QUEUE, json={"code": 0, "message": "success", "data": QUEUE})
    responses.post(wire.ACCOUNT, **answer)
    assert wire.runninghub().check_account() == AccountStatus(30, 4, 2, None, "", "SHARED")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"json": {"code": 401, "message": "ApiKey verification failed", "data": None}}, AccountBlocked),
        ({"status": 401}, AccountBlocked),
        ({"status": 502}, Unavailable),
        ({"body": "<html>"}, Unavailable),
        ({"body": requests.ConnectionError()}, Unavailable),
    ],
)
def test_an_account_that_cannot_be_checked_says_why(answer: dict[str, Any], error: type[ProviderError]):
    responses.get(wire.QUEUE, **answer)
    assert type(error_of(wire.runninghub().check_account)) is error


# --- Webhook ---


@pytest.mark.parametrize(
    "event",
    [
        {"event": "TASK_END", "taskId": wire.TASK, "eventData": wire.queried()},
        {"event": "TASK_END", "taskId": int(wire.TASK), "eventData": '{"code":0,"msg":"success","data":[]}'},
        {"event": "TASK_END", "task_id": wire.TASK},
        {"event": "TASK_END", "eventData": wire.queried()},
        {"event": "TASK_END", "eventData": json.dumps(wire.queried())},
        {"event": "TASK_END", "eventData": json.dumps({"code": 0, "data": {"taskId": wire.TASK}})},
        {"event": "TASK_END", "taskId": wire.TASK, "eventData": "junk"},
    ],
)
def test_a_webhook_names_its_task(event: dict[str, object]):
    assert wire.runninghub().parse_webhook({}, json.dumps(event).encode()) == wire.TASK


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"junk",
        b"\xff\xfe\x00",
        b"[]",
        b'"2013508786110730241"',
        b"{}",
        b'{"taskId": null}',
        b'{"taskId": {"a": 1}}',
        b'{"taskId": true}',
        b'{"taskId": "0"}',
        b'{"taskId": "a b"}',
        b'{"taskId": "1\\n2"}',
        b'{"taskId": "%s"}' % (b"1" * 65),
        b'{"eventData": "junk"}',
        b'{"eventData": []}',
        b"[" * 100_000,
    ],
)
def test_junk_names_no_task(body: bytes):
    with pytest.raises(ValueError, match="names no task"):
        wire.runninghub().parse_webhook({}, body)
