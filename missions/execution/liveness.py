"""Which process sends, whether it still lives, and what it reads before its first task."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime, timedelta

import psutil
from django.core.files.storage import storages
from django.utils import timezone

from missions import selectors
from missions.models import Attempt
from providers import catalog, provider_accounts
from providers.adapters.errors import AccountBlocked
from providers.models import ProviderAccount
from workers import queue
from workers.models import WorkerCluster

CLUSTER_DEAD_AFTER = timedelta(seconds=60)


def worker_name() -> str:
    """This process, as ``Attempt.worker`` names it: CLUSTER:PID."""
    return f"{queue.cluster_id()}:{os.getpid()}"


def is_dead(worker: str, now: datetime) -> bool:
    """Whether the process that an attempt names has certainly ended.

    On this host the process table knows; of another host only a silent heartbeat tells.
    """
    cluster_id, _, pid = worker.rpartition(":")
    cluster = WorkerCluster.objects.filter(pk=cluster_id).first() if cluster_id else None
    if cluster is None:
        return False  # not run by a supervisor: only time tells
    if cluster.host == os.uname().nodename:
        return not _is_in_group(int(pid), cluster.group_id)
    return cluster.beat_at < now - CLUSTER_DEAD_AFTER


def _is_in_group(pid: int, group_id: int | None) -> bool:
    try:
        is_member = os.getpgid(pid) == group_id
        return is_member and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def supervisor_of(cluster: WorkerCluster) -> psutil.Process | None:
    """The supervisor of a cluster of this host, if it lives: its number and the moment of its start must agree."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(cluster.pid)
        is_same = abs(process.create_time() - cluster.pid_started_at) < 1
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    return None


def warm_up() -> None:
    """Read what every task reads, so that a new worker's first task is as fast as its later ones."""
    catalog.all_models()
    storages["results"]  # loads its backend, which is large if it is a bucket's
    for account in ProviderAccount.objects.in_use():
        selectors.slots_in_use(account, now=timezone.now(), limit=1)
        selectors.dispatchable_missions(account, now=timezone.now(), limit=1)
        Attempt.objects.select_related("item__mission", "account").filter(account=account, pk=0).first()
        with contextlib.suppress(AccountBlocked):
            provider_accounts.connect(account)
