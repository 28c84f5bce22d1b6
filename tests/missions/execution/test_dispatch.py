"""Dispatch: the cap, fairness, priority, due items, and concurrent dispatches."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from missions import execution, lifecycle, services
from missions.models import Attempt, AttemptStatus, Mission, MissionItem
from operations import notices, readiness
from providers import provider_accounts
from providers.models import ProviderAccount
from providers.provider_accounts import BlockedReason
from tests.factories import (
    accept,
    at_once,
    begin,
    bring_to,
    check_mission,
    claim,
    fail,
    lose_answer,
    make_mission,
    pass_time,
    succeed,
)

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

ME = "user:7"


@pytest.fixture
def account(account: ProviderAccount) -> ProviderAccount:
    account.concurrency = 10
    account.save(update_fields=["concurrency"])
    return account


def prepared() -> dict[str, int]:
    """Count the prepared attempts by the name of their mission."""
    names = Attempt.objects.filter(status=AttemptStatus.PREPARED).values_list("item__mission__name", flat=True)
    return dict(Counter(names))


def test_the_cap_is_filled_and_never_exceeded(owner, account):
    make_mission(owner, 25)
    assert [execution.dispatch(account.pk) for _ in range(3)] == [10, 0, 0]
    for attempt_id in Attempt.objects.order_by("pk").values_list("pk", flat=True)[:4]:
        bring_to("succeeded", attempt_id)
    assert [execution.dispatch(account.pk) for _ in range(2)] == [4, 0]
    assert Attempt.objects.filter(status=AttemptStatus.PREPARED).count() == 10


def test_each_slot_is_named_in_one_message(owner, workers, account):
    make_mission(owner, 3)
    execution.dispatch(account.pk)
    named = [attempt_id for name, args in workers.waiting() if name == "submit" for attempt_id in args]
    assert sorted(named) == sorted(Attempt.objects.values_list("pk", flat=True))


def test_small_mission_beside_a_large_one_gets_slots_at_once(owner, account):
    make_mission(owner, 1000, name="large")
    assert execution.dispatch(account.pk) == 10
    make_mission(owner, 3, name="small")
    for attempt_id in Attempt.objects.values_list("pk", flat=True)[:3]:
        bring_to("succeeded", attempt_id)
    execution.dispatch(account.pk)
    assert prepared() == {"large": 7, "small": 3}


def test_equals_share_the_slots_and_leave_none_unused(owner, account):
    for name, size in (("one", 1), ("two", 50), ("three", 50)):
        make_mission(owner, size, name=name)
    execution.dispatch(account.pk)
    shares = prepared()
    assert shares["one"] == 1
    assert sorted([shares["two"], shares["three"]]) == [4, 5]


def test_higher_priority_goes_first_and_leaves_the_rest(owner, account):
    make_mission(owner, 100, name="usual")
    make_mission(owner, 4, name="urgent", priority=5)
    execution.dispatch(account.pk)
    assert prepared() == {"urgent": 4, "usual": 6}


def test_items_that_wait_take_no_slot_from_those_that_do_not(owner, account):
    waits = make_mission(owner, 100, name="waits")
    make_mission(owner, 100, name="ready")
    waits.items.filter(index__gt=1).update(available_at=timezone.now() + timedelta(minutes=1))
    execution.dispatch(account.pk)
    assert prepared() == {"waits": 1, "ready": 9}


def test_an_item_is_not_taken_up_before_its_time(owner, account):
    mission = make_mission(owner, 2)
    mission.items.filter(index=1).update(available_at=timezone.now() + timedelta(seconds=30))
    assert execution.dispatch(account.pk) == 1
    assert Attempt.objects.get().item.index == 2
    pass_time(31)
    assert execution.dispatch(account.pk) == 1


def test_an_unconfirmed_attempt_holds_its_slot_for_a_while(owner, account):
    mission = make_mission(owner, 30)
    for attempt_id in claim(mission, account, 10):
        bring_to("unconfirmed", attempt_id)
    assert execution.dispatch(account.pk) == 0
    pass_time(4 * 60)
    assert execution.dispatch(account.pk) == 0
    pass_time(2 * 60)
    assert execution.dispatch(account.pk) == 10


@pytest.mark.parametrize("change", [{"paused_at": timezone.now()}, {"is_enabled": False}, {"concurrency": 0}])
def test_a_stopped_account_takes_nothing_up(change, owner, account):
    make_mission(owner, 3)
    ProviderAccount.objects.update(**change)
    assert execution.dispatch(account.pk) == 0
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("remote, expected", [(4, 4), (100, 10), (None, 10)])
def test_the_provider_s_own_limit_lowers_the_cap(remote, expected, owner, account):
    make_mission(owner, 30)
    ProviderAccount.objects.update(remote_concurrency=remote)
    assert execution.dispatch(account.pk) == expected


def test_lowered_cap_keeps_running_tasks(owner, account):
    make_mission(owner, 30)
    execution.dispatch(account.pk)
    ProviderAccount.objects.update(concurrency=2)
    assert execution.dispatch(account.pk) == 0
    assert Attempt.objects.filter(status=AttemptStatus.PREPARED).count() == 10


def test_account_recovers_after_no_slot(owner, workers, simulator, account):
    simulator.set(task_seconds=600, cap=3)
    ProviderAccount.objects.update(concurrency=3)
    mission = make_mission(owner, 60)
    execution.dispatch(account.pk)
    workers.play("submit")
    ProviderAccount.objects.update(concurrency=10)
    execution.dispatch(account.pk)
    workers.play("submit")
    account.refresh_from_db()
    assert account.soft_limit == 3
    assert execution.dispatch(account.pk) == 0
    taken = []
    for _ in range(6):
        pass_time(5)
        taken.append(execution.dispatch(account.pk))
    assert taken[0] == 1
    assert sum(taken) == 7
    check_mission(mission.pk)


def test_a_limit_of_0_is_shown_and_soon_checked_again(owner, workers, simulator, account):
    make_mission(owner, 2)
    simulator.set(cap=0)
    execution.reap(account.pk)
    workers.play()
    account.refresh_from_db()
    assert account.remote_concurrency == 0
    assert provider_accounts.blocked_reason(account) is BlockedReason.NO_SLOTS
    assert "limited to 0 tasks" in readiness.provider().message
    [notice] = [notice for notice in notices.current(owner) if notice.name == "account"]
    assert notice.kind == "warning"
    simulator.set(cap=50)
    pass_time(21)
    execution.reap(account.pk)
    workers.play("check_account")
    execution.reap(account.pk)
    workers.play("submit")
    assert simulator.stats()["accepted"] == 2


def test_an_account_serves_only_missions_of_its_provider(owner, account):
    mission = make_mission(owner, 1)
    Mission.objects.filter(pk=mission.pk).update(provider="another")
    assert execution.dispatch(account.pk) == 0


def test_the_number_of_statements_does_not_grow_with_the_mission(owner, account):
    counts = []
    for size in (20, 2000):
        make_mission(owner, size)
        with CaptureQueriesContext(connection) as captured:
            assert execution.dispatch(account.pk) == 10
        counts.append(len(captured))
        services.cancel_mission(mission_id=Mission.objects.latest("pk").pk, actor=ME)
    assert counts[0] == counts[1] <= 20


# --- Concurrency, with real transactions ---


@pytest.fixture
def stage(transactional_db: None) -> tuple[User, ProviderAccount]:
    account = provider_accounts.environment_account()
    ProviderAccount.objects.update(concurrency=10)
    return User.objects.create_user("li"), account


def test_dispatches_at_once_do_not_exceed_the_cap_together(stage):
    owner, account = stage
    missions = [make_mission(owner, 15) for _ in range(3)]
    results = at_once(*[lambda: execution.dispatch(account.pk)] * 6)
    assert sum(results) == 10
    assert Attempt.objects.count() == 10
    for mission in missions:
        check_mission(mission.pk)


def test_concurrent_dispatches_and_ends_respect_the_cap(stage):
    owner, account = stage
    mission = make_mission(owner, 40)
    seen: list[int] = []

    def work() -> None:
        for _ in range(60):
            execution.dispatch(account.pk)
            seen.append(Attempt.objects.filter(status__in=["prepared", "sending", "running"]).count())
            for attempt_id in Attempt.objects.filter(status="prepared").values_list("pk", flat=True)[:3]:
                if begin(attempt_id) and accept(attempt_id):
                    succeed(attempt_id)
            if Mission.objects.filter(pk=mission.pk, status="completed").exists():
                return

    assert at_once(work, work, work) == [None] * 3
    assert max(seen) <= 10
    assert Mission.objects.get(pk=mission.pk).completed_count == 40
    assert Attempt.objects.count() == 40
    check_mission(mission.pk)


def test_of_two_cancels_at_once_one_wins(stage):
    owner, account = stage
    mission = make_mission(owner, 20)
    claim(mission, account, 5)
    results = at_once(*[lambda: lifecycle.cancel(mission.pk, actor=ME)] * 4)
    assert sorted(str(type(result).__name__) for result in results) == ["LostRace"] * 3 + ["tuple"]
    assert [result[0] for result in results if isinstance(result, tuple)] == [20]
    check_mission(mission.pk)


@pytest.mark.parametrize("stop", [lifecycle.cancel, lambda pk, actor: lifecycle.pause(pk, actor=actor, reason="x")])
def test_nothing_begins_to_be_sent_after_a_stop_has_returned(stop, stage):
    owner, account = stage
    mission = make_mission(owner, 10)
    ids = claim(mission, account, 10)
    returned_at: list[Any] = []

    def end() -> None:
        stop(mission.pk, actor=ME)
        returned_at.append(timezone.now())

    def send() -> list[bool]:
        return [begin(attempt_id) for attempt_id in ids]

    results = at_once(send, end, lambda: [begin(attempt_id) for attempt_id in reversed(ids)])
    assert not [result for result in results if isinstance(result, Exception)]
    begun = list(Attempt.objects.exclude(sending_at=None))
    assert all(attempt.sending_at < returned_at[0] for attempt in begun)
    assert sum(results[0]) + sum(results[2]) == len(begun)
    assert Attempt.objects.filter(status="void").count() == 10 - len(begun)
    check_mission(mission.pk)


def test_of_two_workers_with_one_attempt_one_sends(stage):
    owner, account = stage
    (attempt_id,) = claim(make_mission(owner, 1), account)
    results = at_once(*[lambda: begin(attempt_id)] * 5)
    assert sorted(results) == [False] * 4 + [True]


def test_an_answer_and_a_lost_answer_at_once_leave_one_truth(stage):
    owner, account = stage
    mission = make_mission(owner, 8)
    ids = claim(mission, account, 8)
    for attempt_id in ids:
        begin(attempt_id)
    results = at_once(
        lambda: [accept(attempt_id) for attempt_id in ids],
        lambda: [lose_answer(attempt_id) for attempt_id in reversed(ids)],
    )
    assert all(results[0])  # an answer is a proof in either order
    assert Attempt.objects.filter(status="running").count() == 8
    check_mission(mission.pk)


def test_retries_at_once_put_an_item_back_once(stage):
    owner, account = stage
    mission = make_mission(owner, 10)
    for attempt_id in claim(mission, account, 10):
        bring_to("failed", attempt_id)
    results = at_once(*[lambda: lifecycle.retry_failed(mission.pk, MissionItem.objects.all(), actor=ME)] * 4)
    assert sorted(results) == [0, 0, 0, 10]
    assert set(mission.items.values_list("retry_count", flat=True)) == {1}
    check_mission(mission.pk)


def test_two_ends_of_one_task_at_once_are_counted_once(stage):
    owner, account = stage
    mission = make_mission(owner, 2)
    attempt_id, _ = claim(mission, account, 2)
    bring_to("running", attempt_id)
    at_once(*[lambda: succeed(attempt_id, cost="0.05")] * 3, lambda: fail(attempt_id))
    check_mission(mission.pk)
    assert Attempt.objects.get(pk=attempt_id).outputs.count() <= 1
