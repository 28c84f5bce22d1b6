"""Uploads and results in S3-compatible storage, with a real client and server."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from pytest_django import Settings

from core.storage.config import storages_of
from core.storage.s3 import Bucket
from missions import services
from missions.models import ItemStatus, Mission, Output
from missions.results.zip_archive import Bundle
from operations import doctor, retention
from tests import result_factories
from tests.factories import Workers, commit, make_media, make_mission, picture
from tests.missions.api.calls import data, upload
from tests.missions.api.client import ROOT, Api
from tests.object_storage import ObjectStorage

pytestmark = pytest.mark.django_db

MEGABYTE = 1024 * 1024
JPEG = b"\xff\xd8"
NOBODY = "s3://results-of-tests?endpoint_url=http://127.0.0.1:9&region_name=us-east-1"


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStorage]:
    with ObjectStorage() as server:
        yield server


@pytest.fixture
def bucket(server: ObjectStorage, settings: Settings) -> ObjectStorage:
    server.empty()
    server.lead_here(settings)
    return server


@pytest.fixture(autouse=True)
def _no_wait_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *arguments: 0)


@pytest.fixture
def no_bucket(bucket: ObjectStorage, settings: Settings) -> None:
    """Return the URL of a server that does not answer."""
    settings.STORAGES = settings.STORAGES | storages_of(NOBODY, settings.RESULTS_ROOT)


def read(answer: Any) -> bytes:
    assert answer.status_code in (200, 206), answer.content
    return b"".join(answer.streaming_content)


def files_on_disk(settings: Settings) -> list[Path]:
    roots = (settings.MEDIA_ROOT, settings.RESULTS_ROOT, Path(settings.DATA_DIR) / "tmp")
    return [path for root in roots for path in Path(root).rglob("*") if path.is_file()]


def test_mission_lives_in_the_bucket(
    bucket: ObjectStorage, workers: Workers, owner: User, api: Api, strange_api: Api, settings: Settings
) -> None:
    before = files_on_disk(settings)
    media = data(upload(api.client, picture()), 201)
    assert b"".join(api.client.get(media["url"])) == picture()
    assert b"".join(api.client.get(media["preview_url"]))[:2] == JPEG

    row = {"imageUrls": [f"media:{media['id']}"], "prompt": "a hat"}
    mission = workers.finish(make_mission(owner, [row], task_type="image_to_image"))
    assert mission.completed_count == 1
    output = f"/{mission.pk}/items/1/outputs/1"
    whole = read(api.get(output))
    assert len(whole) == Output.objects.get().size_bytes
    part = api.client.get(ROOT + output, headers={"Range": "bytes=-10"})
    assert (part.status_code, read(part)) == (206, whole[-10:])
    assert read(api.get(f"{output}/thumbnail"))[:2] == JPEG
    assert strange_api.get(output).status_code == 404

    archive = api.get(f"/{mission.pk}/download")
    content = read(archive)
    assert len(content) == int(archive["Content-Length"])
    opened = zipfile.ZipFile(io.BytesIO(content))
    assert opened.read(opened.namelist()[0]) == whole

    assert len(bucket.names()) == 4  # the upload and its preview, the result and its thumbnail
    folders = ("site/uploads/media/", f"site/results/missions/{mission.pk}/")
    assert all(key.startswith(folders) for key in bucket.names())
    services.delete_mission(mission_id=mission.pk, actor="user:1")
    assert api.client.delete(f"/api/v1/media/files/{media['id']}").status_code == 204
    commit()
    assert bucket.names() == []
    assert files_on_disk(settings) == before


def test_file_is_streamed_from_any_position(bucket: ObjectStorage) -> None:
    content = random.Random(1).randbytes(24 * MEGABYTE)
    storage = storages["results"]
    storage.save("missions/1/large.bin", ContentFile(content))
    tracemalloc.start()
    with storage.open("missions/1/large.bin") as file:
        assert file.size == len(content)
        position = 0
        for chunk in file.chunks(MEGABYTE):
            assert chunk == content[position : position + len(chunk)]
            position += len(chunk)
        assert position == len(content)
        for place in (5 * MEGABYTE, 17, len(content) - 3):
            file.seek(place)
            assert file.read(100) == content[place : place + 100]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


def test_zip_lists_files_missing_in_the_bucket(bucket: ObjectStorage, owner: User) -> None:
    mission = make_mission(owner, 3)
    result_factories.run(mission, [picture()], [picture(colour="blue")], [picture(colour="green")])
    first, second, _ = Output.objects.order_by("pk")
    storages["results"].delete(first.file)
    storages["results"].save(second.file, ContentFile(b"other"))
    archive = Bundle(mission)
    content = b"".join(archive)
    assert len(content) == archive.length
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert [name[:4] for name in names] == ["3_a-", "mani"]


def test_zip_of_a_selection_asks_once_for_each_file(bucket: ObjectStorage, owner: User) -> None:
    mission = make_mission(owner, 3)
    result_factories.run(mission, [picture()], [picture(colour="blue")], [picture(colour="green")])
    storages["results"].delete(Output.objects.earliest("pk").file)
    requests: list[str] = []
    events = cast(Bucket, storages["results"]).connection.meta.client.meta.events
    events.register("before-call.s3.HeadObject", lambda **facts: requests.append(facts["model"].name))
    archive = Bundle(mission, [1, 2])
    assert requests == ["HeadObject"] * 2
    names = zipfile.ZipFile(io.BytesIO(b"".join(archive))).namelist()
    assert [name[:4] for name in names] == ["2_a-", "mani"]


def test_no_zip_without_the_bucket(no_bucket: None, owner: User) -> None:
    with pytest.raises(OSError, match="object storage failed"):
        Bundle(make_mission(owner, 1))


def test_unreachable_bucket_loses_nothing(
    bucket: ObjectStorage, workers: Workers, owner: User, settings: Settings
) -> None:
    media = make_media(owner)
    row = {"imageUrls": [media.reference], "prompt": "a hat"}
    with_reference = make_mission(owner, [row], task_type="image_to_image")
    without = make_mission(owner, 1)
    settings.STORAGES = settings.STORAGES | storages_of(NOBODY, settings.RESULTS_ROOT)

    workers.run(lambda: Output.objects.filter(try_count__gt=1).exists() and was_refused(with_reference))
    assert without.items.get().status == ItemStatus.COMPLETED
    assert "could not be fetched" in Output.objects.get().error_message

    bucket.lead_here(settings)
    for mission in (with_reference, without):
        assert workers.finish(mission).completed_count == 1


def was_refused(mission: Mission) -> bool:
    item = mission.items.get()
    return item.status == ItemStatus.PENDING and item.refusal_count > 0


def test_old_objects_without_row_are_deleted(bucket: ObjectStorage, owner: User) -> None:
    result_factories.run(make_mission(owner, 1), [picture()])
    make_media(owner)
    kept = bucket.names()
    storages["results"].save("missions/9/stray.png", ContentFile(b"1234"))
    storages["default"].save("media/2020/01/stray.png", ContentFile(b"12345"))
    report = {cleaned.kind: cleaned for cleaned in retention.clean(now=timezone.now(), apply=True)}
    assert len(bucket.names()) == len(kept) + 2
    report = {cleaned.kind: cleaned for cleaned in retention.clean(now=timezone.now() + timedelta(days=2), apply=True)}
    assert report["result files without a row"].size_bytes == 4
    assert report["uploads without a row"].size_bytes == 5
    assert bucket.names() == kept


def findings(part: str) -> list[doctor.Finding]:
    return [finding for finding in doctor.examine() if finding.part == part]


def test_doctor_checks_the_bucket(bucket: ObjectStorage) -> None:
    assert [finding.level for part in ("results", "uploads") for finding in findings(f"storage of {part}")] == [
        "ok"
    ] * 2
    assert bucket.names() == []


@pytest.mark.parametrize("place", [NOBODY, "s3://no-such-bucket?endpoint_url={endpoint}&region_name=us-east-1"])
def test_doctor_explains_an_unusable_bucket(bucket: ObjectStorage, settings: Settings, place: str) -> None:
    settings.STORAGES = settings.STORAGES | storages_of(place.format(endpoint=bucket.endpoint), settings.RESULTS_ROOT)
    (finding,) = findings("storage of results")
    assert finding.level == "fail"
    assert "object storage" in finding.message
    assert "STORAGE_URL" in finding.remedy
