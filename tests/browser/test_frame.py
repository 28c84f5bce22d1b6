"""The frame of every page in a real browser."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from accounts.models import ApiToken, Profile
from tests.browser.chromium import check_axe
from tests.browser.conftest import PASSWORD


@pytest.fixture
def operator(transactional_db):
    return User.objects.create_superuser("operator")


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_components_are_accessible(open_page, operator, theme):
    page = open_page("/components", theme=theme, width=360 if theme == "light" else 1280, user=operator)
    check_axe(page)
    assert fits(page)
    page.get_by_role("button", name="Open a dialog").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_sign_in_language_and_sign_out(open_page, person):
    page = open_page("/accounts/tokens", user=None)
    page.get_by_label("Username").fill("mei")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    expect(page).to_have_url(re.compile(r":\d+/accounts/tokens$"))
    page.locator(".top-bar summary").click()
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    page.locator(".top-bar summary").click()
    page.locator(".top-bar [value=dark]").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    assert Profile.objects.values_list("language", "theme").get() == ("zh-hans", "dark")
    page.locator(".top-bar summary").click()
    page.locator('.top-bar form[action="/accounts/logout/"] button').click()
    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_token_is_created_copied_and_revoked(open_page, person):
    page = open_page("/accounts/tokens")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Purpose").fill("nightly")
    page.get_by_role("button", name="Create token").click()
    secret = page.locator("#secret").inner_text()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("link", name="Revoke nightly").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke token").click()
    expect(page.get_by_text("Token “nightly” revoked.")).to_be_visible()
    assert ApiToken.objects.get().revoked_at


def test_account_pages_work_without_scripts(open_page, person):
    page = open_page("/accounts/tokens", scripts=False)
    page.get_by_label("Purpose").fill("nightly")
    page.get_by_role("button", name="Create token").click()
    page.get_by_role("link", name="Revoke nightly").click()
    page.get_by_role("button", name="Revoke token").click()
    expect(page.get_by_text("Token “nightly” revoked.")).to_be_visible()


def test_menu_works_by_keyboard(page):
    page.goto("/accounts/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    menu = page.locator(".top-bar summary")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu).to_be_focused()


def test_double_click_submits_once(page):
    page.goto("/accounts/tokens")
    page.get_by_label("Purpose").fill("nightly")
    page.evaluate("for (let i = 0; i < 3; i++) document.querySelector('.token-form button').click()")
    expect(page.locator("#secret")).to_be_visible()
    assert ApiToken.objects.count() == 1


def test_times_are_in_the_browsers_zone(page):
    page.goto("/accounts/")
    zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    assert cookies["time_zone"] == zone


def test_admin_and_api_docs_obey_the_policy(open_page, operator):
    page = open_page("/admin/", user=operator)
    page.goto("/admin/accounts/apitoken/add/")
    page.locator("#id_expires_at_0").click()
    page.get_by_role("link", name="Choose a Date").first.click()
    expect(page.locator(".calendarbox").first).to_be_visible()
    page.goto("/admin/missions/mission/")
    page.goto("/api/v1/docs")
    page.get_by_text("Show the caller").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table").get_by_text('"operator"').first).to_be_visible()
