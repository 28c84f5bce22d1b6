"""Templates and the media library in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from media.models import MediaFile
from media.services import store_upload
from templates_app.models import MissionTemplate
from tests.browser.chromium import check_axe
from tests.factories import picture


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(5):
        path = tmp_path / f"photo {number}.png"
        path.write_bytes(picture(size=(200, 100), colour=f"rgb({number * 40}, 90, 90)"))
        paths.append(path)
    return paths


@pytest.fixture
def library(person: User, pictures: list[Path]) -> list[MediaFile]:
    """Images that are there already."""
    stored = []
    for path in pictures:
        with path.open("rb") as file:
            stored.append(store_upload(owner=person, file=file, name=path.name).media)
    return stored


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_too_large_image_is_refused(page, pictures, tmp_path):
    huge = tmp_path / "huge.png"
    huge.write_bytes(bytes(settings.MEDIA_MAX_BYTES + 1))
    page.goto("/media")

    page.set_input_files("#uploader-files", [*pictures, huge])

    expect(page.locator("#uploader [data-part=counts]")).to_have_text("5 of 6 uploaded, 1 refused")
    expect(page.locator(".upload-line", has_text="huge.png")).to_contain_text("is more than the limit of")
    expect(page.locator(".library-item")).to_have_count(5)


def test_dropped_image_is_uploaded(page):
    page.goto("/media")
    page.evaluate(
        """async () => {
          const canvas = Object.assign(document.createElement("canvas"), {width: 60, height: 40});
          const blob = await new Promise((resolve) => canvas.toBlob(resolve));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([blob], "dropped.png", {type: "image/png"}));
          document.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
        }"""
    )

    page.get_by_role("link", name="dropped.png").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("dropped.png")
    expect(page.locator(".key-values")).to_contain_text("60 × 40")


def test_selected_images_are_deleted(page, library):
    page.goto("/media")
    tick = page.get_by_role("checkbox", name="Select photo 1.png")
    tick.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Delete").press("Enter")
    page.get_by_role("button", name="Delete 1 image").click()

    expect(page.locator(".message")).to_contain_text("1 image was deleted.")
    assert not MediaFile.objects.filter(name="photo 1.png").exists()


def test_library_works_without_scripts(open_page, pictures):
    page = open_page("/media", scripts=False)
    page.set_input_files("#uploader-files", pictures[:2])
    page.get_by_role("button", name="Upload").click()

    expect(page.locator(".message")).to_contain_text("2 images were uploaded.")
    expect(page.locator(".library-item")).to_have_count(2)


def test_template_is_created_and_changed(page, library):
    page.goto("/templates")
    page.get_by_role("link", name="Create a template").click()
    page.get_by_role("link", name="Image to image").click()
    page.get_by_label("Name").fill("Watercolour")
    page.get_by_label("Prompt").first.fill("as a watercolour")
    page.get_by_label("Model").select_option("rhart-image-n-pro/edit")
    page.get_by_label("Resolution").first.select_option("2k")
    expect(page.get_by_label("Prompt").first).to_have_value("as a watercolour")
    page.get_by_role("checkbox", name="photo 2.png").check()
    page.get_by_role("button", name="Save template").click()

    expect(page.locator(".message")).to_contain_text("Watercolour")
    saved = MissionTemplate.objects.get()
    assert saved.config["params"] == {
        "prompt": "as a watercolour",
        "imageUrls": [library[2].reference],
        "resolution": "2k",
    }
    page.get_by_role("link", name="Watercolour", exact=True).click()
    expect(page.get_by_role("checkbox", name="photo 2.png")).to_be_checked()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_pages_with_problems_are_accessible(open_page, person, library, theme, width):
    kept = MissionTemplate.objects.create(owner=person, name="Old", task_type="text_to_image", config={"model": "x/y"})
    page = open_page(theme=theme, width=width)
    for address in ("/templates?search=nothing", f"/templates/{kept.pk}", "/templates", "/media?search=nothing"):
        page.goto(address)
        check_axe(page)
        assert fits(page), address
