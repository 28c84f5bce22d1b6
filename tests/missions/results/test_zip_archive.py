"""The ZIP archive: complete, of the announced length, with missing files in its manifest."""

from __future__ import annotations

import csv
import gc
import hashlib
import io
import tracemalloc
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, storages
from django.utils import timezone
from pytest_django import Settings

from missions import services
from missions.models import Mission, Output
from missions.results import export, zip_archive
from missions.results.zip_archive import Bundle, BundleBroken
from tests import result_factories
from tests.factories import make_mission, picture

RED, BLUE = picture(colour="red"), picture(colour="blue")


def read(archive: Bundle) -> zipfile.ZipFile:
    """Return the archive; check its announced length and every checksum."""
    content = b"".join(archive)
    assert len(content) == archive.length
    opened = zipfile.ZipFile(io.BytesIO(content))
    assert opened.testzip() is None
    return opened


def manifest(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(export.MANIFEST).decode("utf-8-sig"))))


def path_of(mission: Mission, index: int) -> Path:
    return Path(storages["results"].path(Output.objects.get(item__mission=mission, item__index=index).file))


@pytest.fixture
def mission(owner: User) -> Mission:
    mission = make_mission(owner, ["a red fox", "一只红狐狸", "=cmd()"])
    result_factories.run(mission, [RED], [BLUE, "a text"])
    return mission


def test_archive_has_the_chosen_versions_or_all(mission: Mission) -> None:
    services.make_again(mission_id=mission.pk, indexes=[1, 2], actor="user:1")
    result_factories.run(mission, ["no fox"], [BLUE], [RED])
    first, second = "1_a-red-fox.png", "1_a-red-fox_v2.png"
    others = ["2_一只红狐狸_v2.png", "3_cmd.txt", export.MANIFEST]
    archive = read(Bundle(mission))
    assert archive.namelist() == [second, *others]
    assert archive.read(second) == BLUE
    rows = [(row["index"], row["version"], row["file"]) for row in manifest(archive)]
    assert rows[:2] == [("1", "2", second), ("2", "2", others[0])]
    services.choose_version(item=mission.items.get(index=1))
    assert read(Bundle(mission)).namelist() == [first, *others]
    names = read(Bundle(mission, has_all_versions=True)).namelist()
    assert names[:2] == [first, second]
    assert len(names) == 7
    assert read(Bundle(mission, [4])).namelist() == [second, export.MANIFEST]


def test_archive_has_every_result_under_a_readable_name(mission: Mission) -> None:
    archive = read(Bundle(mission))
    names = ["1_a-red-fox.png", "2_一只红狐狸.png", "2_一只红狐狸-2.txt", export.MANIFEST]
    assert archive.namelist() == names
    assert [archive.read(name) for name in names[:3]] == [RED, BLUE, b"a text"]


def test_manifest_has_rows_for_files_and_empty_items(mission: Mission) -> None:
    rows = manifest(read(Bundle(mission)))
    assert [(row["index"], row["status"], row["file"]) for row in rows] == [
        ("1", "completed", "1_a-red-fox.png"),
        ("2", "completed", "2_一只红狐狸.png"),
        ("2", "completed", "2_一只红狐狸-2.txt"),
        ("3", "pending", ""),
    ]
    contents = (RED, BLUE, b"a text")
    assert [row["sha256"] for row in rows[:3]] == [hashlib.sha256(content).hexdigest() for content in contents]


def test_the_archive_and_a_folder_of_results_are_the_same(mission: Mission, tmp_path: Path) -> None:
    export.export(mission, tmp_path)
    archive = read(Bundle(mission))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        name: archive.read(name) for name in archive.namelist()
    }


def test_a_mission_without_results_gives_an_archive_that_says_so(owner: User) -> None:
    archive = read(Bundle(make_mission(owner, 2)))
    assert archive.namelist() == [export.MANIFEST]
    assert [row["status"] for row in manifest(archive)] == ["pending", "pending"]


def test_a_file_that_is_missing_is_named_in_the_manifest(mission: Mission) -> None:
    path_of(mission, 1).unlink()
    archive = read(Bundle(mission))
    assert "1_a-red-fox.png" not in archive.namelist()
    assert (manifest(archive)[0]["file"], manifest(archive)[0]["error"]) == ("", zip_archive.MISSING)


def test_manifest_says_why_a_file_is_missing(mission: Mission) -> None:
    Output.objects.filter(item__index=1).update(status="pending")
    Output.objects.filter(item__index=2, index=1).update(status="lost", error_message="Its address has expired.")
    rows = [(row["index"], row["file"], row["error"]) for row in manifest(read(Bundle(mission)))]
    assert rows == [
        ("1", "", export.NOT_STORED),
        ("2", "2_一只红狐狸-2.txt", ""),
        ("2", "", "Its address has expired."),
        ("3", "", ""),
    ]


def test_archive_is_the_same_at_any_time(mission: Mission, time_machine: Any) -> None:
    first = Bundle(mission)
    content = b"".join(first)
    time_machine.move_to(timezone.now() + timedelta(days=1))
    second = Bundle(mission)
    assert (second.etag, b"".join(second)) == (first.etag, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        dates = {info.date_time[:3] for info in archive.infolist()}
    stored = {output.stored_at or mission.created_at for output in Output.objects.all()}
    assert dates == {(at.year, at.month, at.day) for at in stored}


def test_file_of_another_size_is_left_out(mission: Mission) -> None:
    path_of(mission, 1).write_bytes(RED + b"more")
    assert manifest(read(Bundle(mission)))[0]["error"] == zip_archive.RESIZED


def test_file_with_changed_bytes_is_marked(mission: Mission) -> None:
    path_of(mission, 1).write_bytes(RED[:-1] + b"?")
    rows = manifest(read(Bundle(mission)))
    assert rows[0]["sha256"] == zip_archive.CHANGED
    assert rows[1]["sha256"] == hashlib.sha256(BLUE).hexdigest()


@pytest.mark.parametrize("content", [b"", RED[:-1], RED + b"more", None])
def test_archive_breaks_off_when_a_file_changes(
    mission: Mission, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    archive = Bundle(mission)
    path = path_of(mission, 1)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(BundleBroken, match="00001-1-1"):
        b"".join(archive)
    assert "broken off" in caplog.text
    assert read(Bundle(mission)).namelist()[0] == "2_一只红狐狸.png"


def test_archive_breaks_off_when_the_mission_is_removed(mission: Mission) -> None:
    archive = Bundle(mission)
    mission.delete()  # its files remain, but the row with the text is gone
    with pytest.raises(BundleBroken, match="was removed"):
        b"".join(archive)


def test_manifest_is_the_planned_one(mission: Mission) -> None:
    archive = Bundle(mission)
    mission.items.update(status="failed", error_message="later, and longer than before")
    assert [row["error"] for row in manifest(read(archive))] == [""] * 4


def test_prompts_of_any_length_fit_into_the_manifest(owner: User) -> None:
    mission = result_factories.make_large(owner, 1)
    mission.items.update(params={"prompt": 'a "long" story,\r\n' * 20_000})
    assert read(Bundle(mission)).getinfo(export.MANIFEST).file_size > 300_000


def test_any_storage_of_django_will_do(mission: Mission, settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {"results": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    assert isinstance(storages["results"], InMemoryStorage)
    for content, output in ((RED, mission.items.get(index=1).outputs.get()),):
        storages["results"].save(output.file, ContentFile(content))
    archive = read(Bundle(mission))
    assert archive.read("1_a-red-fox.png") == RED
    assert manifest(archive)[1]["error"] == zip_archive.MISSING


def test_nothing_stays_open_after_an_archive(mission: Mission) -> None:
    gc.collect()  # garbage of earlier tests
    before = psutil.Process().num_fds()
    whole, broken_off, never_begun, forgotten = (Bundle(mission) for _ in range(4))
    b"".join(whole)
    next(iter(broken_off))
    broken_off.close()
    never_begun.close()
    del forgotten
    gc.collect()
    assert psutil.Process().num_fds() <= before


def test_memory_does_not_grow_with_the_archive(owner: User) -> None:
    content = bytes(8 * 1024**2)
    name = storages["results"].save("missions/large.png", ContentFile(content))
    digest = hashlib.sha256(content).hexdigest()
    mission = result_factories.make_large(owner, 24, file=name, size=len(content), digest=digest)
    tracemalloc.start()
    try:
        archive = Bundle(mission)
        size = sum(len(piece) for piece in archive)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == archive.length > 24 * len(content)
    assert peak < 4 * 1024**2
