"""The stream of events, from a real server."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from events import streams
from missions import lifecycle, services
from missions.models import ItemEvent, Mission, Output
from providers import provider_accounts
from tests import result_factories
from tests.api_client import caller, new_token
from tests.factories import accept, begin, claim, make_mission, picture
from tests.missions.api.event_reader import (
    ANSWERED_AT_ONCE,
    Listener,
    Message,
    connections,
    database_connections,
    deaf,
    hear,
    join,
    wait_for,
)
from tests.process_fixtures import Web

PICTURE = picture()


@pytest.fixture
def token(server: Web, owner: User) -> str:
    return new_token(owner)


@pytest.fixture
def mission(server: Web, owner: User) -> Mission:
    return make_mission(owner, 3)


def event_ids(mission: Mission) -> list[int]:
    return list(ItemEvent.objects.filter(mission=mission).order_by("pk").values_list("pk", flat=True))


def work_off(mission: Mission, *, pause: float = 0.0) -> None:
    """Complete the items one by one, as workers do; results are stored only after the last has ended."""
    account = provider_accounts.environment_account()
    outputs: list[Output] = []
    for _ in range(mission.pending_count):
        for attempt_id in claim(mission, account):
            assert begin(attempt_id)
            assert accept(attempt_id)
            outputs += result_factories.succeed_with(attempt_id, [PICTURE])
        time.sleep(pause)
    time.sleep(pause)
    for output in outputs:
        result_factories.store(output, PICTURE)


def in_background(work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def listen(server: Web, mission: Mission, token: str, last_id: int | None = None) -> list[Message]:
    with Listener(server, mission.pk, token, last_id=last_id) as listener:
        return list(listener)


def test_a_message_tells_of_a_move_and_how_the_mission_stands(server: Web, mission: Mission, token: str) -> None:
    work_off(mission)
    state, *events, end = listen(server, mission, token)
    assert (state.event, end.event) == ("state", "end")
    assert [message.id for message in events] == event_ids(mission)
    first_item = next(message for message in events if message.event == "item")
    assert first_item.data | {"at": "", "mission": {}} == {
        "item": 1,
        "from": "pending",
        "to": "submitting",
        "reason": "",
        "attempt": None,
        "at": "",
        "mission": {},
    }
    assert first_item.data["at"].endswith("Z")
    assert events[-1].data["to"] == "completed"
    assert end.data["mission"] == {
        "api_mission_id": mission.pk,
        "status": "completed",
        "total_count": 3,
        "counts": dict.fromkeys(mission.counts, 0) | {"completed": 3},
        "progress": 100.0,
        "cost": "0.00",
        "currency": "CNY",
    }


def test_a_listener_that_comes_back_misses_nothing_and_hears_nothing_twice(
    server: Web, owner: User, token: str
) -> None:
    mission = make_mission(owner, 30)
    worker = in_background(lambda: work_off(mission, pause=0.05))
    heard: list[int] = []
    names: list[str] = []
    while "end" not in names:
        with Listener(server, mission.pk, token, last_id=heard[-1] if heard else None) as listener:
            for message in listener:
                names.append(message.event)
                heard += [message.id] if message.id else []
                if len(heard) % 25 == 24 and message.event == "item":
                    break  # the line is cut, again and again
    worker.join()
    assert heard == event_ids(mission)
    assert len(heard) == 30 * 3 + 3


def test_the_end_comes_only_when_every_file_was_fetched(server: Web, mission: Mission, token: str) -> None:
    outputs = []
    for attempt_id in claim(mission, provider_accounts.environment_account(), limit=3):
        assert begin(attempt_id)
        assert accept(attempt_id)
        outputs += result_factories.succeed_with(attempt_id, [PICTURE])

    def store_late() -> None:
        time.sleep(1.5)
        for output in outputs:
            result_factories.store(output, PICTURE)

    with Listener(server, mission.pk, token) as listener:
        messages = iter(listener)
        while next(messages).data.get("to") != "completed" or Mission.objects.get(pk=mission.pk).status != "completed":
            pass
        began = time.monotonic()
        storing = in_background(store_late)
        assert [message.event for message in messages][-1] == "end"
        assert time.monotonic() - began > 1.4
        storing.join()


@pytest.mark.parametrize("verb", ["cancel_mission", "delete_mission"])
def test_a_stream_ends_when_the_mission_is_stopped_for_good(
    server: Web, mission: Mission, token: str, verb: str
) -> None:
    with Listener(server, mission.pk, token) as listener:
        messages = iter(listener)
        assert next(messages).event == "state"
        getattr(services, verb)(mission_id=mission.pk, actor="user:1")
        last = list(messages)[-1]
    assert last.event == "end"
    assert (last.data["mission"] or {}).get("status") == {"cancel_mission": "cancelled"}.get(verb)


def test_a_paused_mission_keeps_its_listeners(server: Web, mission: Mission, token: str) -> None:
    with Listener(server, mission.pk, token, last_id=event_ids(mission)[-1]) as listener:
        messages = iter(listener)
        next(messages)
        services.pause_mission(mission_id=mission.pk, actor="user:1")
        assert next(messages).data["mission"]["status"] == "paused"
        services.resume_mission(mission_id=mission.pk, actor="user:1")
        assert next(messages).data["mission"]["status"] == "queued"


def test_a_long_log_is_caught_up_with_in_order(server: Web, mission: Mission, token: str) -> None:
    ids = result_factories.add_events(mission, 2500)
    lifecycle.cancel(mission.pk, actor="user:1")
    heard = listen(server, mission, token, last_id=ids[700])
    assert [message.id for message in heard if message.id] == event_ids(mission)[701:]


def test_a_hundred_listeners_hear_everything_soon_and_without_a_hundred_questions(
    server: Web, owner: User, token: str
) -> None:
    mission = make_mission(owner, 20)
    ended: list[float] = []

    def work() -> None:
        work_off(mission, pause=0.02)
        ended.append(time.time())

    async def crowd() -> list[tuple[list[int], float]]:
        # One after the other: each needs a database connection until it is let in.
        joined = [await join(server, mission.pk, token) for _ in range(100)]
        listeners = [asyncio.create_task(hear(*ends)) for ends in joined]
        began = cpu_seconds(server)
        worker = await asyncio.to_thread(in_background, work)
        heard = await asyncio.gather(*listeners)
        worker.join()
        assert cpu_seconds(server) - began < 3
        return heard

    heard = asyncio.run(crowd())
    ids = event_ids(mission)
    assert all(one == ids for one, _ in heard)
    lateness = max(when for _, when in heard) - ended[0]
    print(f"  measured: the last of 100 listeners heard of the end {lateness:.2f} s after it")  # noqa: T201


def cpu_seconds(server: Web) -> float:
    assert server.process is not None
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


def test_a_listener_that_does_not_read_costs_no_memory_and_slows_nobody(
    server: Web, mission: Mission, token: str
) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    warm_up(server, mission, token)
    before = process.memory_full_info().uss
    ears = [deaf(server, mission.pk, token) for _ in range(20)]
    wait_for(lambda: connections(server) >= 20)
    result_factories.add_events(mission, 5000)
    lifecycle.cancel(mission.pk, actor="user:1")
    began = time.monotonic()
    assert [message.id for message in listen(server, mission, token) if message.id] == event_ids(mission)
    assert time.monotonic() - began < 30  # it would wait for a minute for those that do not read
    assert process.memory_full_info().uss - before < 20 * 1024**2  # all events to each of them would be 60 MB and more
    for ear in ears:
        ear.close()


def warm_up(server: Web, mission: Mission, token: str) -> None:
    """Let the server start the threads and connections that it keeps."""
    with ThreadPoolExecutor(2 * ANSWERED_AT_ONCE) as pool:
        list(pool.map(lambda _: listen_briefly(server, mission, token), range(2 * ANSWERED_AT_ONCE)))


def listen_briefly(server: Web, mission: Mission, token: str) -> None:
    with Listener(server, mission.pk, token) as listener:
        next(iter(listener))


def test_nothing_is_left_of_a_listener_that_went_away(server: Web, mission: Mission, token: str) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    for _ in range(5):
        listen_briefly(server, mission, token)
    wait_for(lambda: not connections(server))
    pools = streams.READING_THREADS + ANSWERED_AT_ONCE
    threads = process.num_threads() + pools  # they are started as they are needed, and stay
    files = process.num_fds() + 2 * pools + 2  # and each keeps its connection
    for _ in range(2 * pools + 10):
        listen_briefly(server, mission, token)
    wait_for(lambda: not connections(server))
    wait_for(lambda: process.num_threads() <= threads and process.num_fds() <= files)


def test_a_listener_holds_no_database_connection(server: Web, mission: Mission, token: str) -> None:
    listeners = [Listener(server, mission.pk, token) for _ in range(40)]
    for listener in listeners:
        next(iter(listener))
    assert database_connections(server) <= ANSWERED_AT_ONCE + streams.READING_THREADS
    for listener in listeners:
        listener.answer.close()


# --- Before the stream ---


def test_what_cannot_be_followed_is_an_ordinary_error(owner: User, stranger: User) -> None:
    mission = make_mission(owner)
    address = f"/api/v1/missions/{mission.pk}/events"
    assert error_of(Client().get(address)) == (401, "unauthenticated")
    assert error_of(caller(stranger).get(address)) == (404, "not_found")
    assert error_of(caller(owner).get(f"{address}?after=soon")) == (422, "invalid")
    assert error_of(caller(owner).get(address, headers={"Last-Event-ID": "x"})) == (422, "invalid")
    services.delete_mission(mission_id=mission.pk, actor="user:1")
    assert error_of(caller(owner).get(address)) == (404, "not_found")


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.content)["error"]


def test_an_operator_may_follow_any_mission(server: Web, mission: Mission) -> None:
    operator = User.objects.create_user("operator", is_staff=True)
    lifecycle.cancel(mission.pk, actor="user:1")
    assert listen(server, mission, new_token(operator))[-1].event == "end"


def test_a_proxy_is_told_not_to_hold_messages_back(server: Web, mission: Mission, token: str) -> None:
    with Listener(server, mission.pk, token) as listener:
        headers: requests.structures.CaseInsensitiveDict[str] = listener.answer.headers
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["X-Accel-Buffering"] == "no"
        assert "no-store" in headers["Cache-Control"]


def test_no_letter_of_a_reason_breaks_a_message(server: Web, mission: Mission, token: str) -> None:
    reason = "没有\u2028结果\u0085 ✓\r\ndata: x\n\nevent: end"
    lifecycle.cancel(mission.pk, actor="user:1", reason=reason)
    assert reason in [message.data.get("reason") for message in listen(server, mission, token)]
