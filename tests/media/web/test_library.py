"""The media library: what is there, where it is used, what can go and what cannot."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from media.models import MediaFile
from missions import services
from tests.factories import make_media, make_mission, picture

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def image(owner: User, name: str = "cat.png", colour: str = "red") -> MediaFile:
    return make_media(owner, content=picture(colour=colour), name=name)


def used_by_mission(owner: User, media: MediaFile):
    rows = [{"imageUrls": [media.reference], "prompt": "it moves"}]
    return make_mission(owner, rows, task_type="image_to_video", name="Moving cats")


def file(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def test_library_pages_are_newest_first(client, owner):
    for number in range(61):
        make_media(owner, content=str(number).encode(), name=f"photo {number:02}.png")

    first, second = text(client.get("/media")), text(client.get("/media?page=2"))

    assert "photo 60.png" in first
    assert "photo 00.png" not in first
    assert "photo 00.png" in second
    assert "61 images" in first


def test_library_takes_constant_statements(client, owner, django_assert_max_num_queries):
    for number in range(60):
        make_media(owner, content=str(number).encode())

    with django_assert_max_num_queries(12):
        client.get("/media")


def test_search_finds_images_by_name(client, owner):
    image(owner, "Sunset.png")
    image(owner, "cat.png", "blue")

    assert "cat.png" not in text(client.get("/media?search=sun"))
    assert "No matching images" in text(client.get("/media?search=dog"))


def test_empty_library_explains_itself(client):
    assert "No images yet" in text(client.get("/media"))


def test_several_files_upload_with_errors_by_name(client, owner):
    files = [file("a.png", picture()), file("b.png", picture(colour="blue")), file("c.png", b"no image")]

    shown = text(client.post("/media/upload", {"file": files}, follow=True))

    assert "2 images were uploaded." in shown
    assert "c.png: This is not a JPEG, PNG, GIF, WebP, HEIC, AVIF, BMP or TIFF image." in shown
    assert MediaFile.objects.filter(owner=owner).count() == 2


def test_upload_without_files_asks_for_one(client):
    assert "Choose at least one image." in text(client.post("/media/upload", follow=True))


def test_image_page_shows_facts_and_uses(client, owner):
    media = image(owner)
    assert "No mission uses it." in text(client.get(f"/media/images/{media.pk}"))
    used_by_mission(owner, media)

    shown = text(client.get(f"/media/images/{media.pk}"))

    assert "Moving cats" in shown
    assert f"media:{media.pk}" in shown
    assert "It cannot be deleted now" in shown
    assert "is used by mission" in shown


def test_unused_image_is_deleted_after_confirmation(client, owner):
    media = image(owner)

    assert "Delete 1 image?" in text(client.get(f"/media/images/{media.pk}/delete"))
    assert "Delete 1 image?" in text(client.post("/media/delete", {"images": media.pk}))
    assert MediaFile.objects.exists()

    shown = text(client.post("/media/delete", {"images": media.pk, "confirmed": "1"}, follow=True))

    assert "1 image was deleted." in shown
    assert not MediaFile.objects.exists()


def test_used_images_stay_with_a_reason(client, owner):
    needed, free = image(owner, "needed.png"), image(owner, "free.png", "blue")
    mission = used_by_mission(owner, needed)
    ticked = {"images": [needed.pk, free.pk]}
    assert "1 image cannot be deleted now" in text(client.post("/media/delete", ticked))

    shown = text(client.post("/media/delete", ticked | {"confirmed": "1"}, follow=True))

    assert "1 image was deleted." in shown
    assert "needed.png is used by mission" in shown
    assert list(MediaFile.objects.all()) == [needed]

    services.cancel_mission(mission_id=mission.pk, actor="user:1")
    client.post(f"/media/images/{needed.pk}/delete")
    assert not MediaFile.objects.exists()


def test_selected_images_open_a_new_mission(client, owner):
    first, second = image(owner), image(owner, "b.png", "blue")

    answer = client.post("/media/use", {"images": [first.pk, second.pk]})

    assert answer["Location"] == f"/missions/new?media={first.pk},{second.pk}"


@pytest.mark.parametrize("images", [[], ["x"], ["-1"], ["9" * 30]])
@pytest.mark.parametrize("act", ["use", "delete"])
def test_empty_selection_leads_back(client, act, images):
    assert client.post(f"/media/{act}", {"images": images})["Location"] == "/media"


def test_images_of_others_are_not_found(client, stranger):
    theirs = image(stranger, "secret.png")

    assert "secret.png" not in text(client.get("/media"))
    assert client.get(f"/media/images/{theirs.pk}").status_code == 404
    assert client.post(f"/media/images/{theirs.pk}/delete").status_code == 404
    client.post("/media/delete", {"images": theirs.pk, "confirmed": "1"})
    assert MediaFile.objects.exists()


def test_library_needs_signing_in(owner):
    media = image(owner)
    for address in ("/media", f"/media/images/{media.pk}", f"/media/images/{media.pk}/delete"):
        assert "/accounts/login/" in Client().get(address)["Location"]
    assert Client().get("/media/use").status_code in (302, 405)
