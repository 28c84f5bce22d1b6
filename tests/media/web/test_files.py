"""Serving uploads under their secret URL: the bytes, our content type, safe headers."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from PIL import Image
from pytest_django import Settings

from media.models import MediaFile
from media.services import store_upload

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def uploads(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def picture(kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), "red").save(buffer, kind)
    return buffer.getvalue()


def keep(owner: User, content: bytes | None = None, name: str = "cat.png") -> MediaFile:
    return store_upload(owner=owner, file=io.BytesIO(picture() if content is None else content), name=name).media


def url(media: MediaFile) -> str:
    return reverse("media:file", args=[media.key])


def test_file_is_served_without_signing_in(owner, client):
    answer = client.get(url(keep(owner)))

    assert answer.status_code == 200
    assert answer.getvalue() == picture()
    assert answer["Content-Type"] == "image/png"
    assert answer["Content-Length"] == str(len(picture()))
    assert answer["Content-Disposition"] == 'inline; filename="cat.png"'
    assert "Set-Cookie" not in answer
    assert "Cookie" not in answer["Vary"]


def test_headers_forbid_sniffing_and_scripts(owner, client):
    answer = client.get(url(keep(owner)))

    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"


def polyglots() -> dict[str, bytes]:
    script = b"<html><script>alert(1)</script></html>"
    comment = b"tEXt" + b"Comment\0" + script
    chunk = struct.pack(">I", len(comment) - 4) + comment + struct.pack(">I", zlib.crc32(comment))
    png, jpeg, gif = picture("PNG"), picture("JPEG"), picture("GIF")
    return {
        "image/png": png[:33] + chunk + png[33:] + script,
        "image/jpeg": jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(script) + 2) + script + jpeg[2:] + script,
        "image/gif": gif[:-1] + b"!\xfe" + bytes([len(script)]) + script + b"\0;" + script,
    }


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "image/gif"])
def test_polyglot_is_served_as_an_image(owner, client, content_type):
    content = polyglots()[content_type]

    answer = client.get(url(keep(owner, content, "page.html")))

    assert answer.getvalue() == content
    assert answer["Content-Type"] == content_type
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert ".html." in answer["Content-Disposition"]  # the ending is that of the image


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("猫.png", "inline; filename=\"download.png\"; filename*=utf-8''%E7%8C%AB.png"),
        ('a"b.png', "inline; filename=\"a_b.png\"; filename*=utf-8''a%22b.png"),
        (
            "a\r\nSet-Cookie: x=1.png",
            "inline; filename=\"aSet-Cookie_ x=1.png\"; filename*=utf-8''aSet-Cookie%3A%20x%3D1.png",
        ),
        ("../../etc/passwd", 'inline; filename="passwd.png"'),
    ],
)
def test_file_name_is_sent_safely(owner, client, name, disposition):
    answer = client.get(url(keep(owner, name=name)))

    assert answer["Content-Disposition"] == disposition
    assert "Set-Cookie" not in answer


def test_unchanged_file_is_304(owner, client):
    first = client.get(url(keep(owner)))

    again = client.get(first.request["PATH_INFO"], headers={"If-None-Match": first["ETag"]})

    assert again.status_code == 304
    assert again.content == b""
    assert again["ETag"] == first["ETag"]
    assert client.get(first.request["PATH_INFO"], headers={"If-None-Match": '"x"'}).status_code == 200
    assert client.get(first.request["PATH_INFO"], headers={"If-Match": '"x"'}).status_code == 412


def test_head_has_the_same_headers(owner, client):
    media = keep(owner)
    got, asked = client.get(url(media)), client.head(url(media))

    assert asked.status_code == 200
    assert asked.getvalue() == b""
    for name in ("Content-Type", "Content-Length", "Content-Disposition", "ETag"):
        assert asked[name] == got[name]


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_only_get_and_head_are_allowed(owner, method):
    assert getattr(Client(), method)(url(keep(owner))).status_code == 405


@pytest.mark.parametrize("key", ["x", "x" * 41, "%00", "..%2F..%2Fetc%2Fpasswd", "../db.sqlite3", "1", ""])
def test_unknown_key_is_not_found(owner, client, key):
    keep(owner)

    assert client.get(f"/media/{key}").status_code == (400 if key == "%00" else 404)


def test_key_is_case_sensitive(owner, client):
    media = keep(owner)

    assert client.get(f"/media/{media.key.swapcase()}").status_code == 404
    assert client.get(f"/media/{media.pk}").status_code == 404


def test_row_without_its_file_is_not_found(owner, client, uploads):
    media = keep(owner)
    media.file.storage.delete(media.file.name)

    assert client.get(url(media)).status_code == 404
