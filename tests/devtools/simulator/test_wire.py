"""Every answer has RunningHub's envelope and field types."""

import pytest

from devtools.simulators.runninghub.process import SimulatorProcess
from tests.devtools.simulator.caller import EDIT, IMAGE, VIDEO, Caller


def test_task_id_is_a_string_of_19_digits(caller: Caller) -> None:
    answer = caller.submit()
    assert len(answer["taskId"]) == 19
    assert answer["taskId"].isdecimal()
    assert answer["promptTips"].startswith('{"result": true')
    assert {name: answer[name] for name in ("status", "errorCode", "errorMessage", "results")} == {
        "status": "QUEUED",
        "errorCode": "",
        "errorMessage": "",
        "results": None,
    }


def test_a_task_is_queued_then_running_then_successful(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(task_seconds=2, queued_share=0.5)
    task_id = caller.submit()["taskId"]
    seen: list[str] = []
    while "SUCCESS" not in seen:
        status = caller.query(task_id)["status"]
        seen += [] if seen[-1:] == [status] else [status]
    assert seen == ["QUEUED", "RUNNING", "SUCCESS"]


def test_success_has_results_and_cost_as_strings(caller: Caller) -> None:
    answer = caller.finish()
    assert answer["usage"]["thirdPartyConsumeMoney"] == "0.05"
    assert answer["usage"]["consumeMoney"] is None
    assert answer["failedReason"] == {}
    assert answer["taskUsageList"][0]["taskId"] == int(answer["taskId"])
    [result] = answer["results"]
    assert result["outputType"] == "png"
    assert result["text"] is None
    assert result["url"].startswith("http://127.0.0.1:")


def test_a_running_query_has_no_results_and_no_cost(caller: Caller) -> None:
    answer = caller.query(caller.submit("[[sim:never]]")["taskId"])
    assert answer["results"] is None
    assert set(answer["usage"].values()) == {None}


def test_failure_has_a_string_code_and_no_cost(caller: Caller) -> None:
    answer = caller.finish("[[sim:1501]]")
    assert (answer["status"], answer["errorCode"], answer["results"]) == ("FAILED", "1501", None)
    assert "内容安全审查未通过" in answer["errorMessage"]
    assert set(answer["usage"].values()) == {None}


def test_an_unknown_task_is_1004(caller: Caller) -> None:
    answer = caller.query("2013508786110730241")
    assert (answer["status"], answer["errorCode"], answer["usage"]) == ("", "1004", None)


def test_key_may_have_its_own_limit_and_tasks(caller: Caller, simulator: SimulatorProcess) -> None:
    with Caller(simulator.url, "cap1-mine") as own:
        task_id = own.submit("[[sim:never]]")["taskId"]
        assert own.submit("another")["errorCode"] == "421"
        assert own.query(task_id)["status"] in ("QUEUED", "RUNNING")
        status = own.get(f"{simulator.url}/openapi/v2/queue/status").json()["data"]
    assert status["concurrentLimit"] == 1
    assert caller.query(task_id)["errorCode"] == "1004"


@pytest.mark.parametrize("content", [{}, {"taskId": None}, {"taskId": 2013508786110730241}, {"taskId": "x"}, []])
def test_a_malformed_query_is_1007_with_http_200(caller: Caller, content: object) -> None:
    answer = caller.post("/openapi/v2/query", content)
    assert (answer.status_code, answer.json()["errorCode"]) == (200, "1007")


@pytest.mark.parametrize(("key", "code"), [("bad", "1002"), ("", "1002"), ("consumer-1", "1014"), ("poor-1", "416")])
def test_the_first_letters_of_a_key_decide_its_refusal(simulator: SimulatorProcess, key: str, code: str) -> None:
    with Caller(simulator.url, key) as caller:
        answer = caller.submit_raw()
    assert answer.status_code == 200
    assert (answer.json()["taskId"], answer.json()["errorCode"]) == ("", code)
    assert simulator.stats()["accepted"] == 0


@pytest.mark.parametrize(
    ("endpoint", "params", "complaint"),
    [
        (VIDEO, {"prompt": "waves", "aspectRatio": "16:9", "duration": 10}, "duration must be of type str"),
        (IMAGE, {"prompt": "x"}, "aspectRatio is required"),
        (EDIT, {"prompt": "x", "aspectRatio": "auto", "imageUrls": []}, "imageUrls is required"),
        (IMAGE, [], "failed to parse request body"),
    ],
)
def test_a_bad_parameter_is_1007(caller: Caller, endpoint: str, params: object, complaint: str) -> None:
    answer = caller.post(f"/openapi/v2/{endpoint}", params).json()
    assert answer["errorCode"] == "1007"
    assert complaint in answer["errorMessage"]


def test_endpoints_can_be_limited(caller: Caller, simulator: SimulatorProcess) -> None:
    assert caller.submit(endpoint="brand-new/model")["errorCode"] == ""
    simulator.set(endpoints=f"{IMAGE},{VIDEO}")
    assert caller.submit(endpoint="brand-new/model")["errorCode"] == "1001"
    assert caller.submit(endpoint=IMAGE)["errorCode"] == ""


def test_an_upload_gives_a_link_that_serves_the_same_bytes(caller: Caller) -> None:
    body = b"\x89PNG\r\n--not a boundary\r\n\r\n" + bytes(range(256))
    answer = caller.upload("参考 image.png", body).json()
    assert (answer["code"], answer["message"]) == (0, "success")
    assert answer["data"]["type"] == "image"
    assert answer["data"]["size"] == str(len(body))
    assert answer["data"]["fileName"].startswith("openapi/")
    file = caller.get(answer["data"]["download_url"])
    assert (file.content, file.headers["content-type"]) == (body, "image/png")


def test_upload_with_a_bad_key_uses_its_envelope(simulator: SimulatorProcess) -> None:
    with Caller(simulator.url, "bad") as caller:
        expected = {"code": 401, "message": "ApiKey verification failed: API Key不存在", "data": None}
        assert caller.upload().json() == expected


def test_an_upload_that_is_too_big_or_of_another_type_is_refused(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(upload_max_bytes=10)
    assert caller.upload(body=b"x" * 11).json()["code"] == 809
    assert caller.upload("a.exe").json()["code"] == 301


def test_queue_status_field_types(caller: Caller) -> None:
    caller.submit("[[sim:never]]")
    data = caller.get("/openapi/v2/queue/status").json()["data"]
    assert data == {
        "apiKeyType": "SHARED",
        "concurrentLimit": 50,
        "runningCount": data["runningCount"],
        "queuedCount": data["queuedCount"],
        "totalCurrentTasks": "1",
        "instanceCount": None,
    }
    assert int(data["runningCount"]) + int(data["queuedCount"]) == 1


def test_the_account_status_shows_what_is_left(caller: Caller) -> None:
    caller.finish()
    answer = caller.post("/uc/openapi/accountStatus", {"apikey": "key"}).json()
    assert (answer["code"], answer["msg"]) == (0, "success")
    assert answer["data"]["remainMoney"] == "999.95"
    assert answer["data"]["currentTaskCounts"] == "0"
    assert caller.post("/uc/openapi/accountStatus", {"apiKey": "key"}).json()["code"] == 1601


def test_a_price_preview_starts_nothing(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(price={"brand-new/model": "0.4"})
    prices = [
        caller.post(f"/openapi/v2/price-preview/{endpoint}", {"prompt": "x"}).json()["estimatedPrice"]
        for endpoint in (IMAGE, VIDEO, "brand-new/model")
    ]
    assert prices == ["0.05", "0.20", "0.4"]
    assert simulator.stats()["submits"] == 0


def test_a_cancelled_task_ends_at_once_and_frees_its_slot(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(cap=1)
    task_id = caller.submit("[[sim:never]]")["taskId"]
    answer = caller.post("/task/openapi/cancel", {"apiKey": "key", "taskId": task_id}).json()
    assert (answer["code"], answer["data"]) == (0, None)
    assert caller.query(task_id)["status"] == "CANCEL"
    assert caller.submit()["errorCode"] == ""


def test_cancelling_an_unknown_task_is_807(caller: Caller) -> None:
    assert caller.post("/task/openapi/cancel", {"apiKey": "key", "taskId": "1"}).json()["code"] == 807


def test_wrong_methods_and_paths_are_refused_as_the_service_does(caller: Caller) -> None:
    assert caller.get(f"/openapi/v2/{IMAGE}").json()["errorCode"] == "1009"
    assert caller.get("/nothing").json()["code"] == 412


def test_a_task_may_be_over_before_its_submit_is_answered(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(task_seconds=0)
    assert caller.submit()["status"] == "RUNNING"
    simulator.set(ends_in_answer=True)
    answer = caller.submit()
    assert answer["status"] == "SUCCESS"
    assert answer["results"][0]["outputType"] == "png"
