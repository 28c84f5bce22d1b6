"""The task queue: registered tasks, messages that wake workers, schedules, and this cluster.

The only module that knows django-q2. A message carries a task's name and ids, nothing else. The
rows decide what is to be done: a lost message costs time, and one delivered twice does nothing
twice. The measurements behind ``Q_CLUSTER`` are in docs/decisions/0002-messages-only-wake.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from multiprocessing import Event
from queue import Empty
from time import sleep
from typing import Any

import psutil
from django.db import connection, transaction
from django.db.models import Count, F, Min
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.brokers.orm import ORM
from django_q.cluster import Sentinel
from django_q.conf import Conf
from django_q.humanhash import uuid as new_task_id
from django_q.models import OrmQ, Schedule
from django_q.queues import Queue
from django_q.signals import post_execute, post_execute_in_worker, post_spawn, pre_execute
from django_q.signing import SignedPackage

NO_TIME_LIMIT = -1  # django-q2's alarm could fire between a paid answer and its record

# Core workers wait for messages. The others check four times a second, and help when messages wait
# for a second while the processors have time to spare: then the core workers wait for the network.
# (Where they wait for a processor, more processes only make it worse.) So a cluster of 50 keeps
# most of its memory shared until it needs 50 (docs/decisions/0003-supervised-cluster.md).
CORE_WORKERS = 10
RESERVE_CHECK_SECONDS = 0.25
CHECKS_BEFORE_HELPING = 4
MIN_IDLE_CPU_PERCENT = 10

# --- Tasks ---

_paths: dict[str, str] = {}


def register(task: str, path: str) -> None:
    """Name the function that a message for ``task`` calls, by its dotted path.

    Apps call this in ``AppConfig.ready()``. Messages carry the path, so a function that moves must
    stay importable under its old path for one release: workers of two releases share the queue.
    """
    _paths[task] = path


def load(task: str) -> Callable[..., None]:
    """Return the function of a registered task. Raises LookupError."""
    if task not in _paths:
        raise LookupError(f"No task is registered as {task!r}.")
    function: Callable[..., None] = import_string(_paths[task])
    return function


def load_all() -> None:
    """Import every registered task, so that forked workers share its code."""
    for task in _paths:
        load(task)


def canary() -> None:
    """Do nothing: the message itself proves that messages travel."""


register("canary", "workers.queue.canary")


# --- Messages ---


def send(task: str, *args: int | str, delay: float = 0.0) -> None:
    """Wake a worker to run ``task`` with ``args``, ``delay`` seconds from now.

    The message is a row of the same database. Sent inside a transaction it is visible after the
    commit, and never if there is none. Raises LookupError if the task is not registered.
    """
    send_many(task, [args], delay=delay)


def send_many(task: str, calls: Iterable[tuple[int | str, ...]], *, delay: float = 0.0) -> None:
    """Send one message for each tuple of arguments, with one statement."""
    _put(Conf.CLUSTER_NAME, task, calls, delay)


def send_canary() -> None:
    """Send a test message round this cluster: broker, pusher, worker, monitor."""
    _put(own_queue(), "canary", [()])


def _put(key: str, task: str, calls: Iterable[tuple[int | str, ...]], delay: float = 0.0) -> None:
    """Store signed messages in django-q2's own format (``django_q.tasks.async_task``)."""
    if task not in _paths:
        raise LookupError(f"No task is registered as {task!r}.")
    now = timezone.now()
    rows = []
    for args in calls:
        name, task_id = new_task_id()
        message = {
            "id": task_id,
            "name": name,
            "func": _paths[task],
            "args": args,
            "kwargs": {},
            "ack_failure": True,
            "timeout": NO_TIME_LIMIT,
            "started": now,
        }
        payload = SignedPackage.dumps(message)
        rows.append(OrmQ(key=key, payload=payload, lock=now + timedelta(seconds=delay)))
    OrmQ.objects.bulk_create(rows)


def drop_own_messages() -> None:
    """Remove canaries that no worker will read any more."""
    OrmQ.objects.filter(key=own_queue()).delete()


def bring_forward(by: timedelta) -> None:
    """Make every delayed message visible earlier."""
    OrmQ.objects.filter(lock__gt=timezone.now()).update(lock=F("lock") - by)


def backlog(now: datetime) -> tuple[int, timedelta]:
    """Return the number of messages due at ``now``, and how long the oldest has been due."""
    due = OrmQ.objects.filter(key=Conf.CLUSTER_NAME, lock__lte=now)
    totals = due.aggregate(count=Count("pk"), oldest=Min("lock"))
    return totals["count"], now - (totals["oldest"] or now)


def ensure_schedule(task: str, *, daily: bool = False, is_enabled: bool = True) -> None:
    """Run ``task`` every minute, or every day; or no longer, if it is not enabled.

    A schedule of the last release keeps the function that it names.
    """
    name = f"missions: {task}"  # the name that all releases have used
    if not is_enabled:
        Schedule.objects.filter(name=name).delete()
        return
    period = {"schedule_type": Schedule.DAILY} if daily else {"schedule_type": Schedule.MINUTES, "minutes": 1}
    Schedule.objects.get_or_create(name=name, defaults={"func": _paths[task], "repeats": -1, **period})


class Broker(ORM):  # type: ignore[misc]
    """django-q2's ORM broker: oldest message first, several at a time, each delivered at most once.

    ``lock`` is the time from which a message is visible, so messages can be delayed. A message is
    deleted when it is fetched: the rows know the work, so there is nothing to acknowledge, and the
    reaper makes up for a message that dies with its worker. Beside the common queue every cluster
    reads one of its own, for canaries.
    """

    def dequeue(self) -> list[tuple[None, str]] | None:
        self.get_connection()  # drops a connection that has died
        # The query runs fifty times a second, so it bypasses the ORM, which is ten times slower.
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT key FROM django_q_ormq WHERE key IN (%s, %s) AND lock <= %s ORDER BY key DESC LIMIT 1",
                [self.list_key, own_queue(), now],  # the own key begins with the common one, so it is the greater
            )
            row = cursor.fetchone()
        if row is None:
            sleep(Conf.POLL)
            return None
        # One key: with two, the database would have to sort every waiting message.
        visible = OrmQ.objects.filter(key=row[0], lock__lte=timezone.now()).order_by("lock")
        with transaction.atomic():
            messages = list(visible.select_for_update(skip_locked=True).values_list("pk", "payload")[: Conf.BULK])
            OrmQ.objects.filter(pk__in=[pk for pk, _ in messages]).delete()
        return [(None, payload) for _, payload in messages]

    def fail(self, task_id: None) -> None:
        """Do nothing: an unreadable message was deleted when it was fetched."""


# --- This cluster ---

_cluster_id: uuid.UUID | None = None
_rank: int = 0


def set_cluster_id(cluster_id: uuid.UUID) -> None:
    """Name this cluster, before its processes are forked."""
    global _cluster_id
    _cluster_id = cluster_id


def cluster_id() -> str:
    """Return the id of the cluster that this process belongs to, or ""."""
    return str(_cluster_id) if _cluster_id else ""


def own_queue() -> str:
    """Return the key of the messages that only this cluster reads."""
    return f"{Conf.CLUSTER_NAME}:{cluster_id()}"


class MessageQueue(Queue):  # type: ignore[misc]
    """django-q2's queue between its pusher and its workers, in which reserve workers stand back.

    A core worker that waits holds the queue's lock, so a reserve worker sees at little cost that it
    is not needed.
    """

    def get(self, *args: Any, **kwargs: Any) -> Any:
        while _rank >= CORE_WORKERS:
            looks = 0
            while looks < CHECKS_BEFORE_HELPING:
                sleep(RESERVE_CHECK_SECONDS)
                is_useful = self._has_backlog() and psutil.cpu_percent() < 100 - MIN_IDLE_CPU_PERCENT
                looks = looks + 1 if is_useful else 0
            try:
                return super().get(block=False)
            except Empty:
                continue
        return super().get(*args, **kwargs)

    def _has_backlog(self) -> bool:
        if not self._rlock.acquire(block=False):
            return False  # a core worker is waiting and takes the next message at once
        try:
            return bool(self._poll())
        finally:
            self._rlock.release()


def run_cluster(*, cluster_id: uuid.UUID, on_start: Callable[[Any], None]) -> None:
    """Run django-q2's sentinel, which forks pusher, monitor and workers, until it is stopped.

    ``on_start`` receives the event that stops it.
    """
    stop_event = Event()
    sentinel = Sentinel(stop_event, Event(), cluster_id, start=False)
    sentinel.task_queue = MessageQueue(maxsize=Conf.QUEUE_LIMIT)
    on_start(stop_event)
    sentinel.start()


def on_worker_start(action: Callable[[], int]) -> None:
    """Call ``action`` in each new worker; it returns the worker's rank, counted from 0."""

    def receive(**_: Any) -> None:
        global _rank
        _rank = action()

    post_spawn.connect(receive, weak=False)


def on_task(start: Callable[[], None], end: Callable[[], None]) -> None:
    """Call ``start`` and ``end`` in a worker around each task."""
    pre_execute.connect(lambda **_: start(), weak=False)
    post_execute_in_worker.connect(lambda **_: end(), weak=False)


def on_result(action: Callable[[], None]) -> None:
    """Call ``action`` in the monitor for each task whose result has come back."""
    post_execute.connect(lambda **_: action(), weak=False)
