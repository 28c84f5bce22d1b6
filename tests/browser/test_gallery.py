"""The gallery of a large mission in a real browser: scrolling, jumping, selecting, the keyboard."""

from __future__ import annotations

import io
import os
import re
import time
import zipfile
from datetime import timedelta

import av
import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import transaction
from django.utils import timezone
from PIL import Image
from playwright.sync_api import Page, expect

from missions.models import Attempt, Mission, MissionItem, Output
from tests.browser.chromium import check_axe
from tests.factories import TEXT_TO_IMAGE, make_media, make_mission, picture
from tests.missions.search.test_index import index
from tests.result_factories import make_large, run

ITEMS = 400


@pytest.mark.smoke
def test_gallery_answers_keys_beyond_its_first_page(open_page, person):
    page = open_page(f"/missions/{make_large(person, 150, file='none.bin').pk}?view=batch")
    result(page, 1).focus()
    page.keyboard.press("Space")
    for number in (120, 150):
        page.keyboard.press("g")
        page.keyboard.type(str(number))
        page.keyboard.press("Enter")
        expect(result(page, number)).to_be_focused()
    page.keyboard.press("Shift+Space")
    expect(page.get_by_text("150 selected")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("x")
    with page.expect_response("**/star"):
        page.keyboard.press("s")
    page.keyboard.press("Escape")
    expect(page.get_by_text("149 selected")).to_be_visible()
    assert Output.objects.get(is_starred=True).item.index == 150


@pytest.fixture
def library(person) -> Mission:
    """Make an ended mission with 400 pictures, completed in reverse order."""
    for name, kind in (("shared.png", "PNG"), ("shared.jpg", "JPEG")):
        if not storages["results"].exists(name):
            storages["results"].save(name, ContentFile(picture(kind)))
    size = storages["results"].size("shared.png")
    mission = make_large(person, ITEMS, file="shared.png", size=size, name="Library", model=TEXT_TO_IMAGE)
    facts = {"thumbnail": "shared.jpg", "content_type": "image/png", "width": 40, "height": 30}
    Output.objects.filter(item__mission=mission).update(**facts)
    items = list(mission.items.all())
    for item in items:
        item.ended_at = timezone.now() - timedelta(seconds=item.index)
    MissionItem.objects.bulk_update(items, ["ended_at"], batch_size=200)
    return mission


def result(page: Page, number: int):
    return page.locator(f"#gallery .tile[data-row$='-{number}'] a[data-opens]")


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''").partition(":")[0]


def test_all_results_are_reached_by_scrolling(open_page, library):
    page = open_page(f"/missions/{library.pk}")
    expect(page.get_by_role("link", name="Show more")).to_be_hidden()
    tiles = page.locator("#gallery .tile")
    page.mouse.move(600, 600)
    page.mouse.wheel(0, 1500)
    expect(result(page, 96)).to_be_attached()
    expect(page).to_have_url(re.compile(r"[?]at=\d+$"))

    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(result(page, ITEMS)).to_be_attached()
    expect(result(page, 1)).to_have_count(0)
    assert tiles.count() < ITEMS / 2

    page.mouse.wheel(0, -2500)
    expect(result(page, 300)).to_be_attached()
    page.reload()
    expect(result(page, 1)).to_have_count(0)
    page.evaluate("scrollTo(0, 0)")
    expect(result(page, 1)).to_be_in_viewport()


def test_jump_leads_to_a_number_and_its_neighbours(open_page, library):
    library.items.filter(index=301).update(status="failed")
    page = open_page(f"/missions/{library.pk}")
    page.get_by_label("No.").fill("300")
    page.keyboard.press("Enter")
    expect(result(page, 300)).to_be_focused()
    for number in (290, 299, 340):
        expect(result(page, number)).to_be_attached()
    page.keyboard.press("g")
    page.keyboard.type("301")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Number 301 has no result here. This is number 302.")).to_be_visible()
    expect(result(page, 302)).to_be_focused()
    columns = page.evaluate("new Set([...document.querySelectorAll('.tile')].map((tile) => tile.offsetLeft)).size")
    page.get_by_label("Gallery display").click()
    page.get_by_role("link", name="Small").click()
    expect(page.locator("#gallery")).to_have_attribute("data-size", "small")
    assert (
        page.evaluate("new Set([...document.querySelectorAll('.tile')].map((tile) => tile.offsetLeft)).size") > columns
    )
    expect(result(page, 302)).to_be_in_viewport()
    page.reload()
    expect(page.locator("#gallery")).to_have_attribute("data-size", "small")


def test_selection_holds_beyond_the_page(open_page, library):
    page = open_page(f"/missions/{library.pk}?view=batch")
    page.evaluate("window.isSamePage = true")
    page.get_by_label("Select result 3", exact=True).check()
    page.get_by_label("No.").fill("350")
    page.keyboard.press("Enter")
    page.get_by_label("Select result 352", exact=True).click(modifiers=["Shift"])
    expect(page.get_by_text("350 selected")).to_be_visible()
    page.get_by_label("Select result 351", exact=True).uncheck()
    expect(page.get_by_text("349 selected")).to_be_visible()
    page.get_by_role("button", name="Star", exact=True).click()
    expect(page.get_by_text("349 results starred.")).to_be_visible()
    expect(page.get_by_label("Star result 350")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Star result 351")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("Select result 351", exact=True)).to_be_in_viewport()
    assert page.evaluate("window.isSamePage")

    page.get_by_role("link", name="Newest").click()
    expect(page.get_by_text("349 selected")).to_be_visible()
    expect(page.get_by_label("Select result 3", exact=True)).to_be_checked()
    page.locator("#selection").get_by_role("button", name="Select all 400").click()
    page.get_by_label("Select result 5", exact=True).uncheck()
    expect(page.get_by_text("399 of 400 selected")).to_be_visible()
    check_axe(page)
    page.get_by_role("button", name="Unstar").click()
    expect(page.get_by_text("Star removed from 348 results.")).to_be_visible()
    assert Output.objects.get(is_starred=True).item.index == 5
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#selection")).to_be_hidden()


def test_gallery_is_walked_by_keyboard(open_page, library):
    page = open_page(f"/missions/{library.pk}?view=batch")
    result(page, 1).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.getElementById('gallery').contains(document.activeElement)") is False
    page.keyboard.press("Shift+Tab")
    columns = page.evaluate(
        "getComputedStyle(document.getElementById('gallery')).gridTemplateColumns.split(' ').length"
    )
    for key, number in [
        ("ArrowRight", 2),
        ("ArrowDown", 2 + columns),
        ("ArrowLeft", 1 + columns),
        ("ArrowUp", 1),
        ("ArrowUp", 1),
        ("End", ITEMS),
        ("ArrowLeft", ITEMS - 1),
        ("Home", 1),
    ]:
        page.keyboard.press(key)
        expect(result(page, number)).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("PageDown")
    expect(result(page, 1)).not_to_be_focused()
    last = int(focused(page).split()[-1])
    page.keyboard.press("Shift+Space")
    expect(page.get_by_text(f"{last} selected")).to_be_visible()
    page.keyboard.press("Control+a")
    expect(page.get_by_text("All 400 selected")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_be_hidden()
    with page.expect_response("**/star"):
        page.keyboard.press("s")
    assert Output.objects.get(is_starred=True).item.index == last
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    check_axe(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("#lightbox")).to_be_visible()


def test_new_results_do_not_scroll_the_page_away(open_page, person):
    mission = make_mission(person, 20)
    run(mission, *[[picture()]] * 7)
    page = open_page(f"/missions/{mission.pk}")
    with transaction.atomic():  # they arrive together
        run(mission, *[[picture()]] * 12)
    expect(page.locator("#gallery .tile")).to_have_count(19)
    assert page.evaluate("scrollY") == 0
    page.locator("#gallery .tile").last.scroll_into_view_if_needed()
    run(mission, [picture()])
    expect(page.get_by_role("button", name="Show 1 new result")).to_be_visible()


def test_new_results_leave_a_selection_alone(open_page, person):
    mission = make_mission(person, 5)
    run(mission, [picture()], [picture()])
    page = open_page(f"/missions/{mission.pk}")
    page.get_by_label("Select result 1", exact=True).check()
    run(mission, [picture()])
    page.get_by_role("button", name="Show 1 new result").click(trial=True)
    expect(page.get_by_text("1 selected")).to_be_visible()
    expect(page.locator("#gallery .tile")).to_have_count(2)
    page.get_by_role("button", name="Show 1 new result").click()
    expect(page.locator("#gallery .tile").first).to_have_attribute("data-index", "3")
    expect(page.get_by_label("Select result 1", exact=True)).to_be_checked()
    page.get_by_role("button", name="Clear").click()
    run(mission, [picture()], [picture()])
    expect(page.locator("#gallery .tile")).to_have_count(5)
    page.get_by_role("link", name="All done: sort by number").click()
    expect(page.locator("#gallery .tile").first).to_have_attribute("data-index", "1")


def touch(page: Page, *strokes: list[tuple[float, float]]) -> None:
    """Move a finger along each of the strokes, with 10 ms from point to point on any machine."""
    client = page.context.new_cdp_session(page)
    at = time.time() - 1
    for points in strokes:
        for kind, touched in [
            ("touchStart", points[:1]),
            *(("touchMove", [point]) for point in points[1:]),
            ("touchEnd", []),
        ]:
            at += 0.01
            places = [{"x": x, "y": y} for x, y in touched]
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places, "timestamp": at})


def swipe(page: Page, dx: int, dy: int = 0) -> None:
    """Move a finger over the image, by pixels."""
    touch(page, [(180 + dx * step / 5, 200 + dy * step / 5) for step in range(6)])


def test_lightbox_on_a_telephone_swipes_zooms_and_goes_back(open_page, library):
    page = open_page(f"/missions/{library.pk}", width=360, height=780)
    result(page, 1).tap()
    lightbox = page.locator("#lightbox")
    expect(lightbox.get_by_text("Result 1", exact=True)).to_be_visible()
    expect(lightbox.locator("[data-stage] img")).to_be_visible()
    swipe(page, -150)
    expect(lightbox.get_by_text("Result 2", exact=True)).to_be_visible()
    swipe(page, 150)
    swipe(page, -150)
    swipe(page, -150)
    expect(lightbox.get_by_text("Result 3", exact=True)).to_be_visible()
    for name in ("Star", "Select", "Download"):
        assert lightbox.get_by_text(name, exact=True).bounding_box()["y"] > 680
    lightbox.get_by_role("button", name="Select").tap()
    expect(lightbox.get_by_text("Selected", exact=True)).to_be_visible()
    before = lightbox.locator("[data-percent]").inner_text()
    touch(page, [(180, 400)], [(180, 400)])
    expect(lightbox.locator("[data-percent]")).not_to_have_text(before)
    swipe(page, -150)
    expect(lightbox.get_by_text("Result 3", exact=True)).to_be_visible()
    lightbox.get_by_role("button", name="Information").tap()
    expect(lightbox.get_by_text("a teapot, number 3")).to_be_visible()
    check_axe(page)
    page.go_back()
    expect(lightbox).to_be_hidden()
    expect(page).to_have_url(re.compile(f"/missions/{library.pk}"))
    expect(page.get_by_text("1 selected")).to_be_visible()
    result(page, 4).tap()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Clear").tap()
    result(page, 1).tap()
    swipe(page, 0, 200)
    expect(lightbox).to_be_hidden()
    assert page.evaluate("history.state?.layer ?? null") is None


def test_lightbox_leads_beyond_the_page(open_page, library):
    page = open_page(f"/missions/{library.pk}?at=48")
    result(page, 48).click()
    lightbox = page.locator("#lightbox")
    for key, number in [("ArrowRight", 49), ("Home", 1), ("End", ITEMS), ("ArrowLeft", ITEMS - 1)]:
        page.keyboard.press(key)
        expect(lightbox.get_by_text(f"Result {number}", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(result(page, ITEMS - 1)).to_be_focused()
    expect(result(page, ITEMS - 1)).to_be_in_viewport()


def test_results_are_compared_side_by_side(open_page, library):
    page = open_page(f"/missions/{library.pk}")
    page.get_by_label("Select result 2", exact=True).check()
    expect(page.get_by_role("button", name="Compare")).to_be_hidden()
    page.get_by_label("Select result 5", exact=True).check()
    page.get_by_label("Select result 7", exact=True).check()
    page.get_by_role("button", name="Compare").click()
    dialog = page.locator("#compare")
    frames = dialog.locator(".compare-frame")
    expect(frames).to_have_count(3)
    page.keyboard.press("+")
    zoomed = frames.locator("img").evaluate_all("pictures => pictures.map((each) => each.style.transform)")
    assert len(set(zoomed)) == 1
    assert "scale" in zoomed[0]
    check_axe(page)
    page.go_back()
    expect(dialog).to_be_hidden()

    page.get_by_label("Select result 7", exact=True).uncheck()
    page.get_by_role("button", name="Compare").click()
    expect(frames.last).to_be_focused()
    with page.expect_response("**/star"):
        page.keyboard.press("k")
    expect(page.get_by_label("Star result 5", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("v")
    divider = dialog.get_by_label("Divider")
    page.keyboard.press("]")
    expect(divider).to_have_value("55")
    check_axe(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    result(page, 10).click()
    page.keyboard.press("c")
    expect(frames.last).to_have_attribute("aria-label", re.compile("^11 "))
    page.keyboard.press("j")
    expect(frames.last).to_have_attribute("aria-label", re.compile("^12 "))
    page.keyboard.press("Escape")
    expect(page.locator("#lightbox")).to_be_visible()


def test_result_is_compared_with_its_source(open_page, person):
    sources = [make_media(person, name=f"{name}.png", content=picture(colour=name)) for name in ("red", "green")]
    rows = [{"imageUrls": [source.reference], "prompt": "in snow"} for source in sources]
    mission = make_mission(person, rows, task_type="image_to_image")
    run(mission, [picture()], [picture(colour="blue")])
    page = open_page(f"/missions/{mission.pk}?view=batch")
    result(page, 1).click()
    page.get_by_role("button", name="Before and after").click()
    dialog = page.locator("#compare")
    expect(dialog.locator("[data-stage]")).to_have_attribute("data-mode", "slider")
    expect(dialog.get_by_text("red.png", exact=True)).to_be_visible()
    sizes = dialog.locator("img").evaluate_all("pictures => pictures.map((each) => each.offsetWidth)")
    assert sizes[0] == sizes[1] > 100
    page.keyboard.press("j")
    expect(dialog.locator(".compare-frame").last).to_have_attribute("aria-label", re.compile("^2 "))


def test_videos_are_compared_in_step(open_page, person):
    mission = make_mission(person, 2)
    run(mission, [clip()], [clip()])
    Output.objects.update(content_type="video/mp4", extension="mp4", width=64, height=64)
    page = open_page(f"/missions/{mission.pk}?view=batch")
    for number in (1, 2):
        page.get_by_label(f"Select result {number}", exact=True).check()
    page.get_by_role("button", name="Compare").click()
    dialog = page.locator("#compare")
    expect(dialog.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    expect(dialog.get_by_role("button", name="Play")).to_be_visible()
    dialog.get_by_label("Time").fill("500")
    times = dialog.locator("video").evaluate_all("videos => videos.map((each) => each.currentTime)")
    assert times[0] == times[1] > 0


def clip() -> bytes:
    """Make a video of two seconds."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(24):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 64), (10 * number, 0, 0)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def test_a_selection_ends_with_its_action(open_page, library):
    page = open_page(f"/missions/{library.pk}?view=batch")
    for number in (1, 2):
        result(page, number).locator("xpath=ancestor::li").locator("[name=item]").first.check()
    bar = page.locator("#selection")
    expect(bar).to_contain_text("2 selected")
    for button, is_over in (("Back", False), ("Make again (about ¥0.10)", True)):
        bar.get_by_role("button", name="Make again…").click()
        page.locator(".dialog-actions").get_by_text(button).click()
        expect(page.locator("#gallery")).to_be_visible()
        expect(bar.locator("[data-counts]")).to_have_text("" if is_over else "2 selected")


def test_next_steps_from_the_lightbox(open_page, library):
    page = open_page(f"/missions/{library.pk}?view=batch")
    result(page, 3).click()
    lightbox = page.locator("#lightbox")
    expect(lightbox.get_by_role("button", name="Use for image to video")).to_be_visible()
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/steps.png")
    page.keyboard.press("ArrowRight")
    lightbox.get_by_role("button", name="Make again…").click()
    expect(page.get_by_role("heading", name="Make 1 result again?")).to_be_visible()
    expect(page.locator("[name=item]")).to_have_value("4:1")
    page.go_back()
    result(page, 3).click()
    lightbox.get_by_role("button", name="Use for image to image").click()
    expect(page).to_have_url(re.compile(r"/missions/new[?]draft="))


def test_search_finds_results_of_the_mission(open_page, library):
    index()
    page = open_page(f"/missions/{library.pk}?view=batch")
    page.get_by_role("button", name="Select all 400").first.click()
    result(page, 1).focus()
    page.keyboard.press("/")
    page.keyboard.type("NUMBER 12")
    page.keyboard.press("Enter")
    expect(page.get_by_text("11 results found")).to_be_visible()
    expect(page.locator("#gallery .tile")).to_have_count(11)
    expect(page.locator("#selection")).to_be_hidden()  # all of the mission were others
    page.keyboard.press("g")
    page.keyboard.type("123")
    page.keyboard.press("Enter")
    expect(result(page, 123)).to_be_focused()
    check_axe(page)
    page.get_by_role("button", name="Select all 11").first.click()
    page.get_by_role("button", name="Star", exact=True).click()
    expect(page.get_by_text("11 results starred.")).to_be_visible()
    page.get_by_role("link", name="By number").click()
    expect(page.get_by_text("11 results found")).to_be_visible()
    expect(page.locator("#selection")).to_contain_text("All 11 selected")
    page.go_back()
    expect(result(page, 1)).to_be_attached()
    expect(page.get_by_role("searchbox")).to_have_value("")


def test_new_results_that_match_join_a_search(open_page, person):
    mission = make_mission(person, ["a red fox", "an owl", "two foxes", "a fox", "an otter"])
    run(mission, ["1"])
    index()
    page = open_page(f"/missions/{mission.pk}?view=newest&search=fox")
    expect(page.get_by_text("1 result found")).to_be_visible()
    run(mission, ["2"], ["3"])
    index()
    expect(page.get_by_text("2 results found")).to_be_visible()
    expect(page.locator("#gallery .tile")).to_have_count(2)


def test_results_of_one_mission_are_chosen_by_its_name(open_page, person):
    missions = [make_mission(person, ["a fox"], name=f"{name} 春季新品") for name in ("Red", "Blue", "Green")]
    for mission in missions:
        run(mission, [picture()])
    index()
    page = open_page("/results?task_type=text_to_image", width=360)
    field, offered = page.get_by_label("Mission", exact=True), page.locator("#missions-found option")
    assert field.bounding_box()["width"] < 180, "half of the width, like the selects"
    field.click()
    expect(offered).to_have_count(3)
    field.press_sequentially("BLU")
    expect(offered).to_have_count(1)
    field.fill(offered.get_attribute("value") or "")  # as choosing it does
    expect(page.locator("#gallery .tile")).to_have_count(1)
    expect(page).to_have_url(re.compile(f"task_type=text_to_image.*mission={missions[1].pk}$"))
    check_axe(page)
    page.get_by_role("link", name="Show results of all missions").click()
    expect(page.locator("#gallery .tile")).to_have_count(3)
    expect(page.get_by_label("Type", exact=True)).to_have_value("text_to_image")


def test_results_of_all_missions_offer_what_is_allowed(open_page, person):
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_mission"))
    for owner in (person, viewer):
        run(make_mission(owner, 1, name=f"of {owner}"), [picture()])
    index()
    page = open_page("/results", user=viewer)
    lightbox = page.locator("#lightbox")
    page.locator("#gallery a[data-opens]").first.click()
    expect(lightbox.get_by_role("button", name="Star")).to_be_visible()
    expect(lightbox.get_by_label("Tags")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(lightbox.get_by_role("button", name="Make again…")).to_be_hidden()
    expect(lightbox.get_by_role("button", name="Star")).to_be_hidden()
    expect(lightbox.get_by_text("Download", exact=True)).to_be_visible()
    expect(lightbox.get_by_label("Tags")).to_be_hidden()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Select the 2 shown").click()
    page.get_by_role("button", name="Unstar").click()
    expect(page.get_by_text("1 other belongs to somebody else")).to_be_visible()


def test_few_results_are_all_selected_compared_and_tagged(open_page, person):
    mission = make_mission(person, 3)
    run(mission, ["1"], ["2"], ["3"])
    page = open_page(f"/missions/{mission.pk}?view=batch")
    bar = page.locator("#selection")
    result(page, 1).focus()
    page.keyboard.press("Control+a")
    expect(bar).to_contain_text("All 3 selected")
    expect(bar.get_by_role("button", name="Compare")).to_be_visible()
    bar.get_by_text("Tag…").click()
    page.keyboard.type("approved")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 results tagged.")).to_be_visible()
    message, shown = page.locator(".message").bounding_box(), bar.bounding_box()
    assert message["y"] + message["height"] <= shown["y"]


def test_results_of_several_missions_are_tagged_and_downloaded(open_page, person, library):
    run(make_mission(person, 1, name="Extra"), ["a poem"])
    Attempt.objects.filter(item__mission=library).update(ended_at=timezone.now() - timedelta(minutes=1))
    index()
    page = open_page("/results")
    tiles, bar = page.locator("#gallery .tile"), page.locator("#selection")
    tiles.nth(0).locator("a[data-opens]").focus()
    page.keyboard.press("Space")
    expect(bar).to_contain_text("1 selected")
    page.keyboard.press("End")
    expect(tiles.last.locator("a[data-opens]")).to_be_focused()  # it has ended, and scrolls no more
    tiles.nth(4).locator("a[data-opens]").focus()
    page.keyboard.press("Shift+Space")
    expect(bar).to_contain_text("5 selected")
    scroll = page.evaluate("scrollY")
    page.keyboard.press("t")
    bar.get_by_label("Tags, with commas").fill("approved, 春季")
    bar.get_by_label("Tags, with commas").press("Enter")
    expect(page.get_by_text("5 results tagged.")).to_be_visible()
    assert page.evaluate("scrollY") == scroll
    assert set(MissionItem.objects.filter(tags__name="春季").values_list("mission__name", flat=True)) == {
        "Extra",
        "Library",
    }
    tiles.nth(1).locator("a[data-opens]").click()
    lightbox = page.locator("#lightbox")
    expect(lightbox.get_by_role("link", name="春季")).to_be_visible()
    page.keyboard.press("t")
    page.keyboard.press("End")
    page.keyboard.type(", late")
    with page.expect_response("**/tags"):
        page.keyboard.press("Enter")
    expect(lightbox.get_by_role("link", name="late")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(lightbox).to_be_hidden()
    page.reload()
    page.get_by_label("Tag", exact=True).select_option("late")
    expect(tiles).to_have_count(1)
    expect(bar).to_contain_text("5 selected, 4 not shown")
    check_axe(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download selected").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert {name.partition("/")[0] for name in names} == {"Extra", "Library", "manifest.csv"}
