"""The admin in a real browser, with real workers and the simulator."""

from __future__ import annotations

import re
import time

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from playwright.sync_api import Page, expect

from missions.models import Mission
from providers import provider_accounts
from tests.browser.chromium import check_axe
from tests.factories import add_account, make_mission

needs_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="walks with workers run on SQLite only")


def confirm(page: Page, verb: str) -> None:
    """Press a verb on a mission's page, and then on the page that asks."""
    page.get_by_role("button", name=f"{verb}…").click()
    page.get_by_role("button", name=verb, exact=True).click()


def wait_for(mission: Mission, **counts: int) -> None:
    deadline = time.monotonic() + 60
    while any(getattr(mission, name) != count for name, count in counts.items()):
        assert time.monotonic() < deadline, mission.counts
        time.sleep(0.2)
        mission.refresh_from_db()


@needs_sqlite
def test_operator_stops_resolves_and_retries(open_page, operator, person, simulator, start_workers):
    simulator.set(task_seconds=0.5)
    lost = ["a lamp that ran [[sim:lose:drop]]", "a lamp that never ran [[sim:reject-once:503]]"]
    mission = make_mission(person, ["a teapot", "a cup [[sim:1501]]", "a jug [[sim:1501]]", *lost], name="Live")
    page = open_page("/admin/missions/mission/", user=operator)
    page.get_by_role("link", name="Live", exact=True).click()
    confirm(page, "Pause")
    expect(page.locator(".mission-state")).to_contain_text("Paused")

    start_workers(4)
    confirm(page, "Resume")
    wait_for(mission, failed_count=2, unconfirmed_count=2)
    page.reload()

    task_of = {task["params"]["prompt"].partition(" [[")[0]: task["id"] for task in simulator.tasks(limit=100)}
    page.get_by_role("listitem").filter(has_text="that ran").get_by_role("link", name="Resolve…").click()
    page.get_by_label("Task ID").fill(task_of["a lamp that ran"])
    page.get_by_role("button", name="Attach task").click()
    expect(page.get_by_text("Task attached.")).to_be_visible()
    page.get_by_role("listitem").filter(has_text="that never ran").get_by_role("link", name="Resolve…").click()
    page.get_by_role("button", name=re.compile("Mark as not run")).click()
    expect(page.get_by_role("heading", name=re.compile("Did item"))).to_have_count(0)

    page.goto(f"/admin/missions/mission/{mission.pk}/change/")
    page.get_by_role("button", name=re.compile(r"Retry these 2 \(about")).click()
    expect(page.get_by_text("2 failed items are submitted again")).to_be_visible()
    with page.expect_navigation():
        page.get_by_role("button", name="Retry failed items", exact=True).click()
    own = mission.events.filter(actor=f"user:{operator.pk}")
    assert set(own.values_list("from_status", flat=True)) >= {"queued", "paused", "unconfirmed", "failed"}
    assert LogEntry.objects.filter(user=operator).count() == 5


@pytest.fixture
def account_pages(environment, settings) -> list[str]:
    """Check the list of accounts, both kinds of forms, and the empty form."""
    settings.ENCRYPTION_KEYS = [environment["ENCRYPTION_KEYS"]]
    accounts = "/admin/providers/provideraccount/"
    stored = add_account("second", "cap5-second", "https://www.runninghub.ai", concurrency=5)
    from_environment = provider_accounts.environment_account()
    return [accounts, f"{accounts}add/", *(f"{accounts}{one.pk}/change/" for one in (stored, from_environment))]


def test_all_matching_rows_can_be_chosen(open_page, operator, person):
    make_mission(person, 60)
    page = open_page("/admin/missions/missionitem/", user=operator)
    page.locator("#action-toggle").check()
    page.get_by_role("button", name="Select all 60 mission items").click()
    page.locator("select[name=action]").select_option("retry")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_text("60 rows do not fit and stay as they are")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_admin_is_accessible(open_page, operator, troubled, account_pages, theme):
    page = open_page(theme=theme, user=operator)
    doubt, failed = troubled.items.get(index=5), troubled.items.get(index=1)
    items = "/admin/missions/missionitem/"
    for address in (
        "/admin/",
        "/admin/missions/mission/",
        f"/admin/missions/mission/{troubled.pk}/change/",
        f"{items}?mission={troubled.pk}",
        f"{items}{failed.pk}/change/",
        f"{items}{doubt.pk}/resolve/",
        f"/admin/missions/attempt/{failed.attempts.get().pk}/change/",
        "/admin/models/",
        *account_pages,
    ):
        page.goto(address)
        check_axe(page)


def test_admin_fits_a_phone(open_page, operator, troubled, account_pages):
    page = open_page(width=360, user=operator)
    item = troubled.items.get(index=5)
    for address in (
        "/admin/",
        "/admin/missions/mission/",
        f"/admin/missions/mission/{troubled.pk}/change/",
        f"/admin/missions/missionitem/{item.pk}/change/",
        f"/admin/missions/missionitem/{item.pk}/resolve/",
        "/admin/auth/user/add/",
        "/admin/models/",
        *account_pages,
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, address
