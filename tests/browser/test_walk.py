"""A creator's way from signing in to a downloaded archive, in both languages.

Every element is found by the text that a person reads.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest
from django.db import connection, transaction
from playwright.sync_api import FilePayload, Page, expect

from missions.models import Mission
from tests.browser.conftest import PASSWORD
from tests.factories import check_mission, picture

LIMIT_MS = 60_000  # for the work of workers on a busy machine
CHINESE = {
    "Username": "用户名",
    "Password": "密码",
    "Sign in": "登录",
    "New mission": "新建任务",
    "Name": "名称",
    "Prompts, one per line": "提示词，每行一条",
    "Aspect ratio": "宽高比",
    "Submit {} items": "提交 {}",
    "{} items submitted.": "已提交 {} 个条目。",
    "Text to video": "文生视频",
    "Image to image": "图生图",
    "Image to video": "图生视频",
    "Choose images": "选择图片",
    "Import a file": "导入文件",
    "Prompts × images": "提示词 × 图片",
    "Prompt": "提示词",
    "Completed": "已完成",
    "Results": "结果",
    "Result 1": "结果 1",
    "Close": "关闭",
    "Failures": "失败",
    "1 item failed": "1 个条目失败",
    "Retry this one": "重试这 1 个",
    "1 item resubmitted.": "已重新提交 1 个条目。",
    "Nothing failed": "没有失败",
    "Download ZIP": "下载 ZIP",
    "Settings": "设置",
    "Template name": "模板名称",
    "Save template": "保存模板",
    "Templates": "模板",
    "Use": "使用",
    "Pause": "暂停",
    "Paused": "已暂停",
    "Resume": "恢复",
    "Running": "运行中",
    "More actions": "更多操作",
    "Cancel…": "取消…",
    "Cancel mission": "取消任务",
    "Cancelled": "已取消",
    "Missions": "任务",
}


class Creator:
    """A person who uses a page in one language."""

    def __init__(self, page: Page, language: str) -> None:
        self.page = page
        self.language = language

    def reads(self, text: str, number: object = "") -> str:
        return (CHINESE[text] if self.language == "zh-CN" else text).format(number)

    def clicks(self, role, text: str, number: object = "", *, within=None, exact: bool = True) -> None:
        self.finds(role, text, number, within=within, exact=exact).click()

    def follows(self, text: str, *, within=None, exact: bool = True) -> None:
        """Follow a link and wait for its page."""
        self.clicks("link", text, within=within, exact=exact)
        self.page.wait_for_load_state()

    def finds(self, role, text: str, number: object = "", *, within=None, exact: bool = True):
        return (within or self.page).get_by_role(role, name=self.reads(text, number), exact=exact)

    def fills(self, label: str, text: str) -> None:
        self.page.get_by_role("textbox", name=re.compile(f"^{re.escape(self.reads(label))}")).fill(text)

    def chooses(self, text: str) -> None:
        """Choose a radio button, which lies under its label, and wait for the redraw."""
        self.page.locator("#mission-form").evaluate("form => form.dataset.old = ''")
        self.page.locator("label").filter(has=self.finds("radio", text, exact=False)).click()
        expect(self.page.locator("#mission-form:not([data-old])")).to_be_visible()

    def begins(self) -> None:
        self.follows("New mission", within=self.page.get_by_role("banner"))

    def submits(self, count: int) -> None:
        self.clicks("button", "Submit {} items", count, exact=False)
        expect(self.page.get_by_text(self.reads("{} items submitted.", count))).to_be_visible()

    def uploads(self, *pictures: bytes) -> None:
        files: list[FilePayload] = [
            {"name": f"{n}.png", "mimeType": "image/png", "buffer": each} for n, each in enumerate(pictures, 1)
        ]
        self.page.get_by_label(self.reads("Choose images")).set_input_files(files)

    def state_is(self, text: str) -> None:
        expect(self.page.locator("#mission-state")).to_contain_text(self.reads(text), timeout=LIMIT_MS)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="walks with workers run on SQLite only")
@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_creator_goes_from_sign_in_to_archive(open_page, person, simulator, start_workers, language):
    simulator.set(task_seconds=0.5)
    page = open_page("/missions", user=None, language=language)
    mei = Creator(page, language)
    start_workers(4, cap=10)

    mei.fills("Username", person.username)
    mei.fills("Password", PASSWORD)
    mei.clicks("button", "Sign in")

    url = submit_four_missions(mei)
    watch_retry_and_download(mei, url)
    save_and_use_a_template(mei, url)
    pause_resume_and_cancel(mei)

    mei.follows("Missions", within=page.get_by_role("banner"))
    expect(page.locator(".mission-card-top").filter(has_text=mei.reads("Completed"))).to_have_count(4, timeout=LIMIT_MS)
    done = Mission.objects.filter(status="completed").values_list("task_type", "completed_count")
    assert sorted(done) == [("image_to_image", 2), ("image_to_video", 4), ("text_to_image", 6), ("text_to_video", 2)]
    for mission in Mission.objects.all():
        with transaction.atomic():  # the workers still settle what was cancelled
            check_mission(mission.pk)


def submit_four_missions(mei: Creator) -> str:
    """Submit a mission of each type, each from another source. Return the URL of the last one."""
    mei.begins()
    mei.chooses("Image to image")
    mei.uploads(picture(colour="red"), picture(colour="blue"))
    mei.fills("Prompt", "in ink")
    mei.submits(2)

    mei.begins()
    mei.chooses("Text to video")
    rows = "提示词,时长\n一只狐狸睡在雪地里,8\n一只猫坐在窗台上看雨,8\n".encode("gb18030")
    table: FilePayload = {"name": "表.csv", "mimeType": "text/csv", "buffer": rows}
    mei.page.get_by_label(mei.reads("Import a file")).set_input_files(table)
    mei.submits(2)

    mei.begins()
    mei.chooses("Image to video")
    mei.chooses("Prompts × images")
    mei.fills("Prompts, one per line", "slowly pan left\nslowly pan right")
    mei.uploads(picture(colour="green"), picture(colour="teal"))
    mei.submits(4)

    mei.begins()
    mei.fills("Name", "Teapots")
    failing = f"a lamp for {mei.language} [[sim:fail-once:1501]]"
    mei.fills("Prompts, one per line", "\n".join([*(f"茶壶 {n}" for n in range(1, 6)), failing]))
    mei.page.get_by_label(mei.reads("Aspect ratio")).select_option("16:9")
    mei.submits(6)
    return mei.page.url


def watch_retry_and_download(mei: Creator, url: str) -> None:
    page, tiles = mei.page, mei.page.locator(".tile[data-kind=image]")
    assert page.url == url
    page.evaluate("window.isTheSamePage = true")
    expect(tiles).to_have_count(5, timeout=LIMIT_MS)
    mei.state_is("Completed")
    assert page.evaluate("window.isTheSamePage"), "it was watched without reloading"

    mei.clicks("link", "Result 1", exact=False)
    lightbox = page.get_by_role("dialog")
    expect(lightbox.get_by_text("茶壶 1")).to_be_visible()
    expect(lightbox.get_by_role("img")).to_have_js_property("naturalWidth", 64)
    mei.clicks("button", "Close", within=lightbox)

    mei.clicks("link", "Failures", exact=False)
    expect(mei.finds("heading", "1 item failed")).to_be_visible()
    mei.clicks("button", "Retry this one", exact=False)
    expect(page.get_by_text(mei.reads("1 item resubmitted."))).to_be_visible()
    mei.state_is("Completed")
    expect(mei.finds("heading", "Nothing failed")).to_be_visible()

    mei.clicks("link", "Results", exact=False, within=page.get_by_role("main"))
    expect(tiles).to_have_count(6, timeout=LIMIT_MS)
    with page.expect_download() as download:
        mei.clicks("link", "Download ZIP")
    check_archive(zipfile.ZipFile(download.value.path()))


def check_archive(archive: zipfile.ZipFile) -> None:
    *files, manifest = archive.namelist()
    rows = list(csv.DictReader(io.StringIO(archive.read(manifest).decode("utf-8-sig"))))
    assert manifest == "manifest.csv"
    assert [name[:6] for name in files] == [*(f"{n}_茶壶-{n}" for n in range(1, 6)), "6_a-la"]
    assert [row["file"] for row in rows] == files
    assert {archive.read(name)[:4] for name in files} == {b"\x89PNG"}


def save_and_use_a_template(mei: Creator, url: str) -> None:
    """Save a template and open a new mission with it."""
    mei.page.goto(url)
    mei.follows("Settings")
    mei.fills("Template name", "Wide")
    mei.clicks("button", "Save template")
    mei.follows("Templates", within=mei.page.get_by_role("banner"))
    mei.follows("Use", exact=False)
    expect(mei.page.get_by_label(mei.reads("Aspect ratio"))).to_have_value("16:9")


def pause_resume_and_cancel(mei: Creator) -> None:
    mei.fills("Prompts, one per line", "\n".join(f"a slow one, {n} [[sim:slow:300]]" for n in range(12)))
    mei.submits(12)
    mei.state_is("Running")
    mei.clicks("button", "Pause")
    mei.state_is("Paused")
    mei.clicks("button", "Resume")
    mei.state_is("Running")
    mei.page.get_by_label(mei.reads("More actions")).click()
    mei.clicks("link", "Cancel…")
    mei.clicks("button", "Cancel mission", within=mei.page.get_by_role("dialog"))
    mei.state_is("Cancelled")
