"""``Idempotency-Key`` in requests."""

from __future__ import annotations

import pytest

from accounts.models import ApiToken
from core.models import IdempotencyKey
from tests.api_client import caller

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.probe_api"), pytest.mark.postgresql]


def make(client, name="a", key="k1", then=""):
    return client.post(f"/api/v1/make?name={name}&then={then}", headers={"Idempotency-Key": key})


def made() -> list[str]:
    return sorted(ApiToken.objects.exclude(name="tests").values_list("name", flat=True))


def test_repeated_request_is_replayed(owner):
    client = caller(owner)
    first, again = make(client), make(client)
    assert made() == ["a"]
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Content-Type"] == first["Content-Type"]
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first


def test_tokens_of_a_user_share_keys(owner):
    make(caller(owner))
    assert make(caller(owner))["Idempotent-Replayed"] == "true"


def test_requests_without_key_run_each_time(owner):
    client = caller(owner)
    assert client.post("/api/v1/make?name=a").status_code == 201
    assert client.post("/api/v1/make?name=b").status_code == 201
    assert not IdempotencyKey.objects.exists()


def test_key_belongs_to_one_request(owner):
    client = caller(owner)
    make(client)
    answer = make(client, name="b")
    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_mismatch")
    assert made() == ["a"]


def test_failed_request_frees_its_key(owner):
    client = caller(owner)
    assert make(client, then="state").status_code == 409
    assert make(client, then="bug").status_code == 500
    assert made() == []
    assert make(client).status_code == 201


def test_running_request_is_not_started_twice(owner):
    client = caller(owner)
    make(client)
    IdempotencyKey.objects.update(finished_at=None, status=None, body="")
    answer = make(client)
    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_in_progress")
    assert answer["Retry-After"]


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "é"])
def test_key_is_visible_ascii(owner, key):
    answer = make(caller(owner), key=key)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert made() == []


def test_refused_request_claims_no_key(owner):
    caller(owner).post("/api/v1/make", headers={"Idempotency-Key": "k1"})
    assert not IdempotencyKey.objects.exists()
