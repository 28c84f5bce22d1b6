"""A file stays while an open mission uses it; an item whose file is missing costs nothing."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import RestrictedError
from pytest_django import DjangoAssertNumQueries

from media import services as media_services
from media import uses
from media.models import MediaFile, MediaUse
from missions import lifecycle, services
from missions.models import Mission, MissionStatus
from missions.services import MissionInvalid
from tests.factories import Workers, commit, make_media, make_mission, picture

pytestmark = pytest.mark.django_db


def edit(owner: User, *files: MediaFile, **more: object) -> Mission:
    rows = [{"imageUrls": [file.reference], "prompt": f"number {number}"} for number, file in enumerate(files)]
    return make_mission(owner, rows, task_type="image_to_image", **more)


def used_ids(mission: Mission) -> set[int]:
    return set(mission.media.values_list("media_id", flat=True))


def test_each_file_is_recorded_once(owner):
    first, second, third = [make_media(owner, content=picture(colour=colour)) for colour in ("red", "green", "blue")]

    assert used_ids(edit(owner, first, second, first)) == {first.pk, second.pk}
    rows = [{"prompt": "a"}, {"prompt": "b"}]
    shared = make_mission(owner, rows, task_type="image_to_image", params={"imageUrls": [third.reference]})
    assert used_ids(shared) == {third.pk}
    assert used_ids(make_mission(owner, [f"only a text about {first.reference}"])) == set()


def test_many_files_are_recorded_in_few_statements(owner, django_assert_max_num_queries: DjangoAssertNumQueries):
    files = MediaFile.objects.bulk_create(
        MediaFile(owner=owner, name="x", sha256=str(number), content_type="image/png", size_bytes=1)
        for number in range(5000)
    )
    mission = make_mission(owner)

    with django_assert_max_num_queries(20):
        assert uses.record_uses(mission.pk, [file.pk for file in files]) == []

    assert mission.media.count() == 5000


def test_recording_a_file_twice_makes_one_row(owner):
    media = make_media(owner)
    mission = edit(owner, media)

    uses.record_uses(mission.pk, [media.pk, media.pk])

    assert used_ids(mission) == {media.pk}


@pytest.mark.parametrize("status", MissionStatus)
def test_file_is_deleted_once_all_its_missions_ended(owner, status):
    media = make_media(owner)
    ended, other = edit(owner, media), edit(owner, media)
    Mission.objects.filter(pk=ended.pk).update(status="failed")
    Mission.objects.filter(pk=other.pk).update(status=status)

    if status in lifecycle.OPEN:
        with pytest.raises(media_services.MediaInUse, match=f"mission {other.pk}"):
            media_services.delete_media(media=media)
        assert MediaUse.objects.filter(media=media).count() == 2
    else:
        media_services.delete_media(media=media)
        commit()
        assert not MediaFile.objects.exists()
        assert not media.file.storage.exists(media.file.name)
        assert Mission.objects.count() == 2


def test_refused_deletion_keeps_the_file(owner):
    media = make_media(owner)
    edit(owner, media)
    with pytest.raises(media_services.MediaInUse):
        media_services.delete_media(media=media)
    commit()
    assert media.file.storage.exists(media.file.name)


def test_database_refuses_to_delete_a_used_row(owner):
    media = make_media(owner)
    edit(owner, media)

    with pytest.raises(RestrictedError):
        media.delete()

    commit()
    assert media.file.storage.exists(media.file.name)


def test_deleting_a_user_deletes_missions_and_files(owner):
    media = make_media(owner)
    edit(owner, media)

    owner.delete()

    assert not MediaFile.objects.exists()
    assert not MediaUse.objects.exists()


def test_deleted_mission_releases_its_files(owner):
    media = make_media(owner)
    mission = edit(owner, media)

    services.delete_mission(mission_id=mission.pk, actor="test")
    media_services.delete_media(media=media)

    assert not MediaFile.objects.exists()


def test_missing_files_are_returned(owner):
    media = make_media(owner)
    mission = make_mission(owner)

    assert uses.record_uses(mission.pk, [media.pk, 999_999]) == [999_999]
    assert used_ids(mission) == {media.pk}


@pytest.mark.django_db(transaction=True)
def test_create_and_delete_at_once_leave_no_missing_file():
    owner = User.objects.create_user("mei")
    for round_number in range(8):
        media = make_media(owner, content=picture(size=(9 + round_number, 9)))
        outcome = race(
            lambda media=media: edit(owner, *[media] * 40),
            lambda media=media: media_services.delete_media(media=media),
        )
        is_there = MediaFile.objects.filter(pk=media.pk).exists()
        assert is_there == media.file.storage.exists(media.file.name)
        if is_there:
            assert outcome == [None, media_services.MediaInUse]
            assert MediaUse.objects.filter(media=media).exists()
        else:
            assert outcome == [MissionInvalid, None]
    assert Mission.objects.count() == MediaUse.objects.count()


def race(*calls):
    """Call all at once. Return the exception class that each raised, or None."""
    start = threading.Barrier(len(calls))
    outcome: list[Any] = [None] * len(calls)

    def work(number):
        try:
            start.wait()
            calls[number]()
        except Exception as error:  # noqa: BLE001  compared by the caller
            outcome[number] = type(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


@pytest.mark.django_db(transaction=True)
def test_upload_and_delete_of_same_bytes_at_once():
    owner = User.objects.create_user("mei")
    content = picture("PNG", (300, 300))
    for _ in range(8):
        media = media_services.store_upload(owner=owner, file=io.BytesIO(content), name="a.png").media
        stored: list[MediaFile] = []

        def put(stored=stored):
            stored.append(media_services.store_upload(owner=owner, file=io.BytesIO(content), name="b.png").media)

        assert race(put, lambda media=media: media_services.delete_media(media=media)) == [None, None]
        row = MediaFile.objects.first()
        if row is None:  # the upload returned the old row just before its deletion
            assert stored == [media]
        else:
            assert row == stored[0] != media
            assert row.file.storage.exists(row.file.name)
            media_services.delete_media(media=row)


def test_retry_without_its_file_costs_nothing(owner, workers: Workers, simulator):
    media = make_media(owner)
    simulator.set(upload_max_bytes=10)
    mission = workers.finish(edit(owner, media))
    assert mission.status == "failed"
    media_services.delete_media(media=media)
    simulator.reset()

    services.retry_failed(mission_id=mission.pk, actor="test")
    mission = workers.finish(mission)

    item = mission.items.get()
    assert (item.status, item.error_code) == ("failed", "reference_missing")
    assert f"media:{media.pk} no longer exists: upload it again" in item.error_message
    assert (simulator.stats()["submits"], item.attempt_count, mission.cost) == (0, 0, 0)
