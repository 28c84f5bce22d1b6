"""Provider accounts in the administration, in a real browser."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from playwright.sync_api import expect

from missions.models import Attempt, Mission, MissionStatus
from providers import provider_accounts
from providers.models import ProviderAccount
from tests.factories import make_mission
from tests.missions.api.event_reader import wait_for

needs_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="walks with workers run on SQLite only")
PAGE = "/admin/providers/provideraccount/{}/change/"


def test_account_is_tested_paused_and_resumed(open_page):
    boss = User.objects.create_superuser("boss")
    page = open_page(PAGE.format(provider_accounts.environment_account().pk), user=boss)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The connection works")).to_be_visible()
    page.get_by_label("Reason", exact=True).fill("The budget is used up.")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused: The budget is used up.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The account is in use.")).to_be_visible()


@needs_sqlite
def test_second_key_takes_over(open_page, person, simulator, start_workers):
    simulator.set(task_seconds=0.5)
    first = provider_accounts.environment_account()
    mission = make_mission(person, 120)
    boss = User.objects.create_superuser("boss")
    page = open_page("/admin/providers/provideraccount/add/", user=boss)
    page.get_by_label("Name").fill("second")
    page.get_by_label("Address").fill(simulator.url)
    page.get_by_label("API key").fill("cap20-of-the-second")
    page.get_by_label("Tasks at once").fill("4")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(re.compile("second.*was added"))).to_be_visible()
    second = ProviderAccount.objects.get(name="second")

    start_workers(4, cap=2)
    wait_for(lambda: first.attempts.filter(status="succeeded").exists(), 60)
    page.goto(PAGE.format(first.pk))
    page.get_by_label("Drain", exact=True).check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("environment"))).to_contain_text("draining")
    last = Attempt.objects.filter(account=first).latest("pk")
    wait_for(lambda: Mission.objects.get(pk=mission.pk).status == MissionStatus.COMPLETED, 60)

    assert Attempt.objects.filter(account=first).latest("pk") == last
    assert Attempt.objects.filter(account=second, pk__gt=last.pk, status="succeeded").exists()
    assert Attempt.objects.filter(status="succeeded").count() == 120
