"""Lists of the admin: download as CSV, time zones, filters, the menu."""

from __future__ import annotations

import csv
import io

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts import services
from missions.models import Attempt, Output
from tests.factories import make_media, make_mission

pytestmark = pytest.mark.django_db
MISSIONS = "/admin/missions/mission/"


def rows_of(answer) -> list[dict[str, str]]:
    text = answer.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_list_is_downloaded_as_shown(admin_client, owner, stranger):
    mission = make_mission(owner, 3, name="=cmd|' /C calc'!A0")
    make_mission(stranger, name="Other")
    page = admin_client.get(f"{MISSIONS}?owner__id__exact={owner.pk}").content.decode()
    assert f"?owner__id__exact={owner.pk}&amp;export=csv" in page
    answer = admin_client.get(f"{MISSIONS}?owner__id__exact={owner.pk}&export=csv")
    assert 'filename="mission.csv"' in answer["Content-Disposition"]
    [row] = rows_of(answer)
    assert row["name"] == "'=cmd|' /C calc'!A0"
    assert (row["owner"], row["status"]) == ("mei", "Queued")
    assert row["created"].startswith(f"{mission.created_at:%Y-%m-%d}")
    assert row["created"].endswith("+00:00")


def test_every_list_can_be_downloaded(admin_client, mixed, owner):
    make_media(owner)
    services.create_token(user=owner, name="ci")
    for name in (
        "missions/missionitem",
        "missions/attempt",
        "missions/output",
        "missions/itemevent",
        "media/mediafile",
        "accounts/apitoken",
        "auth/user",
        "audit/auditentry",
        "providers/provideraccount",
    ):
        answer = admin_client.get(f"/admin/{name}/?export=csv")
        assert answer.status_code == 200, name
        assert rows_of(answer), name


def test_download_needs_the_right_to_see(client, owner):
    owner.is_staff = True
    owner.save()
    client.force_login(owner)
    assert client.get(f"{MISSIONS}?export=csv").status_code == 403


def test_lists_name_the_time_zone(admin_client):
    admin_client.cookies["time_zone"] = "Asia/Shanghai"
    assert "Times: Asia/Shanghai (UTC+0800)" in admin_client.get(MISSIONS).content.decode()


def test_filters(admin_client, owner, stranger, mixed):
    make_mission(stranger, name="Foreign")
    services.create_token(user=owner, name="good")
    revoked, _secret = services.create_token(user=owner, name="bad")
    services.revoke_token(token=revoked)
    Output.objects.filter(pk=Output.objects.order_by("pk").first().pk).update(status="pending")
    for path, shown, hidden in (
        (f"{MISSIONS}?owner__id__exact={stranger.pk}", "Foreign", "Teapots"),
        (f"{MISSIONS}?created_at__gte=2100-01-01T00:00:00Z", "0 missions", "Foreign"),
        ("/admin/accounts/apitoken/?state=usable", "good", ">bad<"),
        ("/admin/accounts/apitoken/?state=ended", "bad", ">good<"),
        ("/admin/missions/output/?status=pending", "1 output<", "2 outputs"),
    ):
        page = admin_client.get(path).content.decode()
        assert shown in page, path
        assert hidden not in page, path


def test_internal_tables_are_not_in_the_menu(admin_client):
    page = admin_client.get("/admin/").content.decode()
    for name in ("hourlyspend", "tally", "providerupload", "idempotencykey", "bulkaction"):
        assert f"/{name}/" not in page, name
    assert "Provider accounts" in page
    assert "Audit log" in page


def test_removed_history_is_explained(admin_client, mixed):
    mixed.events.all().delete()
    item = mixed.items.order_by("-ended_at").exclude(ended_at=None).first()
    client: Client = admin_client
    for path in (f"{MISSIONS}{mixed.pk}/change/", f"/admin/missions/missionitem/{item.pk}/change/"):
        assert "Its history was removed (RETENTION_EVENTS_DAYS)." in client.get(path).content.decode()
    assert "Its history was removed" in client.get(f"/missions/{mixed.pk}/items/{item.index}").content.decode()


def test_cost_of_an_attempt_has_its_currency(admin_client, mixed):
    attempt = Attempt.objects.exclude(cost=None).first()
    page = admin_client.get(f"/admin/missions/attempt/{attempt.pk}/change/").content.decode()
    assert f"0.05 {attempt.currency}" in page
    assert "0.050000" not in page


def test_markup_in_names_is_shown_as_text(admin_client, owner):
    name = "<script>alert(1)</script><img src=x onerror=y>"
    group = Group.objects.create(name=name)
    owner.first_name = name[:150]
    owner.save()
    owner.groups.add(group)
    make_mission(owner, name=name)
    for path in (
        "/admin/auth/group/",
        "/admin/auth/group/add/",
        f"/admin/auth/group/{group.pk}/change/",
        "/admin/auth/user/",
        f"/admin/auth/user/{owner.pk}/change/",
        f"/admin/auth/user/{owner.pk}/delete/",
        "/admin/audit/auditentry/",
    ):
        page = admin_client.get(path).content.decode()
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
    assert "&lt;script&gt;alert(1)" in admin_client.get(f"/admin/auth/user/{owner.pk}/change/").content.decode()
