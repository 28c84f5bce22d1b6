"""Pages in a real browser, on a real server that uses the test's database.

Browser, server and simulator are started once per run; rows live as long as a test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from devtools.local_stack import simulator_environment
from devtools.simulators.runninghub.process import SimulatorProcess
from missions.models import Mission
from providers import encryption, provider_accounts
from tests.browser import chromium
from tests.factories import bring_to_all, make_mission
from tests.process_fixtures import POLL_FLOOR_SECONDS, Cluster, Web

PASSWORD = "a long enough password"
TIMEOUT_MS = 30_000
MISSING = "no chromium: apt install chromium, or set CHROMIUM=/path/to/it"
OpenPage = Callable[..., Page]
StartWorkers = Callable[..., Cluster]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder; tests marked ``smoke`` are part of the merge gate.

    Without chromium they are skipped with a hint; under CI they fail.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if not item.get_closest_marker("smoke"):
                item.add_marker(pytest.mark.prove)
            if not chromium.PATH and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser per file.

    While it is open, an event loop runs in this thread; the tests of other files need their own.
    """
    assert chromium.PATH, MISSING
    expect.set_options(timeout=TIMEOUT_MS)
    with chromium.started() as browser:
        yield browser


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(image_side=64, clip_side=64, clip_seconds=0.3, webhook_wait=0.5, task_jitter=0.1)
    yield process
    process.stop()


@pytest.fixture(scope="session")
def environment(simulator: SimulatorProcess) -> dict[str, str]:
    """Return the settings of the server and of workers."""
    more = {
        "POLL_FLOOR_SECONDS": POLL_FLOOR_SECONDS,
        "LOG_LEVEL": "WARNING",
        "PUBLIC_BASE_URL": "",
        "READ_DOT_ENV": "0",
        "ENCRYPTION_KEYS": encryption.new_key(),
    }
    return simulator_environment(simulator.url) | more


@pytest.fixture(scope="session")
def site(django_db_setup: None, django_db_blocker, environment: dict[str, str], tmp_path_factory) -> Iterator[Web]:
    """Serve the web application with its static files."""
    folder = tmp_path_factory.mktemp("site")
    call_command("collectstatic", interactive=False, verbosity=0)
    with django_db_blocker.unblock():
        web = Web(
            {**environment, "STATIC_ROOT_OF_TEST": str(settings.STATIC_ROOT)},
            folder / "web.log",
            "tests.core.with_static:application",
        )
        web.start()
    yield web
    web.stop()


@pytest.fixture
def person(transactional_db: None) -> User:
    """Make the person who is signed in, who is not staff.

    The server knows only Django's own hashes of PASSWORD.


    The server knows only Django's own hashes of PASSWORD.
    """
    user = User.objects.create_user("mei")
    user.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1000)
    user.save()
    return user


@pytest.fixture
def operator(transactional_db: None) -> User:
    return User.objects.create_superuser("operator")


@pytest.fixture
def troubled(person: User) -> Mission:
    """Make a mission with an item in every state."""
    mission = make_mission(person, 7, name="Troubled")
    bring_to_all(mission, provider_accounts.environment_account())
    return mission


@pytest.fixture
def open_page(browser: Browser, site: Web, person: User) -> Iterator[OpenPage]:
    """Return a function that opens pages; ``user=None`` opens them for nobody.

    ``open_page("/missions", width=360, theme="dark", language="zh-CN", user=person)``.

    The test fails if one of them logs an error, violates the policy, or asks another host, unless
    it has taken that from ``page.watch.wrongs`` itself.
    """
    watches: list[chromium.Watch] = []
    contexts = []

    def open_(
        address: str = "",
        *,
        width: int = 1280,
        height: int = 800,
        theme: Literal["light", "dark"] = "light",
        language: str = "en-US",
        user: User | None = person,
        scripts: bool = True,
    ) -> Page:
        context = browser.new_context(
            base_url=site.url,
            viewport={"width": width, "height": height},
            color_scheme=theme,
            locale=language,
            has_touch=width < 600,
            java_script_enabled=scripts,
            accept_downloads=True,
        )
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        if user is not None:
            context.add_cookies([{"name": "sessionid", "value": session_of(user), "url": site.url}])
        watch = chromium.Watch(context, site.url)
        watches.append(watch)
        page = context.new_page()
        page.watch = watch  # type: ignore[attr-defined]
        if address:
            page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not [wrong for watch in watches for wrong in watch.wrongs], site.log.read_text()[-3000:]


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """Open a page for a signed-in person, in English, 1280 wide, in the light theme."""
    return open_page()


@pytest.fixture
def start_workers(
    transactional_db: None, environment: dict[str, str], simulator: SimulatorProcess, tmp_path: Path
) -> Iterator[StartWorkers]:
    """Return a function that starts real workers: ``start_workers(4, cap=10)``.

    Call ``simulator.set(task_seconds=1)`` before it.
    """
    cache.clear()
    simulator.reset()  # what it was paid for by earlier tests
    started: list[Cluster] = []

    def start(workers: int = 4, *, cap: int = 50, **env: str) -> Cluster:
        sizes = {"Q_WORKERS": str(workers), "RUNNINGHUB_CONCURRENCY": str(cap)}
        cluster = Cluster({**environment, **sizes, **env}, log=tmp_path / f"workers-{len(started)}.log")
        started.append(cluster)
        cluster.start()
        return cluster

    yield start
    for cluster in started:
        cluster.end()
    connections.close_all()


def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value
