"""Scopes of tokens: what a request needs, and how people see them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import ApiToken, Scope
from tests.api_client import caller
from tests.factories import make_media, make_mission
from tests.missions.api.calls import upload

pytestmark = pytest.mark.django_db
API = "/api/v1"
MISSION = {"name": "Teapots", "task_type": "text_to_image", "config": {"batch_input": ["a teapot"]}}


def test_each_operation_needs_its_scope(owner):
    mission, media = make_mission(owner), make_media(owner)
    path = f"{API}/missions/{mission.pk}"
    calls: list[tuple[str, str, str, Any]] = [
        ("read", "get", f"{API}/missions", None),
        ("read", "get", path, None),
        ("read", "get", f"{API}/me", None),
        ("create", "post", f"{API}/missions", MISSION),
        ("create", "post", f"{API}/missions/submit", MISSION),
        ("create", "post", f"{API}/templates", {"name": "T", "task_type": "text_to_image", "config": {}}),
        ("create", "post", f"{API}/models", {}),
        ("operate", "post", f"{path}/pause", None),
        ("operate", "post", f"{path}/items/1/retry", None),
        ("operate", "patch", path, {"name": "x"}),
        ("operate", "delete", f"{API}/media/files/{media.pk}", None),
        ("operate", "post", f"{API}/me/tokens", {"name": "x"}),
        ("operate", "delete", path, None),
    ]
    for needed, method, url, body in calls:
        others = [scope for scope in Scope.values if scope != needed]
        arguments = () if body is None else (body, "application/json")
        refused = getattr(caller(owner, *others), method)(url, *arguments)
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope"), (method, url)
        assert f"“{needed}”" in refused.json()["message"]
        assert f'scope="{needed}"' in refused["WWW-Authenticate"]
        allowed = getattr(caller(owner, needed), method)(url, *arguments)
        assert allowed.status_code not in (401, 403), (method, url, allowed.content)


def test_upload_needs_create(owner):
    for scopes, status in ((("read", "operate"), 403), (("create",), 201)):
        assert upload(caller(owner, *scopes)).status_code == status


def test_existing_tokens_have_all_scopes(owner):
    token = ApiToken.objects.create(user=owner, name="old", digest="d", prefix="rhb_old")
    token.refresh_from_db()
    assert token.scopes == ["read", "create", "operate"]


def test_token_makes_no_stronger_token(owner):
    client = caller(owner, "read", "operate")
    weaker = client.post(f"{API}/me/tokens", {"name": "x", "scopes": ["read"]}, "application/json")
    assert weaker.json()["data"]["scopes"] == ["read"]
    same = client.post(f"{API}/me/tokens", {"name": "x"}, "application/json")
    assert same.json()["data"]["scopes"] == ["read", "operate"]
    stronger = client.post(f"{API}/me/tokens", {"name": "x", "scopes": ["read", "create"]}, "application/json")
    assert (stronger.status_code, stronger.json()["error"]) == (403, "insufficient_scope")
    for scopes in ([], ["admin"]):
        answer = client.post(f"{API}/me/tokens", {"name": "x", "scopes": scopes}, "application/json")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].startswith("scopes")


def test_scopes_are_shown(owner):
    client = Client()
    client.force_login(owner)
    form = {"name": "ci", "expires_in_days": "30"}
    assert "scopes" in client.post("/accounts/tokens", form).context["form"].errors
    assert client.post("/accounts/tokens", form | {"scopes": ["read", "create"]}).status_code == 200
    page = client.get("/accounts/tokens").content.decode()
    assert "read, create" in page
    token = caller(owner, "read").get(f"{API}/me").json()["data"]["token"]
    assert token["scopes"] == ["read"]


def test_command_takes_scopes(owner, capsys):
    call_command("create_token", "mei", "--scopes", "read, operate")
    assert ApiToken.objects.get().scopes == ["read", "operate"]
    with pytest.raises(CommandError, match="read, create, operate"):
        call_command("create_token", "mei", "--scopes", "everything")


def test_openapi_names_scopes(client):
    schema = client.get(f"{API}/openapi.json").json()
    expected = {
        ("/api/v1/missions", "get"): ["read"],
        ("/api/v1/missions", "post"): ["create"],
        ("/api/v1/media/upload", "post"): ["create"],
        ("/api/v1/missions/{mission_id}/pause", "post"): ["operate"],
    }
    for (path, method), scopes in expected.items():
        assert {"BearerToken": scopes} in schema["paths"][path][method]["security"], path
    assert set(schema["components"]["securitySchemes"]) == {"BearerToken", "Session"}
