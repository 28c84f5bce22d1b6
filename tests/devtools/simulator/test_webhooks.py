"""Callers are told that a task ended, mostly once."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from devtools.simulators.runninghub.process import SimulatorProcess
from tests.devtools.simulator.caller import Caller
from tests.missions.api.event_reader import wait_for


class Listener(http.server.ThreadingHTTPServer):
    """Keeps what it is sent; ``statuses`` are its next answers, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.times: list[float] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=1"

    def wait_for(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        deadline = time.monotonic() + 60
        while len(self.heard) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        return self.heard


class Handler(http.server.BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.times.append(time.time())
        self.server.heard.append((self.path, json.loads(body)))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, *parts: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_webhook_carries_the_query_answer_as_an_object(caller: Caller, listener: Listener) -> None:
    answer = caller.finish(webhookUrl=listener.url)
    [(path, content)] = listener.wait_for(1)
    assert path == "/hook?token=1"
    assert content == {"event": "TASK_END", "taskId": answer["taskId"], "eventData": answer}


def test_a_failed_task_is_reported_too(caller: Caller, listener: Listener) -> None:
    caller.submit("[[sim:1501]]", webhookUrl=listener.url)
    [(_, content)] = listener.wait_for(1)
    assert content["eventData"]["errorCode"] == "1501"


def test_a_webhook_is_repeated_until_it_is_taken(
    caller: Caller, simulator: SimulatorProcess, listener: Listener
) -> None:
    listener.statuses = [500, 404]
    caller.submit(webhookUrl=listener.url)
    assert len(listener.wait_for(3)) == 3
    wait_for(lambda: simulator.stats()["webhooks_delivered"])
    stats = simulator.stats()
    assert (stats["webhooks"], stats["webhooks_delivered"], stats["webhooks_failed"]) == (3, 1, 0)


def test_a_webhook_is_given_up_after_three_tries(
    caller: Caller, simulator: SimulatorProcess, listener: Listener
) -> None:
    listener.statuses = [500] * 9
    caller.submit(webhookUrl=listener.url)
    assert len(listener.wait_for(3)) == 3
    wait_for(lambda: simulator.stats()["webhooks_failed"])
    assert simulator.stats()["webhooks_failed"] == 1


@pytest.mark.parametrize(("what", "times"), [("lost", 0), ("double", 2)])
def test_a_webhook_can_be_lost_or_doubled(caller: Caller, listener: Listener, what: str, times: int) -> None:
    caller.finish(f"[[sim:webhook:{what}]]", webhookUrl=listener.url)
    assert len(listener.wait_for(times)) == times


def test_a_webhook_can_be_late(caller: Caller, simulator: SimulatorProcess, listener: Listener) -> None:
    simulator.set(webhook_late=1, webhook_delay=0.5)
    caller.finish(webhookUrl=listener.url)
    assert len(listener.wait_for(1)) == 1
    [task] = simulator.tasks()
    assert listener.times[0] - task["ends_at"] >= 0.5


def test_a_cancelled_task_is_reported_at_once(caller: Caller, listener: Listener) -> None:
    task_id = caller.submit("[[sim:never]]", webhookUrl=listener.url)["taskId"]
    caller.post("/task/openapi/cancel", {"apiKey": "key", "taskId": task_id})
    [(_, content)] = listener.wait_for(1)
    assert content["eventData"]["status"] == "CANCEL"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "nonsense", "http://[", "ftp://127.0.0.1/"])
def test_a_webhook_that_nobody_can_take_harms_nobody(caller: Caller, simulator: SimulatorProcess, url: str) -> None:
    caller.finish(webhookUrl=url)
    deadline = time.monotonic() + 60
    while not simulator.stats()["webhooks_failed"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert caller.finish()["status"] == "SUCCESS"
