"""Rights on the missions of others, on pages, by the API and in the admin."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client

from missions.models import Mission
from tests.api_client import caller
from tests.factories import make_media, make_member, make_mission

pytestmark = pytest.mark.django_db
API = "/api/v1/missions"


def member(*permissions: str) -> User:
    person = User.objects.create_user("-".join(permissions) or "clerk", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return person


def browser(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


# A verb, its request by the API and on the pages.
CHANGES: list[tuple[str, tuple[str, str, Any], str]] = [
    ("pause", ("POST", "/pause", None), "pause"),
    ("resume", ("POST", "/resume", None), "resume"),
    ("cancel", ("POST", "/cancel", None), "cancel"),
    ("retry", ("POST", "/retry", None), "retry"),
    ("change", ("PATCH", "", {"name": "Other"}), "change"),
    ("retry an item", ("POST", "/items/1/retry", None), "items/1/retry"),
    ("resolve an item", ("POST", "/items/1/resolve", {"not_run": True}), "items/1/not-run"),
    ("attach a task", ("POST", "/items/1/resolve", {"remote_task_id": "1"}), "items/1/attach"),
    ("tag an item", ("PUT", "/items/1/tags", {"tags": ["seen"]}), "items/1/tags"),
    ("delete", ("DELETE", "", None), "delete"),
]


def send(person: User, mission: Mission, method: str, path: str, body: Any) -> Any:
    url = f"{API}/{mission.pk}{path}"
    data = "" if body is None else json.dumps(body)
    return caller(person).generic(method, url, data, content_type="application/json")


def test_rights_decide_verbs_of_pages_and_api(owner):
    nobody, viewer = member(), member("view_mission")
    changer, deleter = member("change_mission"), member("view_mission", "delete_mission")
    for verb, request, page in CHANGES:
        mission = make_mission(owner)
        for person in (nobody, viewer, changer, deleter):
            is_allowed = person == deleter if verb == "delete" else person == changer
            expected = {200, 202, 409} if is_allowed else {404} if person == nobody else {403}
            answer = send(person, mission, *request)
            assert answer.status_code in expected, (verb, person.username, answer.content)
            if answer.status_code == 403:
                right = "delete_mission" if verb == "delete" else "change_mission"
                assert f"missions.{right}" in answer.json()["message"], verb
            mission.delete()
            mission = make_mission(owner)
            expected = {302, 200, 422} if is_allowed else {404} if person == nobody else {403}
            answer = browser(person).post(f"/missions/{mission.pk}/{page}", {"name": "x"})
            assert answer.status_code in expected, (verb, person.username, answer.status_code)


def test_staff_without_rights_see_only_their_own(owner):
    clerk = member()
    foreign, own = make_mission(owner, name="foreign"), make_mission(clerk, name="own")
    page, api = browser(clerk), caller(clerk)
    assert [row["api_mission_id"] for row in api.get(API).json()["data"]["items"]] == [own.pk]
    shown = page.get("/missions").content.decode()
    assert "own" in shown
    assert "foreign" not in shown
    assert page.get("/admin/control-room/").status_code == 403
    assert page.get("/admin/control-room/pulse").status_code == 403
    media = make_media(owner)
    for path in (f"/missions/{foreign.pk}", f"/media/images/{media.pk}"):
        assert page.get(path).status_code == 404, path
    assert api.delete(f"{API}/{own.pk}").status_code == 200


def test_pages_offer_what_is_allowed(owner):
    mission = make_mission(owner)
    urls = {"pause": "change_mission", "delete": "delete_mission", "change": "change_mission"}
    people = {
        name: browser(member("view_mission", *([name] if name else [])))
        for name in ("", "change_mission", "delete_mission")
    }
    for right, client in people.items():
        html = client.get(f"/missions/{mission.pk}/settings").content.decode()
        offered = set(re.findall(rf"/missions/{mission.pk}/(pause|delete|change)\b", html))
        assert offered == {url for url, needed in urls.items() if needed == right}, right


def test_inactive_staff_lose_their_rights(owner):
    person = member("change_mission")
    client = caller(person)
    mission = make_mission(owner)
    assert client.post(f"{API}/{mission.pk}/pause").status_code == 200
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert client.post(f"{API}/{mission.pk}/resume").status_code == 401


@pytest.mark.parametrize(
    ("group", "statuses"),
    [("Operators", (200, 200, 200, 200)), ("Viewers", (200, 403, 403, 403)), ("Accountants", (200, 403, 403, 403))],
)
def test_groups(owner, group, statuses):
    person = make_member(group)
    mission = make_mission(owner)
    answers = [
        send(person, mission, method, path, None).status_code
        for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/resume"), ("DELETE", ""))
    ]
    assert tuple(answers) == statuses
    pages = {
        "/admin/missions/mission/": True,
        "/admin/billing/spendinglimit/": group != "Viewers",
        "/admin/billing/spendinglimit/add/": group == "Accountants",
        "/admin/providers/provideraccount/": group != "Accountants",
        "/admin/providers/provideraccount/add/": group == "Operators",
        "/admin/auth/user/add/": False,
    }
    client = browser(person)
    assert {page: client.get(page).status_code == 200 for page in pages} == pages


def test_migrate_keeps_changed_groups():
    viewers = Group.objects.get(name="Viewers")
    viewers.permissions.clear()
    Group.objects.filter(name="Accountants").delete()
    call_command("migrate", verbosity=0)
    assert not viewers.permissions.exists()
    assert Group.objects.filter(name="Accountants", permissions__codename="change_spendinglimit").count() == 1
    assert Group.objects.filter(name__in=["Operators", "Viewers", "Accountants"]).count() == 3
