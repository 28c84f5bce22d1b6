"""A real server: requests at once, killed processes, large bodies, static files, connections."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psutil
import pytest
import requests
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from accounts.models import ApiToken
from core.models import IdempotencyKey
from tests.api_client import new_token
from tests.missions.api.event_reader import ANSWERED_AT_ONCE, database_connections, wait_for
from tests.process_fixtures import Web

pytestmark = pytest.mark.processes
AT_ONCE = 12


def session(user: User) -> requests.Session:
    caller = requests.Session()
    caller.headers["Authorization"] = f"Bearer {new_token(user)}"
    return caller


def make_token(web: Web, caller: requests.Session, *, key: str, **headers: str) -> requests.Response:
    headers["Idempotency-Key"] = key
    return caller.post(f"{web.url}/api/v1/me/tokens", json={"name": "made"}, headers=headers, timeout=120)


def token_count() -> int:
    return ApiToken.objects.filter(name="made").count()


# --- Repeated requests ---


def test_equal_requests_at_once_run_once(open_server, transactional_db):
    web, owner = open_server(), User.objects.create_user("mei")
    sessions = [session(owner) for _ in range(AT_ONCE)]
    for key in ("first", "second"):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda caller, key=key: make_token(web, caller, key=key), sessions))
        fresh = [
            answer for answer in answers if answer.status_code == 201 and "Idempotent-Replayed" not in answer.headers
        ]
        busy = [answer for answer in answers if answer.status_code == 409]
        assert len(fresh) == 1
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert {answer.json()["error"] for answer in busy} <= {"idempotency_in_progress"}
        assert make_token(web, sessions[0], key=key).json()["data"]["id"] == fresh[0].json()["data"]["id"]
    assert token_count() == 2


def test_response_survives_a_kill_after_commit(open_server, transactional_db):
    owner = User.objects.create_user("mei")
    caller, server = session(owner), open_server("tests.core.aborted_server:application")
    with pytest.raises(requests.ConnectionError):
        make_token(server, caller, key="k1", **{"X-Die": "1"})
    assert server.process.wait(10) == -9
    assert token_count() == 1
    repeat = make_token(open_server(), caller, key="k1")
    assert (repeat.status_code, repeat.headers["Idempotent-Replayed"]) == (201, "true")
    assert repeat.json()["data"]["id"] == ApiToken.objects.get(name="made").pk
    assert token_count() == 1
    assert IdempotencyKey.objects.count() == 1


# --- Bodies ---


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 65536


@pytest.mark.parametrize("body", [b"x" * 300_000, chunks(5)], ids=["with its length", "in chunks"])
def test_large_body_is_refused_with_or_without_length(open_server, body):
    web = open_server(API_MAX_BODY_BYTES="200000")
    headers = {"X-Request-Id": "big-1", "Content-Type": "application/json"}
    answer = requests.post(f"{web.url}/api/v1/me/tokens", data=body, headers=headers, timeout=120)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "big-1"
    assert requests.get(f"{web.url}/api/v1/health", timeout=120).status_code == 200


def test_request_of_a_gone_client_has_its_body(open_server, tmp_path):
    files = {"READ_WHEN": str(tmp_path / "gone"), "WHAT_WAS_READ": str(tmp_path / "read")}
    web = open_server("tests.core.slow_app:application", **files)
    with socket.create_connection(("127.0.0.1", web.port), timeout=15) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello")
    (tmp_path / "gone").touch()
    wait_for((tmp_path / "read").exists)
    assert (tmp_path / "read").read_bytes() == b"hello"
    assert "Traceback" not in web.log.read_text()


def test_announced_large_body_is_refused(open_server):
    web = open_server()
    with socket.create_connection(("127.0.0.1", int(web.url.rpartition(":")[2])), timeout=15) as client:
        head = "POST /api/v1/missions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {10**12}\r\n\r\n{{".encode())
        assert b"413" in client.recv(4096).splitlines()[0]


# --- Files ---


def test_docs_page_uses_only_this_host(open_server, settings):
    call_command("collectstatic", interactive=False, verbosity=0)
    web = open_server("tests.core.with_static:application", STATIC_ROOT_OF_TEST=str(settings.STATIC_ROOT))
    page = requests.get(f"{web.url}/api/v1/docs", timeout=120).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) >= 4
    assert all(address.startswith("/static/") for address in addresses)
    assert "http" not in re.sub(r"<script[^>]*swagger-settings.*?</script>", "", page, flags=re.DOTALL)
    for address in addresses:
        assert requests.get(web.url + address, timeout=120).status_code == 200, address
    config = json.loads(re.search(r'id="swagger-settings">(.*?)</script>', page, re.DOTALL)[1])
    assert config["url"] == "/api/v1/openapi.json"
    assert config["validatorUrl"] is None


# --- Connections ---


def test_connections_are_limited_to_the_threads(open_server, transactional_db):
    web, owner = open_server(), User.objects.create_user("mei")

    def ask(caller: requests.Session) -> set[Any]:
        return {caller.get(f"{web.url}/api/v1/me", timeout=120).status_code for _ in range(10)}

    with ThreadPoolExecutor(3 * ANSWERED_AT_ONCE) as pool:
        assert set().union(*pool.map(ask, [session(owner) for _ in range(3 * ANSWERED_AT_ONCE)])) == {200}
    assert 0 < database_connections(web) <= ANSWERED_AT_ONCE


@pytest.mark.parametrize("before", ["SELECT 1", "SELECT 1 FROM nowhere"], ids=["a good request", "one that erred"])
def test_broken_connection_is_replaced(open_server, transactional_db, before):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite is no server that could break one")
    web = open_server("tests.core.asking:application")
    for _ in range(3):
        assert ask_database(web, before) == (200 if before == "SELECT 1" else 500)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.rowcount >= 1
        assert ask_database(web, "SELECT 1") == 200


def ask_database(web: Web, sql: str) -> int:
    return requests.post(web.url, data=sql, timeout=120).status_code


def test_waiting_requests_hold_no_connection(open_server, transactional_db):
    web, headers = open_server(), session(User.objects.create_user("mei")).headers

    def ask() -> int:
        return requests.get(f"{web.url}/api/v1/missions", headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(60) as pool:
        answers = [pool.submit(ask) for _ in range(240)]
        counts = [database_connections(web)]
        while not all(one.done() for one in answers):
            counts.append(database_connections(web))
    assert {one.result() for one in answers} == {200}
    assert 0 < max(counts) <= ANSWERED_AT_ONCE


# --- When the database is gone ---


def test_server_survives_a_missing_database(open_server):
    web = open_server(DATABASE_URL="postgres://nobody@127.0.0.1:1/gone")
    for name in ("health", "ready"):
        answer = requests.get(f"{web.url}/api/v1/{name}", timeout=120)
        assert (answer.status_code, answer.json()["error"]) == (503, "not_ready")
        assert "database" in [error["field"] for error in answer.json()["errors"]]
    answer = requests.get(f"{web.url}/api/v1/me", headers={"Authorization": "Bearer rhb_x"}, timeout=120)
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]


# --- Several processes ---


def children(web: Web) -> list[psutil.Process]:
    assert web.process is not None
    return psutil.Process(web.process.pid).children()


def is_healthy(web: Web) -> bool:
    try:
        return requests.get(f"{web.url}/api/v1/health", timeout=120).status_code == 200
    except requests.ConnectionError:
        return False


def test_a_killed_web_process_is_replaced(open_server):
    web = open_server(WEB_PROCESSES="2")
    wait_for(lambda: len(children(web)) == 2)
    first, second = children(web)
    first.kill()
    wait_for(lambda: len(children(web)) == 2 and first not in children(web))
    assert second in children(web)
    wait_for(lambda: is_healthy(web))


def test_requests_of_all_processes_are_counted(open_server):
    web = open_server(WEB_PROCESSES="2")
    name = 'runninghub_batch_http_requests_total{area="probes",status="2xx"}'

    def count() -> float:
        text = requests.get(f"{web.url}/metrics", timeout=120).text
        return float(text.partition(f"\n{name} ")[2].partition("\n")[0])

    wait_for(partial(is_healthy, web))
    before = count()
    for _ in range(20):
        assert is_healthy(web)
    assert count() == before + 21  # the scrape before is one, too
    first = children(web)[0]
    first.kill()
    wait_for(lambda: len(children(web)) == 2 and first not in children(web))
    assert count() > before + 21  # nothing is lost with a process


def test_web_processes_stop_with_their_parent(open_server):
    for is_killed in (False, True):
        web = open_server(WEB_PROCESSES="2")
        wait_for(partial(is_healthy, web))
        processes = children(web)
        if is_killed:
            web.kill()
        else:
            assert web.process is not None
            web.process.terminate()
            assert web.process.wait(timeout=120) == 0
        psutil.wait_procs(processes, timeout=120)
        assert not [process for process in processes if process.is_running()]
