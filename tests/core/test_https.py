"""Redirects from http to https."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

PUBLIC = "batch.example.com"


@pytest.fixture(autouse=True)
def _public(settings: Settings) -> None:
    settings.PUBLIC_BASE_URL = f"https://{PUBLIC}:8443"
    settings.ALLOWED_HOSTS = [PUBLIC, "127.0.0.1"]
    settings.HTTPS_ONLY = True


@pytest.mark.parametrize("method", ["get", "post"])
def test_http_redirects_to_https(method):
    answer = getattr(Client(), method)("/api/v1/missions?page=2", HTTP_HOST=f"{PUBLIC}:80")
    assert (answer.status_code, answer["Location"]) == (307, f"https://{PUBLIC}:8443/api/v1/missions?page=2")


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/accounts/login/", {"HTTP_HOST": "127.0.0.1:8000"}),
        ("/accounts/login/", {"HTTP_HOST": PUBLIC, "secure": True}),
        ("/accounts/login/", {"HTTP_HOST": PUBLIC, "HTTP_X_FORWARDED_PROTO": "https"}),  # a redirect loop
        ("/api/v1/health", {"HTTP_HOST": PUBLIC}),
    ],
)
def test_other_hosts_and_probes_stay_on_http(path, options, db):
    assert Client().get(path, **options).status_code == 200


def test_https_only_can_be_switched_off(settings, db):
    settings.HTTPS_ONLY = False
    assert Client().get("/accounts/login/", HTTP_HOST=PUBLIC).status_code == 200


def test_hsts_is_sent_over_https_only(settings, db):
    settings.SECURE_HSTS_SECONDS = 60
    assert Client().get("/accounts/login/", HTTP_HOST=PUBLIC, secure=True)["Strict-Transport-Security"] == "max-age=60"
    assert "Strict-Transport-Security" not in Client().get("/accounts/login/", HTTP_HOST="127.0.0.1")
