"""The only module that knows django-q2.

A message wakes a worker and carries ids, nothing else: the rows decide what is to be done, so a message that is lost costs
time, and one that is delivered twice does nothing twice.

Measured facts behind the settings of ``Q_CLUSTER`` are in docs/decisions/0002-messages-only-wake.md.
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
from django_q.brokers.orm import ORM
from django_q.cluster import Sentinel
from django_q.conf import Conf
from django_q.humanhash import uuid as new_task_id
from django_q.models import OrmQ, Schedule
from django_q.queues import Queue
from django_q.signals import post_execute, post_execute_in_worker, post_spawn, pre_execute
from django_q.signing import SignedPackage

TASKS = "missions.tasks"
NO_TIME_LIMIT = -1  # django-q2's alarm could fire between a paid answer and its record

# The first workers wait for messages; the others look in now and then, and help when messages pile up for a second although
# the processors have time to spare: then the first ones wait for the network.  (Where they wait for a processor, more processes
# only make it worse.)  So a cluster of 50 keeps most of its memory shared until it really needs 50
# (docs/decisions/0003-supervised-cluster.md).
CORE_WORKERS = 12
LOOK_SECONDS = 0.25
LOOKS_BEFORE_HELPING = 4
SPARE_PERCENT = 10


class Broker(ORM):  # type: ignore[misc]
    """django-q2's ORM broker: oldest message first, several at a time, each delivered at most once.

    ``lock`` is the moment from which a message may be seen, so a message can be sent into the future.  A message is deleted
    when it is fetched: the rows know the work, so there is nothing to acknowledge, and a message that dies with its worker is
    made up for by ``engine.reap``.  Beside the common queue every cluster reads one of its own, for canaries.
    """

    def dequeue(self) -> list[tuple[None, str]] | None:
        self.get_connection()  # drops a connection that has died
        key = self._visible_key()
        if key is None:
            sleep(Conf.POLL)
            return None
        # (One key: two would have to be sorted together, all that wait.)
        visible = OrmQ.objects.filter(key=key, lock__lte=timezone.now()).order_by("lock")
        with transaction.atomic():
            found = list(visible.select_for_update(skip_locked=True).values_list("pk", "payload")[: Conf.BULK])
            OrmQ.objects.filter(pk__in=[pk for pk, _ in found]).delete()
        return [(None, payload) for _, payload in found]

    def _visible_key(self) -> str | None:
        """A queue with a message that may be seen, this cluster's own first.

        Asked fifty times a second, so it bypasses the ORM, which would take ten times as long.
        """
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT key FROM django_q_ormq WHERE key IN (%s, %s) AND lock <= %s ORDER BY key DESC LIMIT 1",
                [self.list_key, own_queue(), now],  # the own key begins with the common one, so it is the greater
            )
            found = cursor.fetchone()
            return found and str(found[0])

    def fail(self, task_id: None) -> None:
        """A message that cannot be read was deleted when it was fetched."""


# --- Sending ---


def send(task: str, *args: int | str, delay: float = 0.0) -> None:
    """Wake a worker for ``missions.tasks.<task>(*args)``, ``delay`` seconds from now.

    The message is a row of the same database: written in the transaction of the rows it speaks of, it is seen by nobody
    before they are committed, and never if they are not.
    """
    send_many(task, [args], delay=delay)


def send_many(task: str, calls: Iterable[tuple[int | str, ...]], *, delay: float = 0.0) -> None:
    """``send`` for many sets of arguments at the cost of one statement."""
    _put(Conf.CLUSTER_NAME, task, calls, delay)


def _put(key: str, task: str, calls: Iterable[tuple[int | str, ...]], delay: float = 0.0) -> None:
    visible_at = timezone.now() + timedelta(seconds=delay)
    OrmQ.objects.bulk_create(OrmQ(key=key, payload=_pack(task, args), lock=visible_at) for args in calls)


def _pack(task: str, args: tuple[int | str, ...]) -> str:
    """A signed message in django-q2's own format (``django_q.tasks.async_task``)."""
    name, task_id = new_task_id()
    message = {
        "id": task_id,
        "name": name,
        "func": f"{TASKS}.{task}",
        "args": args,
        "kwargs": {},
        "ack_failure": True,
        "timeout": NO_TIME_LIMIT,
        "started": timezone.now(),
    }
    packed: str = SignedPackage.dumps(message)
    return packed


def bring_forward(by: timedelta) -> None:
    """Let every message that waits for its moment be seen so much sooner."""
    OrmQ.objects.filter(lock__gt=timezone.now()).update(lock=F("lock") - by)


def backlog(now: datetime) -> tuple[int, timedelta]:
    """How many messages could have been taken up by ``now``, and for how long the oldest has waited."""
    waiting = OrmQ.objects.filter(key=Conf.CLUSTER_NAME, lock__lte=now).aggregate(count=Count("pk"), oldest=Min("lock"))
    return waiting["count"], now - (waiting["oldest"] or now)


def ensure_schedules() -> None:
    """What is done every minute: ticks are re-armed, for whoever runs ``qcluster`` without our supervisor, and sums are kept."""
    for task in ("watchdog", "tally"):
        Schedule.objects.get_or_create(
            name=f"missions: {task}",
            defaults={"func": f"{TASKS}.{task}", "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1},
        )


def schedule_cleanup(*, is_wanted: bool) -> None:
    """A django-q2 schedule that lets a worker clean up once a day; none where nothing is to go."""
    schedules = Schedule.objects.filter(name="missions: cleanup")
    if not is_wanted:
        schedules.delete()
    elif not schedules.exists():
        Schedule.objects.create(
            name="missions: cleanup", func=f"{TASKS}.cleanup", schedule_type=Schedule.DAILY, repeats=-1
        )


# --- This cluster ---

_cluster_id: uuid.UUID | None = None
_rank: int = 0


class MessageQueue(Queue):  # type: ignore[misc]
    """django-q2's queue between its pusher and its workers, in which reserve workers stand back.

    A core worker that waits holds the queue's lock, so a reserve worker learns at no cost that it is not needed.
    """

    def get(self, *args: Any, **kwargs: Any) -> Any:
        while _rank >= CORE_WORKERS:
            self._stand_back()
            try:
                return super().get(block=False)
            except Empty:
                continue
        return super().get(*args, **kwargs)

    def _stand_back(self) -> None:
        """Return once messages have been waiting at several looks in a row."""
        looks = 0
        while looks < LOOKS_BEFORE_HELPING:
            sleep(LOOK_SECONDS)
            looks = looks + 1 if self._has_backlog() and _have_processors_spare_time() else 0

    def _has_backlog(self) -> bool:
        if not self._rlock.acquire(block=False):
            return False  # a core worker is waiting, so whatever comes is taken at once
        try:
            return bool(self._poll())
        finally:
            self._rlock.release()


def _have_processors_spare_time() -> bool:
    """Since this was last asked in this process."""
    return psutil.cpu_percent() < 100 - SPARE_PERCENT


def run_cluster(*, cluster_id: uuid.UUID, on_start: Callable[[Any], None]) -> None:
    """Run django-q2's sentinel, which forks pusher, monitor and workers.  Returns when it was stopped.

    ``on_start`` is given the event that stops it.
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
    """Call ``action`` in the monitor for each task that has come all the way round."""
    post_execute.connect(lambda **_: action(), weak=False)


def set_cluster_id(cluster_id: uuid.UUID) -> None:
    """Name this cluster, before its processes are forked."""
    global _cluster_id
    _cluster_id = cluster_id


def cluster_id() -> str:
    """The name of the cluster that this process belongs to, or ""."""
    return str(_cluster_id) if _cluster_id else ""


def own_queue() -> str:
    """The key of the messages that only this cluster reads."""
    return f"{Conf.CLUSTER_NAME}:{cluster_id()}"


def send_canary() -> None:
    """Send a message round this cluster: broker, pusher, a worker, monitor."""
    _put(own_queue(), "canary", [()])


def drop_own_messages() -> None:
    """Remove canaries that nobody will read any more."""
    OrmQ.objects.filter(key=own_queue()).delete()
