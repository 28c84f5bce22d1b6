from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
import responses
from requests.adapters import HTTPAdapter

from providers.adapters import http
from providers.adapters.errors import Unavailable
from providers.adapters.http import Timeout, TransportFailure
from tests import http_servers
from tests.ports import free_port

KEY = "0123456789abcdef0123456789abcdef"
QUICK = Timeout(0.5, 0.5, 10)  # for servers that stay silent
IN_TIME = Timeout(10, 10, 10)


def post(url: str, timeout: Timeout = IN_TIME) -> http.Answer:
    return http.post_once(KEY, url, timeout=timeout, data=b"{}", headers={"Content-Type": "application/json"})


def failure_of(url: str) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        post(url, QUICK)
    return caught.value


def test_unreachable_host_means_nothing_was_sent():
    closed = f"127.0.0.1:{free_port()}"
    for url in (f"https://{closed}", "http://no-such-host.invalid/", f"http://{'a' * 64}.example/"):
        assert not failure_of(url).may_have_arrived, url
    failure = failure_of(f"http://{closed}")
    assert (failure.may_have_arrived, failure.reason) == (False, "Connection refused")


def test_unaccepted_connection_means_nothing_was_sent():
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):  # fill the backlog, so that the next connection is never accepted
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        assert not failure_of(f"http://127.0.0.1:{listener.getsockname()[1]}").may_have_arrived


@pytest.mark.parametrize(
    "handler",
    [
        http_servers.closes_at_first_byte,
        http_servers.resets_at_first_byte,
        http_servers.never_answers,
        http_servers.speaks_plain_http,
    ],
    ids=["closes", "resets", "is silent", "speaks plain HTTP"],
)
def test_a_failed_tls_handshake_means_nothing_was_sent(handler: http_servers.Handler):
    with http_servers.serving(handler) as server:
        assert not failure_of(server.secure_url).may_have_arrived


def test_a_proxy_that_refuses_the_tunnel_means_nothing_was_sent(monkeypatch: pytest.MonkeyPatch):
    with http_servers.serving(http_servers.refuses_to_tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        assert not failure_of("https://api.example/").may_have_arrived


def test_a_proxy_that_cannot_be_reached_means_nothing_was_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    assert not failure_of("http://api.example/").may_have_arrived


@pytest.mark.parametrize(
    "handler",
    [
        http_servers.closes_at_once,
        http_servers.resets_at_first_byte,
        http_servers.resets_after_reading,
        http_servers.closes_after_reading,
        http_servers.never_answers,
        http_servers.sends_half_a_body,
        http_servers.breaks_a_chunked_body,
        http_servers.sends_no_http,
    ],
)
def test_failure_after_connecting_leaves_doubt(handler: http_servers.Handler):
    with http_servers.serving(handler) as server:
        assert failure_of(server.url).may_have_arrived
        assert server.connections == 1, "the request was sent again"


def test_an_answer_that_is_too_long_leaves_doubt():
    body = b" " * (http.ANSWER_LIMIT_BYTES + 1)
    with http_servers.serving(http_servers.answers(body)) as server:
        failure = failure_of(server.url)
    assert failure.may_have_arrived
    assert failure.reason == "the answer is too long"


def test_an_answer_must_be_complete_in_time():
    head = http_servers.http_answer(b"", length=10_000)
    for start in (
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        head,
        http_servers.CHUNKED_HEAD,
        http_servers.CHUNKED_HEAD + b"9",
    ):
        with http_servers.serving(http_servers.drips(start)) as server:
            with pytest.raises(TransportFailure) as caught:
                post(server.url, Timeout(10, 10, 0.3))
            assert (caught.value.reason, caught.value.may_have_arrived) == ("the answer took too long", True), start


def test_a_shared_connection_keeps_its_own_time_limit():
    with http_servers.serving(http_servers.keeps_answering(b"{}", 2)) as server, http.new_session(KEY) as session:
        for whole in (60, 100):
            http.exchange(session, "GET", server.url, timeout=Timeout(100, 100, whole))
            adapter = session.get_adapter("http://")
            assert isinstance(adapter, HTTPAdapter)
            [pool] = adapter.poolmanager.pools._container.values()
            assert pool.pool.queue[-1].sock.gettimeout() == 100


def test_a_download_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "DOWNLOAD_TIMEOUT", Timeout(10, 10, 0.3))
    for start in (b"", http_servers.http_answer(b"", length=10_000)):
        with (
            http_servers.serving(http_servers.drips(start)) as server,
            pytest.raises(Unavailable),
            http.download(server.url, allowed_hosts=["127.0.0.1"]) as source,
        ):
            list(source.chunks)


def test_a_failure_drags_no_request_along():
    failure = failure_of(f"http://127.0.0.1:{free_port()}")
    assert failure.__cause__ is None
    assert failure.__context__ is None


def test_each_paid_request_has_a_connection_of_its_own():
    with http_servers.serving(http_servers.keeps_answering(b"{}", 3)) as server:
        assert [post(server.url).body for _ in range(3)] == [b"{}"] * 3
        assert server.connections == 3


def test_other_requests_share_a_connection():
    with http_servers.serving(http_servers.keeps_answering(b"{}", 3)) as server, http.new_session(KEY) as session:
        for _ in range(3):
            http.exchange(session, "GET", server.url, timeout=IN_TIME)
        assert server.connections == 1


@responses.activate
def test_a_redirect_is_an_answer_and_is_not_followed():
    responses.post("https://api.example/", status=307, headers={"Location": "https://elsewhere.example/"})
    assert post("https://api.example/").status == 307
    assert len(responses.calls) == 1


@responses.activate
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_nothing_is_retried(status: int):
    responses.post("https://api.example/", status=status, headers={"Retry-After": "0"})
    assert post("https://api.example/").status == status
    assert len(responses.calls) == 1


@responses.activate
def test_netrc_does_not_replace_our_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.example login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    responses.post("https://api.example/")
    post("https://api.example/")
    assert responses.calls[0].request.headers["Authorization"] == f"Bearer {KEY}"


@responses.activate
def test_requests_send_a_user_agent():
    responses.post("https://api.example/")
    post("https://api.example/")
    assert responses.calls[0].request.headers["User-Agent"].startswith("runninghub-batch/")


def test_the_key_is_not_in_the_log_of_the_libraries(caplog: pytest.LogCaptureFixture):
    with (
        caplog.at_level(logging.DEBUG, logger="urllib3.connectionpool"),
        http_servers.serving(http_servers.answers(b"{}")) as server,
    ):
        post(server.url)
    assert caplog.text
    assert KEY not in caplog.text


NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("inf", 3600.0),
        ("99999999", 3600.0),
        ("nan", None),
        ("soon", None),
        ("Fri, 01 May 2026 12:00:30 GMT", 30.0),
        ("Fri, 01 May 2026 12:00:30 -0000", 30.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        ("Fri, 01 May 2126 12:00:00 GMT", 3600.0),
        ("Fri, 99 May 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None):
    assert http.parse_retry_after(header, now=NOW) == seconds
