"""The uploader of all pages in a real browser: folders, tables with photos, lost connections."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Dialog, Locator, Page, Route, expect

from media.models import MediaFile, MediaName
from missions.models import Mission
from providers import provider_accounts
from templates_app.models import MissionTemplate
from tests.browser.chromium import check_axe
from tests.browser.test_session import expect_refusals, sign_in_elsewhere
from tests.factories import bring_to_all, make_media, make_mission, picture

UPLOAD = "**/api/v1/media/upload"


def photos(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        {"name": f"photo-{n}.png", "mimeType": "image/png", "buffer": picture(size=(40 + n, 30))}
        for n in range(first, first + count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder as people have them: pictures in subfolders, other files, files of systems."""
    content = {
        "trip/photo 10.png": picture(size=(50, 30)),
        "trip/photo 9.png": picture(size=(51, 30)),
        "trip/day 2/boat.jpg": picture("JPEG", size=(52, 30)),
        "trip/day 2/notes.pdf": b"%PDF-1.7",
        "trip/list.docx": b"PK",
        "trip/.DS_Store": b"\0",
        "trip/empty/Thumbs.db": b"\0",
    }
    for name, body in content.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return tmp_path / "trip"


def drop(page: Page, paths: list[Path], on: str = "main") -> None:
    """Drop files and folders from another program, as the browser itself sees it."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator(on).first.bounding_box()
    assert box
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    place = {"x": box["x"] + min(box["width"], 200) / 2, "y": box["y"] + min(box["height"], 60) / 2}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def counts(page: Page, area: str) -> Locator:
    return page.locator(f'#{area} [data-part="counts"]')


def notes(page: Page, area: str) -> Locator:
    return page.locator(f'#{area} [data-part="notes"]')


def expect_logged(page: Any, words: str) -> None:
    """Take what the browser logs about provoked failures from the errors of the page."""
    page.watch.wrongs = [wrong for wrong in page.watch.wrongs if not re.search(words, wrong)]


def choose(page: Page, control: str) -> None:
    page.locator(f"label:has(#{control})").click()
    expect(page.locator(f"#{control}")).to_be_checked()


# --- Folders and tables ---


def test_folder_is_walked_and_the_rest_named(page, folder):
    page.goto("/media")
    drop(page, [folder])

    expect(counts(page, "uploader")).to_have_text("3 of 3 uploaded")
    expect(notes(page, "uploader")).to_have_text("Skipped, because they are not images: notes.pdf, list.docx")
    assert set(MediaFile.objects.values_list("name", flat=True)) == {"photo 9.png", "photo 10.png", "boat.jpg"}
    assert MediaName.objects.filter(path="trip/day 2/boat.jpg").exists()
    page.locator("#uploader-folder").set_input_files(folder)
    expect(counts(page, "uploader")).to_have_text("3 of 3 uploaded, 3 already in your library")


def test_folder_fills_a_new_mission_in_order(page, folder):
    page.goto("/missions/new?task_type=image_to_image")
    choose(page, "id_source_images")
    drop(page, [folder])

    expect(page.locator("#tiles .tile")).to_have_count(3)
    names = page.locator("#tiles img").evaluate_all("images => images.map(image => image.alt)")
    assert names == ["boat.jpg", "photo 9.png", "photo 10.png"]
    expect(notes(page, "image-uploader")).to_contain_text("notes.pdf, list.docx")


@pytest.mark.smoke
def test_table_and_its_photos_are_dropped_together(page, tmp_path):
    rows = "prompt,imageUrls\nin ink,fox.png\nin oil,cat.png\n"
    for name, content in (("rows.csv", rows.encode()), ("fox.png", picture()), ("cat.png", picture(size=(9, 9)))):
        (tmp_path / name).write_bytes(content)
    page.goto("/missions/new?task_type=image_to_image")

    drop(page, [tmp_path / "fox.png", tmp_path / "rows.csv", tmp_path / "cat.png"])

    expect(counts(page, "photo-uploader")).to_have_text("2 of 2 uploaded")
    expect(page.locator("#id_source_file")).to_be_checked()
    expect(page.locator("#submit-mission")).to_contain_text("Submit 2 items")
    expect(page.locator("#submit-mission")).to_be_enabled()
    page.locator("#submit-mission").click()
    page.wait_for_url(re.compile(r"/missions/\d+$"))
    named = {tuple(item.params["imageUrls"]) for item in Mission.objects.get().items.all()}
    assert named == {(media.reference,) for media in MediaFile.objects.all()}


def test_rows_find_photos_by_their_folders(page, tmp_path):
    (tmp_path / "rows.csv").write_text("prompt,imageUrls\nin ink,front/1.png\nin oil,back/1.png\n")
    for number, name in enumerate(("front", "back"), start=1):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.png").write_bytes(picture(size=(9, number)))
    page.goto("/missions/new?task_type=image_to_image")

    drop(page, [tmp_path / "rows.csv", tmp_path / "photos"])

    expect(counts(page, "photo-uploader")).to_have_text("2 of 2 uploaded")
    expect(page.locator("#submit-mission")).to_contain_text("Submit 2 items")
    expect(page.locator("#submit-mission")).to_be_enabled()
    page.locator("#submit-mission").click()
    page.wait_for_url(re.compile(r"/missions/\d+$"))
    references = {media.height: media.reference for media in MediaFile.objects.all()}
    sent = {item.params["prompt"]: item.params["imageUrls"] for item in Mission.objects.get().items.all()}
    assert sent == {"in ink": [references[1]], "in oil": [references[2]]}


def test_dropped_files_never_replace_the_page(page, folder, tmp_path):
    (tmp_path / "a.csv").write_text("prompt\na fox\n")
    (tmp_path / "b.csv").write_text("prompt\na cat\n")
    page.goto("/missions/new")
    drop(page, [folder / "photo 9.png"])
    expect(page.locator(".message")).to_contain_text("This type takes no images, so nothing was uploaded: photo 9.png")
    drop(page, [folder / "list.docx"])
    expect(page.locator(".message", has_text="Cannot be used here: list.docx")).to_be_visible()
    drop(page, [tmp_path / "a.csv", tmp_path / "b.csv"])
    expect(page.locator(".message", has_text="Not imported: b.csv")).to_be_visible()
    expect(page.locator("#batch")).to_contain_text("a.csv")
    assert not MediaFile.objects.exists()
    page.goto("/missions/new?task_type=image_to_image")
    choose(page, "id_source_prompts") if page.locator("#id_source_prompts").count() else None
    drop(page, [folder / "photo 9.png"])
    expect(page.locator("#tiles .tile")).to_have_count(1)


def test_pasted_cells_stay_text(page):
    """A spreadsheet puts a picture of the cells beside their text."""
    page.goto("/missions/new?task_type=image_to_image")
    choose(page, "id_source_combinations")
    expect(page.locator("#id_prompts")).to_be_visible()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/plain", "a fox");
          data.items.add(new File(["x"], "image.png", {type: "image/png"}));
          const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
          window.isKept = document.getElementById("id_prompts").dispatchEvent(event);
        }"""
    )
    assert page.evaluate("window.isKept") is True
    expect(page.locator('#image-uploader [data-part="state"]')).to_be_hidden()


# --- Waiting and going on ---


def test_conversions_are_shown_at_once(page):
    page.goto("/missions/new?task_type=image_to_image")
    choose(page, "id_source_images")
    gif = {"name": "boat.gif", "mimeType": "image/gif", "buffer": picture("GIF")}
    page.set_input_files("#image-uploader-files", [gif])
    expect(page.locator("#image-uploader .uploads")).to_contain_text("boat.gifUploaded Converted from GIF to PNG")
    expect(page.locator("#tiles .tile")).to_have_count(1)
    expect(page.locator("#image-uploader .uploads")).to_contain_text("Converted from GIF to PNG")


def test_counts_name_refused_and_known_files(page, person):
    make_media(person, content=picture(size=(41, 30)), name="earlier.png")
    wrong = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image at all"}
    page.goto("/media")
    page.set_input_files("#uploader-files", [*photos(3), wrong])

    expect(counts(page, "uploader")).to_have_text("3 of 4 uploaded, 1 already in your library, 1 refused")
    expect(page.locator('.upload-line[data-state="refused"]')).to_contain_text("notes.png")
    expect(page.locator('#uploader [data-part="announcement"]')).to_contain_text("3 of 4 uploaded")
    expect(page.locator(".library-item")).to_have_count(3)
    expect_logged(page, "422")


def test_few_uploads_run_at_a_time(page):
    held: list[Route] = []
    released: list[bool] = []
    page.goto("/media")
    page.route(UPLOAD, lambda route: route.continue_() if released else held.append(route))
    with page.expect_request(UPLOAD):
        page.set_input_files("#uploader-files", photos(8))
    expect(page.locator('.upload-line[data-state="sending"]')).to_have_count(3)
    assert len(held) == 3
    released.append(True)
    for route in held:
        route.continue_()
    expect(counts(page, "uploader")).to_have_text("8 of 8 uploaded")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 503, "headers": {"Retry-After": "1"}, "body": "{}"},
        {"status": 429, "headers": {"Retry-After": "1"}, "body": "{}"},
        {"status": 500, "body": "<h1>Server Error</h1>"},
        {"status": 502, "body": "<h1>Bad Gateway</h1>"},
        {"status": 507, "body": json.dumps({"error": "full", "message": "The disk is full."})},
    ],
    ids=lambda answer: str(answer["status"]),
)
def test_uploads_wait_for_a_busy_server(page, answer):
    page.goto("/media")
    page.route(UPLOAD, lambda route: route.fulfill(**answer), times=1)
    page.set_input_files("#uploader-files", photos(4))

    expect(counts(page, "uploader")).to_have_text("4 of 4 uploaded")
    assert MediaFile.objects.count() == 4
    expect_logged(page, str(answer["status"]))


def test_uploads_wait_for_the_connection(page):
    page.goto("/missions/new?task_type=image_to_image")
    choose(page, "id_source_images")
    page.fill("#id_param-prompt", "in ink")
    expect(page.locator(".preview-saved")).to_contain_text("Draft saved")
    page.context.set_offline(True)
    page.set_input_files("#image-uploader-files", photos(2))
    expect(notes(page, "image-uploader")).to_have_text("No connection. Uploads continue automatically when it is back.")
    expect(counts(page, "image-uploader")).to_have_text("0 of 2 uploaded")

    page.context.set_offline(False)

    expect(counts(page, "image-uploader")).to_have_text("2 of 2 uploaded")
    expect(page.locator("#submit-mission")).to_contain_text("Submit 2 items")
    expect_logged(page, "ERR_INTERNET_DISCONNECTED|sendError|htmx")


@pytest.mark.parametrize("path, area", [("/media", "uploader"), ("/missions/new", "image-uploader")])
def test_uploads_go_on_after_signing_in_again(page, path, area):
    page.goto(f"{path}?task_type=image_to_image")
    if area == "image-uploader":
        choose(page, "id_source_images")
    Session.objects.all().delete()
    page.set_input_files(f"#{area}-files", photos(5))
    expect(notes(page, area)).to_have_text("You are signed out. Sign in again in another tab to continue.")
    expect(counts(page, area)).to_have_text("0 of 5 uploaded")

    sign_in_elsewhere(page, "mei")

    expect(counts(page, area)).to_have_text("5 of 5 uploaded")
    assert MediaFile.objects.filter(owner__username="mei").count() == 5
    expect_refusals(page)


def test_another_person_gets_no_uploads(page, transactional_db):
    other = User.objects.create_user("otto")
    other.password = User.objects.get(username="mei").password
    other.save()
    page.goto("/media")
    Session.objects.all().delete()
    sign_in_elsewhere(page, "otto")
    page.set_input_files("#uploader-files", photos(1))
    expect(notes(page, "uploader")).to_contain_text("Somebody else is signed in now.")
    assert not MediaFile.objects.exists()
    sign_out_and_in(page)
    expect(counts(page, "uploader")).to_have_text("1 of 1 uploaded")
    assert MediaFile.objects.get().owner.username == "mei"
    expect_refusals(page)


def sign_out_and_in(page: Page) -> None:
    page.context.clear_cookies(name="sessionid")
    sign_in_elsewhere(page, "mei")


def test_leaving_during_uploads_is_asked(page):
    page.goto("/media")
    page.route(UPLOAD, lambda route: None)
    page.set_input_files("#uploader-files", photos(1))
    expect(counts(page, "uploader")).to_have_text("0 of 1 uploaded")
    kinds: list[str] = []

    def answer(dialog: Dialog) -> None:
        kinds.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    page.locator("main").click(position={"x": 5, "y": 5})  # browsers ask only people who did something
    page.goto("/missions")
    assert kinds == ["beforeunload"]
    expect_logged(page, "ERR_FAILED|ERR_ABORTED")


# --- Image fields ---


def test_template_form_takes_uploads(page):
    page.goto("/templates/new?type=image_to_image")
    page.get_by_label("Name").fill("Watercolour")
    page.locator("[data-uploader] [data-picks]").first.set_input_files(photos(2))
    expect(page.get_by_role("checkbox", name="photo-1.png")).to_be_checked()
    page.get_by_role("checkbox", name="photo-0.png").uncheck()
    page.get_by_role("button", name="Save template").click()

    expect(page.locator(".message")).to_contain_text("Watercolour")
    assert MissionTemplate.objects.get().config["params"]["imageUrls"] == [
        MediaFile.objects.get(name="photo-1.png").reference
    ]


def test_field_of_an_item_takes_uploads(page, person):
    media = make_media(person)
    rows = [{"prompt": f"in ink {number}", "imageUrls": [media.reference]} for number in range(7)]
    mission = make_mission(person, rows, task_type="image_to_image")
    bring_to_all(mission, provider_accounts.environment_account())
    failed = mission.items.filter(status="failed").first()
    page.goto(f"/missions/{mission.pk}/items/{failed.index}")
    page.locator("[data-uploader] [data-picks]").first.set_input_files(photos(1, first=5))
    new = f"{media.reference}\nmedia:{media.pk + 1}"
    expect(page.locator("#id_param-imageUrls")).to_have_value(new)


# --- What it looks like ---


@pytest.mark.parametrize("theme, width", [("light", 1280), ("dark", 360)])
def test_uploader_is_accessible(open_page, theme, width, folder):
    page = open_page("/media", theme=theme, width=width)
    wrong = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image at all"}
    page.set_input_files("#uploader-files", [*photos(2), wrong])
    expect(counts(page, "uploader")).to_have_text("2 of 3 uploaded, 1 refused")
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto("/templates/new?type=image_to_image")
    check_axe(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect_logged(page, "422")
