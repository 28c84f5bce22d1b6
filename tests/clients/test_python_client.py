"""The Python client against a real server, and against one that fails."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from runninghub_batch_client import (
    ApiError,
    AsyncClient,
    Client,
    ConnectionFailed,
    Gone,
    Invalid,
    NotFound,
    NotStored,
    RateLimited,
    ServerError,
    Unauthenticated,
)

from missions.models import Mission, Output
from tests import result_factories
from tests.factories import picture

RED = picture(colour="red")
FIELDS: dict[str, Any] = {"name": "Foxes", "task_type": "text_to_image", "params": {"aspectRatio": "1:1"}}
ROWS: list[str | dict[str, str]] = ["a red fox", {"prompt": "an owl", "custom_id": "B-2"}]


# --- Against a real server ---


def test_mission_from_submission_to_archive(client: Client, tmp_path: Path):
    check = client.check(**FIELDS, rows=ROWS)
    assert (check.is_valid, check.total_count, check.estimate.amount) == (True, 2, Decimal("0.10"))
    submitted = client.submit(**FIELDS, rows=ROWS, metadata={"order": 12}, spending_limit=Decimal(5), key="foxes-1")
    again = client.submit(**FIELDS, rows=ROWS, metadata={"order": 12}, spending_limit=Decimal(5), key="foxes-1")
    assert (again.mission_id, submitted.is_replay, again.is_replay) == (submitted.mission_id, False, True)
    mission = client.mission(submitted.mission_id)
    assert (mission.name, mission.metadata, mission.has_ended) == ("Foxes", {"order": 12}, False)
    result_factories.run(Mission.objects.get(), [RED], [RED, "a text"])

    assert client.set_tags(mission.id, 2, ["approved"]).tags == ["approved"]
    events = list(client.follow(mission.id))
    assert (events[0].kind, events[-1].kind) == ("state", "end")
    middle = [event.id for event in events[1:-1]]
    assert middle == sorted(middle)
    later = list(client.follow(mission.id, after=middle[2]))
    assert [event.id for event in later[1:-1]] == middle[3:]

    ended = client.wait(mission.id)
    assert (ended.is_complete, ended.is_collectable, ended.counts["completed"]) == (True, True, 2)
    with zipfile.ZipFile(client.download(mission.id, tmp_path / "foxes.zip")) as archive:
        assert len(archive.namelist()) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["foxes.zip"]
    (item,) = client.items(mission.id, custom_id="B-2")
    assert (item.index, len(item.outputs), item.outputs[1].text) == (2, 2, "a text")
    assert client.download_output(mission.id, 1, 1, tmp_path / "1.png").read_bytes() == RED

    made = client.make_again(mission.id, [1], {"prompt": "a white fox"}, key="again-1")
    assert (made["indexes"], client.make_again(mission.id, [1], {"prompt": "a white fox"}, key="again-1")) == (
        [3],
        {**made, "is_replay": True},
    )
    result_factories.run(Mission.objects.get(), [RED])
    chosen = client.items(mission.id, is_chosen=True)
    assert [(item.index, item.first_index, item.version) for item in chosen] == [(2, None, 1), (3, 1, 2)]
    assert client.choose(mission.id, 1).is_chosen


def test_several_models_in_one_request(client: Client):
    models: Any = [{"model": "rhart-image-v1/text-to-image"}, {"model": "rhart-image-n-pro/text-to-image"}]
    check = client.check_group(**FIELDS, rows=ROWS, models=models)
    assert (check.is_valid, check.total_count, [part.total_count for part in check.missions]) == (True, 4, [2, 2])
    group = client.submit_group(**FIELDS, rows=ROWS, models=models, key="foxes-2")
    again = client.submit_group(**FIELDS, rows=ROWS, models=models, key="foxes-2")
    assert (group.is_replay, again.is_replay, again.missions) == (False, True, group.missions)
    assert group.estimate == check.estimate
    listed = {mission.id for mission in client.missions(group=group.group)}
    assert listed == {part.mission_id for part in group.missions}
    with pytest.raises(Invalid) as refused:
        client.submit_group(**FIELDS, rows=ROWS, models=[*models, {"model": "oops"}])
    assert [problem.field for problem in refused.value.problems] == ["models.2.model"]


def test_broken_download_is_continued(client: Client, tmp_path: Path):
    mission_id = client.submit(**FIELDS, rows=ROWS).mission_id
    result_factories.run(Mission.objects.get(), [RED], [RED])
    target = tmp_path / "results.zip"
    whole = client.download(mission_id, target).read_bytes()
    with client._http.stream("GET", f"/missions/{mission_id}/download") as response:
        etag = response.headers["ETag"]
    table = [
        (whole[:100], etag),
        (whole, etag),
        (whole + b"more", etag),
        (b"another file", '"another"'),
        (b"no version", ""),
    ]
    for part, version in table:
        target.unlink(missing_ok=True)
        target.with_name("results.zip.part").write_bytes(part)
        target.with_name("results.zip.part.etag").write_text(version)
        assert client.download(mission_id, target).read_bytes() == whole, (len(part), version)


def test_lists_actions_and_errors(client: Client, server, tmp_path: Path):
    mission_ids = [
        client.submit(**{**FIELDS, "name": f"m{n}"}, rows=ROWS, metadata={"n": n}).mission_id for n in range(3)
    ]
    assert [mission.id for mission in client.missions()] == mission_ids[::-1]
    assert [mission.id for mission in client.missions(metadata={"n": "1"}, status=["queued", "paused"])] == [
        mission_ids[1]
    ]
    assert client.pause(mission_ids[0])["status"] == "paused"
    assert client.resume(mission_ids[0])["status"] == "queued"
    assert client.change(mission_ids[0], name="renamed", spending_limit=None, metadata={}).name == "renamed"
    assert client.cancel(mission_ids[0])["cancelled_count"] == 2
    assert client.delete(mission_ids[0])["is_removed"]
    assert client.me()["username"] == "mei"
    assert client.get("/models", task_type="text_to_image")["total"] > 0
    image = tmp_path / "fox.png"
    image.write_bytes(RED)
    assert client.upload(image).reference == client.upload(image).reference

    with pytest.raises(Invalid) as refused:
        client.submit(**{**FIELDS, "params": {"aspectRatio": "7:1"}}, rows=ROWS)
    assert [problem.field for problem in refused.value.problems] == ["config.aspectRatio"]
    assert not client.check(**{**FIELDS, "params": {"aspectRatio": "7:1"}}, rows=ROWS).is_valid
    with pytest.raises(NotFound) as missing:
        client.mission(mission_ids[0])
    assert missing.value.request_id
    with Client(server.url, "rhb_wrong") as stranger, pytest.raises(Unauthenticated):
        stranger.me()


def test_files_that_are_not_there(client: Client, tmp_path: Path):
    mission_id = client.submit(**FIELDS, rows=ROWS).mission_id
    result_factories.run(Mission.objects.get(), [RED])
    for status, error in (("pending", NotStored), ("lost", Gone)):
        Output.objects.update(status=status)
        with pytest.raises(error):
            client.download_output(mission_id, 1, 1, tmp_path / "1.png")
    assert list(tmp_path.iterdir()) == []


def test_async_client_does_the_same(server, token: str, tmp_path: Path):
    async def submit() -> int:
        async with AsyncClient(server.url, token) as client:
            assert (await client.check(**FIELDS, rows=ROWS)).is_valid
            return (await client.submit(**FIELDS, rows=ROWS)).mission_id

    async def collect(mission_id: int) -> list[str]:
        async with AsyncClient(server.url, token) as client:
            events = [event.kind async for event in client.follow(mission_id)]
            assert (events[0], events[-1]) == ("state", "end")
            assert (await client.wait(mission_id)).is_complete
            assert [mission.id async for mission in client.missions()] == [mission_id]
            assert [item.index async for item in client.items(mission_id)] == [1, 2]
            with pytest.raises(NotFound):
                await client.mission(mission_id + 1)
            with zipfile.ZipFile(await client.download(mission_id, tmp_path / "foxes.zip")) as archive:
                return archive.namelist()

    mission_id = asyncio.run(submit())
    result_factories.run(Mission.objects.get(), [RED], [RED])
    assert len(asyncio.run(collect(mission_id))) == 3


def test_both_clients_have_the_same_methods():
    def methods(kind: type) -> dict[str, tuple[object, ...]]:
        members = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: (list(inspect.signature(member).parameters.values()), inspect.getdoc(member))
            for name, member in members
            if not name.startswith("__")
        }

    assert methods(Client) == methods(AsyncClient)


# --- Against a server that fails ---

Answer = httpx.Response | httpx.TransportError


def failing(*answers: Answer | Callable[[httpx.Request], httpx.Response]) -> tuple[Client, list[httpx.Request]]:
    """Return a client whose server gives these answers in turn, and the requests that it gets."""
    requests: list[httpx.Request] = []
    remaining = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        now = remaining.pop(0)
        if isinstance(now, httpx.TransportError):
            raise now
        return now if isinstance(now, httpx.Response) else now(request)

    waits: list[float] = []
    return Client("http://a.example", "rhb_x", transport=httpx.MockTransport(answer), sleep=waits.append), requests


def refusal(status: int, word: str = "", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": word, "message": "No."}, headers=headers)


def submission() -> httpx.Response:
    data = {"api_mission_id": 7, "total_count": 1, "status": "queued", "estimate": {"amount": None, "currency": ""}}
    return httpx.Response(202, json={"code": 0, "data": data})


LOST, UNREACHABLE = httpx.ReadError("lost"), httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answers",
    [
        [LOST, UNREACHABLE],
        [refusal(503), refusal(429, "rate_limited", **{"Retry-After": "3"})],
        [refusal(409, "idempotency_in_progress"), refusal(502)],
    ],
)
def test_submission_is_repeated_with_the_same_key(answers):
    client, requests = failing(*answers, submission())
    assert client.submit(**FIELDS, rows=["a"]).mission_id == 7
    assert len(requests) == 3
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1
    assert len({request.content for request in requests}) == 1


def test_what_is_not_repeated():
    deleting: Any = lambda client: client.delete(7)  # noqa: E731
    changing: Any = lambda client: client.change(7, name="x")  # noqa: E731
    submitting: Any = lambda client: client.submit(**FIELDS, rows=["a"])  # noqa: E731
    table: list[tuple[Any, Answer, type[Exception]]] = [
        (deleting, LOST, ConnectionFailed),
        (deleting, refusal(503), ServerError),
        (changing, UNREACHABLE, ConnectionFailed),
        (changing, refusal(429), RateLimited),
        (submitting, refusal(422), Invalid),
        (submitting, refusal(500), ServerError),
    ]
    for act, answer, error in table:
        client, requests = failing(answer)
        with pytest.raises(error) as failed:
            act(client)
        assert len(requests) == 1
        if isinstance(failed.value, ConnectionFailed):
            assert failed.value.may_be_done == (answer is LOST)


def test_repetition_has_an_end():
    client, requests = failing(*[LOST] * 9)
    with pytest.raises(ConnectionFailed):
        client.mission(7)
    assert len(requests) == 5


def test_one_sent_attempt_may_be_done():
    for first, may_be_done in ((UNREACHABLE, False), (refusal(429), False), (refusal(504), True), (LOST, True)):
        client, requests = failing(first, *[UNREACHABLE] * 4)
        with pytest.raises(ConnectionFailed) as failed:
            client.submit(**FIELDS, rows=["a"])
        assert (len(requests), failed.value.may_be_done) == (5, may_be_done), first
        client, requests = failing(first, *[refusal(429)] * 4)
        with pytest.raises(RateLimited) as limited:
            client.submit(**FIELDS, rows=["a"])
        assert (len(requests), limited.value.may_be_done) == (5, may_be_done), first


def stream(*lines: str) -> httpx.Response:
    return httpx.Response(200, text="\n".join(lines) + "\n")


def test_stream_goes_on_where_it_was_broken_off():
    first = stream(
        "retry: 2000", "", "event: state", 'data: {"n": 0}', "", "id: 7", "event: item", 'data: {"n": 7}', ""
    )
    broken = stream("event: state", 'data: {"n": 0}', "", "id: 8", "event: item")
    last = stream(": still here", "", "id: 8", "event: item", 'data: {"n": 8}', "", "event: end", "data: {}", "")
    client, requests = failing(first, LOST, broken, refusal(503), last)
    events = list(client.follow(7, after=5))
    assert [(event.kind, event.id) for event in events] == [
        ("state", None),
        ("item", 7),
        ("state", None),
        ("item", 8),
        ("end", None),
    ]
    assert [request.headers["Last-Event-ID"] for request in requests] == ["5", "7", "7", "7", "7"]


def test_download_goes_on_with_if_range(tmp_path: Path):
    def half(request: httpx.Request) -> httpx.Response:
        def pieces() -> Any:
            yield b"01234"
            raise httpx.RemoteProtocolError("broken off")

        return httpx.Response(200, content=pieces(), headers={"ETag": '"v"', "Content-Length": "10"})

    def rest(request: httpx.Request) -> httpx.Response:
        assert (request.headers["Range"], request.headers["If-Range"]) == ("bytes=5-", '"v"')
        return httpx.Response(206, content=b"56789", headers={"ETag": '"v"', "Content-Range": "bytes 5-9/10"})

    client, _requests = failing(half, rest)
    assert client.download(7, tmp_path / "a.zip").read_bytes() == b"0123456789"
    for answer, error in ((refusal(404), NotFound), (refusal(416), ApiError)):
        client, requests = failing(answer)
        with pytest.raises(error):
            client.download(7, tmp_path / "b.zip")
        assert len(requests) == 1


def test_answers_of_something_else_are_errors():
    for answer in (httpx.Response(200, text="<html>"), httpx.Response(200, json=[1]), httpx.Response(200, json={})):
        client, _requests = failing(answer)
        with pytest.raises(ServerError, match="not one of this API"):
            client.mission(7)
    client, _requests = failing(httpx.Response(404, text="<html>"))
    with pytest.raises(NotFound):
        client.mission(7)


# --- As a package ---


@pytest.mark.prove
def test_wheel_installs_and_imports(tmp_path: Path):
    source = tmp_path / "python"
    shutil.copytree(Path(__file__).parents[2] / "clients" / "python", source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert "runninghub_batch_client/py.typed" in zipfile.ZipFile(wheel).namelist()
    installed = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True)
    environment = {"PYTHONPATH": str(installed), "PATH": os.environ["PATH"]}
    for command in (
        [installed / "bin" / "rhb", "--help"],
        [sys.executable, "-c", "import runninghub_batch_client as c; c.Client"],
    ):
        run = subprocess.run(list(map(str, command)), env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
