"""Uploading, listing, showing and deleting reference images."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from media.models import MediaFile
from missions import services
from tests.api_client import caller
from tests.factories import make_media, make_member, make_mission, picture
from tests.missions.api.calls import data, errors, upload

pytestmark = pytest.mark.django_db

FILES = "/api/v1/media/files"


def animation(owner: User, media: MediaFile, **more: object):
    rows = [{"imageUrls": [media.reference], "prompt": "it moves"}]
    return make_mission(owner, rows, task_type="image_to_video", **more)


def test_upload_returns_facts_and_reference(owner):
    media = data(upload(caller(owner), picture("JPEG", (40, 30)), "holiday.JPG"), 201)

    assert media["reference"] == f"media:{media['id']}"
    assert (media["name"], media["owner"], media["content_type"]) == ("holiday.JPG", "mei", "image/jpeg")
    assert (media["width"], media["height"]) == (40, 30)
    assert Client().get(media["url"]).getvalue() == picture("JPEG", (40, 30))


def test_same_bytes_again_are_the_same_file(owner):
    client = caller(owner)
    first, again = data(upload(client, name="a.png"), 201), data(upload(client, name="b.png"), 200)

    assert again == first
    assert data(client.get(f"{FILES}/{first['id']}"))["names"] == ["a.png", "b.png"]


def upload_many(owner: User, files: dict[str, bytes], **fields: object):
    parts = [SimpleUploadedFile(name, content) for name, content in files.items()]
    return caller(owner).post("/api/v1/media/upload", {"file": parts, **fields})


def test_several_files_of_one_request_are_stored(owner):
    files = {"a.png": picture(), "b.heic": picture("HEIF"), "c.png": picture(colour="blue"), "d.png": picture()}
    stored = data(upload_many(owner, files, path=["x/a.png", "x/b.heic", "y/c.png", "y/d.png"]), 201)

    names = ["a.png", "b.heic", "c.png", "a.png"]  # the last has the bytes of the first
    assert [each["name"] for each in stored["files"]] == names
    assert {name: stored[name] for name in stored if name != "files"} == stored["files"][0]
    assert stored["files"][1]["warnings"]
    assert stored["files"][3]["id"] == stored["id"]
    assert "y/d.png" in data(caller(owner).get(f"{FILES}/{stored['id']}"))["names"]
    assert len(data(upload_many(owner, files), 200)["files"]) == 4


def test_one_bad_file_of_several_leaves_nothing(owner):
    files = {"a.png": picture(), "b.png": b"<html></html>", "c.png": picture("PNG", (300, 300))[:-300]}
    found = errors(upload_many(owner, files))

    assert list(found) == ["file.1", "file.2"]
    assert found["file.1"].startswith("b.png: This is not a JPEG")
    assert not MediaFile.objects.exists()
    assert "one path for each file" in errors(upload_many(owner, files, path=["a.png"]))["path"]


@pytest.mark.parametrize(("body", "content_type"), [(picture(), "image/png"), (b"{}", "application/json")])
def test_body_that_is_no_form_is_415(owner, body, content_type):
    response = caller(owner).post("/api/v1/media/upload", body, content_type=content_type)

    assert (response.status_code, response.json()["error"]) == (415, "unsupported_media_type")
    assert "multipart/form-data" in response.json()["message"]


def test_same_bytes_of_two_owners_are_two_files(owner, stranger):
    mine, theirs = data(upload(caller(owner), name="mine.png"), 201), data(upload(caller(stranger), name="x.png"), 201)

    assert mine["id"] != theirs["id"]
    assert mine["url"] != theirs["url"]
    assert theirs["name"] == "x.png"
    assert [file["id"] for file in data(caller(stranger).get(FILES))["items"]] == [theirs["id"]]


def test_deleting_leaves_same_bytes_of_other_owners(owner, stranger):
    mine, theirs = data(upload(caller(owner)), 201), data(upload(caller(stranger)), 201)

    assert caller(owner).delete(f"{FILES}/{mine['id']}").status_code == 204

    assert Client().get(theirs["url"]).getvalue() == picture()


def test_upload_says_what_models_get(owner):
    heic = data(upload(caller(owner), picture("HEIF", (40, 30)), "IMG_1.HEIC"), 201)
    plain = data(upload(caller(owner), picture("JPEG", (40, 30)), "b.jpg"), 201)

    sent = heic["sent_as"]
    content = Client().get(sent["url"])
    assert (heic["name"], heic["content_type"], content["Content-Type"]) == ("IMG_1.HEIC", "image/heic", "image/jpeg")
    assert (sent["content_type"], sent["width"], sent["height"]) == ("image/jpeg", 40, 30)
    assert (sent["changes"], sent["size_bytes"]) == (["format"], len(content.content))
    assert heic["warnings"][0].startswith("Converted from HEIC to JPEG, ")
    assert (plain["sent_as"]["changes"], plain["warnings"]) == ([], [])
    assert Client().get(plain["sent_as"]["url"]).content == Client().get(plain["url"]).getvalue()
    old = make_media(owner)
    assert data(caller(owner).get(f"{FILES}/{old.pk}"))["sent_as"] is None


def test_upload_of_no_image_names_the_field(owner):
    found = errors(upload(caller(owner), b"<html></html>", "cat.png"))

    assert "not a JPEG" in found["file"]
    assert not MediaFile.objects.exists()


@pytest.mark.parametrize("body", [{}, {"file": "text"}, {"files": "x"}])
def test_upload_without_a_file_is_refused(owner, body):
    assert "file" in errors(caller(owner).post("/api/v1/media/upload", body))


def test_files_are_listed_newest_first_in_pages(owner):
    made = [make_media(owner, content=bytes([number]), name=f"{number}.png") for number in range(5)]

    page = data(caller(owner).get(FILES, {"page": 2, "page_size": 2}))

    assert [file["id"] for file in page["items"]] == [made[2].pk, made[1].pk]
    assert (page["total"], page["page"], page["page_size"]) == (5, 2, 2)
    assert data(caller(owner).get(FILES, {"page": 9}))["items"] == []


def test_search_finds_part_of_a_name(owner):
    for name in ("black cat.png", "dog.png", "100%.png"):
        make_media(owner, content=name.encode(), name=name)

    def found(search: str) -> list[str]:
        return [file["name"] for file in data(caller(owner).get(FILES, {"search": search}))["items"]]

    assert found("CAT") == ["black cat.png"]
    assert found("%") == ["100%.png"]
    assert found("_") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        (f"page={10**30}", "page"),
        ("page_size=101", "page_size"),
        ("page_size=0", "page_size"),
        ("search=" + "x" * 201, "search"),
        ("search=%00", "search"),
    ],
)
def test_list_parameters_are_bounded(owner, query, field):
    assert field in errors(caller(owner).get(f"{FILES}?{query}"))


@pytest.mark.parametrize("media_id", ["0", "-1", str(2**63), str(10**40), "abc", "1.5", "%00"])
def test_impossible_id_is_not_found(owner, media_id):
    for method in ("get", "delete"):
        assert getattr(caller(owner), method)(f"{FILES}/{media_id}").status_code in (400, 404, 422)


def test_list_takes_constant_statements(owner, django_assert_num_queries):
    client = caller(owner)
    for number in range(30):
        make_media(owner, content=bytes([number]))
    data(client.get(FILES))  # notes the token's use

    with django_assert_num_queries(5):  # token, permissions (2), count, rows
        assert len(data(client.get(FILES, {"page_size": 30}))["items"]) == 30


def test_file_shows_its_uses(owner):
    media = make_media(owner)
    mission = animation(owner, media, name="Film")

    shown = data(caller(owner).get(f"{FILES}/{media.pk}"))

    assert shown["used_by"] == [{"api_mission_id": mission.pk, "name": "Film", "status": "queued"}]


def test_other_users_cannot_see_or_delete_a_file(owner, stranger):
    media = make_media(owner)
    for client, status in ((caller(stranger), 404), (Client(), 401)):
        assert client.get(f"{FILES}/{media.pk}").status_code == status
        assert client.delete(f"{FILES}/{media.pk}").status_code == status
    assert data(caller(stranger).get(FILES))["total"] == 0
    assert MediaFile.objects.filter(pk=media.pk).exists()


def test_staff_see_all_files(owner):
    media = make_media(owner)
    staff = caller(make_member("Operators"))

    assert data(staff.get(FILES))["items"][0]["owner"] == "mei"
    assert staff.delete(f"{FILES}/{media.pk}").status_code == 204


def test_file_of_an_open_mission_is_not_deleted(owner):
    media = make_media(owner)
    mission = animation(owner, media, name="Film")
    client = caller(owner)

    refused = client.delete(f"{FILES}/{media.pk}")

    assert refused.status_code == 409
    assert refused.json()["error"] == "not_possible"
    assert f"mission {mission.pk} (Film)" in refused.json()["message"]
    services.cancel_mission(mission_id=mission.pk, actor="test")
    assert client.delete(f"{FILES}/{media.pk}").status_code == 204
    assert client.delete(f"{FILES}/{media.pk}").status_code == 404
    assert client.get(f"{FILES}/{media.pk}").status_code == 404


def test_browser_upload_needs_a_csrf_token(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)

    assert upload(client).status_code == 403
    assert not MediaFile.objects.exists()
