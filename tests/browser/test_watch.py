"""A mission's pages in a real browser, with real workers and the simulator."""

from __future__ import annotations

import re
import zipfile

import pytest
from django.db import connection
from playwright.sync_api import expect

from devtools.simulators.openai.process import ChatSimulatorProcess
from missions import services
from missions.models import Mission, Output
from providers import provider_accounts
from tests.browser.chromium import check_axe
from tests.factories import bring_to, claim, make_media, make_mission, picture
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
    page.get_by_role("link", name="Show item").click()
    page.get_by_label("prompt").fill("a teapot that is allowed")
    with page.expect_response("**/retry"):
        page.get_by_role("button", name="Retry this item (about ¥0.05)").click()

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
    expect(page.locator(".tile[data-index='2'] a[data-opens]")).to_be_focused()
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
    assert [name[:4] for name in names] == ["1_a-", "4_a-", "mani"]


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


TOLD = """
  window.told = [];
  window.Notification = class extends EventTarget {
    static permission = "granted";
    constructor(title, { body }) { super(); told.push(`${title} ${body}`); }
  };
"""


def test_hidden_tab_counts_and_tells_the_end(open_page, person):
    mission = make_mission(person, 2, name="Teapots")
    page = open_page()
    page.add_init_script(TOLD)
    page.clock.install()
    with page.expect_request(lambda request: "/events?after=" in request.url):
        page.goto(f"/missions/{mission.pk}")
    page.evaluate(HIDE)
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    run(mission, [picture()])
    page.clock.run_for(16_000)
    expect(page).to_have_title("50% · Teapots · RunningHub Batch")
    assert not page.evaluate("told")
    run(mission, [picture()])
    page.clock.run_for(16_000)
    expect(page).to_have_title("✓ Teapots · RunningHub Batch")
    page.clock.run_for(60_000)
    assert len([url for url in urls if "/pulse" in url]) == 2
    assert not [url for url in urls if "/events" in url]
    assert page.evaluate("told") == ["“Teapots” is done. completed: 2 of 2 completed, 0 failed"]
    page.evaluate(SHOW)
    expect(page).to_have_title("Teapots · RunningHub Batch")


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


@needs_sqlite
def test_text_appears_while_it_is_written(open_page, person, start_workers):
    with ChatSimulatorProcess() as chat:
        chat.set(token_seconds=1.5)
        mission = make_mission(person, ["Tell a story."], name="Story", task_type="text")
        pages = [open_page(f"/missions/{mission.pk}{tab}") for tab in ("", "/items/1")]
        cluster = start_workers(4, OPENAI_BASE_URL=chat.url, CHAT_MODEL="simulated-chat")
        for page in pages:
            text = page.locator("[data-live-text='1']")
            expect(text).to_have_text(re.compile(r"\w+ \w+ \w+"))
            first = text.text_content()
            expect(text).not_to_have_text(first)
            assert text.text_content().startswith(first)
        chat.set(token_seconds=0)
        expect(pages[0].locator("#gallery .tile[data-kind=text]")).to_have_count(1)
        expect(pages[0].locator("#mission-running")).to_be_hidden()
        words = Output.objects.get().text
        assert len(words.split()) == 20
        expect(pages[1].locator("#item-results")).to_contain_text(words)
        expect(pages[1].locator("#item-status")).to_contain_text("completed", ignore_case=True)
        pages[0].locator("#gallery a[data-opens]").click()
        expect(pages[0].locator("#lightbox [data-stage]")).to_have_text(words)
        cluster.stop()


@needs_sqlite
def test_progress_is_shown_while_an_item_runs(open_page, person, start_workers):
    image = make_media(person, content=picture(size=(640, 360))).reference
    params = {"duration": 15.0, "resolution": "1080p"}
    mission = make_mission(person, [image], name="Clip", task_type="image_to_video", model="ken-burns", params=params)
    pages = [open_page(f"/missions/{mission.pk}{tab}") for tab in ("", "/items", "/items/1")]
    start_workers(2)
    for page in pages:
        bar = page.locator(".item-progress progress").first
        expect(bar).to_be_visible()
        expect(bar).to_have_attribute("value", re.compile(r"^[1-9]\d?$"))
        expect(page.locator(".item-progress").first).to_have_text(re.compile(r"^\s*\d+%\s*$"))
        check_axe(page)
    services.cancel_mission(mission_id=mission.pk, actor="test")
