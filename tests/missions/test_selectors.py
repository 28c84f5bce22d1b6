"""Queries of the engine: slots in use, missions to dispatch, durations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from missions import account_load, durations, reasons
from missions.models import Attempt, MissionItem
from missions.policy.polling import Duration
from tests.factories import TEXT_TO_IMAGE, bring_to, claim, make_mission

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]


def test_slots_are_held_by_tasks_that_may_be_in_flight(owner, account):
    mission = make_mission(owner, 8)
    statuses = ["prepared", "sending", "running", "unconfirmed", "succeeded", "failed", "refused", "void"]
    for status, attempt_id in zip(statuses, claim(mission, account, 8), strict=True):
        bring_to(status, attempt_id)
    now = timezone.now()
    assert account_load.slots_in_use(account, now=now, limit=50) == 4
    assert account_load.slots_in_use(account, now=now + account_load.LONGEST_HOLD, limit=50) == 3


def test_crashed_attempts_hold_at_most_half_of_the_slots(owner, account):
    for attempt_id in claim(make_mission(owner, 8), account, 8):
        bring_to("unconfirmed", attempt_id)
    assert account_load.slots_in_use(account, now=timezone.now(), limit=10) == 8
    Attempt.objects.update(error_code=reasons.WORKER_DIED.code)
    assert account_load.slots_in_use(account, now=timezone.now(), limit=10) == 5
    assert account_load.slots_in_use(account, now=timezone.now(), limit=1) == 0


def test_unconfirmed_attempt_holds_its_slot_for_a_run(owner, account):
    bring_to("unconfirmed", claim(make_mission(owner, 1), account)[0])
    learned = make_mission(owner, 10)
    now = timezone.now()
    for attempt_id in claim(learned, account, 10):
        bring_to("succeeded", attempt_id)
    Attempt.objects.filter(status="succeeded").update(accepted_at=now - timedelta(seconds=20), ended_at=now)
    cache.clear()
    assert account_load.slots_in_use(account, now=now + timedelta(seconds=30), limit=50) == 1
    assert account_load.slots_in_use(account, now=now + timedelta(seconds=40), limit=50) == 0


def test_dispatchable_missions_by_priority_and_load(owner, account):
    now = timezone.now()
    served, fresh, urgent, later, done = (make_mission(owner, 2, name=str(number)) for number in range(5))
    claim(served, account)
    urgent.priority = 5
    urgent.save(update_fields=["priority"])
    MissionItem.objects.filter(mission=later).update(available_at=now + timedelta(minutes=1))
    for attempt_id in claim(done, account, 2):
        bring_to("succeeded", attempt_id)
    missions = account_load.dispatchable_missions(account, now=timezone.now(), limit=10)
    assert [mission.pk for mission in missions] == [urgent.pk, fresh.pk, served.pk]
    assert len(account_load.dispatchable_missions(account, now=timezone.now(), limit=2)) == 2


def test_durations_come_from_the_latest_successes(owner, account):
    mission = make_mission(owner, 3)
    now = timezone.now()
    for attempt_id in claim(mission, account, 3):
        bring_to("succeeded", attempt_id)
    first, second, third = Attempt.objects.order_by("pk")
    Attempt.objects.update(accepted_at=now - timedelta(seconds=100), ended_at=now)
    Attempt.objects.filter(pk=first.pk).update(running_seen_at=now - timedelta(seconds=2))
    Attempt.objects.filter(pk=third.pk).update(model="another/model")
    samples = durations.recent_durations("runninghub", TEXT_TO_IMAGE)
    assert sorted(samples, key=lambda each: each.low) == [Duration(95, 100), Duration(98, 100)]
    assert second.model == TEXT_TO_IMAGE
    assert durations.recent_durations("openai", TEXT_TO_IMAGE) == []


def test_expectation_is_cached(owner, account, django_assert_num_queries):
    with django_assert_num_queries(1):
        for _ in range(20):
            assert durations.expectation("runninghub", TEXT_TO_IMAGE) is None
