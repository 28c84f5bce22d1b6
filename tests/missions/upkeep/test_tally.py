"""What was spent: added up by the hour, and never different from what the attempts say."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from missions.models import Attempt, HourlySpend, Mission, Output, Tally
from missions.monitoring import operations
from missions.upkeep import tally
from tests.missions.world import bring_to, claim, make_mission

NOW = datetime(2026, 11, 24, 15, 20, tzinfo=UTC)


@pytest.fixture
def ended(owner, stranger, account) -> list[Mission]:
    """Two people's missions, whose attempts ended at some moment of the last 31 days each."""
    moments = random.Random(7)
    missions = [make_mission(owner, 12), make_mission(stranger, 12, model="rhart-image-v1-official/text-to-image")]
    for mission in missions:
        for attempt_id in claim(mission, account, 12):
            bring_to("succeeded", attempt_id)
            ended_at = NOW - timedelta(minutes=moments.choice([3, 50, 900, 9_000, 44_000]) * moments.random())
            Attempt.objects.filter(pk=attempt_id).update(ended_at=ended_at, cost=Decimal(moments.randint(1, 99)) / 100)
    return missions


def told(zone: str = "UTC") -> dict[tuple[int, str], list[Decimal]]:
    with timezone.override(ZoneInfo(zone)):
        return {(s.owner_id, s.model): list(s.amounts.values()) for s in operations.spend(now=NOW)}


def added_up(missions, zone: str = "UTC") -> dict[tuple[int, str], list[Decimal]]:
    """The same from the attempts alone."""
    midnight = NOW.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0)
    starts = [midnight - timedelta(days=days) for days in (0, 6, 29)]
    return {
        (mission.owner_id, mission.model): [
            Attempt.objects.filter(item__mission=mission, ended_at__gte=start).aggregate(s=Sum("cost", default=0))["s"]
            for start in starts
        ]
        for mission in missions
    }


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/St_Johns"])
def test_spend_is_what_the_attempts_say_whenever_it_was_counted(ended, zone):
    assert told(zone) == added_up(ended, zone)
    for age in (timedelta(days=8), timedelta(hours=5), timedelta(minutes=31), timedelta(0)):
        tally.count(NOW - age)
        assert told(zone) == added_up(ended, zone)
    assert HourlySpend.objects.exists()


def test_an_end_that_was_recorded_late_is_found_when_its_hour_is_counted_again(ended):
    tally.count(NOW)
    late = Attempt.objects.filter(item__mission=ended[0]).first()
    Attempt.objects.filter(pk=late.pk).update(ended_at=NOW - timedelta(minutes=5), cost=Decimal("7"))
    tally.count(NOW + timedelta(minutes=1))
    hour = HourlySpend.objects.get(hour=tally.hour_of(NOW), mission=ended[0])
    assert hour.cost >= 7


def test_whoever_counts_from_an_old_reading_changes_nothing(ended):
    tally.count(NOW - timedelta(hours=2))
    old = Tally.objects.get()
    tally.count(NOW)
    before = list(HourlySpend.objects.values("hour", "mission", "cost"))
    tally._count_spend(old, NOW - timedelta(hours=1))
    assert list(HourlySpend.objects.values("hour", "mission", "cost")) == before
    assert Tally.objects.get().counted_to == NOW - tally.LATENESS


def test_a_count_between_two_statements_is_noticed(ended):
    """Whoever reads while a worker counts is told neither twice nor too little."""
    tally.count(NOW - timedelta(days=2))

    def count_meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "hourlyspend" in sql and sql.startswith("SELECT") and counts:
            counts.pop()
            answer = execute(sql, params, many, context)
            tally.count(NOW)
            return answer
        return execute(sql, params, many, context)

    counts = [1]
    with connection.execute_wrapper(count_meanwhile):
        assert told() == added_up(ended)
    assert not counts


def test_a_success_without_a_charge_is_not_taken_for_free(owner, account):
    attempt_id = bring_to("succeeded", claim(make_mission(owner), account)[0])
    Attempt.objects.filter(pk=attempt_id).update(ended_at=NOW - timedelta(hours=1), cost=None)
    for _ in range(2):
        [spend] = operations.spend(now=NOW)
        assert (list(spend.amounts.values()), list(spend.untold_counts.values())) == ([Decimal(0)] * 3, [1, 1, 1])
        tally.count(NOW)


def test_result_files_are_added_up_now_and_then(owner, account):
    bring_to("succeeded", claim(make_mission(owner), account)[0])
    Output.objects.update(status="stored", size_bytes=5_000)
    tally.count(NOW)
    Output.objects.update(size_bytes=6_000)
    tally.count(NOW + timedelta(minutes=1))
    assert operations.storage().file_bytes == 5_000
    tally.count(NOW + timedelta(minutes=11))
    kept = operations.storage()
    assert (kept.file_bytes, kept.file_count) == (6_000, 1)
