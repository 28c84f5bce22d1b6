"""Texts that are markup are shown and never run, whoever wrote them.

``open_page`` fails the test when the content security policy is violated, so injected markup is
noticed although the policy stops it.
"""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import services as account_services
from drafts import services as drafts
from media.models import MediaFile
from missions.models import Attempt, ItemEvent, MissionItem, Output
from providers import provider_accounts
from providers.models import ProviderAccount
from templates_app import services as template_services
from tests.browser.test_access import pages, places_of
from tests.factories import bring_to_all, make_media, make_mission, picture

EVIL = "\"'><img src=x onerror=run()><script>run()</script><svg onload=run()>{{7*7}}</textarea></title>"
VISIBLE_PART = "<img src=x onerror=run()>"


@pytest.fixture
def places(person) -> dict[str, object]:
    """Make objects with hostile names and hostile answers of the provider."""
    account = provider_accounts.environment_account()
    User.objects.filter(pk=person.pk).update(username=EVIL[:150], first_name=EVIL[:100])
    media = make_media(person, content=picture(size=(60, 40)))
    MediaFile.objects.update(name=f"{EVIL}.png")
    config = {"model": "rhart-image-v1/text-to-image", "params": {"aspectRatio": "16:9"}}
    template = template_services.create_template(
        owner=person, name=EVIL[:90], task_type="text_to_image", config=config, description=EVIL
    )
    rows = [{"prompt": EVIL, "custom_id": f"{number}{EVIL}"[:100]} for number in range(7)]
    mission = make_mission(person, rows, name=EVIL[:100], description=EVIL, metadata={EVIL: EVIL})
    bring_to_all(mission, account)
    MissionItem.objects.exclude(error_message="").update(error_message=EVIL, error_code=EVIL[:20])
    Attempt.objects.exclude(error_message="").update(error_message=EVIL, error_code=EVIL[:20], raw={EVIL: EVIL})
    Output.objects.update(status="stored", extension="txt", content_type="text/plain", text=EVIL)
    ProviderAccount.objects.update(pause_reason=EVIL, paused_at=timezone.now())
    ItemEvent.objects.update(reason=EVIL, actor=EVIL[:150])
    token, _secret = account_services.create_token(user=person, name=EVIL[:100])
    drafts.save_form(drafts.open_draft(owner=person, key=drafts.new_key()), {"name": EVIL, "prompts": EVIL})
    return places_of(mission, template, media, token)


def visit(page: Page, address: str) -> None:
    page.goto(address)
    assert_only_text(page)


def assert_only_text(page: Page) -> None:
    assert page.locator("img[src=x], svg[onload], [onerror], [onload]").count() == 0, page.url


def test_pages_run_no_text(open_page, person, places):
    page = open_page()
    for address in pages(person, places):
        visit(page, address)


def test_admin_runs_no_text(open_page, operator, person, places):
    page = open_page(user=operator)
    for model in admin.site._registry:
        folder = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        visit(page, folder)
        for row in model._default_manager.all()[:3]:
            visit(page, f"{folder}{row.pk}/change/")
    for address in ("/admin/", "/admin/control-room/", "/admin/models/"):
        visit(page, address)
    page.watch.wrongs = [wrong for wrong in page.watch.wrongs if "403" not in wrong]


def test_scripts_insert_text_only(open_page, places):
    page = open_page("/missions/new")
    page.locator("textarea[name=prompts]").fill(EVIL)
    expect(page.locator("#preview")).to_contain_text(VISIBLE_PART)
    assert_only_text(page)
