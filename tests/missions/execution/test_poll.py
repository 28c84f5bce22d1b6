"""Polls of running tasks, and the effects of their answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from core.errors import NotPossible
from missions import execution, services
from missions.execution.poll import claim_polls
from missions.models import Attempt, Mission, MissionItem, Output
from providers.models import ProviderAccount
from tests.factories import Workers, check_mission, make_mission, pass_time

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def start(owner: User, workers: Workers, rows: Any = 1, **more: Any) -> Mission:
    """Create a mission and submit its items to the simulator."""
    mission = make_mission(owner, rows, **more)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    assert not Attempt.objects.exclude(status="running").exists()
    return mission


def poll(workers: Workers, *, times: int = 1) -> None:
    """Poll all running attempts, without waiting."""
    for _ in range(times):
        execution.poll(workers.account.pk, list(Attempt.objects.filter(status="running").values_list("pk", flat=True)))


def test_success_is_recorded_with_cost_answer_and_file(owner, workers, simulator):
    simulator.set(task_seconds=0)
    mission = start(owner, workers)
    poll(workers)
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.item.status) == ("succeeded", "completed")
    assert str(attempt.cost) == "0.050000"
    assert attempt.raw["taskId"] == attempt.remote_task_id
    output = Output.objects.get()
    assert (output.status, output.extension) == ("pending", "png")
    assert output.expires_at > timezone.now() + timedelta(hours=23)
    assert [name for name, _ in workers.waiting() if name == "archive"] == ["archive"]
    check_mission(mission.pk)


def test_several_results_are_all_kept_in_order(owner, workers, simulator):
    simulator.set(task_seconds=0)
    start(owner, workers, ["three of them [[sim:results:3]]"])
    poll(workers)
    assert list(Output.objects.values_list("index", flat=True)) == [1, 2, 3]


def test_a_text_result_needs_no_file(owner, workers, simulator):
    mission = make_mission(owner, ["x"], model="some/image-to-text", allow_free_form=True)
    workers.finish(mission)
    output = Output.objects.get()
    assert (output.status, output.file) == ("stored", "")
    assert "simulated text" in output.text
    assert simulator.stats()["downloads"] == 0


FAILURES = [
    # marker, attempts, code, words
    ("[[sim:fail:1501]]", 1, "1501", "Blocked by content moderation"),
    ("[[sim:fail:1505]]", 1, "1505", "real person"),
    ("[[sim:fail:1015]]", 2, "1015", "failed"),
    ("[[sim:fail:1504]]", 3, "1504", "timed out"),
    ("[[sim:cancel]]", 1, "cancelled_remotely", "cancelled"),
    ("[[sim:vanish]]", 1, "gone", "no longer knows"),
    ("[[sim:no-result]]", 1, "no_result", "without a result"),
]


@pytest.mark.parametrize("marker, attempts, code, words", FAILURES)
def test_failed_task_is_retried_as_its_code_allows(marker, attempts, code, words, owner, workers, simulator):
    mission = make_mission(owner, [f"a teapot {marker}", "a good one"], max_attempts=3)
    workers.finish(mission)
    assert (mission.status, mission.completed_count, mission.failed_count) == ("completed", 1, 1)
    item = mission.items.get(index=1)
    assert (item.attempt_count, item.retry_count) == (attempts, attempts - 1)
    assert item.error_code == code
    assert words in item.error_message
    assert simulator.stats()["accepted"] == attempts + 1
    assert all(attempt.remote_task_id for attempt in item.attempts.all())


def test_a_task_that_fails_once_succeeds_at_its_second_attempt(owner, workers, simulator):
    mission = workers.finish(make_mission(owner, ["a teapot [[sim:fail-once:1015]]"]))
    item = mission.items.get()
    assert (mission.status, item.attempt_count, item.error_code) == ("completed", 2, "")
    assert list(item.attempts.values_list("number", "status", "error_code")) == [
        (1, "failed", "1015"),
        (2, "succeeded", ""),
    ]


def test_a_new_attempt_waits_before_it_is_sent(owner, workers, simulator):
    simulator.set(task_seconds=0)
    start(owner, workers, ["a teapot [[sim:fail-once:1015]]"])
    poll(workers)
    item = MissionItem.objects.get()
    assert item.status == "pending"
    assert timezone.now() + timedelta(seconds=3) < item.available_at < timezone.now() + timedelta(seconds=7)


def test_empty_success_is_polled_for_a_minute(owner, workers, simulator, settings):
    settings.POLL_FLOOR_SECONDS = 2.0
    simulator.set(task_seconds=0)
    start(owner, workers, ["x [[sim:no-result]]"])
    waits = []
    for _ in range(5):
        poll(workers)
        attempt = Attempt.objects.get()
        assert attempt.status == "running"
        waits.append((attempt.next_poll_at - timezone.now()).total_seconds())
    assert waits == pytest.approx([2, 4, 8, 16, 32], abs=1)
    poll(workers)
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.error_code) == ("failed", "no_result")


def test_late_result_is_stored(owner, workers, simulator):
    simulator.set(task_seconds=0)
    start(owner, workers, ["x [[sim:query:early:3]]"])
    poll(workers, times=3)
    assert not Output.objects.exists()
    poll(workers)
    assert (Attempt.objects.get().status, Output.objects.count()) == ("succeeded", 1)


def test_empty_success_after_a_long_run_is_polled_again(owner, workers, simulator):
    simulator.set(task_seconds=0)
    start(owner, workers, ["x [[sim:no-result]]"])
    Attempt.objects.update(poll_count=10)
    poll(workers)
    assert Attempt.objects.get().status == "running"


POLL_FAULTS = ["query_500", "query_503", "query_429", "query_drop", "query_malformed", "query_1003", "query_1005"]


@pytest.mark.parametrize("fault", POLL_FAULTS)
def test_unanswered_poll_changes_nothing(fault, owner, workers, simulator, account, settings):
    settings.POLL_FLOOR_SECONDS = 30.0
    simulator.set(task_seconds=0, **{fault: 3})
    mission = start(owner, workers)
    poll(workers, times=3)
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.poll_count, attempt.running_seen_at) == ("running", 3, None)
    assert attempt.next_poll_at > timezone.now()
    account.refresh_from_db()
    assert account.paused_at is None
    poll(workers)
    mission.refresh_from_db()
    assert mission.completed_count == 1


@pytest.mark.parametrize("fault", ["query_1002", "query_401"])
def test_poll_with_a_wrong_key_pauses_the_account(fault, owner, workers, simulator, account):
    mission = start(owner, workers, 2)
    simulator.set(**{fault: "always"})
    poll(workers)
    account.refresh_from_db()
    assert account.paused_at
    assert account.pause_reason
    assert set(Attempt.objects.values_list("status", flat=True)) == {"running"}
    check_mission(mission.pk)


def test_paused_account_still_polls_accepted_tasks(owner, workers, simulator, account):
    mission = start(owner, workers, 2)
    ProviderAccount.objects.update(paused_at=timezone.now(), pause_reason="by hand")
    assert workers.finish(mission).completed_count == 2


def test_poll_without_a_key_pauses_the_account(owner, workers, simulator, account, settings):
    start(owner, workers)
    settings.RUNNINGHUB_API_KEY = ""
    poll(workers)
    account.refresh_from_db()
    assert account.paused_at
    assert Attempt.objects.get().status == "running"


def test_poll_interval_grows_with_the_age_of_a_task(owner, workers, simulator, settings):
    settings.POLL_FLOOR_SECONDS = 0.5
    simulator.set(task_seconds=600)
    start(owner, workers, 30)
    Attempt.objects.update(accepted_at=timezone.now() - timedelta(seconds=40))
    before = timezone.now()
    poll(workers)
    waits = [
        (attempt.next_poll_at - before).total_seconds() for attempt in Attempt.objects.all() if attempt.next_poll_at
    ]
    assert len({round(wait, 3) for wait in waits}) > 20
    assert min(waits) > 40 * 0.12 * 0.84
    assert max(waits) < 40 * 0.12 * 1.16 + 3
    assert not Attempt.objects.filter(running_seen_at=None).exists()
    assert set(Attempt.objects.values_list("poll_count", flat=True)) == {1}


def test_polls_keep_the_floor_interval(owner, workers, simulator, settings):
    settings.POLL_FLOOR_SECONDS = 7.0
    simulator.set(task_seconds=600)
    start(owner, workers, 5)
    first = Attempt.objects.order_by("next_poll_at").first()
    assert first
    assert first.next_poll_at > first.accepted_at + timedelta(seconds=5.9)
    poll(workers)
    assert not Attempt.objects.filter(next_poll_at__lt=timezone.now() + timedelta(seconds=4)).exists()


def test_first_poll_waits_for_the_learned_duration(owner, workers, simulator, settings):
    start(owner, workers, 8)
    workers.run(lambda: not Attempt.objects.filter(status="running").exists())
    Attempt.objects.update(accepted_at=F("ended_at") - timedelta(seconds=100), running_seen_at=None)
    Attempt.objects.update(running_seen_at=F("ended_at") - timedelta(seconds=2))

    cache.clear()
    simulator.set(task_seconds=600)
    start_at = timezone.now()
    mission = make_mission(owner, ["one more"])
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    attempt = Attempt.objects.get(item__mission=mission)
    assert attempt.next_poll_at > start_at + timedelta(seconds=90)


# --- The tick ---


def test_a_tick_claims_what_is_due_once(owner, workers, simulator, account):
    simulator.set(task_seconds=600)
    start(owner, workers, 3)
    pass_time(60)
    number = ProviderAccount.objects.get().tick_number
    queries = simulator.stats()["queries"]
    execution.tick(account.pk, number)
    execution.tick(account.pk, number)
    assert simulator.stats()["queries"] == queries + 3


def test_claimed_polls_are_left_to_their_tick_for_a_while(owner, workers, simulator, account):
    simulator.set(task_seconds=600)
    start(owner, workers, 3)
    pass_time(60)
    assert len(claim_polls(account.pk, timezone.now())) == 3
    assert claim_polls(account.pk, timezone.now()) == []
    soon, later = timezone.now() + timedelta(seconds=5), timezone.now() + timedelta(seconds=15)
    assert Attempt.objects.filter(next_poll_at__gt=soon, next_poll_at__lt=later).count() == 3


def test_early_poll_is_repeated_after_the_floor_interval(owner, workers, simulator, account):
    simulator.set(task_seconds=600)
    start(owner, workers, 1)
    Attempt.objects.update(next_poll_at=timezone.now())
    execution.tick(account.pk, ProviderAccount.objects.get().tick_number)
    [tick] = [row for row in OrmQ.objects.all() if "tick" in SignedPackage.loads(row.payload)["func"]]
    assert tick.lock <= timezone.now() + timedelta(seconds=0.1)  # POLL_FLOOR_SECONDS is 0.05 here


def test_only_the_latest_chain_of_ticks_lives(workers, account, simulator):
    execution.arm(account.pk)
    execution.arm(account.pk)
    ticks = [args for name, args in workers.waiting() if name == "tick"]
    for args in ticks:
        execution.tick(*args)
    later = [args for name, args in workers.waiting() if name == "tick"][len(ticks) :]
    assert len(ticks) == 2
    assert later == [(account.pk, ProviderAccount.objects.get().tick_number)]


def test_stopped_ticks_are_rearmed_and_running_ones_kept(workers, account, simulator):
    execution.arm(account.pk)
    number = ProviderAccount.objects.get().tick_number
    execution.arm_stale()
    assert ProviderAccount.objects.get().tick_number == number
    pass_time(10)
    execution.arm_stale()
    assert ProviderAccount.objects.get().tick_number == number + 1
    ProviderAccount.objects.update(is_enabled=False)  # accepted tasks are still polled
    pass_time(10)
    execution.arm_stale()
    assert ProviderAccount.objects.get().tick_number == number + 2


def test_claimed_poll_that_was_not_sent_is_repeated(owner, workers, simulator, account):
    mission = start(owner, workers)
    pass_time(5)
    number = ProviderAccount.objects.get().tick_number
    simulator.set(query_drop=1)  # the poll gets no answer
    execution.tick(account.pk, number)
    assert workers.finish(mission).completed_count == 1


def test_a_lost_message_costs_time_and_nothing_else(owner, workers, simulator):
    mission = make_mission(owner, 5)
    execution.dispatch(workers.account.pk)
    OrmQ.objects.all().delete()
    workers.finish(mission)
    assert mission.completed_count == 5
    assert workers.seconds_passed > 5
    assert set(simulator.paid()["requests"].values()) == {1}


def test_a_hint_about_a_task_that_has_ended_does_nothing(owner, workers, simulator):
    mission = workers.finish(make_mission(owner, 1))
    queries = simulator.stats()["queries"]
    execution.poll_attempt(Attempt.objects.get().pk)
    execution.poll(workers.account.pk, [Attempt.objects.get().pk])
    execution.poll_attempt(999_999_999)
    assert simulator.stats()["queries"] == queries
    check_mission(mission.pk)


# --- Resolutions by a person ---


def test_attaching_a_task_pays_nothing_again(owner, workers, simulator):
    simulator.set(paid_drop=1)
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    task_id = simulator.tasks()[0]["id"]
    services.resolve_with_task(item=MissionItem.objects.get(), remote_task_id=task_id, actor="user:1")
    assert workers.finish(mission).completed_count == 1
    assert simulator.stats()["accepted"] == 1
    assert Attempt.objects.get().remote_task_id == task_id


def test_item_resolved_as_not_run_is_sent_again(owner, workers, simulator):
    simulator.set(submit_500=1)
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    services.resolve_as_not_run(item=MissionItem.objects.get(), actor="user:7")
    assert workers.finish(mission).completed_count == 1
    assert list(Attempt.objects.values_list("status", flat=True)) == ["void", "succeeded"]
    assert MissionItem.objects.get().attempt_count == 1
    event = mission.events.filter(actor="user:7").get()
    assert (event.from_status, event.to_status) == ("unconfirmed", "pending")


def test_unconfirmed_item_is_not_resolved_with_a_foreign_task(owner, workers, simulator):
    simulator.set(paid_drop=1)
    make_mission(owner, ["lost"])
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    start_other = make_mission(owner, ["other"])
    execution.dispatch(workers.account.pk)
    workers.play("submit")
    lost = MissionItem.objects.get(status="unconfirmed")
    other = Attempt.objects.get(item__mission=start_other)
    for task_id in (other.remote_task_id, "1234567890123456789"):
        with pytest.raises(NotPossible, match="Check the id"):
            services.resolve_with_task(item=lost, remote_task_id=task_id, actor="user:1")
    with pytest.raises(NotPossible, match="nothing to resolve"):
        services.resolve_with_task(item=other.item, remote_task_id="1", actor="user:1")
    with pytest.raises(NotPossible, match="nothing to resolve"):
        services.resolve_as_not_run(item=other.item, actor="user:7")
    simulator.set(query_503=1)
    with pytest.raises(NotPossible, match="Try again"):
        services.resolve_with_task(item=lost, remote_task_id="1234567890123456789", actor="user:1")
    lost.refresh_from_db()
    assert lost.status == "unconfirmed"
