"""Unknown fields in API bodies, forms and admin forms are refused or ignored."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from accounts.models import ApiToken
from media.models import MediaFile
from missions.models import Mission
from templates_app.models import MissionTemplate
from tests.addresses import addresses
from tests.api_client import caller
from tests.core.operations import Operation, documented, operations
from tests.security.conftest import browser_of, everything, undone

pytestmark = pytest.mark.django_db

WITH_BODY = [
    one for one in operations() if "application/json" in one.described.get("requestBody", {}).get("content", {})
]
PAGES = list(addresses("/admin/", "/api/"))


def planted(stranger: User) -> dict[str, Any]:
    """Return fields that an attacker would like to set."""
    return {
        "id": 4711,
        "pk": 4711,
        "owner": stranger.pk,
        "owner_id": stranger.pk,
        "user": stranger.pk,
        "user_id": stranger.pk,
        "status": "completed",
        "cost": "0",
        "is_staff": "on",
        "is_superuser": "on",
        "digest": "0" * 64,
        "webhook_token": "known",
        "created_at": "2001-01-01T00:00:00Z",
    }


def test_unknown_field_in_body_is_refused(owner, stranger, places):
    client = caller(owner)
    before = everything()
    for operation in WITH_BODY:
        request = operation.request()
        for name, value in planted(stranger).items():
            if name in known_to(operation):
                continue
            body = {**request["data"], name: value}
            answer = getattr(client, operation.method)(
                operation.path.format(**places), **{**request, "data": body, "content_type": "application/json"}
            )
            assert answer.status_code == 422, (str(operation), name, answer.content)
            assert name in {error["field"] for error in answer.json()["errors"]}, str(operation)
    assert everything() == before


def known_to(operation: Operation) -> set[str]:
    schema = operation.described["requestBody"]["content"]["application/json"]["schema"]
    schema = schema.get("anyOf", [schema])[0]
    return set(documented()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])


def test_unknown_form_fields_change_nothing(owner, stranger, places):
    before = ownership()
    for address in PAGES:
        there = address.filled(places)
        with undone():
            browser_of(owner).post(there, {"name": "planted", **planted(stranger)})
            after = ownership()
            assert {key: whose for key, whose in after.items() if key in before} == {
                key: whose for key, whose in before.items() if key in after
            }, there
            assert stranger.pk not in {whose for key, whose in after.items() if key not in before}, there
            assert not User.objects.filter(is_staff=True).exists(), there
            assert not User.objects.filter(is_superuser=True).exists(), there


def ownership() -> dict[tuple[str, int], int]:
    owned = (Mission, MediaFile, MissionTemplate)
    found = {
        (model.__name__, pk): whose
        for model in owned
        for pk, whose in model._default_manager.values_list("pk", "owner_id")
    }
    return found | {("ApiToken", pk): whose for pk, whose in ApiToken.objects.values_list("pk", "user_id")}


# --- More rights by way of the administration ---


@pytest.fixture
def clerk(db: None) -> Client:
    """Return a staff user who may manage people but is not a superuser."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["auth", "accounts"]))
    return browser_of(user)


def person_form(user: User, **more: Any) -> dict[str, Any]:
    inline = {f"spending_limit-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    return {
        "username": user.username,
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
        "is_active": "on",
        **inline,
        **more,
    }


def test_operator_cannot_make_superusers(clerk, stranger):
    rights = {"is_superuser": "on", "user_permissions": [permission.pk for permission in Permission.objects.all()[:5]]}
    form = person_form(stranger, first_name="Li", **rights)
    assert clerk.post(f"/admin/auth/user/{stranger.pk}/change/", form).status_code == 302
    stranger.refresh_from_db()
    assert stranger.first_name == "Li"
    assert not stranger.is_superuser
    assert not stranger.user_permissions.exists()


def test_operator_cannot_edit_superusers(clerk):
    boss = User.objects.create_superuser("boss", password="a long enough password")
    new = {"password1": "another long password", "password2": "another long password", "usable_password": "true"}
    for path, form in (
        ("password", new),
        ("change", person_form(boss, is_active="")),
        ("delete", {"post": "yes"}),
    ):
        assert clerk.post(f"/admin/auth/user/{boss.pk}/{path}/", form).status_code in (403, 404)
    found = User.objects.get(username="boss")
    assert found.check_password("a long enough password")
    assert found.is_active


def test_superuser_edits_superusers(admin_client, stranger):
    form = person_form(stranger, is_staff="on", is_superuser="on")
    assert admin_client.post(f"/admin/auth/user/{stranger.pk}/change/", form).status_code == 302
    assert User.objects.get(pk=stranger.pk).is_superuser


@pytest.mark.parametrize("path", ["schedule/add/", "schedule/", "failure/", "success/", "ormq/"])
def test_admin_cannot_queue_functions(admin_client, path):
    """The admin page of django-q2 for schedules accepts any function name."""
    form = {"func": "os.system", "args": "'id'", "schedule_type": "O", "repeats": "-1"}
    assert admin_client.post(f"/admin/django_q/{path}", form).status_code == 404
