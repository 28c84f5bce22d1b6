"""Downloads of results: complete, checked, stored once, and only from allowed hosts."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage
from django.db import connection
from django.utils import timezone
from PIL import Image

from missions import execution, services
from missions.models import Mission, Output, OutputStatus
from missions.results import download
from missions.worker_hooks import MissionHooks
from providers.models import ProviderAccount
from tests.factories import Workers, bring_to, check_mission, claim, make_mission, pass_time, picture
from tests.http_servers import http_answer, read_request, serving

pytestmark = pytest.mark.django_db

URL = "https://cdn.example/results/1.png"


@pytest.fixture
def output(owner: User, account: ProviderAccount) -> Output:
    """Return a pending result whose URL nobody serves."""
    bring_to("succeeded", claim(make_mission(owner, 1), account)[0])
    Output.objects.update(remote_url=URL, expires_at=timezone.now() + timedelta(hours=24))
    return Output.objects.get()


@pytest.fixture
def internet() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def fetch(output: Output) -> Output:
    download.archive(output.try_count, [output.pk])
    output.refresh_from_db()
    return output


def stored_files() -> list[Path]:
    return [path for path in Path(django_settings.RESULTS_ROOT).rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def _no_half_file_stays() -> Iterator[None]:
    yield
    folder = Path(django_settings.DATA_DIR, "tmp")
    assert not folder.exists() or list(folder.iterdir()) == []


def path_of(name: str) -> Path:
    return Path(django_settings.RESULTS_ROOT) / name


# --- Stored results ---


@pytest.mark.parametrize(
    "task_type, kind, is_clip", [("text_to_image", "image/png", False), ("text_to_video", "video/mp4", True)]
)
def test_a_result_is_stored_measured_and_given_a_thumbnail(task_type, kind, is_clip, owner, workers: Workers):
    mission = workers.finish(make_mission(owner, 1, task_type=task_type))
    output = Output.objects.get()
    content = path_of(output.file).read_bytes()
    assert (output.status, output.content_type, output.error_message) == ("stored", kind, "")
    assert output.file == f"missions/{mission.pk}/00001-1-1.{'mp4' if is_clip else 'png'}"
    assert output.sha256 == hashlib.sha256(content).hexdigest()
    assert output.size_bytes == len(content) > 100
    assert output.width
    assert output.height
    assert bool(output.duration_seconds) == is_clip
    assert (output.stored_at is not None, output.next_try_at) == (True, None)
    with Image.open(path_of(output.thumbnail)) as thumbnail:
        assert thumbnail.format == "JPEG"
    assert path_of(output.file).stat().st_mode & 0o777 == 0o644


def test_each_result_of_an_item_has_a_file_of_its_own(owner, workers: Workers):
    workers.finish(make_mission(owner, ["x [[sim:results:3]]", "y"]))
    names = list(Output.objects.order_by("pk").values_list("file", flat=True))
    assert len(set(names)) == 4
    assert len(stored_files()) == 8


def test_a_file_that_is_fetched_twice_leaves_one(output, internet):
    internet.get(URL, body=picture())
    fetch(output)
    before = sorted(stored_files())
    Output.objects.update(status="pending")  # as after a crash before the file was recorded
    fetch(output)
    assert sorted(stored_files()) == before
    assert output.status == "stored"
    assert len(internet.calls) == 2


def test_a_message_that_comes_twice_fetches_once(output, internet):
    internet.get(URL, body=picture())
    download.archive(0, [output.pk])
    download.archive(0, [output.pk])
    download.archive(1, [output.pk])
    download.archive(0, [999_999_999])
    assert len(internet.calls) == 1


def test_results_of_one_message_do_not_wait_for_one_that_fails(owner, account, internet):
    for attempt_id in claim(make_mission(owner, 3), account, 3):
        bring_to("succeeded", attempt_id)
    for output, answer in zip(Output.objects.order_by("pk"), [picture(), b"<html>", picture()], strict=True):
        Output.objects.filter(pk=output.pk).update(remote_url=f"{URL}?{output.pk}")
        internet.get(f"{URL}?{output.pk}", body=answer)
    Output.objects.update(expires_at=timezone.now() + timedelta(hours=24))
    download.archive(0, list(Output.objects.values_list("pk", flat=True)))
    assert list(Output.objects.order_by("pk").values_list("status", flat=True)) == ["stored", "pending", "stored"]
    assert len(stored_files()) == 4


class BrokenStorage(FileSystemStorage):
    def save(self, *args: Any, **kwargs: Any) -> str:
        raise RuntimeError("secret words of a storage")


def test_the_next_try_removes_the_file_of_a_killed_worker(output, internet):
    folder = Path(django_settings.DATA_DIR, "tmp")
    folder.mkdir(exist_ok=True)
    left, other = folder / f"output-{output.pk}-abc.part", folder / f"output-{output.pk}1-abc.part"
    for part in (left, other):
        part.touch()
    internet.get(output.remote_url, body=picture())
    assert fetch(output).status == "stored"
    assert [left.exists(), other.exists()] == [False, True]
    os.utime(other, (time.time() - 7200,) * 2)
    fresh = folder / "output-7-def.part"
    fresh.touch()
    MissionHooks().on_start(is_alone=False)
    assert [other.exists(), fresh.exists()] == [False, True]
    fresh.unlink()


def test_a_storage_that_fails_is_tried_again(output, internet, settings):
    settings.STORAGES = settings.STORAGES | {"results": {"BACKEND": f"{__name__}.BrokenStorage"}}
    internet.get(URL, body=picture())
    assert_tried_later(fetch(output), "could not be stored")
    assert "secret" not in output.error_message


# --- Failures ---


def assert_tried_later(output: Output, words: str) -> None:
    assert (output.status, output.file, output.try_count) == ("pending", "", 1)
    assert output.next_try_at
    assert timezone.now() < output.next_try_at < timezone.now() + timedelta(seconds=5)
    assert words in output.error_message
    assert output.item.status == "completed"
    assert stored_files() == []


FAULTS = [
    ("file_short", "not a readable"),
    ("file_html", "not a readable"),
    ("file_403", "answered 403"),
    ("file_404", "answered 404"),
    ("file_503", "answered 503"),
    ("file_drop", "could not be fetched"),
]


@pytest.mark.parametrize("fault, words", FAULTS)
def test_a_download_that_fails_costs_nothing_and_is_tried_again(fault, words, owner, workers: Workers, simulator):
    simulator.set(task_seconds=0, **{fault: 1})
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    execution.poll(workers.account.pk, [mission.items.get().attempts.get().pk])
    pass_time(1)
    workers.play("archive")
    assert_tried_later(Output.objects.get(), words)
    assert workers.finish(mission).completed_count == 1
    assert Output.objects.get().status == "stored"
    assert simulator.stats()["accepted"] == 1


def test_a_slow_download_arrives(owner, workers: Workers, simulator):
    simulator.set(file_slow=1)
    workers.finish(make_mission(owner, 1))
    assert Output.objects.get().status == "stored"
    assert Output.objects.get().try_count == 1


@pytest.mark.parametrize(
    "body, words",
    [
        (b"", "empty"),
        (picture(size=(500, 500))[:300], "not a readable"),
        (b"<html>gone</html>", "not a readable"),
        (requests.exceptions.ReadTimeout("slow"), "in time"),
        (requests.exceptions.SSLError("bad"), "connection failed"),
    ],
    ids=["empty", "half", "page", "timeout", "ssl"],
)
def test_a_body_that_is_no_result_is_not_stored(body, words, output, internet):
    internet.get(URL, body=body)
    assert_tried_later(fetch(output), words)


def test_unknown_host_is_retried(output):
    Output.objects.update(remote_url="https://no-such-host.invalid/1.png")
    assert_tried_later(fetch(output), "could not be fetched")


def test_a_strange_length_header_is_no_reason_to_break(output, internet):
    internet.get(URL, body=picture(), headers={"Content-Length": "many"}, auto_calculate_content_length=False)
    fetch(output)
    assert output.status in ("stored", "pending")
    assert output.next_try_at is None or output.next_try_at < timezone.now() + timedelta(minutes=1)


def test_a_result_beyond_the_size_limit_is_cut_off(output, internet, settings):
    settings.RESULTS_MAX_BYTES = 100
    internet.get(URL, body=picture(size=(900, 900)))
    assert_tried_later(fetch(output), "larger than RESULTS_MAX_BYTES")


def test_download_is_retried_until_its_url_expires(output, internet):
    internet.get(URL, status=403)
    tries = 0
    while output.status == "pending" and tries < 1000:
        fetch(output)
        tries += 1
        if output.next_try_at:
            pass_time((output.next_try_at - timezone.now()).total_seconds())
    assert output.status == "lost"
    assert 100 < tries < 500
    assert "before its address expired" in output.error_message
    assert "403" in output.error_message
    item = output.item
    item.refresh_from_db()
    assert item.status == "completed"
    event = item.events.last()
    assert event
    assert (event.from_status, event.to_status) == ("completed", "completed")
    assert "expired" in event.reason
    check_mission(item.mission_id)
    download.archive(output.try_count, [output.pk])
    assert len(internet.calls) == tries


# --- Allowed hosts ---

PRIVATE = [
    "http://10.0.0.1/x.png",
    "http://127.0.0.1:9/x.png",
    "http://localhost:9/x.png",
    "http://169.254.169.254/latest/meta-data",
    "http://192.168.1.1/x.png",
    "http://172.16.0.1/x.png",
    "http://[::1]:9/x.png",
    "http://[::ffff:127.0.0.1]:9/x.png",
    "http://0.0.0.0:9/x.png",
    "http://2130706433:9/x.png",
    "http://0x7f.1:9/x.png",
    "http://0177.0.0.1:9/x.png",
    "http://127.1:9/x.png",
    "http://public.example@127.0.0.1:9/x.png",
    "http://100.64.0.1/x.png",
    "http://[fd00::1]/x.png",
    "http://[fe80::1]/x.png",
    "http://[64:ff9b::7f00:1]/x.png",
    "http://[2002:7f00:1::]/x.png",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_private_address_is_never_requested(url, output, settings):
    settings.RESULTS_ALLOWED_HOSTS = []
    Output.objects.update(remote_url=url)
    assert_tried_later(fetch(output), "")
    assert "private" in output.error_message


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/x", "http:///x", "nonsense", "//a.example/x"])
def test_only_http_urls_are_requested(url, output):
    Output.objects.update(remote_url=url)
    assert_tried_later(fetch(output), "not an http address")


def serve_picture(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(http_answer(picture()))


def test_private_host_must_be_allowed_by_a_setting(output, settings):
    with serving(serve_picture) as server:
        Output.objects.update(remote_url=f"{server.url}/x.png")
        settings.RESULTS_ALLOWED_HOSTS = []
        fetch(output)
        assert (output.status, server.connections) == ("pending", 0)
        settings.RESULTS_ALLOWED_HOSTS = [f"127.0.0.1:{server.port + 1}"]
        fetch(output)
        assert (output.status, server.connections) == ("pending", 0)
        settings.RESULTS_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
        fetch(output)
        assert (output.status, server.connections) == ("stored", 1)


@pytest.mark.parametrize(
    "trick", ["{private}\\@allowed.example", "{private}\\.allowed.example", "{private}#@allowed.example"]
)
def test_allowed_host_does_not_allow_another(trick, output, settings):
    """Parsers disagree about the host of such URLs; only the real destination counts."""
    settings.RESULTS_ALLOWED_HOSTS = ["allowed.example"]
    with serving(serve_picture) as server:
        Output.objects.update(remote_url=f"http://{trick.format(private=f'127.0.0.1:{server.port}')}/x.png")
        fetch(output)
        assert (output.status, server.connections) == ("pending", 0)
        assert "private" in output.error_message


class Resolver:
    """Replaces the system's resolver.

    Each look-up of a name ending in ``.example`` takes the next answer; the last one repeats.
    Other names fail, except loopback addresses.
    """

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, *rest: Any, **more: Any) -> Any:
        self.lookups.append(host)
        if host.endswith(".example"):
            addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return [entry for address in addresses for entry in self._real(address, port, *rest, **more)]
        if host.startswith("127."):
            return self._real(host, port, *rest, **more)
        raise socket.gaierror("no network in tests")


PUBLIC = "93.184.216.34"


def test_dns_rebinding_connects_to_the_checked_address(output, settings, monkeypatch):
    settings.RESULTS_ALLOWED_HOSTS = []
    resolver = Resolver([PUBLIC], ["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with serving(serve_picture) as server:
        Output.objects.update(remote_url=f"http://rebinding.example:{server.port}/x.png")
        fetch(output)
        assert resolver.lookups == ["rebinding.example", PUBLIC]
        fetch(output)
        assert (output.status, server.connections) == ("pending", 0)
        assert "private" in output.error_message


def test_only_the_checked_address_of_a_name_is_used(output, settings, monkeypatch):
    settings.RESULTS_ALLOWED_HOSTS = []
    resolver = Resolver([PUBLIC, "127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with serving(serve_picture) as server:
        Output.objects.update(remote_url=f"http://two-faced.example:{server.port}/x.png")
        fetch(output)
        assert (output.status, server.connections) == ("pending", 0)
    assert resolver.lookups == ["two-faced.example", PUBLIC]


def test_a_file_that_breaks_off_is_not_stored(output, settings):
    def break_off(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(http_answer(picture()[:50], length=5000))

    with serving(break_off) as server:
        settings.RESULTS_ALLOWED_HOSTS = ["127.0.0.1"]
        Output.objects.update(remote_url=f"{server.url}/x.png")
        assert_tried_later(fetch(output), "could not be fetched")


def test_a_redirect_is_followed_to_a_public_place(output, internet):
    internet.get(URL, status=302, headers={"Location": "/elsewhere.png"})
    internet.get("https://cdn.example/elsewhere.png", body=picture())
    assert fetch(output).status == "stored"


@pytest.mark.parametrize("target", ["http://10.0.0.1/x.png", "http://127.0.0.1:9/x.png", "file:///etc/passwd"])
def test_a_redirect_to_a_private_place_is_refused(target, output, settings):
    def redirect(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    with serving(redirect) as server:
        settings.RESULTS_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
        Output.objects.update(remote_url=f"{server.url}/x.png")
        assert_tried_later(fetch(output), "")
        assert "private" in output.error_message or "not an http address" in output.error_message


def test_a_circle_of_redirects_ends(output, internet):
    internet.get(URL, status=302, headers={"Location": URL})
    assert_tried_later(fetch(output), "redirects too often")
    assert len(internet.calls) <= 5


def test_no_key_travels_to_the_host_of_a_result(owner, workers: Workers, output, internet):
    internet.get(URL, body=picture())
    fetch(output)
    assert "Authorization" not in internet.calls[0].request.headers
    assert "simulator" not in str(internet.calls[0].request.headers)


# --- Deleted missions ---


@pytest.mark.django_db(transaction=True)
def test_file_arriving_after_deletion_is_removed(output, internet):
    mission: Mission = output.item.mission

    def delete_meanwhile(request: Any) -> tuple[int, dict[str, str], bytes]:
        services.delete_mission(mission_id=mission.pk, actor="user:7")
        connection.close()  # the connection of this thread
        return 200, {}, picture()

    internet.add_callback("GET", URL, callback=delete_meanwhile)
    download.archive(0, [output.pk])
    for _ in range(3):
        services.purge_mission(mission.pk)
    assert not Mission.objects.filter(pk=mission.pk).exists()
    assert stored_files() == []


def test_unrecorded_file_is_deleted_with_its_mission(output):
    folder = path_of(f"missions/{output.item.mission_id}")
    folder.mkdir(parents=True)
    (folder / "00001-1-1.png").write_bytes(picture())
    services.delete_mission(mission_id=output.item.mission_id, actor="user:7")
    assert not folder.exists()


def test_a_download_that_takes_long_keeps_its_lease(output, internet, monkeypatch):
    monkeypatch.setattr(download, "RENEW_SECONDS", 0.02)
    leases = []

    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.5)
        return 200, {}, picture()

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and "next_try_at" in sql:
            leases.append(sql)
        return execute(sql, params, many, context)

    internet.add_callback("GET", URL, callback=answer)
    with connection.execute_wrapper(note):
        download.archive(0, [output.pk])
    output.refresh_from_db()
    assert output.status == OutputStatus.STORED
    assert len(leases) > 2  # more than the claim and the store
