"""Help, the way to a telephone, the app manifest, and compressed pages."""

from __future__ import annotations

import gzip
import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db
PAGES = sorted(path.stem for path in (settings.BASE_DIR / "docs").glob("*.md"))


def test_help_in_both_languages(web):
    page = web.get("/help")
    assert "<h1" in page.content.decode()
    assert "What costs money" in page.content.decode()
    assert web.get("/help", headers={"Accept-Language": "zh-CN"}).context["title"] == "用户指南"
    assert Client().get("/help").status_code == 302
    assert f'href="{reverse("help")}"' in web.get("/missions").content.decode()


def test_every_guide_opens_with_links_that_work(web):
    assert "operator-guide" in PAGES
    opened: set[str] = set()
    for name in [page for page in PAGES if "." not in page]:
        text = web.get(f"/help/{name}").content.decode()
        article = text.partition('<article class="help-text">')[2].partition("</article>")[0]
        assert "<h1 id=" in article, name
        anchors = set(re.findall(r' id="([^"]+)"', article))
        for href in re.findall(r'href="([^"]+)"', article):
            if href.startswith("#"):
                assert href[1:] in anchors, (name, href)
            elif href.startswith("/") and (path := href.partition("#")[0]) not in opened:
                assert web.get(path).status_code == 200, (name, href)
                opened.add(path)
        for src in re.findall(r'<img src="([^"]+)"', article):
            assert web.get(src).status_code == 200, (name, src)


@pytest.mark.parametrize(
    "path", ["/help/nothing", "/help/images/x.webp", "/help/images/..%2Fapi.md", "/help/decisions"]
)
def test_other_files_are_not_shown(web, path):
    assert web.get(path).status_code == 404


def test_code_for_the_phone(web, settings):
    local = web.get("/phone?next=/missions")
    assert "make serve ARGS=" in local.content.decode()
    assert "data:image/svg+xml" not in local.content.decode()
    settings.ALLOWED_HOSTS = ["192.168.1.5", "testserver"]
    reachable = web.get("/phone?next=/missions", headers={"Host": "192.168.1.5:8000"})
    assert "data:image/svg+xml" in reachable.content.decode()
    assert "http://192.168.1.5:8000/missions" in reachable.content.decode()
    settings.PUBLIC_BASE_URL = "https://batch.example.com"
    assert "https://batch.example.com/missions" in web.get("/phone?next=/missions").content.decode()
    assert "QR code of https://batch.example.com/" in web.get("/phone?next=https://evil.example/").content.decode()


def test_site_can_be_installed():
    client = Client()
    manifest = client.get("/manifest.webmanifest").json()
    assert (manifest["display"], manifest["start_url"]) == ("standalone", "/")
    for icon in manifest["icons"]:
        assert finders.find(icon["src"].removeprefix(settings.STATIC_URL)), icon
    assert 'rel="manifest"' in client.get("/accounts/login/").content.decode()


def test_pages_are_compressed_and_files_are_not(web):
    plain = web.get("/missions")
    packed = web.get("/missions", headers={"Accept-Encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    assert len(packed.content) < len(plain.content) / 2
    assert "<html" in gzip.decompress(packed.content).decode()
    assert "Accept-Encoding" in packed["Vary"]
    for path in ("/api/v1/missions", "/help/images/mission.webp"):
        assert "Content-Encoding" not in web.get(path, headers={"Accept-Encoding": "gzip"}), path
