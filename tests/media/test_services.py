"""Uploads: a valid image is stored once with its file; an invalid one leaves nothing."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import connection
from PIL import Image
from pytest_django import Settings

from core.errors import NotPossible
from media.models import MediaFile
from media.services import UploadInvalid, delete_media, read_upload, store, store_upload
from tests.interleaving import meanwhile


@pytest.fixture(autouse=True)
def uploads(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def picture(kind: str = "PNG", size: tuple[int, int] = (12, 8), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def upload(owner: User, content: bytes, name: str = "photo.png") -> MediaFile:
    return store_upload(owner=owner, file=io.BytesIO(content), name=name).media


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("kind", "content_type", "ending"),
    [
        ("JPEG", "image/jpeg", ".jpg"),
        ("PNG", "image/png", ".png"),
        ("GIF", "image/gif", ".gif"),
        ("WEBP", "image/webp", ".webp"),
        ("BMP", "image/bmp", ".bmp"),
        ("TIFF", "image/tiff", ".tiff"),
        ("AVIF", "image/avif", ".avif"),
        ("HEIF", "image/heic", ".heic"),
    ],
)
def test_format_is_detected_from_content(owner: User, kind: str, content_type: str, ending: str) -> None:
    content = picture(kind)

    media = upload(owner, content, "IMG_1.dat")

    assert (media.content_type, media.width, media.height) == (content_type, 12, 8)
    assert media.size_bytes == len(content)
    assert media.name == f"IMG_1.dat{ending}"
    assert str(media.file.name).endswith(f"{media.key}{ending}")
    with media.file.open("rb") as file:
        assert file.read() == content


def test_same_bytes_are_stored_once(owner: User, uploads: Path) -> None:
    first, second = upload(owner, picture(), "a.png"), upload(owner, picture(), "b.png")

    assert first.pk == second.pk
    assert len(files(uploads)) == 1


def test_owners_do_not_share_rows(owner: User, stranger: User) -> None:
    assert upload(owner, picture()).pk != upload(stranger, picture()).pk


def test_lost_file_is_stored_again(owner: User) -> None:
    media = upload(owner, picture())
    default_storage.delete(str(media.file.name))

    again = upload(owner, picture())

    assert again.pk == media.pk
    assert default_storage.exists(str(again.file.name))


def _bomb() -> bytes:
    """Return a PNG of a few bytes that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not a JPEG"),
        (b"%PDF-1.7 something", "not a JPEG"),
        (picture("PPM"), "not a JPEG"),
        (picture("PNG", (200, 200))[:-40], "damaged"),
        (picture("JPEG", (200, 200))[:400], "damaged"),
        (_bomb(), "pixels"),
        (picture("PNG", (20_000, 4_100)), "20000×4100 pixels"),
    ],
)
def test_invalid_image_is_refused_and_not_stored(owner: User, uploads: Path, content: bytes, words: str) -> None:
    with pytest.raises(UploadInvalid, match=words):
        upload(owner, content)

    assert not MediaFile.objects.exists()
    assert not files(uploads)


def test_oversized_file_is_not_read_completely(owner: User, settings: Settings) -> None:
    settings.MEDIA_MAX_BYTES = 1024 * 1024
    endless = io.BytesIO(bytes(20 * 1024 * 1024))

    with pytest.raises(UploadInvalid, match="larger than 1 MB"):
        store_upload(owner=owner, file=endless, name="big.png")

    assert endless.tell() <= 2 * 1024 * 1024


def test_file_is_deleted_if_its_row_fails(uploads: Path, transactional_db: None) -> None:
    nobody = User(pk=987654, username="nobody")  # no such row: the foreign key fails

    with pytest.raises(NotPossible):
        store_upload(owner=nobody, file=io.BytesIO(picture()), name="a.png")

    assert not files(uploads)


def test_image_deleted_while_it_is_stored_is_stored_again(owner: User, uploads: Path) -> None:
    def delete() -> None:
        delete_media(media=MediaFile.objects.get())

    content = picture()
    ready = read_upload(owner=owner, file=io.BytesIO(content), name="b.png")
    upload(owner, content)
    with meanwhile("SELECT", "media_mediafile", delete, is_before=True):  # after our own row was refused
        assert store(ready, owner=owner).is_new

    MediaFile.objects.update(rendition=None)  # as an older release stored it
    ready = read_upload(owner=owner, file=io.BytesIO(content), name="c.png")
    with meanwhile("UPDATE", "media_mediafile", delete, is_before=True):
        media = store(ready, owner=owner).media
    assert MediaFile.objects.get() == media


@pytest.mark.django_db(transaction=True)
def test_concurrent_uploads_of_same_bytes_are_one_file(uploads: Path) -> None:
    owner = User.objects.create_user("mei")
    content, ids, start = picture("PNG", (900, 900)), [], threading.Barrier(6)

    def work() -> None:
        try:
            start.wait()
            ids.append(upload(owner, content).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 6
    assert len(set(ids)) == MediaFile.objects.count() == 1
    assert len(files(uploads)) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd.png"),
        ("C:\\Users\\mei\\猫.PNG", "猫.PNG"),
        ("a\x00b\ncat.png", "abcat.png"),
        ("invoice\u202egnp.exe", "invoicegnp.exe.png"),
        ("", "image.png"),
        ("\u200b\ufeff\u2060\u2800", "image.png"),
        ("\u200b\u3164.png", "image.png"),
        (".png", "image.png"),
        ("broken\ud800.png", "broken?.png"),
        ("x" * 400 + ".png", "x" * 251 + ".png"),
    ],
)
def test_names_are_cleaned(owner: User, name: str, shown: str) -> None:
    assert upload(owner, picture(), name).name == shown


@pytest.mark.django_db(transaction=True)
def test_delete_removes_row_and_file(uploads: Path) -> None:
    media = upload(User.objects.create_user("mei"), picture())

    delete_media(media=media)

    assert not MediaFile.objects.exists()
    assert not files(uploads)
