"""The process: quick to start, quick to stop, and a kill loses nothing that was paid."""

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from devtools.simulators.runninghub.process import ROOT, SimulatorProcess
from tests.devtools.simulator.caller import Caller
from tests.missions.api.event_reader import wait_for


def test_killed_simulator_keeps_its_state() -> None:
    with SimulatorProcess(task_seconds=0.5, task_jitter=0) as simulator, Caller(simulator.url) as caller:
        task_id = caller.submit("survivor")["taskId"]
        caller.submit("[[sim:fail-once:1015]]")
        link = caller.upload(body=b"kept").json()["data"]["download_url"]
        with suppress(requests.ConnectionError):
            caller.submit("[[sim:lose:drop]]")
        before = simulator.url
        simulator.restart()
        assert simulator.url == before
        assert simulator.stats()["accepted"] == 3
        assert simulator.paid()["prompts"]["survivor"] == 1
        assert caller.get(link).content == b"kept"
        answer = caller.wait(task_id)
        assert answer["status"] == "SUCCESS"
        assert caller.get(answer["results"][0]["url"]).status_code == 200
        assert caller.finish("[[sim:fail-once:1015]]")["status"] == "SUCCESS"


def test_answered_submits_survive_a_kill() -> None:
    with SimulatorProcess(cap=100_000) as simulator:
        answered: list[str] = []

        def submit() -> None:
            with Caller(simulator.url) as caller, suppress(requests.RequestException):
                while True:
                    answered.append(caller.submit(f"{len(answered)}")["taskId"])

        threads = [threading.Thread(target=submit) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(answered) > 50)
        simulator.kill()
        for thread in threads:
            thread.join()
        simulator.restart()
        known = {task["id"] for task in simulator.tasks(limit=100_000)}
        assert set(answered) <= known
        assert len(known) - len(answered) <= 4


def test_a_simulator_stops_at_once_although_requests_sleep(tmp_path: Path) -> None:
    simulator = SimulatorProcess(submit_latency=30, state=tmp_path / "state.sqlite3")

    def submit() -> None:
        with Caller(simulator.url) as caller, pytest.raises(requests.ConnectionError):
            caller.submit(timeout=20)

    threads = [threading.Thread(target=submit) for _ in range(5)]
    for thread in threads:
        thread.start()
    while simulator.stats()["submits"] < 5:
        time.sleep(0.02)
    began = time.monotonic()
    simulator.stop()
    assert time.monotonic() - began < 10
    for thread in threads:
        thread.join()


def test_a_simulator_ends_with_the_program_that_started_it() -> None:
    script = (
        "import os; from devtools.simulators.runninghub.process import SimulatorProcess as P;"
        "p = P(); print(p.url, flush=True); os._exit(0)"
    )
    url = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    wait_for(lambda: not answers(f"{url.strip()}/__sim__/stats"))


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False


def test_a_simulator_stays_small() -> None:
    with SimulatorProcess() as simulator:
        status = Path(f"/proc/{simulator.pid}/status")
        if status.exists():
            resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
            assert int(resident.split()[1]) < 60_000


@pytest.mark.parametrize("flags", [{"faults": {"nonsense": 1}}, {"faults": {"submit_500": 2.5}}, {"cap": "many"}])
def test_a_bad_flag_is_an_error_at_the_start(flags: dict[str, object], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        SimulatorProcess(**flags)  # type: ignore[arg-type]
    assert "Traceback" not in capfd.readouterr().err


def test_flags_arm_faults_and_set_prices() -> None:
    faults = {"submit_500": 0.5, "query_drop": 3}
    with SimulatorProcess(faults=faults, price={"image": "0.07"}, strict=False) as simulator:
        options = simulator.options()
    assert options["faults"] == faults
    assert options["price"] == {"image": "0.07", "video": "0.20", "text": "0.02"}
    assert options["strict"] is False


def test_the_management_command_starts_the_same_server() -> None:
    command = [sys.executable, "manage.py", "simulator", "--port", "0", "--cap", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("Simulator ready at ").strip()
        try:
            assert requests.get(f"{url}/__sim__/options", timeout=60).json()["cap"] == 3
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0
