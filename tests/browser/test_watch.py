"""A mission's pages in a real browser, with real workers and the simulator."""

from __future__ import annotations

import re
import zipfile

import pytest
from django.db import connection
from playwright.sync_api import expect

from missions import services
from missions.models import Mission
from providers import provider_accounts
from tests.browser.chromium import check_axe
from tests.factories import bring_to, claim, make_mission, picture
from tests.result_factories import run

needs_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="walks with workers run on SQLite only")


@pytest.fixture
def finished(person) -> Mission:
    """Make a paused mission with six results, one of them starred, and two pending items."""
    mission = make_mission(person, 8, name="Paused teapots")
    run(mission, *[[picture(colour=colour)] for colour in ("red", "green", "blue", "teal", "navy", "olive")])
    services.pause_mission(mission_id=mission.pk, actor="test")
    services.star_results(mission_id=mission.pk, indexes=[2], is_starred=True)
    return mission


@pytest.mark.smoke
@needs_sqlite
def test_page_follows_a_mission_to_its_end(page, person, simulator, start_workers):
    simulator.set(task_seconds=0.6)
    rows = [f"a teapot, number {number}" for number in range(1, 9)]
    rows[2] += " [[sim:1501]]"
    mission = make_mission(person, [*rows, "a lamp [[sim:lose:drop]]"], name="Live")
    page.goto(f"/missions/{mission.pk}")
    expect(page.get_by_text("Waiting for the first results")).to_be_visible()
    start_workers(4)
    expect(page.locator("#gallery .tile[data-kind=image]")).to_have_count(7)
    expect(page.locator("#mission-bar")).to_contain_text("1 failed")
    expect(page).to_have_title(re.compile(r"^77.8% · Live"))

    page.get_by_role("link", name="Failures").click()
    page.get_by_role("link", name="Edit and retry").click()
    page.get_by_label("prompt").fill("a teapot that is allowed")
    page.get_by_role("button", name="Retry this item (about ¥0.05)").click()
    expect(page.locator(".badge[data-status]").first).to_be_visible()

    page.goto(f"/missions/{mission.pk}/failures")
    expect(page.get_by_text("1 item is unconfirmed")).to_be_visible()
    task = next(task for task in simulator.tasks(limit=100) if "a lamp" in task["params"]["prompt"])
    page.get_by_label("Task ID").fill(task["id"])
    page.get_by_role("button", name="Attach task").click()
    expect(page.locator("#mission-state")).to_contain_text("Completed")
    page.goto(f"/missions/{mission.pk}")
    expect(page.locator("#mission-figures")).to_contain_text("9 / 9")
    assert max(simulator.paid()["prompts"].values()) == 1


def test_lightbox_works_by_keyboard(open_page, finished):
    page = open_page(f"/missions/{finished.pk}?view=batch")
    page.locator("#gallery a[data-opens]").first.focus()
    page.keyboard.press("Enter")
    lightbox = page.locator("#lightbox")
    expect(lightbox.get_by_text("Result 1", exact=True)).to_be_visible()
    expect(lightbox.get_by_text("a teapot, number 1")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(lightbox.get_by_text("Result 2", exact=True)).to_be_visible()
    expect(lightbox.locator("[data-stars]")).to_have_attribute("aria-pressed", "true")
    with page.expect_response(lambda response: response.url.endswith("/star")):
        page.keyboard.press("s")
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    expect(lightbox).not_to_be_visible()
    expect(page.locator("#result-2-1 a[data-opens]")).to_be_focused()
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.goto(f"/missions/{finished.pk}?view=starred")
    expect(page.get_by_text("Nothing starred yet")).to_be_visible()


def test_selection_is_downloaded(open_page, finished):
    page = open_page(f"/missions/{finished.pk}?view=batch")
    page.get_by_label("Select result 1", exact=True).check()
    page.get_by_label("Select result 4", exact=True).check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download selected").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert [name[:4] for name in names] == ["0001", "0004", "mani"]


def test_list_resumes_and_deletes_missions(open_page, finished):
    page = open_page("/missions")
    card = page.locator(".mission-card")
    card.get_by_role("button", name="Resume").click()
    expect(card.get_by_role("button", name="Pause")).to_be_visible()
    card.locator("summary").click()
    card.get_by_role("link", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("the files of 6 completed items")
    check_axe(page)
    dialog.get_by_text("Keep mission").click()
    expect(dialog).to_have_count(0)
    card.locator("summary").click()
    card.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete permanently").click()
    expect(page.get_by_text("Your first mission")).to_be_visible()


def test_pages_work_without_scripts(open_page, finished):
    page = open_page(f"/missions/{finished.pk}?view=batch", scripts=False)
    page.locator("#gallery a[data-opens]").first.click()
    expect(page.get_by_role("heading", name="Item 1")).to_be_visible()
    page.goto("/missions")
    page.get_by_label("Search").fill("nothing like this")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("No missions match")).to_be_visible()


@pytest.mark.parametrize("theme, width", [("light", 1280), ("dark", 360)])
def test_gallery_is_accessible(open_page, finished, theme, width):
    page = open_page(f"/missions/{finished.pk}", theme=theme, width=width)
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#gallery a[data-opens]").first.click()
    check_axe(page)


def test_failures_appear_on_an_open_page(page, person):
    mission = make_mission(person, 3)
    first, second, third = claim(mission, provider_accounts.environment_account(), 3)
    page.goto(f"/missions/{mission.pk}/failures")
    expect(page.get_by_text("Nothing failed")).to_be_visible()
    bring_to("failed", first)
    expect(page.get_by_role("heading", name="1 item failed")).to_be_visible()
    bring_to("unconfirmed", second)
    expect(page.get_by_role("heading", name="1 item is unconfirmed")).to_be_visible()
    page.get_by_label("Task ID").fill("12345")
    page.get_by_label("Task ID").blur()
    bring_to("failed", third)
    expect(page.get_by_role("heading", name="2 items failed")).to_be_visible()
    expect(page.get_by_label("Task ID")).to_have_value("12345")
    for text in ("Needs your decision", "1 item needs your decision"):
        expect(page.locator("#mission-state")).to_contain_text(text)


def test_hidden_tab_requests_nothing(open_page, person):
    mission = make_mission(person, 3)
    page = open_page()
    page.clock.install()
    with page.expect_request(lambda request: "/events?after=" in request.url):
        page.goto(f"/missions/{mission.pk}")
    page.evaluate(HIDE)
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    services.pause_mission(mission_id=mission.pk, actor="test")
    page.clock.run_for(60_000)
    assert not urls
    page.evaluate(SHOW)
    page.clock.run_for(1_000)
    expect(page.locator("#mission-state")).to_contain_text("Paused")


def test_page_without_a_stream_polls(open_page, person):
    mission = make_mission(person, 3)
    page = open_page()
    page.route("**/events?*", lambda route: route.abort())
    page.goto(f"/missions/{mission.pk}")
    services.pause_mission(mission_id=mission.pk, actor="test")
    expect(page.locator("#mission-state")).to_contain_text("Paused")
    page.watch.wrongs.clear()  # the console logs the aborted stream


HIDE, SHOW = (
    f"""() => {{
      Object.defineProperty(document, "hidden", {{ value: {is_hidden}, configurable: true }});
      document.dispatchEvent(new Event("visibilitychange"));
    }}"""
    for is_hidden in ("true", "false")
)
