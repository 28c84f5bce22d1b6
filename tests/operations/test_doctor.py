"""``manage.py doctor``: a finding for each part with a remedy, and no secrets."""

from __future__ import annotations

import errno
import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command

from notifications import channels
from operations import readiness
from providers import encryption, provider_accounts
from providers.models import ProviderAccount
from tests.factories import add_account, pass_time
from tests.http_servers import read_request, serving
from workers import queue

pytestmark = pytest.mark.django_db


class FullFolder(FileSystemStorage):
    """A folder on a full disk."""

    def _save(self, name: str, content: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")


def doctor() -> tuple[dict[str, dict[str, Any]], int]:
    """Return the last finding of each part, and the exit code."""
    out, code = io.StringIO(), 0
    try:
        call_command("doctor", as_json=True, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    return {finding["part"]: finding for finding in json.loads(out.getvalue())}, code


def test_report_contains_no_secrets(simulator, account, settings):
    settings.RUNNINGHUB_API_KEY = "simulator-very-secret"
    findings, _code = doctor()
    for part in ("database", "storage of results", "storage of uploads", "provider environment", "clock"):
        assert findings[part]["level"] == "ok", findings[part]
    assert findings["workers"]["level"] == "warn"
    out = io.StringIO()
    call_command("doctor", stdout=out)
    assert "ok    provider environment: The key works." in out.getvalue()
    assert "very-secret" not in out.getvalue() + json.dumps(findings)


def test_refused_key_fails_and_pauses_nothing(simulator, account, settings):
    settings.RUNNINGHUB_API_KEY = "bad"
    findings, code = doctor()
    assert (findings["provider environment"]["level"], code) == ("fail", 1)
    assert ProviderAccount.objects.get(provider="runninghub").paused_at is None


def test_unreadable_key_fails_and_others_are_checked(simulator, account, settings, encryption_key):
    add_account("second", "another-key", simulator.url)
    settings.ENCRYPTION_KEYS = []
    findings, code = doctor()
    assert (findings["provider second"]["level"], code) == ("fail", 1)
    assert findings["provider second"]["message"].endswith("or enter the API key again.")
    assert "admin" in findings["provider second"]["remedy"]
    assert findings["provider environment"]["level"] == "ok"


def test_unreadable_channels_are_named(account, settings, encryption_key, django_user_model):
    mei = django_user_model.objects.create_user("mei")
    channels.create(owner=mei, kind="webhook", address="https://a.example/secret", events=["mission.finished"])
    assert "notifications" not in doctor()[0]
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    finding = doctor()[0]["notifications"]
    assert finding["level"] == "warn"
    assert finding["message"].endswith("opens 1: Webhook: a.example of mei")


def test_paused_account_says_how_to_resume(simulator, account):
    provider_accounts.block(account.pk, reason="The wallet is empty.")
    finding = doctor()[0]["provider environment"]
    assert "The wallet is empty." in finding["message"]
    assert "accounts resume environment" in finding["remedy"]


def test_bad_settings_are_reported_with_hint(account, settings):
    settings.Q_WORKERS = 0
    findings, code = doctor()
    assert ("missions.E002" in findings["settings"]["message"], code) == (True, 1)
    assert findings["settings"]["remedy"]


def test_unusable_storage_fails(account, settings, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    options = {"location": tmp_path / "file", "base_url": None}
    settings.STORAGES = settings.STORAGES | {"results": settings.STORAGES["results"] | {"OPTIONS": options}}
    findings, code = doctor()
    assert (findings["storage of results"]["level"], code) == ("fail", 1)
    assert "permission to write" in findings["storage of results"]["remedy"]
    backend = f"{__name__}.FullFolder"
    settings.STORAGES = settings.STORAGES | {"results": {"BACKEND": backend}}
    assert "Free some space" in doctor()[0]["storage of results"]["remedy"]


def test_waiting_messages_are_counted(account):
    queue.send("canary")
    pass_time(90)
    assert "1 messages wait" in doctor()[0]["broker"]["message"]


def test_unreachable_public_url_is_a_warning(account, settings):
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:9"
    assert doctor()[0]["public address"]["level"] == "warn"


def test_public_address_is_requested_by_proxy(account, settings, monkeypatch):
    """The request obeys HTTP_PROXY and REQUESTS_CA_BUNDLE, as other programs do."""
    request_lines = []

    def answer(connection: socket.socket) -> None:
        request_lines.append(read_request(connection).partition(b"\r\n")[0])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        settings.PUBLIC_BASE_URL = "http://batch.example.com"
        assert doctor()[0]["public address"]["level"] == "ok"
    assert b"GET http://batch.example.com/api/v1/health HTTP/1.1" in request_lines


@pytest.mark.django_db(transaction=True)
def test_older_database_is_reported_with_the_remedy(empty_database, settings, monkeypatch):
    settings.MIN_FREE_DISK_MB = 1
    monkeypatch.setattr(readiness, "_is_migrated", False)
    findings, code = doctor()
    assert (findings["database"]["level"], code) == ("fail", 1)
    assert "manage.py migrate" in findings["database"]["remedy"]
    assert findings["disk"]["level"] in ("ok", "warn")
