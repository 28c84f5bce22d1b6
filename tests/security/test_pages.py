"""Rules of every page of the URL conf: forged requests, frames, redirects, headers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.addresses import addresses
from tests.core.operations import operations
from tests.security.conftest import browser_of, everything, undone

pytestmark = pytest.mark.django_db

OURS = addresses("/admin/", "/api/")
ADMIN = [address for address in addresses() if address.template.startswith("/admin/")]
UNSAFE = ("post", "put", "patch", "delete")
CHANGING = [operation for operation in operations() if operation.method != "get"]


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("boss")


@pytest.fixture
def admin_places(places: dict[str, object], superuser: User) -> dict[str, object]:
    rows = {"object_id": superuser.pk, "id": superuser.pk, "pk": 1, "item_id": 1, "content_type_id": 1}
    return {**places, **rows, "app_label": "missions", "url": "nowhere"}


# --- Cross-site request forgery ---


@pytest.mark.parametrize("is_admin", [False, True])
def test_forged_posts_are_refused(is_admin, owner, superuser, admin_places):
    client = browser_of(superuser if is_admin else owner, enforce_csrf_checks=True)
    before = everything()
    for address in ADMIN if is_admin else OURS:
        for method in ("post",) if is_admin else UNSAFE:
            answer = getattr(client, method)(address.filled(admin_places), headers={"Origin": "https://evil.example"})
            assert answer.status_code in (403, 405), (str(address), method, answer.status_code)
    assert everything() == before


def test_api_refuses_forged_posts(owner, places):
    client = browser_of(owner, enforce_csrf_checks=True)
    before = everything()
    for operation in CHANGING:
        answer = getattr(client, operation.method)(operation.path.format(**places), **operation.request())
        assert (answer.status_code, answer.json()["error"]) == (403, "csrf_failed"), str(operation)
    assert everything() == before


# --- Copies in browsers and proxies ---


@pytest.mark.parametrize("is_staff", [False, True])
def test_private_pages_are_not_kept(is_staff, owner, superuser, places, admin_places):
    client = browser_of(superuser if is_staff else owner)
    for address in ADMIN if is_staff else OURS:
        answer = client.get(address.filled(admin_places))
        control = answer.get("Cache-Control", "")
        assert "private" in control or "no-store" in control, (str(address), answer.status_code, control)


# --- Frames, and what else a browser is told ---


def safe_headers(answer: Any) -> bool:
    policy = answer.get("Content-Security-Policy", "")
    return (
        answer.get("X-Frame-Options") == "DENY"
        and answer.get("X-Content-Type-Options") == "nosniff"
        and answer.get("Referrer-Policy") == "same-origin"
        and answer.get("Cross-Origin-Opener-Policy") == "same-origin"
        and "default-src 'none'" in policy
        and "unsafe-eval" not in policy
        and ("script-src" not in policy or "script-src 'self'" in policy)
    )


def test_pages_have_security_headers(owner, superuser, admin_places):
    for client, pages in ((browser_of(owner), OURS), (Client(), OURS), (browser_of(superuser), ADMIN)):
        for address in pages:
            answer = client.get(address.filled(admin_places))
            assert safe_headers(answer), (str(address), dict(answer.headers))


# --- Redirects to other hosts ---

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "///evil.example",
    "https:evil.example",
    "https:///evil.example",
    " https://evil.example",
    "\thttps://evil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://testserver@evil.example/",
    "http://testserver\\@evil.example/",
]


def leads_elsewhere(answer: Any) -> bool:
    """Return True if a browser would leave the site.

    Browsers read backslashes as slashes and skip tabs and line ends.
    """
    location = answer.get("Location", "").replace("\\", "/").translate({9: None, 10: None, 13: None}).strip()
    target = urlsplit(location)
    return location.startswith("///") or target.scheme not in ("", "http") or target.netloc not in ("", "testserver")


def test_pages_redirect_to_no_other_host(owner, places):
    headers = {"Referer": "https://evil.example/"}
    for address in OURS:
        there = address.filled(places)
        for target in ELSEWHERE[:6]:
            with undone():
                client = browser_of(owner)
                for answer in (
                    client.get(f"{there}?next={quote(target)}", headers=headers),
                    client.post(there, {"next": target}, headers=headers),
                ):
                    assert not leads_elsewhere(answer), (there, target, answer["Location"])


def test_sign_in_redirects_to_no_other_host(superuser):
    superuser.set_password("a long enough password")
    superuser.save()
    for door in ("/accounts/login/", "/admin/login/"):
        for target in ELSEWHERE:
            form = {"username": "boss", "password": "a long enough password", "next": target}
            answer = Client().post(door, form)
            assert answer.status_code == 302, (door, target)
            assert not leads_elsewhere(answer), (door, target, answer["Location"])


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "testserver@evil.example", "testserver:80@evil"]
)
def test_forged_host_is_refused(host, web):
    assert web.get("/missions", headers={"Host": host}).status_code == 400
