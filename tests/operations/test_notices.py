"""Notices on every page: missing key, simulator, no workers, blocked accounts."""

from __future__ import annotations

import os

import psutil
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from operations import notices
from providers import provider_accounts
from tests.factories import add_account
from workers.models import WorkerCluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _key(settings):
    settings.RUNNINGHUB_API_KEY = "a real key"


@pytest.fixture
def _workers():
    me = psutil.Process()
    WorkerCluster.objects.create(
        host=os.uname().nodename, pid=me.pid, pid_started_at=me.create_time(), beat_at=timezone.now()
    )


@pytest.fixture
def operator():
    return User.objects.create_superuser("operator")


def names(user) -> list[str]:
    return [notice.name for notice in notices.current(user)]


@pytest.mark.usefixtures("_workers")
def test_no_notices_when_all_is_well(owner):
    provider_accounts.environment_account()
    assert names(owner) == []


@pytest.mark.usefixtures("_workers")
@pytest.mark.parametrize("key, name", [("", "no-key"), ("simulator", "simulator")])
def test_missing_key_and_simulator_are_shown(owner, settings, key, name):
    settings.RUNNINGHUB_API_KEY = key
    assert names(owner) == [name]


@pytest.mark.usefixtures("_workers")
def test_key_of_any_provider_counts_before_the_accounts_exist(owner, settings):
    settings.RUNNINGHUB_API_KEY = ""
    assert "Set one of: RUNNINGHUB_API_KEY." in notices.current(owner)[0].text
    settings.OPENAI_API_KEY = "a key"
    assert names(owner) == []


def test_missing_workers_are_shown_with_advice_for_staff(owner, operator):
    assert "manage.py" not in notices.current(owner)[0].text
    assert "manage.py workers" in notices.current(operator)[0].text


@pytest.mark.usefixtures("_workers")
def test_paused_account_is_shown_with_reason_to_staff(owner, operator):
    account = provider_accounts.environment_account()
    provider_accounts.block(account.pk, reason="The balance is 0.00 CNY.")
    (notice,) = notices.current(owner)
    assert "balance" not in notice.text
    assert not notice.url
    (notice,) = notices.current(operator)
    assert "The balance is 0.00 CNY." in notice.text
    assert str(account.pk) in notice.url


@pytest.mark.usefixtures("_workers")
@pytest.mark.usefixtures("encryption_key")
def test_one_usable_account_is_enough(owner, settings):
    provider_accounts.block(provider_accounts.environment_account().pk, reason="No.")
    add_account("second", "another real key", "https://site.example")
    assert names(owner) == []
    settings.RUNNINGHUB_API_KEY = ""
    assert names(owner) == []


@pytest.mark.usefixtures("_workers", "encryption_key")
@pytest.mark.parametrize(
    "changes, words", [({"is_draining": True}, "draining"), ({"is_enabled": False}, "switched off")]
)
def test_blocked_accounts_are_shown(owner, operator, settings, changes, words):
    add_account("second", "another real key", "https://site.example", **changes)
    assert names(owner) == ["account"]
    assert f"“second” is {words}" in notices.current(operator)[0].text


@pytest.mark.usefixtures("_workers", "encryption_key")
def test_unreadable_key_is_shown(operator, settings):
    add_account("second", "another real key", "https://site.example")
    settings.ENCRYPTION_KEYS = []
    assert "unreadable key" in notices.current(operator)[0].text


@pytest.mark.usefixtures("_workers", "encryption_key")
def test_real_account_hides_the_simulator_notice(owner, settings):
    settings.RUNNINGHUB_API_KEY = "simulator"
    provider_accounts.environment_account()
    assert names(owner) == ["simulator"]
    add_account("real", "a real key", "https://site.example")
    assert names(owner) == []


def test_most_serious_notice_comes_first(owner, settings):
    settings.RUNNINGHUB_API_KEY = "simulator"
    assert names(owner) == ["workers", "simulator"]


@pytest.mark.usefixtures("_workers")
def test_missing_key_is_a_warning_beside_a_local_account(owner, settings):
    settings.RUNNINGHUB_API_KEY = ""
    provider_accounts.environment_account("runninghub")
    provider_accounts.environment_account("local")
    (notice,) = notices.current(owner)
    assert (notice.name, notice.kind) == ("no-key", "warning")


@pytest.mark.usefixtures("_workers")
def test_a_slow_provider_is_shown(owner, operator):
    account = provider_accounts.environment_account()
    slow = [{"kind": "download", "account_id": account.pk, "workers": 6, "seconds": 45}]
    WorkerCluster.objects.update(slow_work=slow)
    [notice] = notices.current(owner)
    assert (notice.name, account.name in notice.text) == ("slow-provider", False)
    [notice] = notices.current(operator)
    assert "“environment” answers slowly: 6 workers wait for it, one for 45 s" in notice.text
