"""Hourly spending: always equal to the sum over the attempts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import F, Sum
from django.utils import timezone

from missions import lifecycle, services
from missions.maintenance import spend_rollup
from missions.models import Attempt, HourlySpend, Mission, Output, RemovedSpending, Tally
from missions.services import purge
from operations import statistics
from tests.factories import at_once, bring_to, claim, make_mission
from tests.interleaving import meanwhile

pytestmark = pytest.mark.postgresql

NOW = datetime(2026, 11, 24, 15, 20, tzinfo=UTC)


@pytest.fixture
def ended(owner, stranger, account) -> list[Mission]:
    """Return missions of two people, with attempts that ended within the last 31 days."""
    moments = random.Random(7)
    missions = [make_mission(owner, 12), make_mission(stranger, 12, model="rhart-image-v1-official/text-to-image")]
    for mission in missions:
        for attempt_id in claim(mission, account, 12):
            bring_to("succeeded", attempt_id)
            ended_at = NOW - timedelta(minutes=moments.choice([3, 50, 900, 9_000, 44_000]) * moments.random())
            Attempt.objects.filter(pk=attempt_id).update(ended_at=ended_at, cost=Decimal(moments.randint(1, 99)) / 100)
    return missions


def reported_spend(zone: str = "UTC") -> dict[tuple[int, str], list[Decimal]]:
    with timezone.override(ZoneInfo(zone)):
        return {(s.owner_id, s.model): list(s.amounts.values()) for s in statistics.spend(now=NOW)}


def summed_attempts(missions, zone: str = "UTC") -> dict[tuple[int, str], list[Decimal]]:
    """Return the same sums from the attempts alone."""
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
def test_spend_matches_attempts_whenever_counted(ended, zone):
    assert reported_spend(zone) == summed_attempts(ended, zone)
    for age in (timedelta(days=8), timedelta(hours=5), timedelta(minutes=31), timedelta(0)):
        spend_rollup.count(NOW - age)
        assert reported_spend(zone) == summed_attempts(ended, zone)
    assert HourlySpend.objects.exists()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu"])
@pytest.mark.parametrize("counted_ago", [None, timedelta(hours=5), timedelta(0)])
def test_deleting_a_mission_keeps_its_spend(ended, zone, counted_ago, monkeypatch):
    if counted_ago is not None:
        spend_rollup.count(NOW - counted_ago)
    charged = summed_attempts(ended, zone)
    monkeypatch.setattr(purge, "BATCH", 5)
    lifecycle.request_deletion(ended[0].pk, actor="user:1")
    while purge.purge_part(ended[0].pk):
        assert reported_spend(zone) == charged
        spend_rollup.count(NOW)
        assert reported_spend(zone) == charged
    assert not Mission.objects.filter(pk=ended[0].pk).exists()
    assert reported_spend(zone) == charged
    spend_rollup.count(NOW + timedelta(minutes=1))
    assert reported_spend(zone) == charged


def test_currencies_are_never_added(owner, account):
    missions = [make_mission(owner), make_mission(owner)]
    Mission.objects.filter(pk=missions[1].pk).update(currency="USD")
    for mission, cost in zip(missions, ("0.05", "3.00"), strict=True):
        attempt_id = bring_to("succeeded", claim(mission, account)[0])
        ended_at = NOW - timedelta(minutes=1)
        Attempt.objects.filter(pk=attempt_id).update(ended_at=ended_at, cost=cost, currency=mission.currency)
        Mission.objects.filter(pk=mission.pk).update(cost=cost)
    expected = [("CNY", Decimal("0.05")), ("USD", Decimal("3.00"))]

    def amounts() -> list[tuple[str, Decimal]]:
        return [(spend.currency, spend.amounts["days_1"]) for spend in statistics.spend(now=NOW)]

    assert amounts() == expected
    spend_rollup.count(NOW)
    assert amounts() == expected
    for mission in missions:
        services.delete_mission(mission_id=mission.pk, actor="user:1")
        assert amounts() == expected
    assert list(RemovedSpending.objects.order_by("currency").values_list("currency", "amount")) == expected


def test_unreported_cost_is_counted_after_deletion(owner, account):
    mission = make_mission(owner)
    attempt_id = bring_to("succeeded", claim(mission, account)[0])
    Attempt.objects.filter(pk=attempt_id).update(ended_at=NOW - timedelta(minutes=1), cost=None)
    spend_rollup.count(NOW)
    services.delete_mission(mission_id=mission.pk, actor="user:1")
    [spend] = statistics.spend(now=NOW)
    assert (list(spend.amounts.values()), list(spend.unreported_counts.values())) == ([Decimal(0)] * 3, [1, 1, 1])


@pytest.mark.parametrize("counted_ago", [timedelta(hours=5), timedelta(0)])
def test_unreported_costs_are_counted_during_deletion(ended, counted_ago, monkeypatch):
    Attempt.objects.filter(item__mission=ended[0], item__index__in=[1, 4, 7, 12]).update(
        cost=None, ended_at=NOW - timedelta(minutes=30)
    )
    spend_rollup.count(NOW - counted_ago)
    monkeypatch.setattr(purge, "BATCH", 5)
    lifecycle.request_deletion(ended[0].pk, actor="user:1")
    while purge.purge_part(ended[0].pk):
        assert unreported(ended[0]) == 4
    assert unreported(ended[0]) == 4


def unreported(mission: Mission) -> int:
    [spend] = [spend for spend in statistics.spend(now=NOW) if spend.owner_id == mission.owner_id]
    return spend.unreported_counts["days_30"]


def test_deletion_between_statements_is_noticed(ended):
    """A reader counts a mission that is deleted meanwhile exactly once."""
    spend_rollup.count(NOW)
    charged = summed_attempts(ended)
    with meanwhile("SELECT", "hourlyspend", lambda: services.delete_mission(mission_id=ended[0].pk, actor="user:1")):
        assert reported_spend() == charged


def test_reading_ends_during_endless_deletions(ended):
    spend_rollup.count(NOW)

    def remove_meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "removedspending" in sql and sql.startswith("SELECT"):
            Tally.objects.update(removal_count=F("removal_count") + 1)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(remove_meanwhile):
        assert reported_spend() == summed_attempts(ended)


def test_part_deleted_while_counting_is_not_counted_twice(ended, monkeypatch):
    """Sums read before the deletion must not be written back to the hours."""

    def remove_part() -> None:
        assert purge.purge_part(ended[0].pk)

    monkeypatch.setattr(purge, "BATCH", 5)
    spend_rollup.count(NOW - timedelta(hours=1))
    lifecycle.request_deletion(ended[0].pk, actor="user:1")
    charged = summed_attempts(ended)
    with meanwhile("SELECT", "missions_attempt", remove_part):
        spend_rollup.count(NOW)
    assert reported_spend() == charged
    spend_rollup.count(NOW + timedelta(minutes=1))
    assert reported_spend() == charged


def test_late_end_never_makes_an_hour_negative(ended, monkeypatch):
    late = Attempt.objects.filter(item__mission=ended[0]).first()
    Attempt.objects.filter(pk=late.pk).update(ended_at=None)
    spend_rollup.count(NOW)
    Attempt.objects.filter(pk=late.pk).update(ended_at=NOW - timedelta(minutes=5), cost=Decimal("7"))
    charged = summed_attempts(ended)
    monkeypatch.setattr(purge, "BATCH", 5)
    lifecycle.request_deletion(ended[0].pk, actor="user:1")
    assert purge.purge_part(ended[0].pk)
    assert not HourlySpend.objects.filter(cost__lt=0).exists()
    spend_rollup.count(NOW + timedelta(minutes=1))
    assert reported_spend() == charged


@pytest.mark.django_db(transaction=True)
def test_large_mission_is_deleted_while_others_count(owner, stranger, account, monkeypatch):
    """Deletion and count do not block each other, and nothing is counted twice."""
    monkeypatch.setattr(purge, "BATCH", 10)
    monkeypatch.setattr(purge, "PAUSE_SECONDS", 0.0)
    missions = [make_mission(owner, 60), make_mission(stranger, 60)]
    for mission in missions:
        for attempt_id in claim(mission, account, 60):
            bring_to("succeeded", attempt_id)
    Attempt.objects.update(ended_at=NOW - timedelta(minutes=20), cost=Decimal("0.01"))
    charged = summed_attempts(missions)
    for mission in missions:
        lifecycle.request_deletion(mission.pk, actor="user:1")

    def count() -> None:
        for second in range(40):
            spend_rollup.count(NOW + timedelta(seconds=second))

    removals = [lambda pk=mission.pk: purge.purge_mission(pk) for mission in missions]
    results = at_once(*removals, count, count)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert not Mission.objects.exists()
    assert reported_spend() == charged


@pytest.mark.django_db(transaction=True)
def test_deletion_while_counting_does_not_stop_it(ended):
    """The hours of a deleted mission cannot be written; the next count continues."""
    charged = summed_attempts(ended)
    with meanwhile(
        "SELECT", "missions_attempt", lambda: services.delete_mission(mission_id=ended[0].pk, actor="user:1")
    ):
        spend_rollup.count(NOW)
    assert reported_spend() == charged
    spend_rollup.count(NOW + timedelta(minutes=1))
    assert reported_spend() == charged
    assert set(HourlySpend.objects.values_list("mission", flat=True)) == {ended[1].pk}


def test_late_end_is_found_by_the_next_count(ended):
    spend_rollup.count(NOW)
    late = Attempt.objects.filter(item__mission=ended[0]).first()
    Attempt.objects.filter(pk=late.pk).update(ended_at=NOW - timedelta(minutes=5), cost=Decimal("7"))
    spend_rollup.count(NOW + timedelta(minutes=1))
    hour = HourlySpend.objects.get(hour=spend_rollup.hour_of(NOW), mission=ended[0])
    assert hour.cost >= 7


def test_stale_count_changes_nothing(ended):
    spend_rollup.count(NOW - timedelta(hours=2))
    old = Tally.objects.get()
    spend_rollup.count(NOW)
    before = list(HourlySpend.objects.values("hour", "mission", "cost"))
    spend_rollup._count_spend(old, NOW - timedelta(hours=1))
    assert list(HourlySpend.objects.values("hour", "mission", "cost")) == before
    assert Tally.objects.get().counted_to == NOW - spend_rollup.LATENESS


def test_count_between_statements_is_noticed(ended):
    """A reader sees every amount exactly once while a worker counts."""
    spend_rollup.count(NOW - timedelta(days=2))
    with meanwhile("SELECT", "hourlyspend", lambda: spend_rollup.count(NOW)):
        assert reported_spend() == summed_attempts(ended)


def test_unreported_cost_is_not_free(owner, account):
    attempt_id = bring_to("succeeded", claim(make_mission(owner), account)[0])
    Attempt.objects.filter(pk=attempt_id).update(ended_at=NOW - timedelta(hours=1), cost=None)
    for _ in range(2):
        [spend] = statistics.spend(now=NOW)
        assert (list(spend.amounts.values()), list(spend.unreported_counts.values())) == ([Decimal(0)] * 3, [1, 1, 1])
        spend_rollup.count(NOW)


def test_result_files_are_counted_periodically(owner, account):
    bring_to("succeeded", claim(make_mission(owner), account)[0])
    Output.objects.update(status="stored", size_bytes=5_000)
    spend_rollup.count(NOW)
    Output.objects.update(size_bytes=6_000)
    spend_rollup.count(NOW + timedelta(minutes=1))
    assert statistics.storage().file_bytes == 5_000
    spend_rollup.count(NOW + timedelta(minutes=11))
    storage = statistics.storage()
    assert (storage.file_bytes, storage.file_count) == (6_000, 1)
