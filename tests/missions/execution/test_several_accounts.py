"""Several accounts: items spread over free slots; an account that stops leaves them to others."""

from __future__ import annotations

import pytest
from django.utils import timezone

from core.errors import NotPossible
from missions import execution, lifecycle, services, tasks
from missions.models import Attempt, MissionItem
from providers import provider_accounts
from providers.adapters.errors import AccountBlocked, Unavailable
from providers.models import ProviderAccount, ProviderUpload
from tests.factories import (
    WEBHOOK_BASE,
    Workers,
    add_account,
    begin,
    check_mission,
    claim,
    make_media,
    make_mission,
    pass_time,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("encryption_key"), pytest.mark.postgresql]

ME = "user:7"
OLD, NEW = "cap2-old-key", "cap2-new-key"


@pytest.fixture
def account(account: ProviderAccount) -> ProviderAccount:
    ProviderAccount.objects.update(concurrency=4)
    account.refresh_from_db()
    return account


@pytest.fixture
def second(account: ProviderAccount, simulator) -> ProviderAccount:
    return add_account("second", OLD, simulator.url, concurrency=2)


def holders() -> dict[str, int]:
    """Count the attempts by the name of their account."""
    names = list(Attempt.objects.values_list("account__name", flat=True))
    return {name: names.count(name) for name in sorted(set(names))}


def change_key(account: ProviderAccount, api_key: str) -> None:
    provider_accounts.store(ProviderAccount.objects.get(pk=account.pk), api_key=api_key)


def run_to(status: str, account: ProviderAccount, workers: Workers) -> Attempt:
    """Send the only attempt of this test with ``account``, and return it."""
    execution.dispatch(account.pk)
    workers.play("submit")
    attempt = Attempt.objects.get()
    assert (attempt.account_id, attempt.status) == (account.pk, status)
    return attempt


def test_each_account_takes_what_it_has_room_for(owner, account, second, workers):
    make_mission(owner, 20)
    workers.play("dispatch")
    assert holders() == {"environment": 4, "second": 2}
    assert execution.dispatch(account.pk) == execution.dispatch(second.pk) == 0


@pytest.mark.parametrize("change", [{"is_enabled": False}, {"is_draining": True}, {"paused_at": timezone.now()}])
def test_account_that_claims_nothing_holds_nothing_back(owner, account, second, workers, change):
    ProviderAccount.objects.filter(pk=account.pk).update(**change)
    mission = make_mission(owner, 5)
    execution.arm(second.pk)
    assert workers.finish(mission).completed_count == 5
    assert holders() == {"second": 5}


def test_items_of_a_blocked_account_run_on_another(owner, account, second, workers, settings, simulator):
    settings.RUNNINGHUB_API_KEY = "poor-key"
    mission = make_mission(owner, 6)
    execution.arm(second.pk)
    assert workers.finish(mission).completed_count == 6
    assert simulator.stats()["accepted"] == 6
    assert set(MissionItem.objects.values_list("account", flat=True)) == {second.pk}
    assert ProviderAccount.objects.get(pk=account.pk).paused_at


def test_draining_account_finishes_its_claimed_items(owner, account, second, workers):
    mission = make_mission(owner, 2)
    execution.dispatch(second.pk)
    ProviderAccount.objects.update(is_draining=True)
    execution.arm(second.pk)
    assert workers.finish(mission).completed_count == 2


def test_disabled_account_withdraws_unsent_and_polls_the_rest(owner, second, workers, simulator):
    simulator.set(task_seconds=0.2)
    mission = make_mission(owner, 2)
    execution.dispatch(second.pk)
    sent, unsent = Attempt.objects.order_by("pk")
    execution.submit([sent.pk])
    ProviderAccount.objects.filter(pk=second.pk).update(is_enabled=False)
    execution.submit([unsent.pk])
    assert Attempt.objects.get(pk=unsent.pk).status == "void"
    execution.arm(second.pk)
    assert workers.finish(mission).completed_count == 2
    assert Attempt.objects.get(pk=sent.pk).status == "succeeded"


def test_a_stored_key_keeps_the_simulator_out(second, settings):
    settings.RUNNINGHUB_API_KEY = ""
    ProviderAccount.objects.update(is_enabled=False)
    assert provider_accounts.has_keys()
    ProviderAccount.objects.update(sealed_key="")
    assert not provider_accounts.has_keys()


def test_environment_account_without_a_key_is_paused(account, second, settings):
    settings.RUNNINGHUB_API_KEY = ""
    assert provider_accounts.sync_env_key() is False
    account.refresh_from_db()
    assert "RUNNINGHUB_API_KEY" in account.pause_reason
    settings.RUNNINGHUB_API_KEY = "a key of its own"
    provider_accounts.sync_env_key()
    account.refresh_from_db()
    assert account.paused_at is None


@pytest.mark.parametrize("cap, claims", [(1, 0), (2, 0), (3, 1)])
def test_changed_limit_wakes_a_worker_and_holds_at_once(owner, second, workers, cap, claims):
    make_mission(owner, 9)
    execution.dispatch(second.pk)
    workers.play("dispatch")
    before = Attempt.objects.filter(account=second).count()
    second.concurrency = cap
    provider_accounts.store(second, changed=["concurrency"])
    assert ("dispatch", (second.pk,)) in workers.waiting()
    workers.play("dispatch")
    assert Attempt.objects.filter(account=second).count() - before == claims


def test_storing_an_account_keeps_what_workers_wrote(second):
    stale = ProviderAccount.objects.get(pk=second.pk)
    provider_accounts.block(second.pk, reason="No money left.")
    ProviderAccount.objects.update(tick_number=77)
    stale.concurrency = 9
    provider_accounts.store(stale, changed=["concurrency"])
    second.refresh_from_db()
    assert (second.concurrency, second.tick_number, second.pause_reason) == (9, 77, "No money left.")


def test_stored_key_is_encrypted_and_used(second, simulator):
    assert provider_accounts.check(second).concurrency == 2
    assert OLD not in str(ProviderAccount.objects.filter(pk=second.pk).values().get())
    assert OLD not in repr(vars(second)) + repr(provider_accounts.settings_of(second))
    assert provider_accounts.masked_key(second) == "••••-key"


def test_unreadable_key_pauses_the_account_and_loses_nothing(owner, second, workers, settings, simulator):
    simulator.set(task_seconds=600)
    mission = make_mission(owner, 1)
    attempt = run_to("running", second, workers)
    keys, settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS, []
    with pytest.raises(AccountBlocked, match="ENCRYPTION_KEYS"):
        provider_accounts.connect(second)
    execution.poll_attempt(attempt.pk)
    second.refresh_from_db()
    assert "cannot be read" in second.pause_reason
    settings.ENCRYPTION_KEYS = keys
    execution.poll_attempt(attempt.pk)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.unanswered_since) == ("running", None)
    check_mission(mission.pk)


# --- A new key while tasks run ---


def test_attempt_prepared_for_an_old_key_is_not_sent(owner, second, workers, simulator):
    mission = make_mission(owner, 1)
    [attempt_id] = claim(mission, second)
    change_key(second, NEW)
    tasks.submit(attempt_id)
    assert Attempt.objects.get().status == "void"
    assert simulator.stats()["submits"] == 0
    execution.arm(second.pk)
    assert workers.finish(mission).completed_count == 1


def test_the_old_key_s_task_is_not_believed_to_be_gone(owner, second, workers, simulator):
    mission = make_mission(owner, 1)
    attempt = run_to("running", second, workers)
    change_key(second, NEW)
    pass_time(61)
    for _ in range(4):
        execution.poll_attempt(attempt.pk)
    attempt.refresh_from_db()
    assert (attempt.status, attempt.gone_count) == ("running", 0)
    change_key(second, OLD)
    execution.arm(second.pk)
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 1


def test_new_key_cannot_void_an_unconfirmed_task(owner, second, workers, settings, simulator):
    settings.PUBLIC_BASE_URL = WEBHOOK_BASE
    make_mission(owner, 1)
    simulator.set(paid_drop=1)
    attempt = run_to("unconfirmed", second, workers)
    task_id = simulator.tasks()[0]["id"]
    Attempt.objects.update(hinted_task_id=task_id)
    change_key(second, NEW)
    with pytest.raises(Unavailable, match="key was changed"):
        execution.attach(attempt.pk, task_id)
    execution.resolve_unconfirmed(attempt.pk)
    assert Attempt.objects.get().hinted_task_id == task_id
    with pytest.raises(NotPossible):
        services.resolve_as_not_run(item=MissionItem.objects.get(), actor=ME)
    change_key(second, OLD)
    execution.resolve_unconfirmed(attempt.pk)
    assert Attempt.objects.get().remote_task_id == task_id
    assert simulator.stats()["accepted"] == 1


def test_draining_account_settles_its_unconfirmed_attempt(owner, account, second, workers, simulator):
    make_mission(owner, 1)
    simulator.set(paid_drop=1)
    run_to("unconfirmed", second, workers)
    ProviderAccount.objects.filter(pk=second.pk).update(is_draining=True)
    execution.dispatch(account.pk)
    task_id = simulator.tasks()[0]["id"]
    services.resolve_with_task(item=MissionItem.objects.get(), remote_task_id=task_id, actor="user:7")
    attempt = Attempt.objects.get()
    assert (attempt.account_id, attempt.remote_task_id) == (second.pk, task_id)


def test_new_key_keeps_the_pause_and_clears_cached_facts(owner, second):
    provider_accounts.check(second)
    provider_accounts.block(second.pk, reason="The budget is used up.")
    expires_at = timezone.now()
    ProviderUpload.objects.create(account=second, sha256="0" * 64, url="https://x.example/1.png", expires_at=expires_at)
    change_key(second, NEW)
    before = second.key_fingerprint
    second.refresh_from_db()
    assert second.key_fingerprint != before
    assert (second.pause_reason, second.remote_concurrency, second.checked_at) == ("The budget is used up.", None, None)
    assert not ProviderUpload.objects.exists()


def test_each_account_hands_a_reference_file_over_itself(owner, account, second, workers, simulator):
    ProviderAccount.objects.update(concurrency=1)
    media = make_media(owner)
    rows = [{"imageUrls": [f"media:{media.pk}"], "prompt": f"a hat, number {number}"} for number in (1, 2)]
    mission = make_mission(owner, rows, task_type="image_to_image", params={"aspectRatio": "1:1"})
    workers.play("dispatch")
    assert holders() == {"environment": 1, "second": 1}
    execution.arm(second.pk)
    workers.finish(mission)
    assert sorted(ProviderUpload.objects.values_list("account", flat=True)) == sorted([account.pk, second.pk])


def test_a_person_s_retry_may_go_to_another_account(owner, account, second, workers):
    mission = make_mission(owner, 1)
    [attempt_id] = claim(mission, account)
    assert begin(attempt_id)
    lifecycle.refuse(attempt_id, code="1001", message="No such model.", retry_at=None)
    services.retry_failed(mission_id=mission.pk, actor=ME)
    execution.dispatch(second.pk)
    assert list(Attempt.objects.order_by("number").values_list("account", flat=True)) == [account.pk, second.pk]
    check_mission(mission.pk)
