"""The metrics of ``/metrics``.

They are read from the database at each scrape, so every process reports the same. Only those of
requests are counted by the web processes of this server.

docs/monitoring.md explains each name (a test compares the two). Past events are counted over a
window that ends now and not as counters: rows can be deleted, and a counter must never decrease.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core.http import web_metrics
from core.storage import disk
from missions import account_load
from missions.models import ItemStatus
from operations import statistics
from operations.models import Backup
from operations.statistics import SPEND_DAYS, percentile
from providers import provider_accounts
from workers import queue

PREFIX = "runninghub_batch_"
QUANTILES = (0.5, 0.95)


def exposition() -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Rows())
    return generate_latest(registry)


class _Rows(Collector):
    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        counts = statistics.counts_by_model()
        yield from item_metrics(now, counts)
        yield from account_metrics(now)
        yield from provider_metrics(now, list(counts)[: statistics.MODELS_SHOWN])
        for metrics in (result_metrics, spending_metrics, machine_metrics, server_metrics):
            yield from metrics(now)

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering does not query the database


def _quantiles(name: str, text: str, label: str, values: Iterable[tuple[str, float, float]]) -> Metric:
    """Return a summary. ``values``: the value of the label, the quantile, the seconds."""
    summary = Metric(PREFIX + name, text, "summary")
    for value, share, seconds in values:
        summary.add_sample(PREFIX + name, {label: value, "quantile": str(share)}, seconds)
    return summary


def _gauge(name: str, text: str, values: Iterable[tuple[Iterable[Any], Any]], *labels: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for label_values, value in values:
        gauge.add_metric([str(label) for label in label_values], float(value))
    return gauge


def item_metrics(now: datetime, counts_by_model: Mapping[str, Counter[str]]) -> Iterator[GaugeMetricFamily]:
    totals = sum(counts_by_model.values(), Counter[str]())
    waiting = statistics.oldest_waiting(now=now)
    flow = statistics.throughput(now=now)
    messages, oldest_message = queue.backlog(now)
    yield _gauge("items", "Items by status.", (([s.value], totals[s]) for s in ItemStatus), "status")
    yield _gauge(
        "oldest_waiting_seconds",
        "Waiting time of the oldest due item of a queued or running mission.",
        [([], waiting.seconds if waiting else 0)],
    )
    yield _gauge(
        "attempts_ended_last_hour",
        "Attempts that ended in the last hour.",
        _by(dict.fromkeys(statistics.ENDED, 0) | flow.ends),
        "status",
    )
    yield _gauge("messages_due", "Queue messages that wait for a worker.", [([], messages)])
    yield _gauge("message_age_seconds", "Age of the oldest of these.", [([], oldest_message.total_seconds())])


def account_metrics(now: datetime) -> Iterator[GaugeMetricFamily]:
    queues = account_load.account_queues(now=now)
    names = {each.account.pk: each.account.name for each in queues}

    def of_each(value: Any) -> list[tuple[list[str], float]]:
        return [([each.account.name], value(each)) for each in queues]

    yield _gauge("in_flight", "Slots in use.", of_each(lambda each: each.in_flight), "account")
    yield _gauge("slots", "Tasks that may be in flight now.", of_each(lambda each: each.cap), "account")
    yield _gauge(
        "unconfirmed_attempts",
        "Attempts sent without a conclusive answer.",
        of_each(lambda each: each.unconfirmed),
        "account",
    )
    yield _gauge(
        "account_usable",
        "1: takes new items.",
        of_each(lambda each: provider_accounts.blocked_reason(each.account) is None),
        "account",
    )
    lags = statistics.poll_lags(now=now)
    yield _gauge(
        "poll_lag_seconds",
        "Delay of the most overdue poll.",
        (([names[pk]], lag) for pk, lag in lags.items() if pk in names),
        "account",
    )


def provider_metrics(now: datetime, models: Sequence[str]) -> Iterator[Metric]:
    by_account = statistics.submissions(now=now)
    zeros = {(result, ""): 0 for result in statistics.RESULTS}  # a missing number would silence alerts
    yield _gauge(
        "submissions_recent",
        "Results of the submissions of the last 5 minutes (at most the latest 1000).",
        (
            ((name, *key), count)
            for name, account in by_account.items()
            for key, count in (zeros | account.results).items()
        ),
        *("account", "result", "code"),
    )
    yield _quantiles(
        "submit_seconds",
        "Time until the provider accepted a submission.",
        "account",
        (
            (name, share, percentile(account.latencies, share))
            for name, account in by_account.items()
            for share in QUANTILES
            if account.latencies
        ),
    )
    yield _quantiles(
        "task_seconds",
        "Time from acceptance to success, for a model's latest successes.",
        "model",
        (
            (entry.model, share, value)
            for entry in statistics.durations(models)
            for share, value in zip(QUANTILES, (entry.p50, entry.p95), strict=True)
        ),
    )


def result_metrics(now: datetime) -> Iterator[GaugeMetricFamily]:
    backlog = statistics.download_backlog(now=now)
    seconds_left = (backlog.expires_at - now).total_seconds() if backlog.expires_at else None
    yield _gauge("results_to_fetch", "Paid results that are not stored yet.", [([], backlog.pending_count)])
    yield _gauge("archive_lag_seconds", "Delay of the most overdue download.", [([], backlog.lag_seconds)])
    yield _gauge(
        "result_expires_seconds",
        "Time until the first of their URLs expires. Absent when there are none.",
        [] if seconds_left is None else [([], seconds_left)],
    )


def spending_metrics(now: datetime) -> Iterator[GaugeMetricFamily]:
    sums: defaultdict[tuple[str, str, int], Decimal] = defaultdict(Decimal)
    for spend in statistics.spend(now=now):
        for days in SPEND_DAYS:
            sums[spend.model, spend.currency, days] += spend.amounts[f"days_{days}"]
    unconfirmed = statistics.unconfirmed()
    yield _gauge(
        "spend",
        "Cost of attempts that ended today, or within so many days.",
        _by(sums),
        *("model", "currency", "days"),
    )
    yield _gauge("unconfirmed_items", "Items that wait for a person.", [([], unconfirmed.count)])
    yield _gauge(
        "unconfirmed_stake",
        "Estimated cost of these.",
        (([risk.currency], risk.amount) for risk in unconfirmed.at_risk),
        "currency",
    )


def machine_metrics(now: datetime) -> Iterator[GaugeMetricFamily]:
    states = statistics.clusters(now=now)
    by_process = [((state.cluster.host, state.cluster.pid), state) for state in states]
    labels = ("host", "pid")
    yield _gauge(
        "heartbeat_age_seconds",
        "Time since the last heartbeat of a cluster.",
        ((process, state.silent_seconds) for process, state in by_process),
        *labels,
    )
    yield _gauge(
        "workers",
        "Its worker processes.",
        ((process, state.cluster.worker_count) for process, state in by_process),
        *labels,
    )
    yield _gauge("clusters_alive", "Clusters with a recent heartbeat.", [([], sum(state.is_alive for state in states))])
    storage = statistics.storage()
    yield _gauge("result_bytes", "Stored result files, as last counted.", [([], storage.file_bytes)])
    yield _gauge("disk_free_bytes", "Free space on the disk of DATA_DIR.", [([], storage.free_bytes)])
    yield _gauge(
        "worker_disk_free_bytes",
        "The same where a live cluster runs.",
        (
            (process, state.cluster.free_disk_bytes)
            for process, state in by_process
            if state.is_alive and state.cluster.free_disk_bytes is not None
        ),
        *labels,
    )
    yield _gauge("disk_min_free_bytes", "Nothing is submitted below it.", [([], disk.threshold_bytes())])
    latest = Backup.objects.first()
    yield _gauge(
        "backup_age_seconds",
        "Time since the last backup. Absent when there is none.",
        [([], (now - latest.made_at).total_seconds())] if latest else [],
    )


def server_metrics(now: datetime) -> Iterator[Metric]:
    counts = web_metrics.read()
    requests = CounterMetricFamily(
        PREFIX + "http_requests",
        "Requests answered by the web processes of this server.",
        labels=("area", "status"),
    )
    for labels, count in counts.requests.items():
        requests.add_metric(labels, count)
    yield requests
    seconds = HistogramMetricFamily(PREFIX + "http_request_seconds", "Time until the response began.", labels=("area",))
    limits = [*(f"{limit:g}" for limit in web_metrics.BUCKETS), "+Inf"]
    for area in web_metrics.AREAS:
        buckets = list(zip(limits, accumulate(counts.seconds[area]), strict=True))
        seconds.add_metric([area], buckets, sum_value=counts.seconds_sum[area])
    yield seconds
    yield _gauge("http_requests_in_flight", "Requests whose response has not ended.", [([], counts.in_flight)])
    yield _gauge("event_streams", "Open event streams.", [([], counts.streams)])
    lockouts = AccessAttempt.objects.filter(
        attempt_time__gt=now - settings.AXES_COOLOFF_TIME, failures_since_start__gte=settings.AXES_FAILURE_LIMIT
    )
    addresses = lockouts.values("ip_address").distinct().count()
    yield _gauge("locked_addresses", "Addresses that are locked out after failed logins.", [([], addresses)])


def _by(values: Mapping[Any, Any]) -> Iterator[tuple[Iterable[Any], Any]]:
    """Yield the labels and the value of each key; a tuple's parts are its labels."""
    for key, count in values.items():
        yield (key if isinstance(key, tuple) else (key,)), count
