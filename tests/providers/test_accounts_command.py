"""``manage.py provider_accounts``: state, limit, balance of accounts; keys stay hidden."""

from __future__ import annotations

from io import StringIO

import pytest
import responses
from django.core.management import CommandError, call_command

from providers import encryption, provider_accounts
from providers.models import ProviderAccount
from tests.factories import add_account

pytestmark = pytest.mark.django_db
KEY = "0123456789abcdef0123456789abcdef"
SITE = "https://api.example.com"


@pytest.fixture(autouse=True)
def account(settings):
    settings.RUNNINGHUB_API_KEY = KEY
    settings.RUNNINGHUB_BASE_URL = SITE
    return provider_accounts.environment_account()


def accounts(*arguments: str) -> str:
    out = StringIO()
    call_command("accounts", *arguments, stdout=out)
    assert KEY not in out.getvalue()
    return out.getvalue()


def test_list_shows_the_state_of_an_account(settings):
    settings.RUNNINGHUB_CONCURRENCY = 12
    shown = accounts()
    for words in ("environment", SITE, "set", "tasks at once: 12", "in flight:     0", "in use"):
        assert words in shown
    assert accounts("list") == shown


def test_an_account_without_a_key_cannot_spend(settings):
    settings.RUNNINGHUB_API_KEY = ""
    assert "not set: nothing can be spent" in accounts()


def test_pause_and_resume(account):
    accounts("pause", "environment", "--reason", "The budget is used up.")
    assert "The budget is used up." in accounts()
    with pytest.raises(CommandError, match=r"paused already: The budget is used up\."):
        accounts("pause", "environment")
    accounts("resume", "environment")
    account.refresh_from_db()
    assert account.paused_at is None
    with pytest.raises(CommandError, match="is not paused"):
        accounts("resume", "environment")


def test_unknown_account_lists_the_existing_ones():
    with pytest.raises(CommandError, match=r"no account 'nobody'. Accounts: .*environment.*\."):
        accounts("check", "nobody")


@responses.activate
def test_check_tells_limit_and_balance():
    queue = {"concurrentLimit": 40, "runningCount": 3, "queuedCount": 1, "apiKeyType": "ENTERPRISE"}
    wallet = {"remainMoney": "87.5", "currency": "CNY"}
    responses.get(f"{SITE}/openapi/v2/queue/status", json={"code": 0, "data": queue})
    responses.post(f"{SITE}/uc/openapi/accountStatus", json={"code": 0, "data": wallet})
    shown = accounts("check", "environment")
    assert "the connection works" in shown
    assert "40" in shown
    assert "87.5 CNY" in shown


@responses.activate
def test_refused_key_pauses_the_account(account):
    responses.get(f"{SITE}/openapi/v2/queue/status", status=401, json={"code": 401, "msg": "no"})
    with pytest.raises(CommandError, match="key"):
        accounts("check", "environment")
    account.refresh_from_db()
    assert account.paused_at is not None


def test_check_from_a_shell_without_the_key_changes_nothing(account, settings):
    settings.RUNNINGHUB_API_KEY = ""
    with pytest.raises(CommandError, match="put RUNNINGHUB_API_KEY into"):
        call_command("provider_accounts", "check", "environment")
    account.refresh_from_db()
    assert account.paused_at is None


def test_reseal_uses_the_first_encryption_key(settings, encryption_key):
    other = add_account("other", "the-key-of-the-other", SITE)
    new = accounts("new-key").strip()
    settings.ENCRYPTION_KEYS = [new, encryption_key]
    assert "Encrypted with the first of ENCRYPTION_KEYS: 1." in accounts("reseal")
    settings.ENCRYPTION_KEYS = [new]
    other.refresh_from_db()
    assert provider_accounts.settings_of(other).api_key == "the-key-of-the-other"


def test_reseal_reports_unreadable_keys(settings, encryption_key):
    other = add_account("other", "the-key-of-the-other", SITE)
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    with pytest.raises(CommandError, match=r"opens the key of: other\."):
        accounts("reseal")
    assert "cannot be read" in accounts()
    assert ProviderAccount.objects.get(name="other").sealed_key == other.sealed_key
    settings.ENCRYPTION_KEYS = []
    with pytest.raises(CommandError, match="ENCRYPTION_KEYS is empty"):
        accounts("reseal")


def test_only_the_end_of_a_key_is_shown(encryption_key):
    add_account("other", "the-key-of-the-other-9876", SITE)
    add_account("short", "tiny", SITE)
    shown = accounts()
    assert "set, ••••9876" in shown
    assert "tiny" not in shown
