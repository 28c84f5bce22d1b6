"""Open pages whose session ends, in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from missions.models import Mission, MissionStatus
from tests.browser.conftest import PASSWORD
from tests.factories import make_mission


@pytest.fixture
def mission(person: User) -> Mission:
    return make_mission(person, 3, name="Foxes")


@pytest.fixture
def other(transactional_db) -> User:
    user = User.objects.create_user("otto")
    user.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1000)
    user.save()
    return user


def sign_in_elsewhere(page: Page, name: str) -> None:
    """Sign in on another tab of the same browser."""
    tab = page.context.new_page()
    tab.goto("/accounts/login/")
    tab.get_by_label("Username").fill(name)
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Sign in").click()
    expect(tab).to_have_url(re.compile("/missions$"))
    tab.close()


def expect_refusals(page: Any) -> None:
    """Take the refused requests that the browser logs from the errors of the page."""
    page.watch.wrongs = [wrong for wrong in page.watch.wrongs if not re.search(r"\b(401|409)\b", wrong)]


def status_of(mission: Mission) -> str:
    return Mission.objects.values_list("status", flat=True).get(pk=mission.pk)


@pytest.mark.smoke
def test_button_works_after_signing_in_again(page, mission):
    page.goto(f"/missions/{mission.pk}")
    Session.objects.all().delete()
    page.get_by_role("button", name="Pause").click()
    notice = page.locator("#session-notice")
    expect(notice).to_contain_text("You are signed out. Sign in again in another tab")
    assert status_of(mission) == MissionStatus.QUEUED

    sign_in_elsewhere(page, "mei")

    expect(notice).to_be_hidden()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume").first).to_be_visible()
    assert status_of(mission) == MissionStatus.PAUSED
    expect_refusals(page)


def test_page_does_not_act_for_another_person(page, mission, other):
    other.is_staff = other.is_superuser = True  # who may see and pause the mission
    other.save()
    page.goto(f"/missions/{mission.pk}")
    Session.objects.all().delete()
    sign_in_elsewhere(page, "otto")

    page.get_by_role("button", name="Pause").click()

    notice = page.locator("#session-notice")
    expect(notice).to_contain_text("You are now signed in as otto, but this is a page of mei")
    assert status_of(mission) == MissionStatus.QUEUED
    notice.get_by_role("button", name="Reload this page").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume").first).to_be_visible()
    expect_refusals(page)


def test_form_is_kept_and_submitted_once(page):
    page.goto("/missions/new")
    page.fill("#id_prompts", "a fox")
    expect(page.locator("#submit-mission")).to_contain_text("1 item")
    Session.objects.all().delete()
    page.fill("#id_prompts", "a fox\na cat")
    expect(page.locator(".preview-saved")).to_contain_text("Draft not saved: you are signed out")
    expect(page.locator("#session-notice")).to_be_visible()

    sign_in_elsewhere(page, "mei")

    expect(page.locator("#submit-mission")).to_contain_text("2 items")
    page.locator("#submit-mission").click()
    page.wait_for_url(re.compile(r"/missions/\d+$"))
    assert Mission.objects.get().total_count == 2
    expect_refusals(page)


def test_old_token_does_not_stop_anything(page, mission):
    """Sign in again on another tab before the page notices that the session has ended."""
    page.goto("/missions/new")
    Session.objects.all().delete()
    sign_in_elsewhere(page, "mei")
    page.fill("#id_prompts", "a fox")
    expect(page.locator("#submit-mission")).to_contain_text("1 item")
    page.select_option("#id_model", index=1)
    expect(page.locator("#submit-mission")).to_contain_text("1 item")
    page.get_by_role("button", name="Account").or_(page.locator(".top-bar summary")).first.click()
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")


def test_live_page_goes_on(page, mission):
    page.goto(f"/missions/{mission.pk}")
    Session.objects.all().delete()
    expect(page.locator("#session-notice")).to_be_visible()

    sign_in_elsewhere(page, "mei")
    expect(page.locator("#session-notice")).to_be_hidden()
    Mission.objects.filter(pk=mission.pk).update(status=MissionStatus.PAUSED)

    expect(page.get_by_role("button", name="Resume").first).to_be_visible()
    expect_refusals(page)


def test_form_without_scripts_can_be_sent_again(open_page, mission):
    page = open_page(f"/missions/{mission.pk}", scripts=False)
    Session.objects.all().delete()
    sign_in_elsewhere(page, "mei")

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1")).to_have_text("This page has expired")
    assert status_of(mission) == MissionStatus.QUEUED
    page.get_by_role("button", name="Send it again").click()

    expect(page.get_by_role("button", name="Resume").first).to_be_visible()
    page.watch.wrongs = [wrong for wrong in page.watch.wrongs if "403" not in wrong]
