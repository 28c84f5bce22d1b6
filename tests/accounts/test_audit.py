"""The audit log: each action leaves an entry, which nothing changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import services as token_services
from accounts.audit import services as audit
from accounts.audit.models import AuditEntry, Verb
from accounts.models import ApiToken
from missions import services
from missions.models import Mission
from operations import retention
from tests.api_client import caller
from tests.factories import make_media, make_mission

pytestmark = pytest.mark.django_db
API = "/api/v1"
LIST = "/admin/audit/auditentry/"
INLINE = {"spending_limit-TOTAL_FORMS": 0, "spending_limit-INITIAL_FORMS": 0}


def last() -> AuditEntry:
    return AuditEntry.objects.order_by("pk").last()


def verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))


def test_each_action_of_the_api_is_recorded(owner):
    client = caller(owner)
    mission = make_mission(owner, 2)
    media = make_media(owner)
    template = {"name": "Square", "task_type": "text_to_image", "config": {}}
    template_id = client.post(f"{API}/templates", template, "application/json").json()["data"]["id"]
    path = f"{API}/missions/{mission.pk}"
    AuditEntry.objects.all()._raw_delete("default")
    calls: list[tuple[str, str, Any, str]] = [
        ("patch", path, {"name": "New name"}, "mission.change"),
        ("post", f"{path}/pause", None, "mission.pause"),
        ("post", f"{path}/resume", {}, "mission.resume"),
        ("post", f"{path}/cancel", None, "mission.cancel"),
        ("delete", path, None, "mission.delete"),
        ("put", f"{API}/templates/{template_id}", template, "template.change"),
        ("delete", f"{API}/templates/{template_id}", None, "template.delete"),
        ("delete", f"{API}/media/files/{media.pk}", None, "media.delete"),
        ("post", f"{API}/me/tokens", {"name": "another"}, "token.create"),
    ]
    for method, url, body, verb in calls:
        answer = getattr(client, method)(url, *([] if body is None else [body, "application/json"]))
        assert answer.status_code < 300, (verb, answer.content)
        entry = last()
        assert (entry.verb, entry.person_name, entry.via, entry.address) == (verb, "mei", "token", "127.0.0.1")
        assert entry.credential.startswith("tests (rhb_")
        assert entry.object_id
        assert verb != "mission.change" or entry.details == {"changes": {"name": "New name"}}
        assert entry.request_id == answer["X-Request-Id"]
    assert verbs() == [verb for *_call, verb in calls]


def test_refused_actions_leave_nothing(owner):
    mission = make_mission(owner)
    services.cancel_mission(mission_id=mission.pk, actor=f"user:{owner.pk}")
    before = verbs()
    assert caller(owner).post(f"{API}/missions/{mission.pk}/pause").status_code == 409
    assert verbs() == [*before, "token.create"]
    with transaction.atomic():
        services.delete_mission(mission_id=mission.pk, actor=f"user:{owner.pk}")
        transaction.set_rollback(True)
    assert verbs() == [*before, "token.create"]


def test_entries_outlive_person_and_object(owner, admin_client):
    mission = make_mission(owner, name="Teapots of May")
    services.delete_mission(mission_id=mission.pk, actor=f"user:{owner.pk}")
    assert not Mission.objects.filter(pk=mission.pk).exists()
    assert admin_client.post(f"/admin/auth/user/{owner.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=owner.pk).exists()
    page = admin_client.get(LIST, {"q": f"mission {mission.pk}"}).content.decode()
    assert page.count("Teapots of May") >= 2
    assert "mei" in page
    assert last().verb == "person.delete"


def test_entries_cannot_be_changed(owner, admin_client):
    make_mission(owner)
    entry = last()
    entry.person_name = "nobody"
    for attempt in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(person_name="nobody"),
    ):
        with pytest.raises(TypeError):
            attempt()
    for path in ("add/", f"{entry.pk}/delete/"):
        assert admin_client.get(LIST + path).status_code == 403
    assert admin_client.post(f"{LIST}{entry.pk}/change/", {"person_name": "nobody"}).status_code == 403
    assert last().person_name == "mei"


def test_sign_ins_and_lock_outs(owner):
    client = Client()
    login_page = "/accounts/login/"
    client.post(login_page, {"username": "mei", "password": "a long enough password"})
    client.post("/accounts/logout/")
    signed_in = AuditEntry.objects.get(verb=Verb.SIGN_IN)
    assert (signed_in.person_name, signed_in.address, signed_in.via) == ("mei", "127.0.0.1", "session")
    for number in range(settings.AXES_FAILURE_LIMIT + 5):
        client.post(login_page, {"username": f"typed-by-mistake-{number}", "password": f"guess {number}"})
    assert verbs().count("session.failed") == settings.AXES_FAILURE_LIMIT - 1  # the last one is the lock-out
    assert verbs().count("session.lock_out") == 1
    assert not AuditEntry.objects.filter(object_name__contains="mistake").exists()
    assert verbs()[:2] == ["session.sign_in", "session.sign_out"]


def test_people_accounts_and_commands(owner, admin_client, account):
    AuditEntry.objects.all()._raw_delete("default")
    admin_client.post(f"/admin/providers/provideraccount/{account.pk}/pause/", {"reason": "Bill unpaid"})
    assert (last().verb, last().person_name, last().details) == ("account.pause", "admin", {"reason": "Bill unpaid"})
    call_command("provider_accounts", "resume", account.name)
    assert (last().verb, last().person_name, last().via) == ("account.resume", "", "command")
    form = {"username": "li", "password1": "a long enough password", "password2": "a long enough password"}
    admin_client.post("/admin/auth/user/add/", form | INLINE | {"usable_password": "true"})
    assert (last().verb, last().object_name) == ("person.create", "li")
    call_command("create_token", "mei", "--scopes", "read")
    assert (last().verb, last().details["scopes"]) == ("token.create", ["read"])
    token_services.revoke_token(token=ApiToken.objects.get())
    assert last().verb == "token.revoke"


def test_only_permitted_people_read_it(owner, viewer, client):
    make_mission(owner)
    assert viewer.get(LIST).status_code == 200
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert client.get(LIST).status_code == 403


def test_retention(owner, settings):
    make_mission(owner)
    AuditEntry.objects.all()._raw_delete("default")
    for days in (40, 20):
        audit.record(Verb.SIGN_IN, owner)
        _age(last(), days)
    settings.RETENTION_AUDIT_DAYS = 30
    shown = {cleaned.kind: cleaned.count for cleaned in retention.clean(now=timezone.now(), apply=False)}
    assert shown["audit entries"] == 1
    list(retention.clean(now=timezone.now(), apply=True))
    assert AuditEntry.objects.count() == 1


def _age(entry: AuditEntry, days: int) -> None:
    with connection.cursor() as cursor:
        at = timezone.now() - timedelta(days=days)
        cursor.execute("UPDATE audit_auditentry SET at = %s WHERE id = %s", [at, entry.pk])
