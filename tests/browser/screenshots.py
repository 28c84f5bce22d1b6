"""``make screenshots``: every page in both themes, widths and languages.

Starts its own simulator, workers and server on a database in a scratch folder; nothing of the
person's is read or changed. Pictures go to var/screenshots/LANGUAGE/PAGE-STATE-THEME-WIDTH.png.
``--only WORDS`` takes some. ``--docs`` takes those that the READMEs and guides show, to
docs/images.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

SCRATCH = tempfile.TemporaryDirectory(prefix="screenshots-")
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "runninghub_batch.settings",
    "READ_DOT_ENV": "0",
    "DATA_DIR": SCRATCH.name,
    "DATABASE_URL": f"sqlite:///{SCRATCH.name}/db.sqlite3",
    "STORAGE_URL": "",
    "SECRET_KEY": "only-for-pictures",
    "ENCRYPTION_KEYS": "b25seS1mb3ItcGljdHVyZXMtb25seS1mb3ItcGljdHU=",
    "LOG_LEVEL": "ERROR",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}

import django

django.setup()

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import NoReverseMatch, reverse
from PIL import Image
from playwright.sync_api import Browser

from accounts import services as account_services
from batch_input.tables import read_table
from devtools.local_stack import WorkerProcess, simulator_environment
from devtools.simulators.openai.process import ChatSimulatorProcess
from devtools.simulators.runninghub.process import SimulatorProcess
from drafts import services as drafts
from media.services import store_upload
from missions import services
from missions.models import Mission, MissionStatus
from templates_app import services as template_services
from templates_app.models import MissionTemplate
from tests.browser import chromium
from tests.factories import add_account, picture
from tests.process_fixtures import Web

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = {1280: 860, 360: 780}
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
LIMIT_SECONDS = 90.0

DRAFT_KEY, README_KEY, FILE_DRAFT_KEY = "f" * 32, "e" * 32, "d" * 32
CHAT_DRAFT_KEY, CLIP_DRAFT_KEY = "c" * 32, "b" * 32

# Name, URL or the name of one, and the mission that it is about, if any. A new page gets a line
# here.
PAGES: tuple[tuple[str, str, str], ...] = (
    ("sign-in", "accounts:login", ""),
    ("missions", "missions:list", ""),
    ("results", "missions:results", ""),
    ("new-mission", "missions:new", ""),
    ("new-mission-filled", f"/missions/new?draft={DRAFT_KEY}", ""),
    ("mission-done", "missions:mission", "done"),
    ("mission-failed", "missions:mission", "mixed"),
    ("failures", "missions:failures", "mixed"),
    ("mission-paused", "missions:mission", "paused"),
    ("mission-running", "missions:mission", "running"),
    ("mission-items", "missions:items", "mixed"),
    ("failures-sheet", "missions:corrections", "mixed"),
    ("mission-settings", "missions:settings", "mixed"),
    ("mission-cancel", "missions:cancel", "paused"),
    ("mission-delete", "missions:delete", "done"),
    ("mission-item", "/missions/{pk}/items/1", "done"),
    ("mission-row", "/missions/{pk}/items/1/compare", "mixed"),
    ("mission-item-failed", "/missions/{pk}/items/{failed}", "mixed"),
    ("new-mission-images", "/missions/new?media=1,2,3", ""),
    ("new-mission-file", f"/missions/new?draft={FILE_DRAFT_KEY}", ""),
    ("new-mission-chat", f"/missions/new?draft={CHAT_DRAFT_KEY}", ""),
    ("new-mission-clip", f"/missions/new?draft={CLIP_DRAFT_KEY}", ""),
    ("mission-texts", "missions:mission", "texts"),
    ("mission-item-text", "/missions/{pk}/items/1", "texts"),
    ("mission-clips", "missions:mission", "clips"),
    ("templates", "templates:list", ""),
    ("new-template", "/templates/new", ""),
    ("template", "/templates/new?type=image_to_image", ""),
    ("media", "media:library", ""),
    ("account", "accounts:account", ""),
    ("password", "accounts:password", ""),
    ("tokens", "accounts:tokens", ""),
    ("components", "components", ""),
    ("control-room", "control_room:show", ""),
    ("admin", "admin:index", ""),
    ("admin-missions", "admin:missions_mission_changelist", ""),
    ("admin-mission", "admin:missions_mission_change", "mixed"),
    ("admin-items", "admin:missions_missionitem_changelist", ""),
    ("admin-item", "/admin/missions/missionitem/1/change/", ""),
    ("admin-models", "admin-models", ""),
    ("admin-removed-spending", "admin:missions_removedspending_changelist", ""),
    ("admin-removed-spending-one", "/admin/missions/removedspending/1/change/", ""),
    ("not-found", "/nowhere", ""),
    ("admin-accounts", "admin:providers_provideraccount_changelist", ""),
    ("admin-account", "/admin/providers/provideraccount/2/change/", ""),
    ("admin-account-new", "admin:providers_provideraccount_add", ""),
)
# Name, URL, mission, and the height at which the picture ends.
IN_THE_DOCS = {
    "mission": ("missions:mission", "done", 800),
    "mission-failures": ("missions:failures", "mixed", 700),
    "new-mission": (f"/missions/new?draft={README_KEY}", "", 1160),
    "new-mission-form": (f"/missions/new?draft={DRAFT_KEY}", "", 1160),
}
WITHOUT_AN_EMPTY_STATE = {"sign-in", "account", "password", "components", "control-room", "not-found"} | {
    name for name, _place, _about in PAGES if name.startswith("admin")
}
# Resolves when fonts and images are there, those below the fold too.
LOADED = """() => Promise.all([document.fonts.ready, ...[...document.images].map((image) => {
  image.loading = "eager";
  return image.decode().catch(() => null);
})])"""
SUBJECTS = (
    "a lighthouse at dusk, oil on canvas",
    "a paper boat on a mirror lake",
    "清晨的茶园，薄雾，胶片质感",
    "an empty cinema, seen from the stage",
    "a teapot in morning light",
    "雨后的小巷，霓虹倒影",
)


@contextmanager
def running() -> Iterator[tuple[Web, SimulatorProcess]]:
    """Run a server, workers and the simulator."""
    settings.STATIC_ROOT = Path(SCRATCH.name, "static")
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    with ExitStack() as stack:
        simulator = SimulatorProcess(image_side=512, clip_side=256, task_seconds=1.0)
        stack.callback(simulator.stop)
        environment = simulator_environment(simulator.url) | {"Q_WORKERS": "4", "POLL_FLOOR_SECONDS": "0.2"}
        chat = stack.enter_context(ChatSimulatorProcess(answer_words=60))
        environment |= {"OPENAI_BASE_URL": chat.url, "CHAT_MODEL": "simulated-chat", "CHAT_INPUT_PRICE": "0.15"}
        environment |= {"CHAT_OUTPUT_PRICE": "0.6"}
        settings.RUNNINGHUB_API_KEY = environment["RUNNINGHUB_API_KEY"]
        workers = WorkerProcess(environment, log=Path(SCRATCH.name, "workers.log"))
        workers.start()
        stack.callback(workers.stop)
        static = {"STATIC_ROOT_OF_TEST": str(settings.STATIC_ROOT)}
        web = Web(environment | static, Path(SCRATCH.name, "web.log"), "tests.core.with_static:application")
        web.start()
        stack.callback(web.stop)
        yield web, simulator


# --- Content ---


def fill(owner: User, simulator: SimulatorProcess) -> dict[str, Mission]:
    """Make missions in every state, and a token.

    The owner is staff, so that the pages for staff show too.
    """
    account_services.create_token(user=owner, name="nightly-import")
    enter(owner)
    fill_library(owner)
    add_account("Studio B", "cap20-key-of-studio-b", simulator.url, concurrency=20)
    missions = {"done": mission(owner, "Lighthouses, autumn series", 24)}
    wait(missions["done"])
    removed = mission(owner, "A first try", 6)
    wait(removed)
    services.delete_mission(mission_id=removed.pk, actor=f"user:{owner.pk}")
    missions["mixed"] = mixed(owner, simulator)
    missions["texts"] = mission(owner, "Captions", 6, task_type="text", params={"system": "One sentence."})
    rows = [f"output:{item.pk}/1" for item in missions["done"].items.all()[:4]]
    missions["clips"] = services.submit_mission(
        owner=owner,
        name="Animated lighthouses",
        rows=rows,
        task_type="image_to_video",
        model="ken-burns",
        params={"duration": 2.0, "ratio": "9:16"},
    )
    wait(missions["texts"])
    wait(missions["clips"])
    simulator.set(task_seconds=600)
    missions["paused"] = mission(owner, "Product photos, 16:9", 36, params={"aspectRatio": "16:9"})
    services.pause_mission(mission_id=missions["paused"].pk, actor=f"user:{owner.pk}")
    missions["running"] = mission(owner, "Posters for the spring fair", 120)
    wait_until(missions["running"], lambda: missions["running"].processing_count > 0)
    return missions


def mixed(owner: User, simulator: SimulatorProcess) -> Mission:
    """Make a mission that has ended with failures."""
    simulator.set(task_1501=0.3)
    result = mission(owner, "茶园短片 · 第二批", 12, task_type="text_to_video", params={})
    wait(result)
    simulator.set(task_1501=0)
    return result


def enter(owner: User) -> None:
    """Fill in two forms: prompts with a mistake, and an imported file with an invalid row."""
    prompts = "\n".join([*SUBJECTS, SUBJECTS[0], "x" * 20_001])
    fields = {"name": "Morning light", "prompts": prompts, "param-aspectRatio": "16:9", "repeat": "4"}
    drafts.save_form(drafts.open_draft(owner=owner, key=DRAFT_KEY), fields)
    chat = {"task_type": "text", "name": "Captions", "prompts": "\n".join(SUBJECTS), "param-max_tokens": "200"}
    drafts.save_form(drafts.open_draft(owner=owner, key=CHAT_DRAFT_KEY), chat)
    clip = {"task_type": "image_to_video", "model": "ken-burns", "images": "media:1\nmedia:2", "param-move": "pan_up"}
    drafts.save_form(drafts.open_draft(owner=owner, key=CLIP_DRAFT_KEY), clip)
    rows = "编号,提示词,比例\n甲,清晨的茶园，薄雾,16:9\n乙,雨后的小巷,7:7\n丙,\n"
    table = read_table(io.BytesIO(rows.encode()), name="提示词.csv").as_json()
    draft = drafts.open_draft(owner=owner, key=FILE_DRAFT_KEY)
    drafts.save_table(draft, file_name="提示词.csv", table=table)
    drafts.save_form(draft, {"name": "茶园", "source": "file", "has_header": "on"})


def fill_library(owner: User) -> None:
    """Upload images, and make templates of which one has a retired model."""
    for path in sorted(Path(settings.BASE_DIR, "examples", "images").iterdir()):
        with path.open("rb") as file:
            store_upload(owner=owner, file=file, name=path.name)
    for number in range(20):
        content = picture("JPEG", (600, 400 + number), colour=f"hsl({number * 18}, 45%, 55%)")
        store_upload(owner=owner, file=io.BytesIO(content), name=f"swatch {number + 1:02}.jpg")
    square = {"model": "rhart-image-n-pro/text-to-image", "params": {"aspectRatio": "1:1", "resolution": "2k"}}
    template_services.create_template(
        owner=owner, name="Square tiles", task_type="text_to_image", config=square, description="Soft light, no text."
    )
    template_services.create_template(
        owner=owner, name="商品白底图", task_type="image_to_image", config={"params": {"prompt": "白色背景，柔和阴影"}}
    )
    clips = template_services.create_template(owner=owner, name="Autumn clips", task_type="text_to_video", config={})
    MissionTemplate.objects.filter(pk=clips.pk).update(config={"model": "retired/model"})


def mission(owner: User, name: str, items: int, **more: Any) -> Mission:
    prompts = itertools.cycle(SUBJECTS)
    fields = {"task_type": "text_to_image", "params": {"aspectRatio": "1:1"}} | more
    rows = [f"{next(prompts)}, {number}" for number in range(1, items + 1)]
    return services.submit_mission(owner=owner, name=name, rows=rows, **fields)


def wait(mission: Mission) -> None:
    wait_until(mission, lambda: mission.status in (MissionStatus.COMPLETED, MissionStatus.FAILED))


def wait_until(mission: Mission, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{mission}: {mission.counts}"
        time.sleep(0.2)
        mission.refresh_from_db()


# --- Pictures ---


def urls_of_pages(missions: dict[str, Mission], words: list[str]) -> list[tuple[str, str]]:
    """Return the pages that exist, as (name, URL). Those of a mission need one."""
    pages = []
    for name, place, about in PAGES:
        is_selected = not words or any(word in name for word in words)
        is_selected &= bool(missions) or name not in WITHOUT_AN_EMPTY_STATE
        if is_selected and (not about or about in missions) and (url := url_of(place, missions.get(about))):
            pages.append((name, url))
    return pages


def url_of(place: str, mission: Mission | None) -> str:
    """Return a URL; ``place`` is its path or the name of a route. "" if there is no such route."""
    if place.startswith("/") and mission is not None:
        failed = mission.items.filter(status="failed").order_by("index").first()
        return place.format(pk=mission.pk, failed=failed.index if failed else 1)
    if place.startswith("/"):
        return place
    try:
        return reverse(place, args=[mission.pk] if mission else [])
    except NoReverseMatch:
        return ""


def take(browser: Browser, web: Web, user: User, pages: list[tuple[str, str]], state: str, folder: Path) -> int:
    client = Client()
    client.force_login(user)
    cookie: Any = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": web.url}
    count = 0
    for theme, (width, height), (language, locale) in itertools.product(THEMES, WIDTHS.items(), LANGUAGES.items()):
        context = browser.new_context(
            base_url=web.url,
            viewport={"width": width, "height": height},
            color_scheme=theme,
            locale=locale,
            has_touch=width < 600,
        )
        for name, url in pages:
            context.clear_cookies()
            if name != "sign-in":
                context.add_cookies([cookie])
            page = context.new_page()
            page.goto(url)
            page.evaluate(LOADED)
            path = folder / language / f"{name}-{state}-{theme}-{width}.png"
            page.screenshot(path=path, full_page=True, animations="disabled")
            page.close()
            count += 1
        context.close()
    return count


def take_for_docs(browser: Browser, web: Web, simulator: SimulatorProcess, folder: Path) -> None:
    """Take the pictures of the guides in both languages, as people without rights see them."""
    mei = User.objects.create_user("mei")
    missions = {"done": mission(mei, "Six scenes, autumn series", 24)}
    wait(missions["done"])
    missions["mixed"] = mixed(mei, simulator)
    enter(mei)
    fields = {
        "name": "Posters for the spring fair",
        "prompts": "\n".join(SUBJECTS),
        "param-aspectRatio": "3:4",
        "repeat": "4",
    }
    drafts.save_form(drafts.open_draft(owner=mei, key=README_KEY), fields)
    client = Client()
    client.force_login(mei)
    folder.mkdir(parents=True, exist_ok=True)
    for ending, locale in {"": "en-US", ".zh-CN": "zh-CN"}.items():
        context = browser.new_context(base_url=web.url, color_scheme="light", locale=locale)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": web.url}])
        for name, (place, about, height) in IN_THE_DOCS.items():
            page = context.new_page()
            page.set_viewport_size({"width": 1280, "height": height})
            page.goto(url_of(place, missions.get(about)), wait_until="networkidle")
            shot = page.screenshot(animations="disabled")
            Image.open(io.BytesIO(shot)).save(folder / f"{name}{ending}.webp", quality=85, method=6)
            page.close()
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make screenshots", description="Take a picture of every page.")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="pages whose names hold one of these")
    parser.add_argument("--to", type=Path, default=settings.BASE_DIR / "var" / "screenshots", metavar="FOLDER")
    parser.add_argument("--docs", action="store_true", help="take only the pictures of the READMEs and guides")
    options = parser.parse_args()
    if not chromium.PATH:
        sys.exit("There is no chromium: apt install chromium fonts-noto-cjk, or set CHROMIUM=/path/to/it.")
    with running() as (web, simulator), chromium.started() as browser:
        if options.docs:
            take_for_docs(browser, web, simulator, settings.BASE_DIR / "docs" / "images")
            return
        busy, new = User.objects.create_superuser("mei"), User.objects.create_user("lin")
        missions = fill(busy, simulator)
        count = take(browser, web, busy, urls_of_pages(missions, options.only), "full", options.to)
        count += take(browser, web, new, urls_of_pages({}, options.only), "empty", options.to)
    sys.stdout.write(f"{count} pictures in {options.to}\n")


if __name__ == "__main__":
    main()
