"""Clients that are slow, or only seem to be there: others are answered meanwhile, and these are dropped."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator

import psutil
import pytest
import requests
import urllib3
from django.contrib.auth.models import User

from tests import result_factories
from tests.api_client import new_token
from tests.factories import make_media, make_mission, picture
from tests.missions.api.event_reader import connections, deaf, request_for, wait_for
from tests.process_fixtures import Web

MANY = 300
HASTY = "tests.core.short_timeouts:HastyConnection"
HEAD = (
    b"POST /api/v1/me/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n"
)
HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MEGABYTE = 1024**2


def connect(web: Web, first: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", web.port), timeout=20)
    connection.sendall(first)
    return connection


def is_open(connection: socket.socket, *, goes_on: bool = True) -> bool:
    """Whether the server still waits for what the connection owes; closes it otherwise.  ``goes_on``: send another byte."""
    try:
        if goes_on:
            connection.sendall(b"x")
        if connection.recv(1, socket.MSG_DONTWAIT):
            return True
    except BlockingIOError:
        return True
    except OSError:
        pass
    connection.close()
    return False


def memory(web: Web) -> int:
    return int(psutil.Process(web.process.pid).memory_full_info().uss)


def is_answered(web: Web) -> bool:
    return requests.get(f"{web.url}/api/v1/health", timeout=10).status_code == 200


@pytest.fixture
def hasty(open_server) -> Iterator[Web]:
    web = open_server(connection=HASTY)
    assert is_answered(web)
    return web


# --- Requests that do not come ---


BEGINNINGS = {
    "nothing": b"",
    "half a head": b"GET /api/v1/health HTTP/1.1\r\nX-Padding: ",
    "half a head of a body": HEAD + b"X-Padding: ",
    "the first byte of a body": HEAD + b"\r\n{",
}


@pytest.mark.parametrize("goes_on", [False, True], ids=["hang", "go on byte by byte"])
def test_requests_that_do_not_come_hold_up_nobody_and_are_dropped(hasty, goes_on):
    before = memory(hasty)
    slow = [connect(hasty, beginning) for beginning in BEGINNINGS.values() for _ in range(MANY // len(BEGINNINGS))]
    assert is_answered(hasty)
    assert memory(hasty) - before < 40 * MEGABYTE
    while slow:
        assert is_answered(hasty)
        slow = [one for one in slow if is_open(one, goes_on=goes_on)]
        time.sleep(0.2)
    assert is_answered(hasty)


def test_a_kept_connection_may_begin_no_request_without_an_end(hasty):
    with connect(hasty, HEALTH) as kept:
        assert b" 200 " in kept.recv(4096).splitlines()[0]
        kept.sendall(b"GET /api/v1/health HTTP/1.1\r\nX-Padding: ")
        wait_for(lambda: not is_open(kept))


def test_a_slow_line_that_keeps_moving_is_waited_for(hasty):
    """For three times as long as the others get."""

    async def send_slowly() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
        writer.write(HEAD.replace(b"60000", b"9000") + b"\r\n")
        for _ in range(18):
            writer.write(b"x" * 500)
            await asyncio.sleep(0.2)
        status = await reader.readline()
        writer.close()
        return status

    assert b" 401 " in asyncio.run(send_slowly())


# --- Answers that nobody takes ---


@pytest.fixture
def large_picture(owner: User) -> str:
    """The address of an image that does not fit into what lies between server and client."""
    media = make_media(owner, content=picture() + os.urandom(8 * MEGABYTE))
    return f"/media/{media.key}"


def test_pictures_that_nobody_takes_stay_out_of_memory(open_server, large_picture):
    web = open_server(connection=HASTY)
    head = f"GET {large_picture} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    connect(web, head).close()
    before = memory(web)
    ears = [connect(web, head) for _ in range(100)]
    wait_for(lambda: connections(web) >= 100)
    assert is_answered(web)
    wait_for(lambda: not connections(web), seconds=60)
    assert memory(web) - before < 100 * MEGABYTE  # 800 MB were asked for
    for ear in ears:
        ear.close()


@pytest.mark.parametrize("what", ["download", "results.jsonl", "events"])
def test_whoever_takes_nothing_of_an_answer_is_dropped(hasty, owner, what):
    mission = result_factories.make_large(owner, 20_000) if what != "events" else make_mission(owner, 3)
    token = new_token(owner)
    if what == "events":
        result_factories.add_events(mission, 20_000)
    ears = [deaf(hasty, mission.pk, token, what) for _ in range(10)]
    wait_for(lambda: connections(hasty) >= 10)
    assert is_answered(hasty)
    wait_for(lambda: not connections(hasty), seconds=60)
    for ear in ears:
        ear.close()


def test_the_next_request_waits_until_the_answer_before_was_taken(open_server, owner):
    """Begun earlier, its own answer would be held in memory until the client reads."""
    web, mission = open_server(), result_factories.make_large(owner, 1000)
    mission.items.update(params={"prompt": "x" * 8000})
    large = request_for(mission.pk, new_token(owner), "items?limit=1000").replace(b"HTTP/1.0", b"HTTP/1.1")
    before = web.log.read_text().count("GET /api/v1/health 200")
    ears = [connect(web, large + HEALTH) for _ in range(5)]
    wait_for(lambda: all(waits_with(ear) for ear in ears))
    assert is_answered(web)
    time.sleep(0.5)
    assert web.log.read_text().count("GET /api/v1/health 200") == before + 1
    for ear in ears:
        assert [b" 200 " in line for line in status_lines(ear, 2)] == [True, True]
        ear.close()
    assert web.log.read_text().count("GET /api/v1/health 200") == before + 6


def waits_with(ear: socket.socket) -> bool:
    """Whether an answer has begun to arrive."""
    return bool(ear.recv(1, socket.MSG_PEEK))


def status_lines(ear: socket.socket, count: int) -> list[bytes]:
    """The status lines of the next answers."""
    with ear.makefile("rb") as stream:
        lines = []
        for _ in range(count):
            lines.append(stream.readline())
            length = 0
            while (header := stream.readline().strip()) != b"":
                name, _colon, value = header.partition(b": ")
                length = int(value) if name.lower() == b"content-length" else length
            stream.read(length)
        return lines


def test_a_reader_that_pauses_gets_everything(hasty, large_picture):
    little = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]  # else the system may take all of it: the answer is made
    with urllib3.HTTPConnectionPool("127.0.0.1", hasty.port, timeout=20, socket_options=little) as pool:
        answer = pool.request("GET", large_picture, preload_content=False)
        pieces = answer.stream(MEGABYTE)
        first = next(pieces)
        time.sleep(2.5)  # longer than an answer that is made may stall
        assert len(first) + sum(map(len, pieces)) == int(answer.headers["Content-Length"])
