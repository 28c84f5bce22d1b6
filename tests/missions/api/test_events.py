"""The stream of events from a real server."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from events import feed
from missions import lifecycle, services
from missions.event_source import latest_event_id
from missions.models import ItemEvent, Mission, Output
from providers import provider_accounts
from tests import result_factories
from tests.api_client import caller, new_token
from tests.factories import accept, begin, claim, make_member, make_mission, picture
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


def work_off(mission: Mission) -> Iterator[None]:
    """Complete the items one by one, a step at each ``next``; results are stored last."""
    account = provider_accounts.environment_account()
    outputs: list[Output] = []
    for _ in range(mission.pending_count):
        for attempt_id in claim(mission, account):
            assert begin(attempt_id)
            assert accept(attempt_id)
            outputs += result_factories.succeed_with(attempt_id, [PICTURE])
        yield
    for output in outputs:
        result_factories.store(output, PICTURE)


def listen(server: Web, mission: Mission, token: str, last_id: int | None = None) -> list[Message]:
    with Listener(server, mission.pk, token, last_id=last_id) as listener:
        return list(listener)


def test_a_stream_brings_the_whole_log_and_ends(server: Web, mission: Mission, token: str) -> None:
    deque(work_off(mission), maxlen=0)
    state, *events, end = listen(server, mission, token)
    assert (state.event, end.event) == ("state", "end")
    assert [message.id for message in events] == event_ids(mission)
    assert {message.event for message in events} == {"item", "mission"}
    assert events[-1].data["to"] == end.data["mission"]["status"] == "completed"


def test_a_client_that_resumes_misses_nothing(server: Web, owner: User, token: str) -> None:
    mission = make_mission(owner, 8)
    steps = work_off(mission)
    heard: list[int] = []
    names: list[str] = []
    while "end" not in names:
        with Listener(server, mission.pk, token, last_id=heard[-1] if heard else None) as listener:
            for message in listener:
                names.append(message.event)
                heard += [message.id] if message.id else []
                if message.event == "state" or heard[-1] == latest_event_id(mission):
                    next(steps, None)  # while the client listens
                if len(heard) % 7 == 6 and message.event == "item":
                    break  # the connection is cut repeatedly
    assert heard == event_ids(mission)
    assert len(heard) == 8 * 3 + 3


@pytest.mark.parametrize("verb", ["cancel_mission", "delete_mission"])
def test_a_stream_ends_with_a_stopped_mission(server: Web, mission: Mission, token: str, verb: str) -> None:
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


def test_a_long_log_is_read_in_order(server: Web, mission: Mission, token: str) -> None:
    ids = result_factories.add_events(mission, 2500)
    lifecycle.cancel(mission.pk, actor="user:1")
    heard = listen(server, mission, token, last_id=ids[700])
    assert [message.id for message in heard if message.id] == event_ids(mission)[701:]


def test_a_hundred_listeners_get_everything(server: Web, owner: User, token: str) -> None:
    mission = make_mission(owner, 20)

    async def crowd() -> list[list[int]]:
        # One after the other: each needs a database connection until it is let in.
        joined = [await join(server, mission.pk, token) for _ in range(100)]
        listeners = [asyncio.create_task(hear(*ends)) for ends in joined]
        await asyncio.to_thread(in_background)
        return await asyncio.gather(*listeners)

    def in_background() -> None:
        try:
            deque(work_off(mission), maxlen=0)
        finally:
            connection.close()

    assert asyncio.run(crowd()) == [event_ids(mission)] * 100


def test_clients_that_do_not_read_cost_no_memory(server: Web, mission: Mission, token: str) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    warm_up(server, mission, token)
    before = process.memory_full_info().uss
    clients = [deaf(server, mission.pk, token) for _ in range(20)]
    wait_for(lambda: connections(server) >= 20)
    result_factories.add_events(mission, 5000)
    lifecycle.cancel(mission.pk, actor="user:1")
    assert [message.id for message in listen(server, mission, token) if message.id] == event_ids(mission)
    # Sending all events to all clients would take 60 MB or more.
    assert process.memory_full_info().uss - before < 20 * 1024**2
    for client in clients:
        client.close()


def warm_up(server: Web, mission: Mission, token: str) -> None:
    """Let the server start the threads and connections that it keeps."""
    with ThreadPoolExecutor(2 * ANSWERED_AT_ONCE) as pool:
        list(pool.map(lambda _: listen_briefly(server, mission, token), range(2 * ANSWERED_AT_ONCE)))


def listen_briefly(server: Web, mission: Mission, token: str) -> None:
    with Listener(server, mission.pk, token) as listener:
        next(iter(listener))


def test_a_closed_connection_leaves_nothing_behind(server: Web, mission: Mission, token: str) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    for _ in range(5):
        listen_briefly(server, mission, token)
    wait_for(lambda: not connections(server))
    pools = feed.READING_THREADS + ANSWERED_AT_ONCE
    threads = process.num_threads() + pools  # threads start on demand and stay
    files = process.num_fds() + 2 * pools + 2  # and each keeps its connection
    for _ in range(2 * pools + 10):
        listen_briefly(server, mission, token)
    wait_for(lambda: not connections(server))
    wait_for(lambda: process.num_threads() <= threads and process.num_fds() <= files)


def test_a_listener_holds_no_database_connection(server: Web, mission: Mission, token: str) -> None:
    listeners = [Listener(server, mission.pk, token) for _ in range(40)]
    for listener in listeners:
        next(iter(listener))
    assert database_connections(server) <= ANSWERED_AT_ONCE + feed.READING_THREADS
    for listener in listeners:
        listener.answer.close()


# --- Before the stream ---


def test_errors_before_the_stream(owner: User, stranger: User) -> None:
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
    operator = make_member("Operators")
    lifecycle.cancel(mission.pk, actor="user:1")
    assert listen(server, mission, new_token(operator))[-1].event == "end"


def test_headers_keep_proxies_from_buffering(server: Web, mission: Mission, token: str) -> None:
    with Listener(server, mission.pk, token) as listener:
        headers: requests.structures.CaseInsensitiveDict[str] = listener.answer.headers
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["X-Accel-Buffering"] == "no"
        assert "no-store" in headers["Cache-Control"]


def test_no_character_of_a_reason_breaks_a_message(server: Web, mission: Mission, token: str) -> None:
    reason = "没有\u2028结果\u0085 ✓\r\ndata: x\n\nevent: end"
    lifecycle.cancel(mission.pk, actor="user:1", reason=reason)
    assert reason in [message.data.get("reason") for message in listen(server, mission, token)]
