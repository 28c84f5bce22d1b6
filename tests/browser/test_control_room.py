"""The control room in a real browser: live figures, and actions without leaving it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from missions.models import MissionItem
from providers import provider_accounts
from tests.browser.chromium import check_axe


def test_operator_watches_retries_and_resolves(open_page, operator, troubled):
    page = open_page("/admin/control-room/", user=operator)
    expect(page.locator("#zone-accounts")).not_to_contain_text("No money left.")
    account = provider_accounts.environment_account()
    provider_accounts.block(account.pk, reason="No money left.")
    expect(page.locator("#zone-accounts")).to_contain_text("No money left.")  # without a reload

    page.locator("#zone-failures").get_by_role("button", name="Retry these 2 (about ¥0.10)").click()
    expect(page.get_by_text("2 items resubmitted.")).to_be_visible()
    assert MissionItem.objects.filter(status="failed").count() == 1

    page.locator("#zone-inbox summary").click()
    page.get_by_role("button", name="Mark as not run and resubmit (about ¥0.05)").click()
    expect(page.get_by_text("Item 5 resubmitted.")).to_be_visible()
    expect(page).to_have_title("Control room · RunningHub Batch")
    expect(page.locator("#zone-inbox")).to_contain_text("No unconfirmed items.")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_control_room_is_accessible(open_page, operator, troubled, theme):
    page = open_page("/admin/control-room/", user=operator, theme=theme)
    page.locator("#zone-inbox summary").click()
    check_axe(page)
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
