"""How the whole site goes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from missions import services
from missions.models import Attempt, MissionItem
from operations import statistics
from tests.factories import bring_to, claim, make_mission
from workers.models import WorkerCluster


def test_items_are_counted_by_model_and_status(mixed, owner):
    make_mission(owner, 2, model="rhart-image-v1-official/text-to-image")
    counts = statistics.counts_by_model()
    assert list(counts) == ["rhart-image-v1-official/text-to-image", mixed.model]
    assert dict(counts[mixed.model]) == mixed.counts


def test_the_oldest_item_that_waits_is_one_of_a_mission_that_runs(owner, account):
    now = timezone.now()
    assert statistics.oldest_waiting(now=now) is None
    paused, running, later = (make_mission(owner, 2) for _ in range(3))
    services.pause_mission(mission_id=paused.pk, actor="test")
    MissionItem.objects.filter(mission=paused).update(available_at=now - timedelta(days=1))
    MissionItem.objects.filter(mission=later).update(available_at=now + timedelta(minutes=1))
    MissionItem.objects.filter(mission=running, index=2).update(available_at=now - timedelta(minutes=3))
    waiting = statistics.oldest_waiting(now=now)
    assert (waiting.mission_id, waiting.index, waiting.seconds) == (running.pk, 2, 180)


def test_the_last_hour_is_told_minute_by_minute(mixed):
    now = timezone.now()
    succeeded = Attempt.objects.filter(status="succeeded")
    succeeded.update(ended_at=now - timedelta(minutes=7))
    Attempt.objects.filter(status="failed").update(ended_at=now)
    flow = statistics.throughput(now=now)
    assert len(flow.minutes) == 60
    assert flow.minutes[-1].failed == 2
    assert flow.minutes[-8].succeeded == 1
    assert (flow.ends["refused"], flow.success_rate) == (1, 1 / 3)
    succeeded.update(ended_at=now - timedelta(minutes=61))
    assert statistics.throughput(now=now).success_rate == 0


def test_durations_are_those_of_the_latest_successes(owner, account):
    mission = make_mission(owner, 20)
    start = timezone.now() - timedelta(hours=1)
    for seconds, attempt_id in enumerate(claim(mission, account, 20), start=1):
        bring_to("succeeded", attempt_id)
        Attempt.objects.filter(pk=attempt_id).update(accepted_at=start, ended_at=start + timedelta(seconds=seconds))
    [taken] = statistics.durations([mission.model, "nothing/of-this"])
    assert (taken.model, taken.count, taken.p50, taken.p95) == (mission.model, 20, 10, 19)
    assert statistics.durations([]) == []


def test_failures_are_grouped_by_cause_with_the_price_of_a_retry(mixed, owner, account):
    other = make_mission(owner, 1, name="Other")
    bring_to("failed", claim(other, account)[0])
    failed, refused = statistics.causes(now=timezone.now())
    assert (failed.error_code, failed.message, failed.recent_count) == ("1015", "It failed.", 3)
    assert [(share.mission.name, share.count) for share in failed.shares] == [("Teapots", 2), ("Other", 1)]
    assert (failed.retry_count, failed.estimate) == (3, Decimal("0.15"))
    assert (refused.error_code, refused.recent_count) == ("1003", 1)


def test_what_failed_before_counts_only_for_the_retry(mixed):
    old = MissionItem.objects.filter(status="failed", index=1)
    old.update(ended_at=timezone.now() - timedelta(hours=25))
    cause = next(cause for cause in statistics.causes(now=timezone.now()) if cause.error_code == "1015")
    assert (cause.recent_count, cause.retry_count) == (1, 2)


def test_what_cannot_be_retried_is_not_offered(mixed):
    services.cancel_mission(mission_id=mixed.pk, actor="test")
    assert {cause.retry_count for cause in statistics.causes(now=timezone.now())} == {0}


def test_the_inbox_names_the_money_at_stake(mixed):
    inbox = statistics.inbox()
    assert inbox.count == 1
    assert [(stake.currency, stake.amount, stake.unpriced_count) for stake in inbox.stakes] == [
        ("CNY", Decimal("0.05"), 0)
    ]
    assert [attempt.item.index for attempt in inbox.oldest] == [5]


def test_submissions_are_told_by_what_came_of_them(mixed):
    Attempt.objects.filter(status="running").update(sending_at=timezone.now() - timedelta(seconds=3))
    found = statistics.submissions(now=timezone.now())["environment"]
    assert found.results == {("accepted", ""): 4, ("refused", "1003"): 1, ("unconfirmed", "lost"): 1}
    assert max(found.latencies) > 2
    later = timezone.now() + timedelta(minutes=6)
    assert not statistics.submissions(now=later)["environment"].results


def test_questions_and_downloads_that_are_late_are_noticed(mixed):
    now = timezone.now() + timedelta(seconds=40)
    [lag] = statistics.poll_lags(now=now).values()
    archive = statistics.archive(now=now)
    assert lag > 30
    assert archive.lag_seconds > 30
    assert archive.pending_count == 1


@pytest.mark.django_db
def test_a_cluster_that_is_silent_is_not_alive():
    now = timezone.now()
    for age in (2, 90):
        WorkerCluster.objects.create(host="a", pid=age, pid_started_at=0, beat_at=now - timedelta(seconds=age))
    WorkerCluster.objects.create(host="gone for good", pid=4, pid_started_at=0, beat_at=now - timedelta(days=8))
    WorkerCluster.objects.create(host="a", pid=3, pid_started_at=0, stopped_at=now)
    assert {heart.cluster.pid: heart.is_alive for heart in statistics.hearts(now=now)} == {2: True, 90: False}


def test_percentiles_are_values_that_occurred():
    values = [3.0, 1.0, 2.0]
    assert [statistics.percentile(values, share) for share in (0, 0.34, 0.5, 0.95, 1)] == [1, 2, 2, 3, 3]
