"""Results of a mission over the API: URLs, file names, and interrupted downloads."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import requests
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone

from missions.models import Mission, Output
from tests import result_factories
from tests.api_client import caller, new_token
from tests.factories import make_member, make_mission, picture
from tests.missions.api.event_reader import deaf, wait_for
from tests.process_fixtures import Web

WAYS = ("download", "results.jsonl", "results.csv")
RED = picture(colour="red")


def path(mission: Mission, way: str) -> str:
    return f"/api/v1/missions/{mission.pk}/{way}"


@pytest.fixture
def mission(owner: User) -> Mission:
    mission = make_mission(owner, ["a red fox", "an owl"], name="春/夏: Foxes")
    result_factories.run(mission, [RED])
    return mission


def test_download_is_an_archive_of_known_length(owner: User, mission: Mission) -> None:
    answer = caller(owner).get(path(mission, "download"))
    content = answer.getvalue()
    answer.close()
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Length"] == str(len(content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["1_a-red-fox.png", "manifest.csv"]


@pytest.mark.parametrize("way, ending", [("download", "zip"), ("results.jsonl", "jsonl"), ("results.csv", "csv")])
def test_downloads_are_named_after_the_mission(owner: User, mission: Mission, way: str, ending: str) -> None:
    answer = caller(owner).get(path(mission, way))
    answer.close()
    assert (
        answer.headers["Content-Disposition"] == f'attachment; filename="Foxes_results.{ending}"; '
        f"filename*=utf-8''{quote(f'春_夏_ Foxes_results.{ending}')}"
    )


def test_tables_contain_file_urls(owner: User, mission: Mission) -> None:
    client = caller(owner)
    lines = [json.loads(line) for line in client.get(path(mission, "results.jsonl")).getvalue().splitlines()]
    table = client.get(path(mission, "results.csv")).getvalue().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [line["index"] for line in lines] == [1, 2]
    assert rows[0]["file_url"] == lines[0]["outputs"][0]["file_url"]
    assert client.get(rows[0]["file_url"]).getvalue() == RED


def test_json_line_equals_the_listed_item(owner: User, mission: Mission) -> None:
    client = caller(owner)
    lines = [json.loads(line) for line in client.get(path(mission, "results.jsonl")).getvalue().splitlines()]
    assert lines == client.get(path(mission, "items")).json()["data"]["items"]


@pytest.mark.parametrize("way", WAYS)
def test_results_belong_to_their_owner(stranger: User, mission: Mission, way: str) -> None:
    assert caller(stranger).get(path(mission, way)).status_code == 404
    assert Client().get(path(mission, way)).status_code == 401
    operator = make_member("Operators")
    assert caller(operator).get(path(mission, way)).getvalue()


def test_archive_can_be_resumed(owner: User, mission: Mission, time_machine: Any) -> None:
    client = caller(owner)
    first = client.get(path(mission, "download"))
    whole = first.getvalue()
    assert (first["Accept-Ranges"], first.status_code) == ("bytes", 200)
    time_machine.move_to(timezone.now() + timedelta(hours=1))
    middle = len(whole) // 2
    table = [
        (f"bytes={middle}-", middle, len(whole) - 1),
        ("bytes=0-9", 0, 9),
        ("bytes=-30", len(whole) - 30, len(whole) - 1),
        (f"bytes={len(whole) - 1}-", len(whole) - 1, len(whole) - 1),
    ]
    for byte_range, start, end in table:
        part = client.get(path(mission, "download"), headers={"Range": byte_range, "If-Range": first["ETag"]})
        assert part.status_code == 206, byte_range
        assert part.getvalue() == whole[start : end + 1], byte_range
        assert part["Content-Range"] == f"bytes {start}-{end}/{len(whole)}"
        assert part["Content-Length"] == str(end - start + 1)
    assert client.get(path(mission, "download"), headers={"If-None-Match": first["ETag"]}).status_code == 304
    refused = client.get(path(mission, "download"), headers={"Range": f"bytes={len(whole)}-"})
    assert (refused.status_code, refused["Content-Range"]) == (416, f"bytes */{len(whole)}")
    head = client.head(path(mission, "download"))
    assert (head["Content-Length"], head["ETag"]) == (str(len(whole)), first["ETag"])


def test_changed_archive_is_sent_from_its_start(owner: User, mission: Mission) -> None:
    client = caller(owner)
    first = client.get(path(mission, "download"))
    first.getvalue()
    result_factories.run(mission, [RED])
    headers = {"Range": "bytes=100-", "If-Range": first["ETag"]}
    again = client.get(path(mission, "download"), headers=headers)
    assert (again.status_code, again["ETag"] == first["ETag"]) == (200, False)
    with zipfile.ZipFile(io.BytesIO(again.getvalue())) as archive:
        assert len(archive.namelist()) == 3


def test_file_that_changed_on_disk_changes_the_etag(owner: User, mission: Mission) -> None:
    client = caller(owner)
    first = client.get(path(mission, "download"))
    first.getvalue()
    [output] = Output.objects.filter(item__mission=mission)
    os.utime(storages["results"].path(output.file), (1, 1))
    again = client.get(path(mission, "download"), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again["ETag"] == first["ETag"]) == (200, False)


# --- Over a network ---


@pytest.fixture
def large(server: Web, owner: User) -> Mission:
    """Return a mission whose archive has 96 MiB."""
    content = bytes(4 * 1024**2)
    name = storages["results"].save("missions/large.png", ContentFile(content))
    digest = hashlib.sha256(content).hexdigest()
    return result_factories.make_large(owner, 24, file=name, size=len(content), digest=digest)


def test_memory_does_not_grow_with_the_download(server: Web, owner: User, large: Mission, tmp_path: Path) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    token = new_token(owner)
    headers = {"Authorization": f"Bearer {token}"}
    requests.get(server.url + path(large, "results.csv"), headers=headers, timeout=20).raise_for_status()
    before = process.memory_full_info().uss
    highest = before
    saved = tmp_path / "results.zip"
    with requests.get(server.url + path(large, "download"), headers=headers, stream=True, timeout=20) as answer:
        with saved.open("wb") as file:
            for piece in answer.iter_content(1024**2):
                file.write(piece)
                highest = max(highest, process.memory_full_info().uss)
        assert saved.stat().st_size == int(answer.headers["Content-Length"])
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
    assert highest - before < 30 * 1024**2


def test_client_notices_an_incomplete_archive(server: Web, owner: User, large: Mission) -> None:
    headers = {"Authorization": f"Bearer {new_token(owner)}"}
    with requests.get(server.url + path(large, "download"), headers=headers, stream=True, timeout=20) as answer:
        pieces = answer.iter_content(1024**2)
        next(pieces)
        Path(storages["results"].path("missions/large.png")).unlink()
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            list(pieces)


def test_aborted_download_leaves_nothing(server: Web, owner: User, large: Mission) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    token = new_token(owner)
    connections = [deaf(server, large.pk, token, "download") for _ in range(5)]
    assert [connection.recv(4) for connection in connections] == [b"HTTP"] * 5
    for connection in connections:
        connection.close()
    wait_for(lambda: "large.png" not in str(process.open_files()))
