"""``/me`` and the caller's own tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts import services
from accounts.models import ApiToken
from tests.api_client import caller

pytestmark = pytest.mark.django_db


def test_me_shows_caller_and_token(owner):
    data = caller(owner).get("/api/v1/me").json()["data"]
    assert (data["username"], data["is_staff"]) == ("mei", False)
    assert data["token"]["name"] == "tests"
    assert "digest" not in data["token"]


def test_me_in_a_session_has_no_token(client, owner):
    client.force_login(owner)
    assert client.get("/api/v1/me").json()["data"]["token"] is None


def test_secret_is_returned_once(owner):
    client = caller(owner)
    made = client.post("/api/v1/me/tokens", {"name": " night run ", "expires_in_days": 7}, "application/json")
    assert made.status_code == 201
    data = made.json()["data"]
    assert data["name"] == "night run"
    assert abs(parse_datetime(data["expires_at"]) - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    assert services.authenticate(data["token"]).user == owner
    listed = client.get("/api/v1/me/tokens").content.decode()
    assert data["prefix"] in listed
    assert data["token"] not in listed


def test_replay_creates_no_token_and_has_no_secret(owner):
    client = caller(owner)
    first, again = (
        client.post("/api/v1/me/tokens", {"name": "x"}, "application/json", headers={"Idempotency-Key": "k1"})
        for _ in range(2)
    )
    assert again["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == first.json()["data"] | {"token": None}
    assert ApiToken.objects.filter(name="x").count() == 1


def test_own_tokens_are_listed_in_pages(owner, stranger):
    for number in range(3):
        services.create_token(user=owner, name=f"token {number}")
    client = caller(owner)
    page = client.get("/api/v1/me/tokens", {"page": 2, "page_size": 2}).json()["data"]
    assert [token["name"] for token in page.pop("items")] == ["token 1", "token 0"]
    assert page == {"total": 4, "page": 2, "page_size": 2, "next_cursor": None}


def test_revoked_token_is_refused_at_once(owner):
    token, secret = services.create_token(user=owner, name="old")
    answer = caller(owner).delete(f"/api/v1/me/tokens/{token.pk}")
    assert answer.json()["data"]["revoked_at"]
    assert Client(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/me").status_code == 401


def test_tokens_of_others_are_not_found(owner, stranger):
    token, secret = services.create_token(user=owner, name="mine")
    assert caller(stranger).delete(f"/api/v1/me/tokens/{token.pk}").status_code == 404
    assert services.authenticate(secret)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
)
def test_invalid_values_name_their_field(owner, body, field):
    answer = caller(owner).post("/api/v1/me/tokens", body, "application/json")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
