"""Lockout after failed logins, and the safety of sessions."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
import requests
from asgiref.sync import async_to_sync
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.core.management import call_command
from django.db.models import F
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import lockout
from tests.process_fixtures import Web

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password"
WRONG = "wrong"
DOORS = ["/accounts/login/", "/admin/login/"]
LIMIT = 12  # instead of 20, so that a lockout takes fewer requests
REAL_LIMIT = settings.AXES_FAILURE_LIMIT


@pytest.fixture(autouse=True)
def _low_limit(settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = LIMIT


def knock(
    name: str = "mei", password: str = WRONG, *, door: str = DOORS[0], client: Client | None = None, **more: Any
) -> Any:
    return (client or Client()).post(door, {"username": name, "password": password}, **more)


def guess(times: int = LIMIT, **more: Any) -> None:
    """Fail to sign in with a different name each time, because one name is locked sooner."""
    for number in range(times):
        knock(f"somebody-{number}", f"guess-{number}", **more)


def is_open(**more: Any) -> bool:
    """Return True if the right password signs in."""
    return "sessionid" in knock(password=PASSWORD, **more).cookies


# --- Guessing ---


@pytest.mark.parametrize("door", DOORS)
def test_lockout_refuses_the_right_password(owner, door):
    User.objects.update(is_staff=True)
    guess(LIMIT - 1)
    assert is_open(door=door)
    guess(1)
    answer = knock(password=PASSWORD, door=door)
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert "sessionid" not in answer.cookies
    assert "Try again in 15 minutes" in answer.content.decode()


def test_lockout_page_is_translated(owner):
    guess()
    assert "请在 15 分钟后重试" in knock(headers={"Accept-Language": "zh-CN"}).content.decode()


def test_lockout_ignores_names_and_headers(owner):
    for number in range(LIMIT):
        forged = {"User-Agent": f"browser {number}", "X-Forwarded-For": f"203.0.113.{number}", "X-Real-Ip": "192.0.2.1"}
        knock(f"somebody-{number}", headers=forged, door=DOORS[number % 2])
    assert not is_open()


def test_lockout_spares_other_addresses(owner):
    guess(LIMIT * 2, REMOTE_ADDR="203.0.113.7")
    assert not is_open(REMOTE_ADDR="203.0.113.7")
    assert is_open(REMOTE_ADDR="203.0.113.8")


def test_own_login_does_not_reset_the_count(owner, stranger):
    stranger.set_password(PASSWORD)
    stranger.save()
    guess(LIMIT - 1)
    assert "sessionid" in knock("stranger", PASSWORD).cookies
    guess(1)
    assert not is_open()


def test_ipv6_network_counts_as_one(owner):
    for number in range(LIMIT):
        knock(f"somebody-{number}", REMOTE_ADDR=f"2001:db8:1:2::{number:x}")
    assert not is_open(REMOTE_ADDR="2001:db8:1:2:ffff::1")
    assert is_open(REMOTE_ADDR="2001:db8:1:3::1")


@pytest.mark.parametrize("address", ["", "unix:", "203.0.113.7:4711", "\0"])
def test_unreadable_address_is_counted(owner, address):
    guess(REMOTE_ADDR=address)
    assert not is_open(REMOTE_ADDR=address)


def test_lockout_ends_on_time(owner):
    guess()
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=14))
    guess(3)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=2))
    assert is_open()


def test_operator_unlocks(owner):
    guess(REMOTE_ADDR="203.0.113.7")
    call_command("axes_reset_ip", "203.0.113.7")
    assert is_open(REMOTE_ADDR="203.0.113.7")


def test_tried_passwords_are_not_stored(owner, caplog):
    with caplog.at_level(logging.DEBUG):
        knock("typed-into-the-wrong-field", "secret-guess")
    kept = str(list(AccessAttempt.objects.values("get_data", "post_data", "path_info")))
    assert "typed-into" not in kept + caplog.text
    assert "secret-guess" not in kept + caplog.text


@pytest.mark.django_db(transaction=True)
def test_lockout_works_under_asgi(owner):
    guess()
    answer = async_to_sync(AsyncClient().post)(DOORS[0], {"username": "mei", "password": PASSWORD})
    assert (answer.status_code, "sessionid" in answer.cookies) == (429, False)
    assert "Try again in 15 minutes" in answer.content.decode()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_lockout_counts_visitors_behind_a_proxy(owner, tmp_path):
    web = Web({"READ_DOT_ENV": "0", "FORWARDED_ALLOW_IPS": "127.0.0.1"}, tmp_path / "log")
    web.start()
    try:
        statuses = [_knock_over_http(web.url, "203.0.113.7", f"somebody-{number}") for number in range(REAL_LIMIT)]
        assert statuses == [200] * (REAL_LIMIT - 1) + [429]
        assert _knock_over_http(web.url, "203.0.113.8") == 200
    finally:
        web.stop()


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_forwarded_address_needs_a_configured_proxy(owner, tmp_path):
    web = Web({"READ_DOT_ENV": "0"}, tmp_path / "log")
    web.start()
    try:
        statuses = [
            _knock_over_http(web.url, f"203.0.113.{number}", f"somebody-{number}") for number in range(REAL_LIMIT)
        ]
        assert statuses == [200] * (REAL_LIMIT - 1) + [429]
    finally:
        web.stop()


def _knock_over_http(url: str, visitor: str, name: str = "mei") -> int:
    """Fail to sign in once, and return the status."""
    with requests.Session() as session:
        session.trust_env = False
        session.get(url + DOORS[0], timeout=120)
        form = {"username": name, "password": WRONG, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        headers = {"X-Forwarded-For": visitor}
        return session.post(url + DOORS[0], form, headers=headers, timeout=120).status_code


# --- Guessing the password of one person ---


@pytest.fixture
def _clock_stands(time_machine: Any) -> None:
    """Stop the clock, because the first wait is one second."""
    time_machine.move_to(timezone.now(), tick=False)


def age_attempts(seconds: int) -> None:
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(seconds=seconds))


def guess_one_name(times: int) -> Any:
    """Fail to sign in as mei from different addresses, each time after the required wait."""
    answer = None
    for number in range(times):
        age_attempts(lockout.seconds_to_wait("mei"))
        answer = knock(password=f"guess-{number}", REMOTE_ADDR=f"203.0.113.{number}")
    return answer


@pytest.mark.usefixtures("_clock_stands")
def test_name_waits_longer_with_each_failure(owner):
    guess_one_name(lockout.FREE_FAILURES - 1)
    assert lockout.seconds_to_wait("mei") == 0
    waits = []
    for number in range(9):
        guess_one_name(1)
        waits.append(lockout.seconds_to_wait("mei"))
        answer = knock(password=PASSWORD, REMOTE_ADDR=f"198.51.100.{number}")
        assert (answer.status_code, "sessionid" in answer.cookies) == (429, False)
        assert int(answer["Retry-After"]) == waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert "with this username" in answer.content.decode()
    assert lockout.seconds_to_wait("stranger") == 0
    age_attempts(waits[-1])
    assert is_open(REMOTE_ADDR="198.51.100.200")


@pytest.mark.usefixtures("_clock_stands")
def test_known_browser_does_not_wait(owner, stranger):
    client = Client()
    knock(password=PASSWORD, client=client)
    client.post("/accounts/logout/")
    guess_one_name(lockout.FREE_FAILURES + 3)
    assert not is_open(REMOTE_ADDR="198.51.100.1")
    assert is_open(client=client, REMOTE_ADDR="198.51.100.2")
    forged = Client()
    forged.cookies[lockout.KNOWN_COOKIE] = signing.dumps("mei", salt="another")
    assert not is_open(client=forged, REMOTE_ADDR="198.51.100.3")
    other = Client()  # known for another person
    other.cookies[lockout.KNOWN_COOKIE] = signing.dumps("stranger", salt="accounts.lockout.known")
    assert not is_open(client=other, REMOTE_ADDR="198.51.100.4")


@pytest.mark.usefixtures("_clock_stands")
def test_name_wait_is_translated(owner):
    guess_one_name(lockout.FREE_FAILURES + 2)
    assert "此用户名" in knock(headers={"Accept-Language": "zh-CN"}).content.decode()


# --- Passwords ---


@pytest.mark.parametrize("weak", ["short", "12345678901", "password123", "lighthouse"])
def test_weak_password_is_refused(weak):
    person = User.objects.create_user("lighthouse", password=PASSWORD)
    client = Client()
    client.force_login(person)
    form = {"old_password": PASSWORD, "new_password1": weak, "new_password2": weak}
    assert client.post(reverse("accounts:password"), form).status_code == 200
    person.refresh_from_db()
    assert person.check_password(PASSWORD)


def test_new_password_needs_the_old_one(web, owner):
    new = "another long password"
    web.post(reverse("accounts:password"), {"old_password": "no", "new_password1": new, "new_password2": new})
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


# --- Sessions ---


def signed_in() -> Client:
    client = Client()
    knock(password=PASSWORD, client=client)
    return client


def is_inside(client: Client) -> bool:
    return client.get("/missions").status_code == 200


def test_session_cookie_flags(owner):
    cookie = signed_in().cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["domain"]) == (True, "Lax", "")


def test_sign_in_renews_the_session(owner):
    client = Client()
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["sessionid"] = session.session_key
    knock(password=PASSWORD, client=client)
    assert is_inside(client)
    thief = Client()
    thief.cookies["sessionid"] = session.session_key
    assert not is_inside(thief)


def test_sign_out_ends_stolen_sessions(owner):
    client, thief = signed_in(), Client()
    thief.cookies["sessionid"] = client.cookies["sessionid"].value
    assert is_inside(thief)
    client.post(reverse("accounts:logout"))
    assert not is_inside(thief)


def test_password_change_ends_other_sessions(owner):
    client, thief = signed_in(), signed_in()
    new = "another long password"
    client.post(reverse("accounts:password"), {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert is_inside(client)
    assert not is_inside(thief)


def test_inactive_user_is_signed_out(owner):
    client = signed_in()
    User.objects.update(is_active=False)
    assert not is_inside(client)
    assert not is_open()
