"""Statistics of the whole site."""

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

pytestmark = pytest.mark.postgresql


def test_items_are_counted_by_model_and_status(mixed, owner):
    make_mission(owner, 2, model="rhart-image-v1-official/text-to-image")
    counts = statistics.counts_by_model()
    assert list(counts) == ["rhart-image-v1-official/text-to-image", mixed.model]
    assert dict(counts[mixed.model]) == mixed.counts


def test_oldest_waiting_item_is_of_a_running_mission(owner, account):
    now = timezone.now()
    assert statistics.oldest_waiting(now=now) is None
    paused, running, later = (make_mission(owner, 2) for _ in range(3))
    services.pause_mission(mission_id=paused.pk, actor="test")
    MissionItem.objects.filter(mission=paused).update(available_at=now - timedelta(days=1))
    MissionItem.objects.filter(mission=later).update(available_at=now + timedelta(minutes=1))
    MissionItem.objects.filter(mission=running, index=2).update(available_at=now - timedelta(minutes=3))
    waiting = statistics.oldest_waiting(now=now)
    assert (waiting.mission_id, waiting.index, waiting.seconds) == (running.pk, 2, 180)


def test_throughput_is_counted_per_minute(mixed):
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


def test_durations_use_latest_successes(owner, account):
    mission = make_mission(owner, 20)
    start = timezone.now() - timedelta(hours=1)
    for seconds, attempt_id in enumerate(claim(mission, account, 20), start=1):
        bring_to("succeeded", attempt_id)
        Attempt.objects.filter(pk=attempt_id).update(accepted_at=start, ended_at=start + timedelta(seconds=seconds))
    [entry] = statistics.durations([mission.model, "nothing/of-this"])
    assert (entry.model, entry.count, entry.p50, entry.p95) == (mission.model, 20, 10, 19)
    assert statistics.durations([]) == []


def test_failures_are_grouped_by_cause_with_retry_price(mixed, owner, account):
    other = make_mission(owner, 1, name="Other")
    bring_to("failed", claim(other, account)[0])
    failed, refused = statistics.causes(now=timezone.now())
    assert (failed.error_code, failed.message, failed.recent_count) == ("1015", "It failed.", 3)
    assert [(part.mission.name, part.count) for part in failed.missions] == [("Teapots", 2), ("Other", 1)]
    assert (failed.retry_count, failed.estimate) == (3, Decimal("0.15"))
    assert (refused.error_code, refused.recent_count) == ("1003", 1)


def test_old_failures_count_only_for_the_retry(mixed):
    old = MissionItem.objects.filter(status="failed", index=1)
    old.update(ended_at=timezone.now() - timedelta(hours=25))
    cause = next(cause for cause in statistics.causes(now=timezone.now()) if cause.error_code == "1015")
    assert (cause.recent_count, cause.retry_count) == (1, 2)


def test_cancelled_missions_are_not_retryable(mixed):
    services.cancel_mission(mission_id=mixed.pk, actor="test")
    assert {cause.retry_count for cause in statistics.causes(now=timezone.now())} == {0}


def test_unconfirmed_attempts_show_money_at_risk(mixed):
    unconfirmed = statistics.unconfirmed()
    assert unconfirmed.count == 1
    assert [(risk.currency, risk.amount, risk.unpriced_count) for risk in unconfirmed.at_risk] == [
        ("CNY", Decimal("0.05"), 0)
    ]
    assert [attempt.item.index for attempt in unconfirmed.oldest] == [5]


def test_submissions_are_counted_by_result(mixed):
    Attempt.objects.filter(status="running").update(sending_at=timezone.now() - timedelta(seconds=3))
    recent = statistics.submissions(now=timezone.now())["environment"]
    assert recent.results == {("accepted", ""): 4, ("refused", "1003"): 1, ("unconfirmed", "lost"): 1}
    assert max(recent.latencies) > 2
    later = timezone.now() + timedelta(minutes=6)
    assert not statistics.submissions(now=later)["environment"].results


def test_late_polls_and_downloads_are_measured(mixed):
    now = timezone.now() + timedelta(seconds=40)
    [lag] = statistics.poll_lags(now=now).values()
    backlog = statistics.download_backlog(now=now)
    assert lag > 30
    assert backlog.lag_seconds > 30
    assert backlog.pending_count == 1


@pytest.mark.django_db
def test_silent_cluster_is_not_alive():
    now = timezone.now()
    for age in (2, 90):
        WorkerCluster.objects.create(host="a", pid=age, pid_started_at=0, beat_at=now - timedelta(seconds=age))
    WorkerCluster.objects.create(host="gone for good", pid=4, pid_started_at=0, beat_at=now - timedelta(days=8))
    WorkerCluster.objects.create(host="a", pid=3, pid_started_at=0, stopped_at=now)
    assert {state.cluster.pid: state.is_alive for state in statistics.clusters(now=now)} == {2: True, 90: False}


def test_percentiles_are_actual_values():
    values = [3.0, 1.0, 2.0]
    assert [statistics.percentile(values, share) for share in (0, 0.34, 0.5, 0.95, 1)] == [1, 2, 2, 3, 3]
