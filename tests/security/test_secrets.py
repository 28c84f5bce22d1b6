"""Keys, tokens and passwords appear in no page, log or database copy."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from django.core import serializers
from django.test import Client

from accounts import services as accounts
from accounts.models import ApiToken
from core.logging.formatters import JsonLines, PlainLines
from providers import encryption, provider_accounts
from providers.models import ProviderAccount
from tests.factories import add_account

pytestmark = pytest.mark.django_db

SECRETS = {
    "RUNNINGHUB_API_KEY": "planted-provider-key-000",
    "METRICS_TOKEN": "planted-metrics-token-000",
    "SECRET_KEY": "planted-signing-key-000",
}
DATABASE_PASSWORD = "planted-database-password"
PLANTED = [*SECRETS.values(), DATABASE_PASSWORD]


@pytest.fixture(autouse=True)
def planted(settings, monkeypatch) -> None:
    for name, value in SECRETS.items():
        setattr(settings, name, value)
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", f"postgres://batch:{DATABASE_PASSWORD}@db.internal:5432/batch")


@pytest.fixture(params=[JsonLines(), PlainLines(fmt="{message}", style="{")], ids=["json", "text"])
def log(request) -> Iterator[io.StringIO]:
    """Return what is logged, as it is written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(request.param)
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def assert_none_in(text: str) -> None:
    assert [secret for secret in PLANTED if secret in text] == []


# --- Pages of errors, and the log ---


def test_error_page_and_log_have_no_secret(settings, log):
    settings.ROOT_URLCONF = "tests.security.broken"
    page = Client(raise_request_exception=False).get("/broken")
    assert page.status_code == 500
    assert "RuntimeError" not in page.content.decode()
    assert "Traceback" not in page.content.decode()
    assert_none_in(page.content.decode())
    assert "RuntimeError" in log.getvalue()
    assert_none_in(log.getvalue())


def test_debug_page_hides_secret_settings(settings, owner):
    """DEBUG shows everything else, so it is for development only."""
    settings.DEBUG = True
    settings.ROOT_URLCONF = "tests.security.broken"
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    secret = accounts.create_token(user=owner, name="x")[1]
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {secret}"})
    page = client.get("/broken").content.decode()
    assert "RUNNINGHUB_BASE_URL" in page
    for hidden in (SECRETS["METRICS_TOKEN"], SECRETS["SECRET_KEY"], settings.ENCRYPTION_KEYS[0], secret):
        assert hidden not in page


@pytest.mark.parametrize("told", ["password={0}", "postgres://batch:{0}@db.internal/batch", "{0}"])
def test_secrets_in_library_messages_are_redacted(log, told):
    for secret in PLANTED:
        logging.getLogger("some.library").error("refused: %s", told.format(secret))
    assert log.getvalue().count("***") == len(PLANTED)
    assert_none_in(log.getvalue())


def test_tokens_are_redacted(log, owner):
    secret = accounts.create_token(user=owner, name="x")[1]
    logging.getLogger("some.library").error("headers: {'Authorization': 'Bearer %s'}, token %s", secret, secret)
    assert secret not in log.getvalue()


# --- What can be asked for ---


def test_pages_and_operations_have_no_secret(admin_client, mixed):
    for address in ("/metrics", "/api/v1/health", "/api/v1/ready", "/api/v1/queue/status", "/api/v1/openapi.json"):
        assert_none_in(admin_client.get(address, headers={"Authorization": ""}).content.decode())
    for address in (
        "/admin/control-room/",
        "/admin/providers/provideraccount/",
        "/admin/missions/attempt/",
        "/admin/models/",
    ):
        page = admin_client.get(address)
        assert page.status_code == 200
        assert_none_in(page.content.decode())


def test_api_error_has_no_secret(settings, owner):
    answer = Client().get("/api/v1/missions", headers={"Authorization": "Bearer rhb_" + "x" * 43})
    assert answer.status_code == 401
    assert "x" * 43 not in answer.content.decode()


# --- A copy of the database ---


def test_database_copy_has_no_secret(owner, mixed, encryption_key):
    secret = accounts.create_token(user=owner, name="x")[1]
    account = add_account("second", "a-key-of-a-second-account", "https://www.runninghub.cn")
    rows = [*ApiToken.objects.all(), *ProviderAccount.objects.all(), *type(owner).objects.all()]
    copy = serializers.serialize("json", rows)
    assert account.sealed_key in copy
    for hidden in (secret, secret.removeprefix("rhb_"), "a-key-of-a-second-account", encryption_key, *PLANTED):
        assert hidden not in copy
    assert "a long enough password" not in copy


def test_repr_hides_keys(encryption_key, simulator):
    account = add_account("second", "a-key-of-a-second-account", simulator.url)
    for thing in (account, provider_accounts.connect(account), provider_accounts.settings_of(account)):
        assert "a-key-of-a-second-account" not in f"{thing!r} {thing!s}"
