"""Files are found by every name under which they were uploaded; ambiguous names are reported."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from media.models import MediaFile, MediaName
from media.names import is_name, resolve
from media.services import delete_media, store_upload
from tests.factories import make_media, picture

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def uploads(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def upload(owner: User, name: str, colour: str = "red", kind: str = "PNG") -> str:
    content = picture(kind, colour=colour)
    return store_upload(owner=owner, file=io.BytesIO(content), name=name).media.reference


def reference_of(owner: User, text: str) -> str | None:
    return resolve([text], owner=owner).references.get(text)


def test_every_name_leads_to_its_file(owner):
    front = upload(owner, "front.png")
    assert upload(owner, "Vorderseite.PNG") == front  # the same bytes again
    back = upload(owner, unicodedata.normalize("NFD", "Rückseite.png"), "blue")
    odd = upload(owner, "odd.jpg", "green")  # a PNG
    plain = upload(owner, "IMG 7", "black")
    nested = upload(owner, "shop/2026/shoe.heic", "white", "HEIF")
    cases = {
        "front.png": front,
        "FRONT.PNG": front,
        "vorderseite.png": front,
        "front": front,
        " front.png\u200b": front,
        "photos/front.png": front,
        "C:\\Users\\mei\\photos\\front.png": front,
        "./front.png": front,
        "media:front.png": front,
        "Rückseite.png": back,
        unicodedata.normalize("NFD", "rückseite"): back,
        "odd.jpg": odd,
        "odd.jpg.png": odd,
        "odd": odd,
        "IMG 7": plain,
        "IMG 7.png": plain,
        "shoe.heic": nested,
        "2026\\shoe.HEIC": nested,
        "shoe": nested,
    }
    assert resolve(cases, owner=owner).references == cases


def test_ambiguous_and_unknown_names_are_explained(owner, stranger):
    jpg, png = upload(owner, "a.jpg", kind="JPEG"), upload(owner, "a.png")
    left, right = upload(owner, "left/b.png", "blue"), upload(owner, "right/b.png", "green")
    upload(stranger, "theirs.png")
    assert (reference_of(owner, "a.jpg"), reference_of(owner, "a.png")) == (jpg, png)
    assert (reference_of(owner, "left/b.png"), reference_of(owner, "x\\right\\b.png")) == (left, right)
    cases = {
        "a": f"Several of your images fit this name: a.jpg ({jpg}), a.png ({png}). Write media:ID instead.",
        "other/b.png": f"Several of your images fit this name: left/b.png ({left}), right/b.png ({right}).",
        "a.gif": f"You have no uploaded image of this name, but a.jpg ({jpg}), a.png ({png}). Write that name.",
        "theirs.png": "You have no uploaded image of this name. Upload it to your library first.",
    }
    resolved = resolve(cases, owner=owner)
    assert not resolved.references
    for text, problem in cases.items():
        assert resolved.problems[text].startswith(problem), text


def test_exact_spelling_then_newest_file_is_used(owner):
    lower, upper = upload(owner, "c.png"), upload(owner, "C.png", "blue")
    assert (reference_of(owner, "c.png"), reference_of(owner, "C.png")) == (lower, upper)
    assert "Several" in resolve(["C.PNG"], owner=owner).problems["C.PNG"]
    first = upload(owner, "1.png", "green")
    second = upload(owner, "1.png", "black")
    resolved = resolve(["1.png"], owner=owner)
    assert (resolved.references, resolved.repeated) == ({"1.png": second}, ["1.png"])
    upload(owner, "1.png", "green")  # the first again: now it is the newest
    assert reference_of(owner, "1.png") == first


def test_addresses_of_this_site_are_its_files(owner, stranger, settings):
    settings.ALLOWED_HOSTS = ["batch.example.org", "127.0.0.1"]
    mine, theirs = make_media(owner), make_media(stranger)
    for start in ("", "http://127.0.0.1:8810", "https://batch.example.org", "http://LOCALHOST:1"):
        for end in ("", "/preview", "/sent"):
            assert reference_of(owner, f"{start}/media/{mine.key}{end}") == mine.reference, start
        problem = resolve([f"{start}/media/{theirs.key}"], owner=owner).problems[f"{start}/media/{theirs.key}"]
        assert "no uploaded file at this address" in problem
    for text in (f"https://elsewhere.example/media/{mine.key}", "https://a.example/b.png", "media:12", "output:1/2"):
        assert not is_name(text)


def test_names_of_an_older_release_are_found(owner, django_assert_max_num_queries):
    media = make_media(owner, name="Old.png")
    assert not MediaName.objects.exists()
    assert reference_of(owner, "old.PNG") == media.reference
    with django_assert_max_num_queries(4):
        assert len(resolve([f"{number}.png" for number in range(300)], owner=owner).problems) == 300


def test_names_are_deleted_with_their_file(owner):
    upload(owner, "a.png")
    upload(owner, "b.png")
    delete_media(media=MediaFile.objects.get())
    assert not MediaName.objects.exists()
