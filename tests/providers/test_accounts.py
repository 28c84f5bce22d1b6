"""Keys, pauses and checks of provider accounts."""

from __future__ import annotations

import pytest

from missions import tasks
from providers import provider_accounts
from providers.adapters.errors import AccountBlocked, Unavailable
from providers.models import ProviderAccount
from tests.factories import Workers, make_mission

pytestmark = pytest.mark.django_db


def test_the_environment_s_account_is_made_once(simulator):
    first, again = provider_accounts.environment_account(), provider_accounts.environment_account()
    assert first.pk == again.pk
    assert ProviderAccount.objects.count() == 1


def test_the_key_is_never_stored(settings, simulator):
    settings.RUNNINGHUB_API_KEY = "very-secret-key"
    provider_accounts.sync_env_key()
    account = provider_accounts.environment_account()
    stored = ProviderAccount.objects.filter(pk=account.pk).values().get()
    assert stored["key_fingerprint"]
    assert "very-secret-key" not in str(stored)
    assert "very-secret-key" not in repr(provider_accounts.settings_of(account))


def test_without_a_key_nothing_is_connected(settings, account):
    settings.RUNNINGHUB_API_KEY = ""
    with pytest.raises(AccountBlocked, match="RUNNINGHUB_API_KEY"):
        provider_accounts.connect(account)


def test_a_connection_is_kept_until_the_key_changes(settings, simulator, account):
    first = provider_accounts.connect(account)
    assert provider_accounts.connect(account) is first
    settings.RUNNINGHUB_API_KEY = "another"
    assert provider_accounts.connect(account) is not first


def test_an_account_s_own_address_goes_before_the_environment_s(settings, simulator):
    settings.RUNNINGHUB_BASE_URL = "https://www.example.org"
    assert provider_accounts.settings_of(ProviderAccount()).base_url == "https://www.example.org"
    own = ProviderAccount(base_url=simulator.url)
    assert provider_accounts.settings_of(own).base_url == simulator.url


def test_the_first_reason_of_a_pause_is_kept(account):
    provider_accounts.block(account.pk, reason="no money")
    account.refresh_from_db()
    paused_at = account.paused_at
    provider_accounts.block(account.pk, reason="something else")
    account.refresh_from_db()
    assert (account.pause_reason, account.paused_at) == ("no money", paused_at)


def test_resuming_gives_the_full_limit_back_and_wakes_a_worker(workers, account):
    provider_accounts.block(account.pk, reason="no money")
    ProviderAccount.objects.update(soft_limit=1)
    provider_accounts.resume(account.pk)
    account.refresh_from_db()
    assert (account.paused_at, account.pause_reason, account.soft_limit) == (None, "", None)
    assert ("dispatch", (account.pk,)) in workers.waiting()


def test_a_new_key_ends_a_pause_and_the_same_key_does_not(settings, account):
    settings.RUNNINGHUB_API_KEY = "first"
    assert provider_accounts.sync_env_key() is False  # nothing was replaced
    provider_accounts.block(account.pk, reason="no money")
    assert provider_accounts.sync_env_key() is False
    assert ProviderAccount.objects.get(provider="runninghub").paused_at
    ProviderAccount.objects.update(remote_concurrency=3)
    settings.RUNNINGHUB_API_KEY = "second"
    assert provider_accounts.sync_env_key() is True
    account.refresh_from_db()
    assert (account.paused_at, account.remote_concurrency) == (None, None)


def test_another_address_counts_as_another_key(settings, account):
    settings.RUNNINGHUB_API_KEY = "same"
    provider_accounts.sync_env_key()
    settings.RUNNINGHUB_BASE_URL = "https://elsewhere.example"
    assert provider_accounts.sync_env_key() is True


def test_without_a_key_nothing_is_adopted(settings, account):
    settings.RUNNINGHUB_API_KEY = "first"
    provider_accounts.sync_env_key()
    settings.RUNNINGHUB_API_KEY = ""
    assert provider_accounts.sync_env_key() is False
    assert ProviderAccount.objects.get(provider="runninghub").key_fingerprint


def test_a_check_remembers_the_provider_s_limit(simulator, account):
    simulator.set(cap=13)
    status = provider_accounts.check(account)
    account.refresh_from_db()
    assert status.concurrency == account.remote_concurrency == 13
    assert account.checked_at


def test_a_check_with_a_wrong_key_pauses_the_account(settings, simulator, account):
    settings.RUNNINGHUB_API_KEY = "bad-key"
    with pytest.raises(AccountBlocked):
        provider_accounts.check(account)
    account.refresh_from_db()
    assert account.paused_at
    assert "key" in account.pause_reason
    assert "bad-key" not in account.pause_reason


def test_check_without_a_key_pauses_nothing(settings, account):
    settings.RUNNINGHUB_API_KEY = ""
    with pytest.raises(AccountBlocked):
        provider_accounts.check(account)
    account.refresh_from_db()
    assert account.paused_at is None


def test_a_check_that_gets_no_answer_changes_nothing(simulator, account):
    simulator.set(account_drop=1)
    with pytest.raises(Unavailable):
        provider_accounts.check(account)
    account.refresh_from_db()
    assert (account.paused_at, account.remote_concurrency) == (None, None)


def test_the_task_of_a_check_swallows_the_provider_s_troubles(settings, simulator, account):
    simulator.set(account_503=1)
    tasks.check_account(account.pk)
    settings.RUNNINGHUB_API_KEY = "bad-key"
    tasks.check_account(account.pk)
    account.refresh_from_db()
    assert account.paused_at


def test_accounts_are_checked_by_the_workers_by_themselves(owner, workers: Workers, account, simulator):
    simulator.set(cap=9)
    workers.finish(make_mission(owner, 1))
    workers.play()
    account.refresh_from_db()
    assert account.remote_concurrency == 9
