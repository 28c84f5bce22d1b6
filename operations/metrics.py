"""What ``/metrics`` tells Prometheus: read from the rows at each scrape, so that it is the same from every process.

docs/monitoring.md explains each name (a test compares the two).  What happened is told for a span that ends now, not counted up
for ever: rows can be removed, and a counter must never go back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from missions import selectors
from missions.models import ItemStatus
from operations import statistics
from operations.statistics import SPEND_DAYS, percentile
from providers import provider_accounts
from workers import queue

PREFIX = "runninghub_batch_"
QUANTILES = (0.5, 0.95)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Rows())
    return generate_latest(registry)


class _Rows(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = timezone.now()
        counts = statistics.counts_by_model()
        yield from _work(now, counts)
        yield from _accounts(now)
        yield from _provider(now, list(counts)[: statistics.MODELS_SHOWN])
        for part in (_results, _money, _machines):
            yield from part(now)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []  # asks the database for nothing when it is registered


def _gauge(name: str, text: str, values: Iterable[tuple[Iterable[Any], Any]], *labels: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for label_values, value in values:
        gauge.add_metric([str(label) for label in label_values], float(value))
    return gauge


def _work(now: datetime, counts_by_model: Mapping[str, Counter[str]]) -> Iterator[GaugeMetricFamily]:
    totals = sum(counts_by_model.values(), Counter[str]())
    waiting = statistics.oldest_waiting(now=now)
    flow = statistics.throughput(now=now)
    messages, oldest_message = queue.backlog(now)
    yield _gauge("items", "Items by status.", (([s.value], totals[s]) for s in ItemStatus), "status")
    yield _gauge(
        "oldest_waiting_seconds",
        "For how long the oldest item of a running mission could have been taken up.",
        [([], waiting.seconds if waiting else 0)],
    )
    yield _gauge("attempts_ended_last_hour", "Attempts that ended within the last hour.", _by(flow.ends), "status")
    yield _gauge("messages_due", "Messages that wait for a worker.", [([], messages)])
    yield _gauge(
        "message_age_seconds", "For how long the oldest of them has been due.", [([], oldest_message.total_seconds())]
    )


def _accounts(now: datetime) -> Iterator[GaugeMetricFamily]:
    queues = selectors.account_queues(now=now)
    named = {each.account.pk: each.account.name for each in queues}

    def of_each(value: Any) -> list[tuple[list[str], float]]:
        return [([each.account.name], value(each)) for each in queues]

    yield _gauge("in_flight", "Slots in use.", of_each(lambda each: each.in_flight), "account")
    yield _gauge("slots", "Tasks that may be in flight now.", of_each(lambda each: each.cap), "account")
    yield _gauge("unconfirmed_attempts", "Attempts in doubt.", of_each(lambda each: each.unconfirmed), "account")
    yield _gauge(
        "account_usable",
        "1: takes new items up.",
        of_each(lambda each: provider_accounts.blocked_reason(each.account) is None),
        "account",
    )
    lags = statistics.poll_lags(now=now)
    yield _gauge(
        "poll_lag_seconds",
        "By how much the question about a running task that is due first is late.",
        (([named[pk]], lag) for pk, lag in lags.items() if pk in named),
        "account",
    )


def _provider(now: datetime, models: Sequence[str]) -> Iterator[GaugeMetricFamily]:
    by_account = statistics.submissions(now=now)
    yield _gauge(
        "submissions_recent",
        "Submissions of the last 5 minutes (at most the latest 1000) by what came of them.",
        (((name, *key), count) for name, found in by_account.items() for key, count in found.results.items()),
        *("account", "result", "code"),
    )
    yield _gauge(
        "submit_seconds",
        "How long the provider took to accept those that it accepted.",
        (
            ((name, share), percentile(found.latencies, share))
            for name, found in by_account.items()
            for share in QUANTILES
            if found.latencies
        ),
        *("account", "quantile"),
    )
    yield _gauge(
        "task_seconds",
        "How long the latest successes of a model took, from being accepted to their end.",
        (
            ((taken.model, share), value)
            for taken in statistics.durations(models)
            for share, value in zip(QUANTILES, (taken.p50, taken.p95), strict=True)
        ),
        *("model", "quantile"),
    )


def _results(now: datetime) -> Iterator[GaugeMetricFamily]:
    archive = statistics.archive(now=now)
    left = (archive.expires_at - now).total_seconds() if archive.expires_at else None
    yield _gauge("results_to_fetch", "Results that are paid and not yet here.", [([], archive.pending_count)])
    yield _gauge("archive_lag_seconds", "For how long one of them has been due.", [([], archive.lag_seconds)])
    yield _gauge(
        "result_expires_seconds",
        "How long until the first of their addresses ends. Absent when there are none.",
        [] if left is None else [([], left)],
    )


def _money(now: datetime) -> Iterator[GaugeMetricFamily]:
    sums: defaultdict[tuple[str, str, int], Decimal] = defaultdict(Decimal)
    for spend in statistics.spend(now=now):
        for days in SPEND_DAYS:
            sums[spend.model, spend.currency, days] += spend.amounts[f"days_{days}"]
    inbox = statistics.inbox()
    yield _gauge(
        "spend",
        "What attempts that ended today, or within so many days, were charged.",
        _by(sums),
        *("model", "currency", "days"),
    )
    yield _gauge("unconfirmed_items", "Items that wait for a person.", [([], inbox.count)])
    yield _gauge(
        "unconfirmed_stake",
        "About what these may have cost.",
        (([stake.currency], stake.amount) for stake in inbox.stakes),
        "currency",
    )


def _machines(now: datetime) -> Iterator[GaugeMetricFamily]:
    hearts = statistics.hearts(now=now)
    named = [((heart.cluster.host, heart.cluster.pid), heart) for heart in hearts]
    labels = ("host", "pid")
    yield _gauge(
        "heartbeat_age_seconds", "Since a cluster was heard.", ((n, h.silent_seconds) for n, h in named), *labels
    )
    yield _gauge("workers", "Worker processes of it.", ((n, h.cluster.worker_count) for n, h in named), *labels)
    yield _gauge("clusters_alive", "Clusters that were heard lately.", [([], sum(h.is_alive for h in hearts))])
    storage = statistics.storage()
    yield _gauge("result_bytes", "Stored result files, as last counted.", [([], storage.file_bytes)])
    yield _gauge("disk_free_bytes", "Room on the disk of DATA_DIR.", [([], storage.free_bytes)])


def _by(values: Mapping[Any, Any]) -> Iterator[tuple[Iterable[Any], Any]]:
    """A value for each key, whose parts are the labels."""
    for key, count in values.items():
        yield (key if isinstance(key, tuple) else (key,)), count
