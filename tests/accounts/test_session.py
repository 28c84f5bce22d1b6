"""Pages that stay open while their session ends or changes."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from missions.models import Mission, MissionStatus
from tests.factories import make_mission

HERE = "http://testserver"


@pytest.fixture
def browser(owner: User) -> Client:
    """Return the owner's browser, whose forms need a CSRF token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    return client


@pytest.fixture
def mission(owner: User) -> Mission:
    return make_mission(owner, 2, name="Foxes")


def token_of(client: Client) -> str:
    return client.get("/accounts/session").json()["csrf_token"]


def sign_in(client: Client, user: User) -> None:
    """Sign in as the sign-in page does, which changes the CSRF token."""
    user.set_password("a long enough password")
    user.save()
    login = {"username": user.username, "password": "a long enough password", "csrfmiddlewaretoken": token_of(client)}
    assert client.post("/accounts/login/", login).status_code == 302


def test_session_says_who_is_signed_in(browser, owner):
    known, nobody = browser.get("/accounts/session"), Client().get("/accounts/session")
    assert (known.json()["person"], known.json()["name"]) == (str(owner.pk), "mei")
    assert (nobody.json()["person"], nobody.json()["name"]) == ("", "")
    assert "no-store" in known["Cache-Control"]


def test_token_of_the_session_is_valid_until_sign_in(browser, owner, mission):
    pause = f"/missions/{mission.pk}/pause"
    old = token_of(browser)
    assert browser.post(pause, {"csrfmiddlewaretoken": old}).status_code == 302
    browser.logout()
    sign_in(browser, owner)
    assert browser.post(pause, {"csrfmiddlewaretoken": old}).status_code == 403
    assert browser.post(pause, {"csrfmiddlewaretoken": token_of(browser)}).status_code == 302


@pytest.mark.parametrize(
    "address", ["/missions/{pk}/pause", "/missions/{pk}/pulse", "/api/v1/missions/{pk}/pause", "/missions/new"]
)
def test_page_acts_for_its_person_only(browser, owner, stranger, mission, address):
    address = address.format(pk=mission.pk)
    method = browser.get if address.endswith("pulse") else browser.post
    before = Mission.objects.values().get()
    for user, status, word, words in (
        (None, 401, "unauthenticated", "Nothing was sent"),
        (stranger, 409, "other_person", f"You are now signed in as {stranger.username}. Nothing was sent"),
    ):
        browser.logout() if user is None else browser.force_login(user)
        headers = {"X-Signed-In-As": str(owner.pk), "X-CSRFToken": token_of(browser)}
        answer = method(address, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (status, word), address
        assert words in answer.json()["message"]
    assert Mission.objects.values().get() == before


def test_script_learns_that_its_token_is_old(browser, owner, mission):
    headers = {"X-Signed-In-As": str(owner.pk), "X-CSRFToken": "a" * 32}
    for address in (f"/missions/{mission.pk}/pause", f"/api/v1/missions/{mission.pk}/pause"):
        answer = browser.post(address, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "csrf_failed")


# --- Forms of browsers without scripts ---


def test_refused_form_can_be_sent_again(browser, owner, mission):
    fields = {"csrfmiddlewaretoken": "a" * 32, "next": '/missions?q="<fox>"', "reason": "line 1\nline 2"}
    page = browser.post(f"/missions/{mission.pk}/pause", fields, headers={"Origin": HERE})
    text = page.content.decode()

    assert page.status_code == 403
    assert "no-store" in page["Cache-Control"]
    assert "nothing was spent" in text
    assert "signed in as <strong>mei</strong>" in text
    assert f'action="/missions/{mission.pk}/pause"' in text
    assert 'name="next" value="/missions?q=&quot;&lt;fox&gt;&quot;"' in text
    assert 'name="reason" value="line 1\nline 2"' in text
    token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text)[-1]
    assert browser.post(f"/missions/{mission.pk}/pause", {"csrfmiddlewaretoken": token}).status_code == 302
    mission.refresh_from_db()
    assert mission.status == MissionStatus.PAUSED


@pytest.mark.parametrize(
    "headers, fields",
    [
        ({"Origin": "https://evil.example"}, {"next": "bait"}),
        ({"Origin": "null"}, {"next": "bait"}),
        ({}, {"next": "bait"}),
        ({"Origin": HERE}, {"next": "bait", "old_password": "secret words"}),
        ({"Origin": HERE}, {"next": "bait", "api_key": "secret words"}),
    ],
)
def test_forged_or_secret_form_is_not_offered(browser, mission, headers, fields):
    page = browser.post(f"/missions/{mission.pk}/pause", fields, headers=headers)
    assert page.status_code == 403
    assert "Nothing was sent" in page.content.decode()
    assert "bait" not in page.content.decode()
    assert "secret words" not in page.content.decode()


def test_form_without_session_returns_to_its_page(browser, mission):
    browser.logout()
    token = token_of(browser)
    came_from = f"{HERE}/missions/{mission.pk}?view=newest"
    for referer, back in (
        (came_from, f"%2Fmissions%2F{mission.pk}%3Fview%3Dnewest"),
        ("https://evil.example/x", "%2F"),
        ("", "%2F"),
    ):
        answer = browser.post(
            f"/missions/{mission.pk}/pause", {"csrfmiddlewaretoken": token}, headers={"Referer": referer}
        )
        assert answer["Location"] == f"/accounts/login/?next={back}"
    assert "You were signed out. Nothing was sent." in browser.get("/accounts/login/").content.decode()
