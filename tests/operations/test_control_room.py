"""The control room: staff see the state of the site and act on it, equally fast with many rows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from missions import services
from missions.models import ItemEvent, Mission, MissionItem
from providers import provider_accounts
from tests.factories import bring_to, claim, make_mission
from tests.query_plans import plans, reads_whole

pytestmark = pytest.mark.postgresql

PAGE, PULSE, RETRY, METRICS = (
    "/admin/control-room/",
    "/admin/control-room/pulse",
    "/admin/control-room/retry",
    "/metrics",
)
LONG_TABLES = ("missions_missionitem", "missions_attempt", "missions_output", "missions_itemevent")


@pytest.fixture
def viewer(db) -> Client:
    """Staff who may see missions and change nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_mission"))
    client = Client()
    client.force_login(user)
    return client


def retry_form(client: Client, cause: str) -> dict[str, Any]:
    """Return the form data that the button of a cause sends."""
    for form in re.findall(
        rf'<form method="post" action="{RETRY}".*?</form>', client.get(PULSE).content.decode(), re.DOTALL
    ):
        if f'name="error_code" value="{cause}"' in form:
            return {"error_code": cause, "mission": re.findall(r'name="mission" value="([^"]*)"', form)}
    raise AssertionError(f"no button retries {cause}")


def test_only_staff_may_open_it(client, owner):
    assert client.get(PAGE).status_code == 302
    client.force_login(owner)
    for address in (PAGE, PULSE):
        assert client.get(address).status_code == 302
    assert client.post(RETRY, {"error_code": "1015", "mission": ["1:1"]}).status_code == 302


def test_page_shows_every_zone(admin_client, mixed):
    provider_accounts.block(provider_accounts.environment_account().pk, reason="No money left.")
    page = admin_client.get(PAGE).content.decode()
    for words in (
        "Teapots",
        "It failed.",
        "No money left.",
        "1 item is unconfirmed",
        "About ¥0.05 is at risk.",
        "mei",
    ):
        assert words in page
    assert page.count("data-zone") == 9
    assert len(re.findall(r"<rect ", page)) > 2


def test_page_of_an_empty_site_opens(admin_client):
    page = admin_client.get(PAGE).content.decode()
    assert "No unconfirmed items." in page
    assert "No workers are running" in page


def test_retry_submits_counted_items_and_is_logged(admin_client, admin_user, mixed, owner, account):
    other = make_mission(owner, 1, name="Other")
    bring_to("failed", claim(other, account)[0])
    form = retry_form(admin_client, "1015")
    answer = admin_client.post(RETRY, form, follow=True)
    assert "3 items resubmitted." in answer.content.decode()
    assert MissionItem.objects.filter(status="failed").values_list("error_code", flat=True).get() == "1003"
    retried = ItemEvent.objects.filter(from_status="failed", to_status="pending")
    assert set(retried.values_list("actor", flat=True)) == {f"user:{admin_user.pk}"}
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {"Teapots", "Other"}


def test_retry_never_exceeds_the_shown_count(admin_client, mixed, account):
    form = retry_form(admin_client, "1015")
    bring_to("failed", claim(mixed, account)[0])
    answer = admin_client.post(RETRY, form, follow=True)
    assert "More items have failed meanwhile" in answer.content.decode()
    assert MissionItem.objects.filter(status="failed").count() == 4


def test_retry_button_pressed_twice_pays_once(admin_client, mixed):
    form = retry_form(admin_client, "1015")
    admin_client.post(RETRY, form)
    answer = admin_client.post(RETRY, form, follow=True)
    assert "none of these items is failed any more" in answer.content.decode()
    assert ItemEvent.objects.filter(from_status="failed", to_status="pending").count() == 2


@pytest.mark.parametrize("mission", ["", "x:1", "1", "1:1:1", "1:-1"])
def test_malformed_retry_does_nothing(admin_client, mixed, mission):
    answer = admin_client.post(RETRY, {"error_code": "1015", "mission": [mission]}, follow=True)
    assert "Nothing was retried" in answer.content.decode()
    assert MissionItem.objects.filter(status="failed").count() == 3


def test_viewer_cannot_retry(viewer, admin_client, mixed):
    assert admin_client.get(RETRY).status_code == 405
    page = viewer.get(PULSE).content.decode()
    assert "Teapots" in page
    assert RETRY not in page
    assert "/not-run" not in page
    viewer.post(RETRY, retry_form(admin_client, "1015"))
    assert MissionItem.objects.filter(status="failed").count() == 3


def test_resolving_returns_to_the_control_room(admin_client, mixed):
    address = reverse("missions:not-run", args=[mixed.pk, 5])
    assert address in admin_client.get(PULSE).content.decode()
    assert admin_client.post(address, {"next": PAGE}).url == PAGE
    assert admin_client.post(address, {"next": "https://elsewhere.example/"}).url == f"/missions/{mixed.pk}/failures"


def test_every_link_opens(admin_client, mixed):
    page = admin_client.get(PULSE).content.decode()
    links = set(re.findall(r'href="(/[^"]+)"', page)) - {"/static"}
    assert len(links) > 6
    for link in links:
        if not link.startswith("/static"):
            assert admin_client.get(link.replace("&amp;", "&")).status_code == 200, link


# --- With many rows ---


@pytest.fixture
def history_and_work(history) -> None:
    mission = Mission.objects.filter(pending_count__gt=0).first()
    services.resume_mission(mission_id=mission.pk, actor="test")


@pytest.mark.parametrize("address", [PULSE, METRICS])
def test_no_query_reads_a_whole_table(admin_client, history_and_work, address):
    with plans() as lines:
        assert admin_client.get(address).status_code == 200
    assert len([line for line in lines if any(table in line for table in LONG_TABLES)]) > 8
    assert not reads_whole(lines, *LONG_TABLES)
    assert any("attempt_ended" in line for line in lines)


@pytest.mark.parametrize("address, most", [(PULSE, 29), (METRICS, 29)])
def test_statement_count_does_not_grow(admin_client, history_and_work, django_assert_max_num_queries, address, most):
    with django_assert_max_num_queries(most):
        admin_client.get(address)
