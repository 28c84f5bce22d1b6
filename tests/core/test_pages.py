"""Rules of every page: security policy, size, error pages."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from core.templatetags import ui
from core.ui import navigation, statuses, themes
from runninghub_batch.views import server_error

TEMPLATES = sorted(settings.BASE_DIR.glob("*/templates/**/*.html"))
SPRITE = (settings.BASE_DIR / "core/static/app/icons.svg").read_text()
ICONS = set(re.findall(r'id="([\w-]+)"', SPRITE))


def directives(answer) -> dict[str, set[str]]:
    parts = (part.split() for part in answer["Content-Security-Policy"].split(";"))
    return {name: set(values) for name, *values in parts}


@pytest.mark.parametrize("address", ["/accounts/login/", "/nowhere", "/admin/login/", "/api/v1/docs", "/api/v1/health"])
def test_policy_allows_only_this_host(address, db):
    policy = directives(Client().get(address))
    assert policy["default-src"] == {"'none'"}
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == {"'none'"}
    assert set().union(*policy.values()) == {"'none'", "'self'", "blob:", "data:"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))
def test_template_has_no_inline_code_or_unknown_icon(path: Path):
    source = re.sub(r"{% comment %}.*?{% endcomment %}", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", source)
    assert not re.search(r"<script(?![^>]*\ssrc=)", source)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', source)
    assert set(re.findall(r'{% icon "([\w-]+)"', source)) <= ICONS


def test_icons_named_in_python_exist():
    named = {look.icon for looks in statuses.registered().values() for look in looks.values()}
    named |= {icon for _tone, icon in ui.TONES.values()} | set(ui.TASK_TYPE_ICONS.values())
    named |= set(themes.ICONS.values()) | {entry.icon for entry in navigation.registered()}
    assert named <= ICONS


# --- Errors ---


def test_404_page_has_the_navigation(owner):
    client = Client()
    client.force_login(owner)
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "Page not found" in page.content.decode()
    assert "Signed in as mei" in page.content.decode()


def test_csrf_page_says_nothing_was_sent(db):
    page = Client(enforce_csrf_checks=True).post("/accounts/login/", {})
    assert page.status_code == 403
    assert "Nothing was sent" in page.content.decode()


def test_api_errors_render_no_page(owner, django_assert_num_queries):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    with django_assert_num_queries(3):  # session, person, profile
        answer = client.get("/api/v1/nowhere")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert client.post("/api/v1/me/tokens", {}, content_type="application/json").json()["error"] == "csrf_failed"


def test_500_page_needs_no_database(rf, django_assert_num_queries, db):
    with django_assert_num_queries(0):
        page = server_error(rf.get("/missions"))
    assert page.status_code == 500
    assert "Something went wrong" in page.content.decode()


def test_invalid_theme_cookie_is_ignored(rf):
    request = rf.get("/missions")
    request.COOKIES["theme"] = '"><script>'
    assert "<script>" not in server_error(request).content.decode()


def test_components_page_is_for_staff(owner, admin_client):
    client = Client()
    client.force_login(owner)
    assert client.get("/components").status_code == 302
    assert admin_client.get("/components").status_code == 200


# --- Weight ---


def test_static_files_are_small():
    """Style sheets, script and icons take a quarter of the 100 KB of a page, compressed."""
    folder = settings.BASE_DIR / "core/static/app"
    size = sum(len(gzip.compress(path.read_bytes())) for path in folder.iterdir())
    assert size < 25_000
