"""Provider accounts in the administration, in a real browser."""

from __future__ import annotations

from django.contrib.auth.models import User
from playwright.sync_api import expect

from missions import provider_accounts

PAGE = "/admin/missions/provideraccount/{}/change/"


def test_an_account_is_tested_paused_and_resumed_on_its_page(open_page):
    boss = User.objects.create_superuser("boss")
    page = open_page(PAGE.format(provider_accounts.environment_account().pk), user=boss)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The connection works")).to_be_visible()
    page.get_by_label("Reason", exact=True).fill("The budget is used up.")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused: The budget is used up.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The account is in use.")).to_be_visible()
