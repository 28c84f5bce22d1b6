"""Each thing that can go wrong goes wrong when it is asked to, and costs what it should."""

import time
from collections.abc import Callable

import pytest
import requests

from devtools.simulators.runninghub.faults import fault_name
from devtools.simulators.runninghub.process import SimulatorProcess
from tests.devtools.simulator.caller import Caller

CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
NO_ANSWER = (requests.Timeout, requests.ConnectionError)


@pytest.mark.parametrize("code", ["421", "1003", "1011", "1007", "1501", "code_429"])
def test_a_submit_can_be_refused_with_any_code(caller: Caller, simulator: SimulatorProcess, code: str) -> None:
    simulator.set(**{f"submit_{code}": 1})
    answer = caller.submit_raw()
    assert (answer.status_code, answer.json()["errorCode"]) == (200, code.removeprefix("code_"))
    assert simulator.stats()["accepted"] == 0
    assert caller.submit()["errorCode"] == ""


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503, 504])
def test_a_submit_can_be_refused_with_an_http_status(caller: Caller, simulator: SimulatorProcess, status: int) -> None:
    simulator.set(**{f"submit_{status}": 1})
    answer = caller.submit_raw()
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == ("7" if status in (429, 503) else None)
    assert simulator.stats()["accepted"] == 0


@pytest.mark.parametrize(("where", "accepted"), [("submit", 0), ("paid", 1)])
def test_a_submit_can_be_cut_before_or_after_it_is_paid(
    caller: Caller, simulator: SimulatorProcess, where: str, accepted: int
) -> None:
    simulator.set(**{f"{where}_drop": 1})
    with pytest.raises(CUT):
        caller.submit()
    assert simulator.stats()["accepted"] == accepted
    assert len(simulator.submits()) == 1


@pytest.mark.parametrize(("where", "accepted"), [("submit", 0), ("paid", 1)])
def test_a_submit_can_hang_before_or_after_it_is_paid(
    caller: Caller, simulator: SimulatorProcess, where: str, accepted: int
) -> None:
    simulator.set(**{f"{where}_hang": 1})
    with pytest.raises(requests.Timeout):
        caller.submit(timeout=1)
    assert simulator.stats()["accepted"] == accepted


def test_a_paid_submit_can_stop_in_the_middle_of_its_answer(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(paid_half=1)
    with pytest.raises(NO_ANSWER):
        caller.submit(timeout=1)
    assert simulator.stats()["accepted"] == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_paid_submit_can_be_answered_with_an_error(caller: Caller, simulator: SimulatorProcess, status: int) -> None:
    simulator.set(**{f"paid_{status}": 1})
    assert caller.submit_raw().status_code == status
    assert simulator.stats()["accepted"] == 1


def test_a_paid_submit_can_be_answered_with_an_ambiguous_code(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(paid_1005=1)
    assert caller.submit()["errorCode"] == "1005"
    assert simulator.stats()["accepted"] == 1


def test_paid_submit_may_have_an_unusable_answer(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(paid_malformed=1)
    with pytest.raises(requests.JSONDecodeError):
        caller.submit()
    simulator.set(paid_no_id=1)
    answer = caller.submit()
    assert (answer["taskId"], answer["errorCode"]) == ("", "")
    assert simulator.stats()["accepted"] == 2


def test_a_paid_submit_can_be_answered_drop_by_drop(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(paid_slow=1, slow_seconds=0.4)
    began = time.monotonic()
    assert caller.submit()["errorCode"] == ""
    assert time.monotonic() - began > 0.3


@pytest.mark.parametrize("what", ["1003", "1005", "500", "503", "malformed", "drop", "hang", "half"])
def test_a_query_can_fail_and_the_next_one_does_not(caller: Caller, simulator: SimulatorProcess, what: str) -> None:
    task_id = caller.submit("[[sim:never]]")["taskId"]
    simulator.set(**{f"query_{what}": 1})
    try:
        answer = caller.post("/openapi/v2/query", {"taskId": task_id}, timeout=1 if what in ("hang", "half") else 10)
        assert answer.status_code != 200 or '"status": "RUNNING"' not in answer.text
    except (requests.Timeout, *CUT):
        assert what in ("drop", "hang", "half")
    assert caller.query(task_id)["taskId"] == task_id


def test_a_success_can_be_reported_before_its_results(caller: Caller, simulator: SimulatorProcess) -> None:
    task_id = caller.finish()["taskId"]
    simulator.set(query_early=1)
    early = caller.query(task_id)
    assert (early["status"], early["results"]) == ("SUCCESS", None)
    assert caller.query(task_id)["results"]


@pytest.mark.parametrize(
    ("fault", "status"), [("upload_500", 500), ("cancel_502", 502), ("account_503", 503), ("price_500", 500)]
)
def test_the_other_endpoints_can_fail_too(caller: Caller, simulator: SimulatorProcess, fault: str, status: int) -> None:
    simulator.set(**{fault: 1})
    asks: dict[str, Callable[[], requests.Response]] = {
        "upload": caller.upload,
        "cancel": lambda: caller.post("/task/openapi/cancel", {"apiKey": "key", "taskId": "1"}),
        "account": lambda: caller.get("/openapi/v2/queue/status"),
        "price": lambda: caller.post("/openapi/v2/price-preview/a/b", {}),
    }
    ask = asks[fault.split("_")[0]]
    assert [ask().status_code, ask().status_code] == [status, 200]


def test_upload_is_refused_in_its_own_envelope(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(upload_808=1)
    assert caller.upload().json()["code"] == 808


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("1015", "FAILED", "1015"), ("cancel", "CANCEL", ""), ("vanish", "", "1004"), ("empty", "SUCCESS", "")],
)
def test_a_task_can_end_in_other_ways(
    caller: Caller, simulator: SimulatorProcess, fault: str, status: str, code: str
) -> None:
    simulator.set(**{f"task_{fault}": 1})
    answer = caller.finish()
    assert (answer["status"], answer["errorCode"]) == (status, code)
    assert not answer["results"]
    assert caller.finish()["results"]


def test_a_task_can_never_end(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(task_never=1)
    task_id = caller.submit()["taskId"]
    time.sleep(0.3)
    assert caller.query(task_id)["status"] == "RUNNING"
    assert simulator.tasks()[0]["ends_at"] is None


# files


@pytest.fixture
def link(caller: Caller) -> str:
    return str(caller.finish()["results"][0]["url"])


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_download_can_be_refused(caller: Caller, simulator: SimulatorProcess, link: str, status: int) -> None:
    simulator.set(**{f"file_{status}": 1})
    assert [caller.get(link).status_code, caller.get(link).status_code] == [status, 200]


def test_a_download_can_break_off(caller: Caller, simulator: SimulatorProcess, link: str) -> None:
    for what in ("drop", "half"):
        simulator.set(**{f"file_{what}": 1})
        with pytest.raises(NO_ANSWER):
            caller.get(link, timeout=0.3)


def test_a_downloaded_file_can_be_short_without_saying_so(
    caller: Caller, simulator: SimulatorProcess, link: str
) -> None:
    simulator.set(file_short=1)
    short, whole = caller.get(link).content, caller.get(link).content
    assert len(short) == len(whole) // 2
    assert whole.startswith(short)


def test_a_download_can_be_a_page_instead_of_a_picture(caller: Caller, simulator: SimulatorProcess, link: str) -> None:
    simulator.set(file_html=1)
    answer = caller.get(link)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")


def test_download_may_be_another_file_type(caller: Caller, simulator: SimulatorProcess, link: str) -> None:
    simulator.set(file_zip=1)
    answer = caller.get(link)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content.startswith(b"PK")


def test_a_download_can_be_slow(caller: Caller, simulator: SimulatorProcess, link: str) -> None:
    simulator.set(file_slow=1, slow_seconds=0.4)
    began = time.monotonic()
    assert len(caller.get(link).content) > 1000
    assert time.monotonic() - began > 0.3


def test_a_result_link_dies_after_its_time(caller: Caller, simulator: SimulatorProcess, link: str) -> None:
    assert caller.get(link).status_code == 200
    simulator.set(url_seconds=0)
    assert caller.get(link).status_code == 403


# amounts


def test_a_count_is_used_up_and_a_zero_disarms(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(submit_500=2, faults={"submit_no-id": 5})
    assert simulator.options()["faults"] == {"submit_500": 2, "submit_no_id": 5}
    simulator.set(submit_no_id=0)
    assert [caller.submit_raw().status_code for _ in range(4)] == [500, 500, 200, 200]


def test_a_probability_meets_the_same_requests_again(caller: Caller, simulator: SimulatorProcess) -> None:
    def refused() -> list[int]:
        simulator.reset()
        simulator.set(submit_1003=0.3, cap=1000)
        return [turn for turn in range(100) if caller.submit(f"{turn}")["errorCode"]]

    first = refused()
    assert 15 < len(first) < 45
    assert refused() == first


def test_always_means_each_request(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(submit_1010="always")
    assert {caller.submit(f"{turn}")["errorCode"] for turn in range(5)} == {"1010"}


@pytest.mark.parametrize("name", ["submit", "submit_", "submit_half", "task_http", "file_1501", "nowhere_500"])
def test_a_fault_that_does_not_exist_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="there is no fault"):
        fault_name(name)
