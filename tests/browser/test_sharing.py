"""Shared results in a real browser of somebody without an account."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from playwright.sync_api import expect

from missions.models import Output
from sharing.services import create_link
from tests.browser.chromium import check_axe
from tests.factories import TEXT_TO_IMAGE, picture
from tests.result_factories import make_large

SHOTS = os.environ.get("SHOTS", "")


@pytest.fixture
def mission(person):
    """Make an ended mission with 120 pictures."""
    for name, kind in (("shared.png", "PNG"), ("shared.jpg", "JPEG")):
        if not storages["results"].exists(name):
            storages["results"].save(name, ContentFile(picture(kind)))
    mission = make_large(person, 120, file="shared.png", size=1, name="Library", model=TEXT_TO_IMAGE)
    facts = {"thumbnail": "shared.jpg", "content_type": "image/png", "width": 40, "height": 30}
    Output.objects.filter(item__mission=mission).update(**facts)
    return mission


def shoot(page, name: str) -> None:
    """Keep a picture of the page in the folder SHOTS, if it is set."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS, f"{name}.png"))


def test_client_stars_results(open_page, mission):
    link = create_link(mission=mission, creator=mission.owner, title="Tea garden", message="Choose ten, please.")
    for width, theme, language in ((1280, "light", "en-US"), (360, "dark", "zh-CN")):
        page = open_page(f"/shared/{link.token}", user=None, width=width, theme=theme, language=language)
        expect(page.locator("#gallery .tile").first).to_be_visible()
        shoot(page, f"shared-{width}-{theme}")
        check_axe(page)
    page = open_page(f"/shared/{link.token}", user=None)
    count = page.locator("#pick-count")
    stars = page.locator("#gallery .tile-star")
    stars.nth(1).click()
    expect(count).to_have_text("1")
    page.locator("#gallery a[data-opens]").nth(2).click()
    lightbox = page.locator("#lightbox")
    expect(lightbox).to_be_visible()
    shoot(page, "shared-lightbox")
    page.keyboard.press("s")
    expect(count).to_have_text("2")
    page.keyboard.press("Escape")
    for last in (96, 120):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        expect(page.locator(f"#gallery .tile[data-index='{last}']")).to_be_attached()
    page.get_by_role("link", name="Starred").click()
    expect(page.locator("#gallery .tile")).to_have_count(2)
    starred = Output.objects.filter(is_starred=True)
    assert sorted(starred.values_list("item__index", flat=True)) == [2, 3]


def test_keys_on_a_shared_page(open_page, mission):
    for allows_download, count in ((True, 2), (False, 0)):
        link = create_link(mission=mission, creator=mission.owner, allows_download=allows_download)
        page = open_page(f"/shared/{link.token}", user=None)
        page.evaluate("""
            window.downloads = 0;
            window.copies = 0;
            HTMLAnchorElement.prototype.click = () => { downloads += 1; };
            navigator.clipboard.writeText = async () => { copies += 1; };
            null;
        """)
        tile = page.locator("#gallery .tile:focus-within")
        page.locator("#gallery a[data-opens]").first.focus()
        page.keyboard.press("End")
        expect(tile).to_have_attribute("data-index", re.compile("^(96|120)$"))
        page.keyboard.press("End")
        expect(tile).to_have_attribute("data-index", "120")
        expect(page.locator("#gallery .tile")).to_have_count(120)
        page.keyboard.press("d")
        page.keyboard.press("Enter")
        expect(page.locator("#lightbox [data-file-link]")).to_be_visible(visible=allows_download)
        for key in ("d", "p"):
            page.keyboard.press(key)
        assert page.evaluate("[downloads, copies]") == [count, 0]


def test_owner_shares_a_selection(open_page, mission):
    page = open_page(f"/missions/{mission.pk}?view=batch")
    page.locator("#gallery .tile-select input").first.check(force=True)
    page.locator("#gallery .tile-select input").nth(1).check(force=True)
    page.locator("#selection").get_by_role("button", name="Share").click()
    expect(page.get_by_role("heading", name="Share 2 selected results")).to_be_visible()
    page.get_by_role("button", name="Create link").click()
    address = page.get_by_label("Address of the link").input_value()
    shoot(page, "links")
    check_axe(page)
    phone = open_page(f"/missions/{mission.pk}/links", width=360, theme="dark", language="zh-CN")
    shoot(phone, "links-360-dark")
    check_axe(phone)
    client = open_page(address, user=None)
    expect(client.locator("#gallery .tile")).to_have_count(2)
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("Withdrawn", exact=True)).to_be_visible()
    answer = client.goto(address)
    assert answer.status == 410
    expect(client.get_by_role("heading", name="This link no longer works")).to_be_visible()
    client.watch.wrongs.clear()
