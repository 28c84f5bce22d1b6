"""The clock, the cap and the counters."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from devtools.simulators.runninghub.process import SimulatorProcess
from tests.devtools.simulator.caller import VIDEO, Caller


def test_task_time_starts_at_the_answer(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(submit_latency=0.3, task_seconds=0.4)
    began = time.time()
    caller.submit()
    answered = time.time()
    [task] = simulator.tasks()
    assert began + 0.3 <= task["accepted_at"] <= answered
    assert task["ends_at"] - task["accepted_at"] == pytest.approx(0.4)


def test_jitter_is_repeatable_per_request(caller: Caller, simulator: SimulatorProcess) -> None:
    def durations() -> dict[str, float]:
        simulator.reset()
        simulator.set(task_seconds=10, task_jitter=0.5)
        for turn in range(20):
            caller.submit(f"picture {turn}")
        return {task["params"]["prompt"]: round(task["ends_at"] - task["accepted_at"], 3) for task in simulator.tasks()}

    first = durations()
    assert durations() == first
    assert 5 <= min(first.values()) < 7 < 13 < max(first.values()) <= 15


def test_latencies_hold_each_kind_of_request(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(query_latency=0.2, upload_latency=0.3)
    began = time.monotonic()
    caller.query("1")
    asked = time.monotonic()
    caller.upload()
    assert asked - began >= 0.2
    assert time.monotonic() - asked >= 0.3


def test_the_cap_is_never_exceeded_and_is_per_key(simulator: SimulatorProcess) -> None:
    simulator.set(cap=5, task_seconds=30, submit_latency=0.1)

    def submit(turn: int) -> str:
        with Caller(simulator.url, f"key-{turn % 2}") as caller:
            return str(caller.submit(f"{turn}")["errorCode"])

    with ThreadPoolExecutor(30) as pool:
        codes = list(pool.map(submit, range(30)))
    assert sorted(codes) == [""] * 10 + ["421"] * 20
    stats = simulator.stats()
    assert (stats["accepted"], stats["in_flight"], stats["max_in_flight"]) == (10, 10, 5)
    assert stats["refused"] == {"421": 20}


def test_the_code_of_a_full_queue_can_be_changed(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(cap=0, cap_code="1520")
    assert caller.submit()["errorCode"] == "1520"


def test_sleeping_requests_do_not_hold_others_up(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(submit_latency=1)

    def submit(turn: int) -> str:
        with Caller(simulator.url) as other:
            return str(other.submit(f"{turn}")["errorCode"])

    with ThreadPoolExecutor(40) as pool:
        answers = pool.map(submit, range(40))
        time.sleep(0.3)
        began = time.monotonic()
        for _ in range(5):
            caller.query("1")
        assert time.monotonic() - began < 0.7  # of the second that the others sleep
        assert set(answers) == {""}


def test_the_counters_tell_what_happened(caller: Caller, simulator: SimulatorProcess) -> None:
    before = time.time()
    answer = caller.finish("one")
    caller.finish("waves", VIDEO)
    caller.finish("[[sim:1501]]")
    caller.submit("[[sim:reject:1007]]")
    caller.upload()
    caller.get(answer["results"][0]["url"])
    stats = simulator.stats()
    expected = {
        "submits": 4,
        "accepted": 3,
        "refused": {"1007": 1},
        "succeeded": 2,
        "failed": 1,
        "in_flight": 0,
        "max_in_flight": 1,
        "uploads": 1,
        "downloads": 1,
        "charged": "0.25",
    }
    assert {name: stats[name] for name in expected} == expected
    assert stats["slot_seconds"] == pytest.approx(0.15, abs=0.01)
    assert before < stats["first_submit_at"] < stats["last_submit_at"] < stats["last_end_at"] < time.time()


def test_slot_seconds_of_unfinished_tasks_grow_with_the_clock(caller: Caller, simulator: SimulatorProcess) -> None:
    caller.submit("[[sim:never]]")
    first = simulator.stats()
    second = simulator.stats()
    assert second["slot_seconds"] - first["slot_seconds"] == pytest.approx(second["now"] - first["now"], abs=0.001)


def test_paid_counts_each_request_whatever_its_webhook(caller: Caller, simulator: SimulatorProcess) -> None:
    caller.submit("twice", webhookUrl="http://127.0.0.1:9/a")
    caller.submit("twice", webhookUrl="http://127.0.0.1:9/b")
    caller.submit("twice", aspectRatio="16:9")
    caller.submit("once")
    paid = simulator.paid()
    assert sorted(paid["requests"].values()) == [1, 1, 2]
    assert paid["prompts"] == {"twice": 3, "once": 1}


def test_submits_can_be_listed_from_a_moment_on(caller: Caller, simulator: SimulatorProcess) -> None:
    caller.submit("early")
    moment = time.time()
    assert simulator.submits(since=moment) == []
    caller.submit("late")
    caller.submit("[[sim:reject:421]] late")
    found = [(entry["prompt"], entry["refused"]) for entry in simulator.submits(since=moment)]
    assert found == [("late", ""), ("[[sim:reject:421]] late", "421")]


def test_reset_restores_the_options_of_the_start(caller: Caller, simulator: SimulatorProcess) -> None:
    simulator.set(cap=1, submit_500=1.0)
    caller.upload()
    simulator.reset()
    assert caller.submit()["errorCode"] == ""
    options = simulator.options()
    assert (options["cap"], options["task_seconds"], options["faults"]) == (50, 0.05, {})
    assert (simulator.stats()["submits"], simulator.stats()["uploads"]) == (1, 0)


@pytest.mark.parametrize("change", [{"nonsense": 1}, {"submit_9x": 1}, {"submit_500": 1.5}, {"cap": "many"}])
def test_a_bad_knob_changes_nothing(simulator: SimulatorProcess, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="error"):
        simulator.set(task_seconds=99, query_500=3, **change)
    assert simulator.options()["task_seconds"] == 0.05
    assert simulator.options()["faults"] == {}
