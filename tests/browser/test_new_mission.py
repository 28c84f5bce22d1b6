"""The new-mission page in a real browser."""

from __future__ import annotations

import base64
import re

import pytest
from playwright.sync_api import Route, expect

from missions.models import Mission
from tests.browser.chromium import check_axe
from tests.factories import make_media, picture

URL = "/missions/new"


def photos(count, first=0):
    return [
        {"name": f"photo-{n}.png", "mimeType": "image/png", "buffer": picture(size=(40 + n, 30))}
        for n in range(first, first + count)
    ]


def submit_button(page, text):
    button = page.locator("#submit-mission")
    expect(button).to_contain_text(text)
    return button


def choose(page, control):
    """Choose a radio button that redraws the form, and wait for the redraw.

    It lies under its label.
    """
    page.evaluate("document.getElementById('mission-form').dataset.old = ''")
    page.locator(f"label:has(#{control})").click()
    expect(page.locator(f"#mission-form:not([data-old]) #{control}")).to_be_checked()


@pytest.mark.smoke
def test_prompts_are_priced_and_a_double_click_pays_once(page):
    page.goto(URL)
    page.fill("#id_name", "Foxes")
    page.fill("#id_prompts", "a fox\na cat\na fox")

    expect(page.locator("#prompt-facts")).to_contain_text("1 repeated line")
    submit_button(page, "Submit 3 items (about ¥0.15)").dblclick()

    page.wait_for_url(re.compile(r"/missions/\d+$"))
    assert [mission.total_count for mission in Mission.objects.all()] == [3]


def test_control_enter_submits_at_the_shown_price_only(page):
    page.goto(URL)
    page.fill("#id_prompts", "a fox\na cat")
    submit_button(page, "Submit 2 items (about ¥0.10)")
    held = []
    page.route(f"**{URL}", lambda route: held.append(route))
    page.fill("#id_prompts", "a fox\na cat\nan owl")
    page.press("#id_prompts", "Control+Enter")
    while not held:
        page.wait_for_timeout(20)
    held.pop().continue_()
    page.unroute(f"**{URL}")
    submit_button(page, "Submit 3 items (about ¥0.15)")
    assert not Mission.objects.exists()

    page.press("#id_prompts", "Control+Enter")
    page.wait_for_url(re.compile(r"/missions/\d+$"))
    assert [mission.total_count for mission in Mission.objects.all()] == [3]


def test_old_figures_are_not_shown(page):
    page.goto(URL)
    page.fill("#id_prompts", "a fox")
    submit_button(page, "Submit 1 item (about ¥0.05)")
    expect(page.locator("#id_name")).to_have_attribute("placeholder", "a fox · Text to image")
    held = []
    page.route(f"**{URL}", lambda route: held.append(route))
    with page.expect_request(f"**{URL}"):
        page.fill("#id_prompts", "an owl\na cat")
        expect(submit_button(page, "Counting…")).to_be_disabled()
        expect(page.locator(".preview-figures")).not_to_contain_text("0.05")
    page.fill("#id_prompts", "an owl\na cat\na dog")
    held.pop().continue_()
    expect(page.locator(".preview-saved")).to_contain_text("Draft saved")
    expect(submit_button(page, "Counting…")).to_be_disabled()
    page.unroute(f"**{URL}")
    for route in held:
        route.continue_()
    expect(submit_button(page, "Submit 3 items (about ¥0.15)")).to_be_enabled()
    expect(page.locator("#id_name")).to_have_attribute("placeholder", "an owl · Text to image")


def test_reload_and_back_lose_and_repeat_nothing(page):
    page.goto(URL)
    page.fill("#id_prompts", "a fox\na cat")
    page.select_option("#id_param-aspectRatio", "16:9")
    submit_button(page, "2 items")
    expect(page).to_have_url(re.compile("draft="))

    page.reload()

    expect(page.locator("#id_prompts")).to_have_value("a fox\na cat")
    expect(page.locator("#id_param-aspectRatio")).to_have_value("16:9")
    submit_button(page, "2 items").click()
    page.wait_for_url(re.compile(r"/missions/\d+$"))
    page.go_back()
    page.wait_for_url(re.compile(r"/missions/\d+$|draft="))
    assert Mission.objects.count() == 1


def test_redraw_keeps_what_is_typed(page):
    page.goto(URL)
    page.fill("#id_prompts", "a fox")
    submit_button(page, "1 item")
    page.route(
        "**/missions/new", lambda route: (page.fill("#id_name", "typed meanwhile"), route.continue_())[1], times=1
    )

    page.click("label:has(#id_task_type_text_to_video)")

    expect(page.locator("[name=shown_model]")).to_have_value("rhart-video-v3.1-lite/text-to-video")
    expect(page.locator("#id_name")).to_have_value("typed meanwhile")
    expect(page.locator("#id_prompts")).to_have_value("a fox")


def test_invalid_row_of_a_chinese_file_is_skipped(page):
    page.goto(URL)
    rows = "".join(f"{n},江南水乡 {n},{'16x8' if n == 216 else '16:9'}\r\n" for n in range(1, 301))
    content = f"编号,提示词,比例\r\n{rows}".encode("gb18030")

    page.set_input_files("[name=file]", {"name": "表.csv", "mimeType": "text/csv", "buffer": content})

    expect(page.locator(".row-problems")).to_contain_text("Line 217 · 比例")
    expect(page.locator("#id_column-1")).to_have_value("prompt")
    page.check("#id_leave_out")
    submit_button(page, "Submit 299 items (about ¥14.95)").click()
    page.wait_for_url(re.compile(r"/missions/\d+$"))


def test_pasted_cells_are_shown_as_a_table(page):
    page.goto(URL)
    page.fill("#id_prompts", "prompt\taspectRatio\na whale\t16:9\nan owl\t1:1\n")

    expect(page.locator("#id_column-1")).to_have_value("aspectRatio")
    expect(page.locator(".read")).to_contain_text("Pasted cells: 2 rows")
    page.get_by_role("button", name="Use as prompts, one per line").click()
    expect(page.locator("#id_prompts")).to_have_value(re.compile("a whale\t16:9"))
    submit_button(page, "Submit 3 items (about ¥0.15)")


def test_images_upload_in_order(page):
    page.goto(URL)
    choose(page, "id_task_type_image_to_image")
    wrong = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}

    page.set_input_files("#image-uploader-files", [*photos(6), wrong, *photos(6, first=6), *photos(2)])

    expect(page.locator("#image-uploader")).to_contain_text("14 of 15 uploaded, 2 already in your library, 1 refused")
    expect(page.locator("#image-uploader .uploads")).to_contain_text("notes.pngThis is not a")
    expect(page.locator("#tiles .tile")).to_have_count(12)
    names = page.locator("#tiles img").evaluate_all("images => images.map(image => image.alt)")
    assert names == [f"photo-{n}.png" for n in range(12)]
    page.fill("#id_param-prompt", "in ink")
    page.fill("#id_images_per_item", "3")
    submit_button(page, "Submit 4 items (about ¥0.20)")
    page.watch.wrongs = [wrong for wrong in page.watch.wrongs if "422" not in wrong]  # the refused file


def test_submit_waits_for_uploads(page):
    page.goto(URL)
    choose(page, "id_task_type_image_to_image")
    page.fill("#id_param-prompt", "in ink")
    page.set_input_files("#image-uploader-files", photos(1))
    button = submit_button(page, "1 item")
    held: list[Route] = []
    page.route("**/media/upload", lambda route: held.append(route))

    with page.expect_request("**/media/upload"):
        page.set_input_files("#image-uploader-files", photos(1, first=1))

    expect(button).to_be_disabled()
    expect(page.locator("#image-uploader")).to_contain_text("0 of 1 uploaded")
    held[0].continue_()
    expect(submit_button(page, "2 items")).to_be_enabled()


def test_images_are_dropped_and_pasted(page):
    page.goto(URL)
    choose(page, "id_task_type_image_to_image")
    for kind, number in (("drop", 1), ("paste", 2)):
        page.evaluate(TRANSFER_FILE, {"kind": kind, "name": f"{kind}.png", "content": encoded(number)})
        expect(page.locator("#tiles .tile")).to_have_count(number)

    choose(page, "id_prompt_each_2")
    page.fill("#id_image_prompts", "in ink")
    expect(page.locator(".tile:nth-child(1) .tile-prompt")).to_have_value("in ink")
    page.click("#missing-prompts button:has-text('1 photo needs a prompt')")
    page.keyboard.insert_text("in oil")
    expect(page.locator("#id_image_prompts")).to_have_value("in ink\nin oil")
    submit_button(page, "Submit 2 items (about ¥0.10)")


def test_library_images_are_combined_with_prompts(page, person):
    for number in range(2):
        make_media(person, name=f"cat-{number}.png", content=picture(size=(20 + number, 20)))
    page.goto(URL)
    choose(page, "id_task_type_image_to_image")
    choose(page, "id_source_combinations")
    page.fill("#id_prompts", "in ink\nin oil\nin chalk")
    page.click("[data-opens-library]")
    for number in range(2):
        page.locator("#library-choice label").filter(has_text=f"cat-{number}.png").click()
    page.click("[data-adds-selected]")

    submit_button(page, "Submit 6 items (about ¥0.30)")


def test_template_is_saved_and_loaded(page):
    page.goto(URL)
    page.select_option("#id_param-aspectRatio", "21:9")
    page.click("[data-toggles=template-saver]")
    page.fill("#id_new_template", "Wide")
    page.click("[value=save_template]")
    expect(page.locator("#notes")).to_contain_text("“Wide” saved")

    page.goto(URL)
    page.fill("#id_prompts", "a fox")
    page.select_option("#id_template", label="Wide")
    page.click("[value=load_template]")

    expect(page.locator("#id_param-aspectRatio")).to_have_value("21:9")
    expect(page.locator("#id_prompts")).to_have_value("a fox")


def test_draft_recovers_from_a_lost_connection(page):
    page.goto(URL)
    page.context.set_offline(True)
    page.fill("#id_prompts", "a fox\na cat")
    expect(page.locator(".preview-saved")).to_contain_text("no connection")

    page.context.set_offline(False)

    submit_button(page, "2 items")
    expect(page.locator(".preview-saved")).to_contain_text("Draft saved")
    page.watch.wrongs.clear()  # the browser logs that it was offline


def test_form_works_without_scripts(open_page):
    page = open_page(URL, scripts=False)
    page.fill("#id_prompts", "a fox\na cat")
    page.click("text=Check")
    submit_button(page, "Submit 2 items (about ¥0.10)").click()

    page.wait_for_url(re.compile(r"/missions/\d+$"))
    assert Mission.objects.get().total_count == 2


@pytest.mark.parametrize("theme, width", [("light", 1280), ("dark", 360)])
def test_form_is_accessible(open_page, theme, width, person):
    make_media(person)
    page = open_page(URL, theme=theme, width=width)
    rows = {"name": "a.csv", "mimeType": "text/csv", "buffer": b"id,prompt,ratio\n1,a fox,1:1\n2,a cat,7:7\n"}
    page.set_input_files("[name=file]", rows)
    expect(page.locator(".row-problems")).to_be_visible()
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    choose(page, "id_task_type_image_to_image")
    choose(page, "id_source_combinations")
    page.evaluate(TRANSFER_FILE, {"kind": "paste", "name": "a.png", "content": encoded(1)})
    expect(page.locator("#tiles .tile")).to_have_count(1)
    check_axe(page)
    page.click("[data-opens-library]")
    expect(page.locator("#library-choice img").first).to_be_visible()
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def encoded(number):
    return base64.b64encode(picture(size=(60 + number, 40))).decode()


# Only a page itself can drop or paste files from a program.
TRANSFER_FILE = """({kind, name, content}) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, {type: "image/png"}));
  const event = kind === "drop"
    ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
    : new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
  document.querySelector("[data-uploader]").dispatchEvent(event);
}"""
