"""Malicious uploads: names, types, bodies and images that are not what they claim."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image

from media.models import MediaFile
from tests.api_client import caller, new_token
from tests.factories import picture
from tests.missions.api.calls import data, errors, upload
from tests.process_fixtures import Web

BOUNDARY = "frontier"
FILE = 'form-data; name="file"; filename="a.png"'
MEGABYTE = 1024 * 1024


def form(disposition: str, content: bytes, content_type: str = "image/png") -> bytes:
    """Return a multipart body with one part and this disposition."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: {content_type}\r\n\r\n"
    return head.encode("utf-8", "surrogateescape") + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(client: Client, body: bytes, content_type: str = f"multipart/form-data; boundary={BOUNDARY}") -> Any:
    return client.post("/api/v1/media/upload", body, content_type=content_type)


# --- Names ---


@pytest.mark.parametrize(
    ("name", "stored_name"),
    [
        ("../../../etc/passwd", "passwd.png"),
        ("..\\..\\windows\\system.ini", "system.ini.png"),
        ("/etc/cron.d/x", "x.png"),
        ("....//....//x.png", "x.png"),
        ("page.html", "page.html.png"),
        ("shell.php.png", "shell.php.png"),
        ("x.png\x00.html", "x.png.html.png"),
        ("a%0d%0aSet-Cookie: x=1", "a%0d%0aSet-Cookie: x=1.png"),
        ("&lt;script&gt;.png", "<script>.png"),
        ("猫" * 80, "猫" * 80 + ".png"),
        ("CON", "CON.png"),
        (".htaccess", ".htaccess.png"),
    ],
)
def test_names_cannot_leave_their_folder(owner, name, stored_name):
    media = data(post(caller(owner), form(f'form-data; name="file"; filename="{name}"', picture())), 201)

    assert media["name"] == stored_name
    stored = Path(MediaFile.objects.get().file.path)
    assert stored.is_relative_to(settings.MEDIA_ROOT)
    assert stored.name == f"{media['url'].rpartition('/')[2]}.png"
    answer = Client().get(media["url"])
    assert answer["Content-Type"] == "image/png"
    assert "Set-Cookie" not in answer


@pytest.mark.parametrize(
    "disposition",
    [
        "form-data; name=\"file\"; filename*=utf-8''a%0D%0ASet-Cookie%3A%20x%3D1.png",
        'form-data; name="file"; filename="a\r\n b.png"',
        'form-data; name="file"; filename="\udcff\udcfe.png"',
        'form-data; name="file"; filename="a"; filename="b.png"',
    ],
)
def test_names_cannot_inject_headers(owner, disposition):
    response = post(caller(owner), form(disposition, picture()))

    assert response.status_code in (201, 400, 422)
    if response.status_code == 201:
        answer = Client().get(response.json()["data"]["url"])
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer
        assert "\n" not in answer["Content-Disposition"]


# --- Types ---


@pytest.mark.parametrize("claimed", ["text/html", "image/svg+xml", "application/x-php", "image/gif", "x", ""])
def test_claimed_type_is_ignored(owner, claimed):
    media = data(post(caller(owner), form('form-data; name="file"; filename="x.svg"', picture(), claimed)), 201)

    assert media["content_type"] == "image/png"
    assert Client().get(media["url"])["Content-Type"] == "image/png"


def gif_bomb() -> bytes:
    """Return a GIF of a few bytes that says it is 65,535 pixels wide and high."""
    return b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x00;"


def png_bomb() -> bytes:
    """Return a PNG of 40,000 × 40,000 empty pixels, in 200 kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(5001)) for _ in range(40_000)) + packer.flush()
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """Return a small PNG with a comment that unpacks to 64 MB."""
    packed = zlib.compress(bytes(64 * MEGABYTE), 9)
    body = b"zTXtComment\x00\x00" + packed
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    content = picture()
    return content[:33] + chunk + content[33:]


@pytest.mark.parametrize(
    "content",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
        b"<html><script>alert(1)</script></html>",
        b"%!PS-Adobe-3.0\n(/etc/passwd) run",
        b"GIF89a<script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n<?php system($_GET[0]); ?>",
        b"\xff\xd8\xff\xe0<html>",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        picture("PNG", (300, 300))[:-30],
        picture("GIF", (300, 300))[:-200],
        picture("WEBP", (300, 300))[:-40],
        gif_bomb(),
        png_bomb(),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_invalid_images_are_refused(owner, content):
    fields = errors(upload(caller(owner), content, "cat.png", "image/png"))

    assert list(fields) == ["file"]
    assert not MediaFile.objects.exists()


def test_text_that_unpacks_to_much_is_never_unpacked(owner):
    media = data(upload(caller(owner), text_bomb(), "workflow.png"), 201)

    sent = Client().get(media["sent_as"]["url"]).content
    assert (media["sent_as"]["changes"], len(sent)) == (["metadata"], media["sent_as"]["size_bytes"])
    assert b"zTXt" not in sent


def test_long_animation_is_accepted(owner):
    frames = [Image.new("P", (600, 600), number % 250) for number in range(200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])

    media = data(upload(caller(owner), buffer.getvalue(), "film.gif"), 201)

    assert (media["content_type"], media["width"]) == ("image/gif", 600)


# --- Bodies ---


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"x" * 5000, f"multipart/form-data; boundary={BOUNDARY}"),
        (b"--frontier\r\n\r\n", f"multipart/form-data; boundary={BOUNDARY}"),
        (form("form-data", picture()), f"multipart/form-data; boundary={BOUNDARY}"),
        (form('form-data; name="file"', b"text"), f"multipart/form-data; boundary={BOUNDARY}"),
        (b"file=x", "application/x-www-form-urlencoded"),
        (form('form-data; name="file"; filename="a.png"', picture()), "multipart/form-data; boundary=" + "b" * 300),
    ],
)
def test_body_without_a_file_is_refused(owner, body, content_type):
    response = post(caller(owner), body, content_type)

    assert response.status_code in (400, 415, 422), response.content
    assert response.json()["error"]
    assert not MediaFile.objects.exists()


def test_number_of_files_of_a_form_is_bounded(owner):
    part = form('form-data; name="file"; filename="a.png"', picture()).removesuffix(f"--{BOUNDARY}--\r\n".encode())

    assert len(data(post(caller(owner), part * 90 + f"--{BOUNDARY}--\r\n".encode()), 201)["files"]) == 90
    assert MediaFile.objects.count() == 1
    assert post(caller(owner), part * 200 + f"--{BOUNDARY}--\r\n".encode()).status_code in (400, 413, 422)


# --- A real server: sizes, and many at once ---


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    log = tmp_path_factory.mktemp("server") / "log"
    server = Web({"MEDIA_MAX_BYTES": str(MEGABYTE), "READ_DOT_ENV": "0", "RUNNINGHUB_API_KEY": ""}, log)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def web(server: Web, transactional_db: None) -> Web:
    return server


@pytest.fixture
def token(transactional_db: None) -> str:
    return new_token(User.objects.create_user("mei"))


class Line:
    """A connection that sends an upload in parts."""

    def __init__(self, web: Web, token: str, **headers: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", web.port), timeout=20)
        lines = ["POST /api/v1/media/upload HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}"]
        lines += [f"Content-Type: multipart/form-data; boundary={BOUNDARY}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> bool:
        """Return False when the server has closed the connection."""
        try:
            self.socket.sendall(content)
        except OSError:
            return False
        return True

    def send_chunk(self, content: bytes) -> bool:
        return self.send(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def answer(self) -> tuple[int, Any]:
        with http.client.HTTPResponse(self.socket) as response:
            response.begin()
            return response.status, json.loads(response.read())


def uploads() -> list[Path]:
    return [path for path in (Path(settings.DATA_DIR) / "uploads").rglob("*") if path.is_file()]


def whole(web: Web, token: str, body: bytes) -> tuple[int, Any]:
    """Return the response to a complete upload."""
    with Line(web, token, Content_Length=str(len(body))) as line:
        line.send(body)
        return line.answer()


def test_announced_oversize_is_refused_at_once(web, token):
    before = uploads()
    with Line(web, token, Content_Length=str(10**12)) as line:
        line.send(form(FILE, bytes(3 * MEGABYTE)))
        status, body = line.answer()

    assert (status, body["error"]) == (413, "too_large")
    assert uploads() == before


def test_chunked_oversize_is_cut_off(web, token):
    before = uploads()
    with Line(web, token, Transfer_Encoding="chunked") as line:
        line.send_chunk(form(FILE, b"").removesuffix(b"\r\n--frontier--\r\n"))
        sent = 0
        while sent < 200 and line.send_chunk(bytes(MEGABYTE)):
            sent += 1

    assert sent < 200, "the server took 200 MB"
    assert uploads() == before
    assert not MediaFile.objects.exists()


def test_slightly_oversized_file_names_the_limit(web, token):
    status, answer = whole(web, token, form(FILE, picture() + bytes(MEGABYTE)))

    assert (status, answer["error"]) == (422, "upload_invalid")
    assert "larger than 1 MB" in answer["errors"][0]["message"]


def test_interrupted_upload_leaves_nothing(web, token):
    before = uploads()
    body = form(FILE, picture())
    with Line(web, token, Content_Length=str(len(body) + 100)) as broken:
        broken.send(body[:-20])

    with Line(web, token, Transfer_Encoding="chunked") as line:
        for start in range(0, len(body), 40):
            line.send_chunk(body[start : start + 40])
        line.send(b"0\r\n\r\n")
        assert line.answer()[0] == 201

    assert len(uploads()) == len(before) + 1


def test_concurrent_identical_uploads_return_one_id(web, token):
    before = uploads()
    body = form(FILE, picture("PNG", (400, 400)))
    responses: list[tuple[int, Any]] = []

    threads = [threading.Thread(target=lambda: responses.append(whole(web, token, body))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(status for status, _ in responses) == [200] * 7 + [201]
    assert len({answer["data"]["id"] for _, answer in responses}) == MediaFile.objects.count() == 1
    assert len(uploads()) == len(before) + 1


def test_get_and_head_over_one_connection(web, token):
    content = picture("PNG", (400, 400))
    url = whole(web, token, form(FILE, content))[1]["data"]["url"]
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)

    for method in ("HEAD", "GET", "HEAD"):  # on one connection: a HEAD with a body would break the next answer
        connection.request(method, url)
        response = connection.getresponse()
        assert response.read() == (content if method == "GET" else b"")
        assert (response.status, response.headers["Content-Length"]) == (200, str(len(content)))
    connection.close()
