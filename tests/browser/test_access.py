"""Every page can be used by everybody, in light and dark, wide and narrow: the list of pages is the URL conf."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver

from accounts import services as account_services
from missions import provider_accounts
from templates_app import services as template_services
from tests.browser.chromium import check_axe
from tests.missions.world import bring_to, claim, make_media, make_mission, picture

NOT_OURS = ("admin/", "api/v1/")
SIGNED_OUT = ["/accounts/login/"]
NOT_IN_THE_URLS = ["/nowhere", "/templates/new?type=image_to_image", "/missions/new?task_type=image_to_video"]


@pytest.fixture
def places(person) -> dict[str, object]:
    """What the addresses are about.  A new name in a path gets a row here.  Staff, who may see all pages."""
    person.is_staff = person.is_superuser = True
    person.save()
    token, _secret = account_services.create_token(user=person, name="a name that is rather long for a telephone")
    media = make_media(person, content=picture(size=(60, 40)), name="a-rather-long-name-of-a-photo-for-a-telephone.png")
    config = {"model": "rhart-image-v1/text-to-image", "params": {"aspectRatio": "16:9"}}
    template = template_services.create_template(owner=person, name="Wide", task_type="text_to_image", config=config)
    mission = make_mission(person, 7, name="Mixed")
    attempts = claim(mission, provider_accounts.environment_account(), 6)
    for status, attempt in zip(
        ["failed", "failed", "refused", "succeeded", "unconfirmed", "running"], attempts, strict=True
    ):
        bring_to(status, attempt)
    return {
        "mission_id": mission.pk,
        "index": 1,
        "template_id": template.pk,
        "media_id": media.pk,
        "token_id": token.pk,
        "key": media.key,
        "provider": "simulator",
        "token": "none",
    }


def pages(user, places: dict[str, object]) -> list[str]:
    """The addresses that answer a GET with a whole page."""
    client = Client()
    client.force_login(user)
    return [address for address in _addresses(get_resolver(), "/", places) if _is_page(client.get(address))]


def _addresses(resolver: URLResolver, before: str, places: dict[str, object]) -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = str(entry.pattern)
        if route in NOT_OURS:
            continue
        if isinstance(entry, URLResolver):
            yield from _addresses(entry, before + route, places)
        else:
            yield before + re.sub(r"<(?:\w+:)?(\w+)>", lambda name: str(places[name[1]]), route)


def _is_page(response) -> bool:
    is_html = response.headers.get("Content-Type", "").startswith("text/html") and not response.streaming
    return response.status_code == 200 and is_html and response.content.lstrip().lower().startswith(b"<!doctype")


@pytest.mark.parametrize("theme, width", [("light", 1280), ("dark", 360)])
def test_every_page_can_be_used_by_everybody(open_page, person, places, theme, width):
    found = pages(person, places)
    assert {"/missions", "/accounts/password", f"/missions/{places['mission_id']}/cancel"} <= set(found)
    for user, addresses in ((None, SIGNED_OUT), (person, found + NOT_IN_THE_URLS)):
        page = open_page(theme=theme, width=width, user=user)
        for address in addresses:
            page.goto(address)
            check_axe(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        page.watch.wrongs = [wrong for wrong in page.watch.wrongs if "404" not in wrong]
