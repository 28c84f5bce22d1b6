"""Every page of the URL configuration is accessible, in light and dark, wide and narrow."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from accounts import services as account_services
from accounts.models import ApiToken
from media.models import MediaFile
from missions.models import Mission
from notifications.models import Channel, Delivery
from providers import provider_accounts
from sharing.services import create_link
from templates_app import services as template_services
from templates_app.models import MissionTemplate
from tests.addresses import addresses
from tests.browser.chromium import check_axe
from tests.factories import bring_to_all, make_media, make_mission, picture

SIGNED_OUT = ["/accounts/login/"]
TRY = {"at": "2026-12-01T08:00:00Z", "status": 200, "milliseconds": 12, "answer": "ok"}
NOT_IN_THE_URLS = [
    "/accounts/notifications/new?kind=dingtalk",
    "/nowhere",
    "/templates/new?type=image_to_image",
    "/missions/new?task_type=image_to_video",
]


@pytest.fixture
def places(person) -> dict[str, object]:
    """Make the objects that URLs are about, for a person who may see all pages.

    A new name in a path gets a row here.
    """
    person.is_staff = person.is_superuser = True
    person.save()
    token, _secret = account_services.create_token(user=person, name="a name that is rather long for a telephone")
    media = make_media(person, content=picture(size=(60, 40)), name="a-rather-long-name-of-a-photo-for-a-telephone.png")
    config = {"model": "rhart-image-v1/text-to-image", "params": {"aspectRatio": "16:9"}}
    template = template_services.create_template(owner=person, name="Wide", task_type="text_to_image", config=config)
    mission = make_mission(person, 7, name="Mixed")
    bring_to_all(mission, provider_accounts.environment_account())
    return places_of(mission, template, media, token)


def places_of(mission: Mission, template: MissionTemplate, media: MediaFile, token: ApiToken) -> dict[str, object]:
    """Return a value for each name in the paths of pages."""
    link = create_link(mission=mission, creator=mission.owner)
    channel = Channel.objects.create(owner=mission.owner, kind="webhook", name="Shop", events=["mission.finished"])
    return {
        "mission_id": mission.pk,
        "index": 1,
        "template_id": template.pk,
        "media_id": media.pk,
        "token_id": token.pk,
        "key": media.key,
        "provider": "simulator",
        "channel_id": channel.pk,
        "delivery_id": Delivery.objects.create(channel=channel, type="ping", tries=[TRY]).pk,
        "token": "none",
        "number": 1,
        "link_id": link.pk,
        "link_token": link.token,
        "page": "user-guide",
        "name": "mission.webp",
    }


def pages(user, places: dict[str, object]) -> list[str]:
    """Return the URLs that answer a GET with a whole page."""
    client = Client()
    client.force_login(user)
    found = [address.filled(places) for address in addresses("/admin/", "/api/")]
    return [address for address in found if _is_page(client.get(address))]


def _is_page(response) -> bool:
    is_html = response.headers.get("Content-Type", "").startswith("text/html") and not response.streaming
    return response.status_code == 200 and is_html and response.content.lstrip().lower().startswith(b"<!doctype")


@pytest.mark.parametrize("theme, width", [("light", 1280), ("dark", 360)])
def test_every_page_is_accessible(open_page, person, places, theme, width):
    found = pages(person, places)
    assert {"/missions", "/accounts/password", f"/missions/{places['mission_id']}/cancel"} <= set(found)
    for user, there in ((None, SIGNED_OUT), (person, found + NOT_IN_THE_URLS)):
        page = open_page(theme=theme, width=width, user=user)
        for address in there:
            page.goto(address)
            check_axe(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        page.watch.wrongs = [wrong for wrong in page.watch.wrongs if "404" not in wrong]


def test_lockout_is_explained(open_page):
    page = open_page("/accounts/login/", user=None)
    for number in range(settings.AXES_FAILURE_LIMIT):  # with one name, that name would have to wait first
        page.get_by_label("Username").fill(f"mei{number}")
        page.get_by_label("Password").fill("wrong")
        with page.expect_navigation():
            page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Try again in 15 minutes")).to_be_visible()
    check_axe(page)
    page.get_by_role("link", name="Back to sign-in").click()
    expect(page.get_by_label("Username")).to_be_visible()
    page.watch.wrongs = [wrong for wrong in page.watch.wrongs if "429" not in wrong]
