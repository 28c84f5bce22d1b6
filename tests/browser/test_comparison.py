"""Results beside each other in a real browser: rows and stars by keys, and selected results."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from missions.models import Output
from tests.browser.chromium import check_axe
from tests.factories import make_group, make_mission, picture
from tests.missions.search.test_index import index
from tests.result_factories import run


def test_keys_lead_through_rows_and_keep_results(open_page, person):
    rows = ["a fox", "an owl", "a cat"]
    first, second, _third = make_group(person, rows, rows, rows)
    run(first, [picture()], [picture()])
    run(second, [picture(colour="blue")], [picture(colour="blue")])
    page = open_page(f"/missions/{first.pk}/items/1/compare")
    check_axe(page)
    page.keyboard.press("2")
    for key, starred in (("k", [second.pk]), ("j", []), ("k", [second.pk])):
        with page.expect_response("**/star"):
            page.keyboard.press(key)
        assert [output.item.mission_id for output in Output.objects.filter(is_starred=True)] == starred
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/items/2/compare")
    expect(page.locator("[data-side]")).to_have_count(3)
    page.keyboard.press("2")
    page.keyboard.press("c")
    frames = page.locator("#compare .compare-frame")
    expect(frames).to_have_count(2)
    expect(frames.first).to_have_attribute("aria-label", re.compile("Banana Pro"))
    with page.expect_response("**/star"):
        page.keyboard.press("k")
    page.keyboard.press("Escape")
    expect(page.locator("#compare")).to_be_hidden()
    assert Output.objects.filter(is_starred=True).count() == 2
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/items/3/compare")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/items/2/compare")


def test_selected_results_of_any_missions_are_compared(open_page, person):
    missions = [make_mission(person, ["a fox"], name=name) for name in ("One", "Two")]
    for mission in missions:
        run(mission, [picture()])
    index()
    page = open_page("/results")
    tiles = page.locator("#gallery .tile")
    for number in range(2):
        tiles.nth(number).locator("a[data-opens]").focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/results/compare?*")
    expect(page.locator("[data-side]")).to_have_count(2)
    expect(page.get_by_role("heading", name="Two · 1")).to_be_visible()
