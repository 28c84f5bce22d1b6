"""Prompts can carry their own fate."""

import pytest
import requests

from devtools.simulators.runninghub.process import SimulatorProcess
from tests.devtools.simulator.caller import Caller


@pytest.mark.parametrize("marker", ["[[sim:1501]]", "[[sim:fail:1501]]", "[[sim:task:1501]]"])
def test_a_code_fails_the_task_each_time(caller: Caller, marker: str) -> None:
    assert [caller.finish(f"{marker} x")["errorCode"] for _ in range(2)] == ["1501", "1501"]


def test_fail_once_fails_the_first_task_only(caller: Caller) -> None:
    assert [caller.finish("[[sim:fail-once:1015]]")["status"] for _ in range(3)] == ["FAILED", "SUCCESS", "SUCCESS"]


def test_a_number_at_the_end_counts_the_times(caller: Caller) -> None:
    codes = [caller.submit("[[sim:reject:421:2]]")["errorCode"] for _ in range(3)]
    assert codes == ["421", "421", ""]


def test_each_prompt_is_counted_for_itself(caller: Caller) -> None:
    prompts = ("[[sim:reject-once:1003]] a", "[[sim:reject-once:1003]] b")
    assert [caller.submit(prompt)["errorCode"] for prompt in prompts] == ["1003", "1003"]
    assert [caller.submit(prompt)["errorCode"] for prompt in prompts] == ["", ""]


def test_a_rejected_prompt_is_never_accepted(caller: Caller, simulator: SimulatorProcess) -> None:
    assert {caller.submit("[[sim:reject:1007]]")["errorCode"] for _ in range(2)} == {"1007"}
    assert caller.submit_raw("[[sim:reject:503]]").status_code == 503
    assert simulator.stats()["accepted"] == 0


def test_a_lost_prompt_is_paid(caller: Caller, simulator: SimulatorProcess) -> None:
    with pytest.raises(requests.ConnectionError):
        caller.submit("[[sim:lose-once:drop]]")
    assert caller.submit("[[sim:lose-once:drop]]")["errorCode"] == ""
    assert simulator.paid()["prompts"] == {"[[sim:lose-once:drop]]": 2}


def test_slow_sets_the_seconds_of_a_task(caller: Caller, simulator: SimulatorProcess) -> None:
    caller.submit("[[sim:slow:30]]")
    [task] = simulator.tasks()
    assert task["ends_at"] - task["accepted_at"] == pytest.approx(30)


@pytest.mark.parametrize(
    ("marker", "status"),
    [("[[sim:no-result]]", "SUCCESS"), ("[[sim:cancel]]", "CANCEL"), ("[[sim:vanish]]", "")],
)
def test_words_name_other_ends(caller: Caller, marker: str, status: str) -> None:
    answer = caller.finish(marker)
    assert (answer["status"], not answer["results"]) == (status, True)


def test_results_sets_the_number_of_files(caller: Caller) -> None:
    answer = caller.finish("[[sim:results:3]]")
    assert len({caller.get(result["url"]).content for result in answer["results"]}) == 3


def test_queries_and_files_of_one_prompt_can_fail(caller: Caller) -> None:
    answer = caller.submit("[[sim:query-once:1003]] [[sim:file-once:404]]")
    assert caller.query(answer["taskId"])["errorCode"] == "1003"
    link = caller.wait(answer["taskId"])["results"][0]["url"]
    assert [caller.get(link).status_code, caller.get(link).status_code] == [404, 200]


def test_marker_works_in_any_parameter_before_options(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(task_1015="always")
    assert caller.finish("x", note="[[sim:1501]]")["errorCode"] == "1501"


@pytest.mark.parametrize("marker", ["[[sim:nonsense]]", "[[sim:slow:fast]]", "[[sim:file:1501]]", "[[sim:fail:x:y]]"])
def test_a_marker_that_means_nothing_is_refused(caller: Caller, marker: str) -> None:
    answer = caller.submit(marker)
    assert answer["errorCode"] == "1007"
    assert "does not know the marker" in answer["errorMessage"]
