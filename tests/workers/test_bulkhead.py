"""A slow provider takes a bounded share of the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.utils import timezone

from missions import execution, tasks
from missions.execution.poll import claim_polls
from missions.models import Attempt, Output
from tests.factories import Workers, bring_to, claim, make_mission, pass_time
from workers import bulkhead
from workers.bulkhead import Call
from workers.worker_slots import WorkerSlots

PLACES = 12


@pytest.fixture
def slots() -> Iterator[WorkerSlots]:
    slots = WorkerSlots(PLACES)
    bulkhead.use(slots)
    yield slots
    bulkhead._slots = None
    slots.close()


@pytest.fixture
def fill(slots: WorkerSlots) -> Iterator[Callable[..., None]]:
    """Return a function that lets workers wait for calls, until no further one may."""
    with ExitStack() as unanswered:

        def fill(account_id: int, *calls: Call, mission_id: int = 0) -> None:
            slots.mine = 0
            for call in calls:
                while unanswered.enter_context(bulkhead.waiting(call, account_id, mission_id)):
                    slots.mine += 1  # the next call is that of another worker
            slots.busy()

        yield fill


def test_shares_of_the_workers():
    first, second, other_account = (1 << 8 | Call.SUBMIT), (1 << 8 | Call.QUERY), (2 << 8 | Call.SUBMIT)
    for others, places, is_allowed in (
        ([first] * 5, 12, True),
        ([first] * 6, 12, False),
        ([first] * 24, 50, True),
        ([first] * 25, 50, False),
        ([second] * 6, 12, True),
        ([second] * 6 + [first] * 3, 12, False),
        ([other_account] * 6 + [second] * 4, 12, True),
        ([other_account] * 6 + [second] * 5, 12, False),
        ([first] * 3, 4, False),
        ([first] * 3, 3, True),
        ([], 4, True),
    ):
        assert bulkhead.may_call(first, others, places) is is_allowed, (others, places)


def test_slow_calls_leave_workers_for_others(slots, fill):
    fill(1, Call.DOWNLOAD, Call.QUERY, Call.SUBMIT)
    assert len(slots.waits()) == 9
    with bulkhead.waiting(Call.SUBMIT, 1) as is_allowed:
        assert not is_allowed
    with bulkhead.waiting(Call.SUBMIT, 2) as is_allowed:
        assert is_allowed
        assert len(slots.waits()) == 10
    assert len(slots.waits()) == 9


def test_waits_of_dead_workers_do_not_count(slots, fill):
    fill(1, Call.QUERY)
    for place in range(6):
        slots.CELL.pack_into(slots._memory, place * slots.CELL.size, 2**22 + 1, 1.0, 1 << 8 | Call.QUERY, 1.0)
    assert slots.waits() == []


def test_long_waits_are_told_apart_from_short_ones():
    download, query = 7 << 8 | Call.DOWNLOAD, 7 << 8 | Call.QUERY
    waits = [(download, 10.0), (download, 20.0), (download, 99.0), (query, 95.0)]
    assert bulkhead.slow_waits(waits, places=12, now=100.0) == [bulkhead.SlowWait("download", 7, 2, 90)]
    assert bulkhead.slow_waits(waits, places=50, now=100.0) == []


@pytest.mark.django_db
def test_ticks_go_on_while_queries_are_slow(owner, workers: Workers, simulator, slots, fill):
    account_id = workers.account.pk
    bring_to("running", claim(make_mission(owner, 1), workers.account)[0])
    fill(account_id, Call.QUERY)
    execution.arm(account_id)
    workers.play("tick")
    assert simulator.stats()["queries"] == 0
    assert {name for name, _ in workers.waiting()} >= {"tick", "reap"}
    execution.poll_due(account_id)
    assert simulator.stats()["queries"] == 0


@pytest.mark.django_db
def test_submits_wait_for_their_turn_unsent(owner, workers: Workers, simulator, slots, fill):
    mission = make_mission(owner, 1)
    execution.dispatch(workers.account.pk)
    fill(workers.account.pk, Call.SUBMIT, mission_id=mission.pk)
    with bulkhead.waiting(Call.SUBMIT, workers.account.pk, mission.pk + 1) as is_allowed:
        assert is_allowed
    workers.play("submit")
    assert Attempt.objects.get().status == "prepared"
    assert [name for name, _ in workers.waiting()].count("submit") == 1
    slots.CELL.pack_into(slots._memory, 0, 0, 0.0, 0, 0.0)  # one of the others has its answer
    pass_time(bulkhead.RETRY_SECONDS)
    workers.play("submit")
    assert Attempt.objects.get().status == "running"
    assert simulator.stats()["accepted"] == 1


@pytest.mark.django_db
def test_downloads_wait_without_losing_a_try(owner, workers: Workers, simulator, slots, fill):
    bring_to("succeeded", claim(make_mission(owner, 1), workers.account)[0])
    output = Output.objects.get()
    fill(workers.account.pk, Call.DOWNLOAD)
    tasks.archive(0, output.pk)
    output.refresh_from_db()
    assert (output.status, output.try_count, output.error_message) == ("pending", 0, "")
    assert output.next_try_at > timezone.now() + timedelta(seconds=5)


@pytest.mark.django_db
def test_lookups_wait_for_a_later_message(owner, workers: Workers, simulator, slots, fill):
    attempt_id = bring_to("unconfirmed", claim(make_mission(owner, 1), workers.account)[0])
    Attempt.objects.update(hinted_task_id="1234567890")
    fill(workers.account.pk, Call.LOOKUP)
    tasks.rescue(attempt_id)
    tasks.check_account(workers.account.pk)
    assert simulator.stats()["queries"] == 0
    assert Attempt.objects.get().hinted_task_id == "1234567890"
    assert [name for name, _ in workers.waiting()] == ["dispatch", "check_account"]


@pytest.mark.django_db
def test_unanswered_polls_are_apart_from_others(owner, workers: Workers, simulator, account):
    silent, other = (bring_to("running", pk) for pk in claim(make_mission(owner, 2), account, 2))
    Attempt.objects.filter(pk=silent).update(unanswered_since=timezone.now())
    assert claim_polls(account.pk, timezone.now()) == [other]
    execution.reap(account.pk)
    assert ("poll_unanswered", (account.pk,)) in workers.waiting()
    workers.play("poll_unanswered")
    assert Attempt.objects.get(pk=silent).poll_count == 1
    assert Attempt.objects.get(pk=other).poll_count == 0
