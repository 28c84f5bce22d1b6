"""``manage.py doctor``: one line for each part, what mends it, and no secret."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from providers import provider_accounts
from providers.models import ProviderAccount
from tests.factories import add_account, pass_time
from workers import queue

pytestmark = pytest.mark.django_db


def doctor() -> tuple[dict[str, dict[str, Any]], int]:
    """The last finding on each part, and the exit code."""
    out, code = io.StringIO(), 0
    try:
        call_command("doctor", as_json=True, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    return {finding["part"]: finding for finding in json.loads(out.getvalue())}, code


def test_what_is_well_is_told_without_secrets(simulator, account, settings):
    settings.RUNNINGHUB_API_KEY = "simulator-very-secret"
    found, _code = doctor()
    for part in ("database", "storage of results", "storage of uploads", "provider environment", "clock"):
        assert found[part]["level"] == "ok", found[part]
    assert found["workers"]["level"] == "warn"
    out = io.StringIO()
    call_command("doctor", stdout=out)
    assert "ok    provider environment: The key works." in out.getvalue()
    assert "very-secret" not in out.getvalue() + json.dumps(found)


def test_a_key_that_is_refused_is_a_failure_and_pauses_nothing(simulator, account, settings):
    settings.RUNNINGHUB_API_KEY = "bad"
    found, code = doctor()
    assert (found["provider environment"]["level"], code) == ("fail", 1)
    assert ProviderAccount.objects.get(provider="runninghub").paused_at is None


def test_a_stored_key_that_cannot_be_read_is_a_failure_and_the_rest_is_told(
    simulator, account, settings, encryption_key
):
    add_account("second", "another-key", simulator.url)
    settings.ENCRYPTION_KEYS = []
    found, code = doctor()
    assert (found["provider second"]["level"], code) == ("fail", 1)
    assert "ENCRYPTION_KEYS" in found["provider second"]["message"]
    assert found["provider environment"]["level"] == "ok"


def test_a_paused_account_says_how_to_go_on(simulator, account):
    provider_accounts.block(account.pk, reason="The wallet is empty.")
    finding = doctor()[0]["provider environment"]
    assert "The wallet is empty." in finding["message"]
    assert "accounts resume environment" in finding["remedy"]


def test_settings_that_do_not_fit_are_told_with_their_hint(account, settings):
    settings.Q_WORKERS = 0
    found, code = doctor()
    assert ("missions.E002" in found["settings"]["message"], code) == (True, 1)
    assert found["settings"]["remedy"]


def test_a_storage_that_cannot_be_used_is_a_failure(account, settings, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    options = {"location": tmp_path / "file", "base_url": None}
    settings.STORAGES = settings.STORAGES | {"results": settings.STORAGES["results"] | {"OPTIONS": options}}
    found, code = doctor()
    assert (found["storage of results"]["level"], code) == ("fail", 1)


def test_messages_that_wait_are_counted(account):
    queue.send("canary")
    pass_time(90)
    assert "1 messages wait" in doctor()[0]["broker"]["message"]


def test_a_public_address_that_nobody_answers_is_a_warning(account, settings):
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:9"
    assert doctor()[0]["public address"]["level"] == "warn"
