"""Debian's chromium, driven by playwright, and the checks that hold for every page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

PATH = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
GRAVE = {"serious", "critical"}
# htmx logs these when it aborts a request for a newer one. A failed request logs htmx:sendError or
# htmx:responseError as well.
ABORTED = ("htmx:afterRequest", "htmx:sendAbort")


@contextmanager
def started() -> Iterator[Browser]:
    # The driver's loop runs in this thread, where Django would refuse the database to everybody.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=PATH, args=ARGUMENTS)
            yield browser
            browser.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Watch:
    """A record of a page's errors: logged ones, exceptions, requests to other hosts.

    A test that provokes an error removes it from ``wrongs``.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.wrongs: list[str] = []
        self._host = urlsplit(url).netloc
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.wrongs.append(f"exception: {error.error}"))
        context.on("request", self._follow)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(ABORTED):
            self.wrongs.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _follow(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != self._host:
            self.wrongs.append(f"request to another host: {request.url}")


def check_axe(page: Page) -> None:
    """Check that axe finds no serious or critical problem on the page as it is now."""
    page.evaluate(_ANIMATIONS_ENDED)
    # Preloading would look for imports of style sheets at wrong URLs and log errors.
    violations: list[dict[str, Any]] = Axe().run(page, options={"preload": False}).response["violations"]
    problems = [_description(violation) for violation in violations if violation["impact"] in GRAVE]
    assert not problems, f"{page.url}\n" + "\n".join(problems)


def _description(violation: dict[str, Any]) -> str:
    places = [f"  {node['html'][:200]} {node['failureSummary']}" for node in violation["nodes"][:5]]
    return "\n".join([f"{violation['id']}: {violation['help']}", *places])


# Half-faded text has no contrast. Endless animations are not waited for.
_ANIMATIONS_ENDED = """() => Promise.all(
  document.getAnimations()
    .filter((animation) => animation.effect?.getComputedTiming().iterations === 1)
    .map((animation) => animation.finished.catch(() => null))
)"""
