"""A file that a mission names stays until the mission has ended; one that went nevertheless costs nothing."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import RestrictedError
from pytest_django import DjangoAssertNumQueries

from core.errors import NotPossible
from media import services as media_services
from media.models import MediaFile
from missions import lifecycle, references, services
from missions.models import Mission, MissionMedia, MissionStatus
from missions.services import MissionInvalid
from tests.factories import Workers, commit, make_media, make_mission, picture

pytestmark = pytest.mark.django_db


def edit(owner: User, *files: MediaFile, **more: object) -> Mission:
    rows = [{"imageUrls": [file.reference], "prompt": f"number {number}"} for number, file in enumerate(files)]
    return make_mission(owner, rows, task_type="image_to_image", **more)


def named(mission: Mission) -> set[int]:
    return set(mission.media.values_list("media_id", flat=True))


def test_a_mission_knows_its_files_once_each_whether_shared_or_in_a_row(owner):
    first, second, third = [make_media(owner, content=picture(colour=colour)) for colour in ("red", "green", "blue")]

    assert named(edit(owner, first, second, first)) == {first.pk, second.pk}
    rows = [{"prompt": "a"}, {"prompt": "b"}]
    shared = make_mission(owner, rows, task_type="image_to_image", params={"imageUrls": [third.reference]})
    assert named(shared) == {third.pk}
    assert named(make_mission(owner, [f"only a text about {first.reference}"])) == set()


def test_the_files_of_a_large_mission_are_noted_in_few_statements(
    owner, django_assert_max_num_queries: DjangoAssertNumQueries
):
    files = MediaFile.objects.bulk_create(
        MediaFile(owner=owner, name="x", sha256=str(number), content_type="image/png", size_bytes=1)
        for number in range(5000)
    )
    mission = make_mission(owner)

    with django_assert_max_num_queries(20):
        assert references.note_uses(mission.pk, [file.pk for file in files]) == []

    assert mission.media.count() == 5000


def test_to_note_a_file_twice_is_to_note_it_once(owner):
    media = make_media(owner)
    mission = edit(owner, media)

    references.note_uses(mission.pk, [media.pk, media.pk])

    assert named(mission) == {media.pk}


@pytest.mark.parametrize("status", MissionStatus)
def test_a_file_goes_only_when_every_mission_that_names_it_has_ended(owner, status):
    media = make_media(owner)
    ended, other = edit(owner, media), edit(owner, media)
    Mission.objects.filter(pk=ended.pk).update(status="failed")
    Mission.objects.filter(pk=other.pk).update(status=status)

    if status in lifecycle.OPEN:
        with pytest.raises(NotPossible, match=f"mission {other.pk}"):
            services.delete_media(media=media)
        assert MissionMedia.objects.filter(media=media).count() == 2
    else:
        services.delete_media(media=media)
        commit()
        assert not MediaFile.objects.exists()
        assert not media.file.storage.exists(media.file.name)
        assert Mission.objects.count() == 2


def test_a_refused_deletion_leaves_the_file_itself(owner):
    media = make_media(owner)
    edit(owner, media)
    with pytest.raises(NotPossible):
        services.delete_media(media=media)
    commit()
    assert media.file.storage.exists(media.file.name)


def test_nobody_removes_a_needed_file_past_the_rule(owner):
    media = make_media(owner)
    edit(owner, media)

    with pytest.raises(RestrictedError):
        media_services.delete_media(media=media)
    with pytest.raises(RestrictedError):
        media.delete()

    commit()
    assert media.file.storage.exists(media.file.name)


def test_a_person_goes_with_their_missions_and_files(owner):
    media = make_media(owner)
    edit(owner, media)

    owner.delete()

    assert not MediaFile.objects.exists()
    assert not MissionMedia.objects.exists()


def test_a_mission_that_is_removed_lets_its_files_go(owner):
    media = make_media(owner)
    mission = edit(owner, media)

    services.delete_mission(mission_id=mission.pk, actor="test")
    services.delete_media(media=media)

    assert not MediaFile.objects.exists()


def test_a_file_that_is_gone_is_told_apart(owner):
    media = make_media(owner)
    mission = make_mission(owner)

    assert references.note_uses(mission.pk, [media.pk, 999_999]) == [999_999]
    assert named(mission) == {media.pk}


@pytest.mark.django_db(transaction=True)
def test_a_mission_and_a_deletion_at_once_never_leave_a_mission_without_its_file():
    owner = User.objects.create_user("mei")
    for round_number in range(8):
        media = make_media(owner, content=picture(size=(9 + round_number, 9)))
        outcome = race(
            lambda media=media: edit(owner, *[media] * 40),
            lambda media=media: services.delete_media(media=media),
        )
        is_there = MediaFile.objects.filter(pk=media.pk).exists()
        assert is_there == media.file.storage.exists(media.file.name)
        if is_there:
            assert outcome == [None, NotPossible]
            assert MissionMedia.objects.filter(media=media).exists()
        else:
            assert outcome == [MissionInvalid, None]
    assert Mission.objects.count() == MissionMedia.objects.count()


def race(*verbs):
    """Do all at once.  Returns the class of what each raised, or None."""
    start = threading.Barrier(len(verbs))
    outcome: list[Any] = [None] * len(verbs)

    def work(number):
        try:
            start.wait()
            verbs[number]()
        except Exception as error:  # noqa: BLE001  compared by the caller
            outcome[number] = type(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(verbs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


@pytest.mark.django_db(transaction=True)
def test_the_same_bytes_come_in_while_they_are_deleted():
    owner = User.objects.create_user("mei")
    content = picture("PNG", (300, 300))
    for _ in range(8):
        media = media_services.store_upload(owner=owner, file=io.BytesIO(content), name="a.png").media
        kept: list[MediaFile] = []

        def put(kept=kept):
            kept.append(media_services.store_upload(owner=owner, file=io.BytesIO(content), name="b.png").media)

        assert race(put, lambda media=media: services.delete_media(media=media)) == [None, None]
        row = MediaFile.objects.first()
        if row is None:  # the upload found the old row just before it went
            assert kept == [media]
        else:
            assert row == kept[0] != media
            assert row.file.storage.exists(row.file.name)
            services.delete_media(media=row)


def test_a_file_that_went_between_failure_and_retry_costs_nothing(owner, workers: Workers, simulator):
    media = make_media(owner)
    simulator.set(upload_max_bytes=10)
    mission = workers.finish(edit(owner, media))
    assert mission.status == "failed"
    services.delete_media(media=media)
    simulator.reset()

    services.retry_failed(mission_id=mission.pk, actor="test")
    mission = workers.finish(mission)

    item = mission.items.get()
    assert (item.status, item.error_code) == ("failed", "reference_missing")
    assert f"media:{media.pk} no longer exists: upload it again" in item.error_message
    assert (simulator.stats()["submits"], item.attempt_count, mission.cost) == (0, 0, 0)
