"""Browser programs on other sites: refused unless a setting names them."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.api_client import caller

pytestmark = pytest.mark.django_db
ORIGIN = "https://app.example.com"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


def test_other_sites_are_not_allowed_by_default(owner):
    answer = caller(owner).get("/api/v1/me", headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer
    assert "Access-Control-Allow-Origin" not in Client().options("/api/v1/missions/submit", headers=PREFLIGHT)


def test_named_sites_may_call_the_api(owner, settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    preflight = Client().options("/api/v1/missions/submit", headers=PREFLIGHT)
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "idempotency-key" in preflight["Access-Control-Allow-Headers"]
    assert "POST" in preflight["Access-Control-Allow-Methods"]
    client = caller(owner)
    for path, status in (("/api/v1/me", 200), ("/api/v1/missions/7", 404), ("/api/nowhere", 404)):
        answer = client.get(path, headers={"Origin": ORIGIN})
        assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (status, ORIGIN), path
        assert "X-Request-Id" in answer["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer
    assert "Access-Control-Allow-Origin" not in client.get("/api/v1/me", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in client.get("/accounts/login", headers={"Origin": ORIGIN})
