"""Simulated time: the engine runs in this process by the messages that it sends.

The clock stands still while a message is executed, then jumps to the time at which the next one is
visible.  So a batch that would take days is measured in minutes, and everything but the waiting is
real: rows, messages, files.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psutil
import time_machine
from django.db import connection
from django.db.models import Min
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from missions import tasks
from providers.adapters import registry
from providers.adapters.base import (
    NO_UPDATES,
    Accepted,
    AccountStatus,
    Capabilities,
    Provider,
    RemoteOutput,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
)
from providers.adapters.errors import ProviderError, Remedy
from providers.adapters.runninghub.adapter import RunningHub

SCHEDULED = ("watchdog", "tally")  # what django-q2's own scheduler starts every minute
PRICE = Decimal("0.05")
BROKER_TABLE = "django_q_ormq"


@dataclass
class Remote:
    """The provider's side: what it is asked for, and how it answers."""

    slots: int
    task_seconds: float
    jitter: float = 0.2
    result_url: str = ""  # where every result can be fetched; "": results are texts
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns()))  # not those of an earlier case
    ends: dict[str, float] = field(default_factory=dict)  # of tasks whose result was not yet asked for
    calls: Counter[str] = field(default_factory=Counter)
    done: int = 0
    most_at_once: int = 0

    def begin(self) -> str:
        task_id = f"{next(self.ids):019d}"
        spread = self.chance.uniform(1 - self.jitter, 1 + self.jitter)
        self.ends[task_id] = time.time() + self.task_seconds * spread
        self.most_at_once = max(self.most_at_once, len(self.ends))
        return task_id

    def has_ended(self, task_id: str) -> bool:
        """Return True once when a task has ended."""
        if self.ends[task_id] > time.time():
            return False
        del self.ends[task_id]
        self.done += 1
        return True


class SimulatedProvider(Provider):
    """A provider in this process's memory, whose tasks end by the simulated clock."""

    name = "runninghub"  # the catalogue's models are its
    label = "Simulated"
    account_name = "environment"
    capabilities = Capabilities()
    environment = RunningHub.environment
    remote: Remote

    def submit(self, request: SubmitRequest, updates: Updates = NO_UPDATES) -> Accepted:
        self.remote.calls["submit"] += 1
        task_id = self.remote.begin()
        return Accepted(RemoteState(task_id, RemoteStatus.RUNNING, raw=_raw(task_id, "RUNNING")))

    def query(self, task_ids: Sequence[str]) -> dict[str, RemoteState | ProviderError]:
        self.remote.calls["query"] += len(task_ids)
        return {task_id: self._state(task_id) for task_id in task_ids}

    def _state(self, task_id: str) -> RemoteState:
        if not self.remote.has_ended(task_id):
            return RemoteState(task_id, RemoteStatus.RUNNING, raw=_raw(task_id, "RUNNING"))
        url = self.remote.result_url
        output = RemoteOutput(url=url, extension="png") if url else RemoteOutput(text="done")
        raw = _raw(task_id, "SUCCESS") | {"results": [{"url": url, "outputType": "png"}]}
        return RemoteState(task_id, RemoteStatus.SUCCEEDED, outputs=(output,), cost=PRICE, raw=raw)

    def check_account(self) -> AccountStatus:
        return AccountStatus(concurrency=self.remote.slots)

    @staticmethod
    def remedy_of(code: str) -> Remedy:
        raise NotImplementedError


def _raw(task_id: str, status: str) -> dict[str, Any]:
    return {"taskId": task_id, "status": status, "errorCode": "", "errorMessage": "", "results": None}


@dataclass
class Meter:
    """Statements and CPU time by the engine function that used them."""

    calls: Counter[str] = field(default_factory=Counter)
    statements: Counter[str] = field(default_factory=Counter)
    cpu_seconds: Counter[str] = field(default_factory=Counter)
    broker_statements: int = 0
    verb: str = ""

    @contextmanager
    def watching(self, verb: str) -> Iterator[None]:
        """Count what happens within for ``verb``."""
        self.verb = verb
        self.calls[verb] += 1
        began = time.process_time()
        with connection.execute_wrapper(self._count):
            yield
        self.cpu_seconds[verb] += time.process_time() - began  # type: ignore[assignment]

    def per_item(self, verb: str, items: int) -> dict[str, float]:
        return {
            "calls": round(self.calls[verb] / items, 3),
            "cpu_ms": round(1000 * self.cpu_seconds[verb] / items, 3),
            "statements": round(self.statements[verb] / items, 2),
        }

    def _count(self, execute: Callable[..., Any], sql: str, *details: Any) -> Any:
        self.statements[self.verb] += 1
        self.broker_statements += BROKER_TABLE in sql
        return execute(sql, *details)


class Workers:
    """Execute due messages of the broker, and advance the clock when there are none."""

    def __init__(self, remote: Remote, clock: time_machine.Traveller) -> None:
        self.clock = clock
        self.meter = Meter()
        self.broker = get_broker()
        self.minute = timezone.now()
        SimulatedProvider.remote = remote
        registry.PROVIDERS[SimulatedProvider.name] = SimulatedProvider

    def run(self, until: Callable[[], bool]) -> None:
        """Run until ``until`` is true.  Raises RuntimeError when no message is left before that."""
        while not until():
            self._wait()
            with self.meter.watching("broker"):
                messages = self.broker.dequeue()
            for _, payload in messages or ():
                message = SignedPackage.loads(payload)
                self._do(message["func"].rpartition(".")[2], *message["args"])

    def _do(self, verb: str, *args: Any) -> None:
        with self.meter.watching(verb):
            getattr(tasks, verb)(*args)

    def _wait(self) -> None:
        soonest = OrmQ.objects.aggregate(soonest=Min("lock"))["soonest"]
        if soonest is None:
            raise RuntimeError("There are no messages any more.")
        if soonest > timezone.now():
            self.clock.move_to(soonest)
        if timezone.now() - self.minute > timedelta(minutes=1):
            self.minute = timezone.now()
            for verb in SCHEDULED:
                self._do(verb)


def standing_clock(at: datetime) -> time_machine.travel:
    """Replace the clock by one that moves only when it is set."""
    return time_machine.travel(at, tick=False)


def database_cpu_seconds() -> float:
    """Return CPU seconds of this connection's database process, if it is on this machine."""
    if connection.vendor == "postgresql":
        with suppress(psutil.Error), connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            times = psutil.Process(cursor.fetchone()[0]).cpu_times()
            return float(times.user + times.system)
    return 0.0
