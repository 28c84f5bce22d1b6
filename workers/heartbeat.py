"""Liveness of worker clusters, supervisors and workers."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime, timedelta

import psutil
from django.db import DatabaseError
from django.utils import timezone

from workers import queue
from workers.models import WorkerCluster

CLUSTER_DEAD_AFTER = timedelta(seconds=60)
SILENT_AFTER = timedelta(seconds=30)  # heartbeats come every two seconds; starting takes longer
STOP_SECONDS = 15


def worker_name() -> str:
    """Return the name of this process as ``Attempt.worker`` stores it: CLUSTER:PID."""
    return f"{queue.cluster_id()}:{os.getpid()}"


def is_dead(worker: str, now: datetime) -> bool:
    """Return True if the named worker has certainly ended.

    On this host the process table decides, on others the age of the heartbeat.
    """
    cluster_id, _, pid = worker.rpartition(":")
    cluster = WorkerCluster.objects.filter(pk=cluster_id).first() if cluster_id else None
    if cluster is None:
        return False  # not run by a supervisor: only a timeout can decide
    if cluster.host != os.uname().nodename:
        return cluster.beat_at < now - CLUSTER_DEAD_AFTER
    try:
        is_member = os.getpgid(int(pid)) == cluster.group_id
        return not is_member or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return True


def supervisor_of(cluster: WorkerCluster) -> psutil.Process | None:
    """Return the living supervisor of a cluster of this host, or None.

    A process is the supervisor if its id and its start time agree with the row.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(cluster.pid)
        is_same = abs(process.create_time() - cluster.pid_started_at) < 1
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    return None


def is_alive(cluster: WorkerCluster, *, silent_after: timedelta = CLUSTER_DEAD_AFTER) -> bool:
    """Return True if a supervisor runs here, or beat elsewhere within ``silent_after``."""
    if cluster.host == os.uname().nodename:
        return supervisor_of(cluster) is not None
    return cluster.beat_at > timezone.now() - silent_after


def alive_clusters() -> list[WorkerCluster]:
    """Return the clusters that serve this database, on this host or another."""
    beating = WorkerCluster.objects.filter(stopped_at=None, beat_at__gt=timezone.now() - SILENT_AFTER)
    return [cluster for cluster in beating if is_alive(cluster)]


def is_any_alive() -> bool:
    """Return True if workers serve this database, on this host or another."""
    return bool(alive_clusters())


def end_leftovers() -> None:
    """End the workers of this database that a killed command left behind on this host."""
    with contextlib.suppress(DatabaseError):  # there is no database yet, or a very old one
        for cluster in WorkerCluster.objects.filter(host=os.uname().nodename, stopped_at=None):
            process = supervisor_of(cluster)
            if process is None:
                continue
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except psutil.TimeoutExpired:
                    process.kill()
