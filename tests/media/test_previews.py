"""Previews: small, upright, without metadata; made once, and deleted with their image."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from PIL import Image
from pytest_django import Settings

from media.models import MediaFile
from media.previews import preview_path
from media.services import delete_media, store_upload

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def uploads(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def photo(kind: str = "JPEG", size: tuple[int, int] = (1200, 800), mode: str = "RGB", **more: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **more)
    return buffer.getvalue()


def keep(owner: User, content: bytes) -> MediaFile:
    return store_upload(owner=owner, file=io.BytesIO(content), name="photo").media


def url(media: MediaFile) -> str:
    return reverse("media:preview", args=[media.key])


def shown(media: MediaFile) -> Image.Image:
    answer = Client().get(url(media))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("WEBP", "RGB")]
)
def test_every_format_gets_a_small_jpeg(owner, kind, mode):
    preview = shown(keep(owner, photo(kind, mode=mode)))

    assert (preview.format, preview.size) == ("JPEG", (384, 256))


def test_preview_is_upright_and_without_metadata(owner):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "Camera of Mei"

    content = Client().get(url(keep(owner, photo(exif=exif)))).content

    preview = Image.open(io.BytesIO(content))
    assert preview.size == (256, 384)
    assert not preview.getexif()
    assert b"Camera" not in content


def test_preview_is_made_once(owner):
    media = keep(owner, photo())
    first = Client().get(url(media))
    media.file.storage.delete(str(media.file.name))

    assert Client().get(url(media)).content == first.content
    assert Client().get(url(media), headers={"If-None-Match": first["ETag"]}).status_code == 304
    assert first["X-Content-Type-Options"] == "nosniff"


def test_preview_is_deleted_with_its_image(owner, uploads, django_capture_on_commit_callbacks):
    media = keep(owner, photo())
    shown(media)
    with django_capture_on_commit_callbacks(execute=True):
        delete_media(media=media)

    assert Client().get(url(media)).status_code == 404
    assert not [path for path in uploads.rglob("*") if path.is_file()]


@pytest.mark.parametrize("content", [None, b"no image any more", photo()[:2000]])
def test_lost_or_damaged_image_has_no_preview(owner, uploads, content):
    media = keep(owner, photo("PNG", size=(2000, 2000)))
    path = uploads / str(media.file.name)
    path.unlink() if content is None else path.write_bytes(content)

    assert Client().get(url(media)).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_store_one_preview(uploads):
    media = keep(User.objects.create_user("mei"), photo())
    start, answers = threading.Barrier(4), []

    def look() -> None:
        start.wait()
        answers.append(Client().get(url(media)).status_code)
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * 4
    stored = {str(path.relative_to(uploads)) for path in uploads.rglob("*") if path.is_file()}
    assert stored == {str(media.file.name), preview_path(media)}
