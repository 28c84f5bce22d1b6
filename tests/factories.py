"""Missions in a given state, queue messages played in order, and a clock under control."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.db import connection, connections, transaction
from django.db.models import Count, F, Model, Q
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from PIL import Image

from media.models import MediaFile
from missions import execution, lifecycle, services
from missions.models import (
    LIVE_ATTEMPTS,
    Attempt,
    AttemptStatus,
    ItemEvent,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
)
from providers import provider_accounts
from providers.models import ProviderAccount, ProviderUpload
from workers.models import WorkerCluster

WEBHOOK_BASE = "https://batch.example.org"
TEXT_TO_IMAGE = "rhart-image-v1/text-to-image"


# --- Making things ---


def make_member(group: str, name: str = "") -> User:
    """Create a person of staff who is in one of the groups that ``migrate`` creates."""
    person = User.objects.create_user(name or group.lower(), is_staff=True)
    person.groups.add(Group.objects.get(name=group))
    return person


def make_mission(owner: User, rows: int | Iterable[Any] = 1, **more: Any) -> Mission:
    """Create a mission.  ``rows`` may be a number of different prompts."""
    if isinstance(rows, int):
        rows = [f"a teapot, number {number}" for number in range(1, rows + 1)]
    more = {"name": "Teapots", "task_type": "text_to_image"} | more
    return services.submit_mission(owner=owner, rows=list(rows), **more)


def make_group(owner: User, *rows: Sequence[str], **more: Any) -> list[Mission]:
    """Create missions of one group, each with its rows and another model."""
    models = ("", "rhart-image-n-pro/text-to-image", "rhart-image-n-g31-flash/text-to-image")
    drafts = [
        services.validate_mission(owner=owner, name="Animals", task_type="text_to_image", rows=each, model=model)
        for each, model in zip(rows, models, strict=False)
    ]
    return services.create_group(drafts, on_created=lambda missions: None, **more)


def add_account(name: str, api_key: str, base_url: str, **fields: Any) -> ProviderAccount:
    """Create an account with a stored key.  ENCRYPTION_KEYS must hold a key."""
    account = ProviderAccount(name=name, base_url=base_url, **fields)
    provider_accounts.store(account, api_key=api_key)
    return ProviderAccount.objects.get(pk=account.pk)


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def make_media(owner: User, *, content: bytes | None = None, name: str = "cat.png", **more: Any) -> MediaFile:
    content = picture() if content is None else content
    facts = {"content_type": "image/png", "size_bytes": len(content)} | more
    return MediaFile.objects.create(
        owner=owner, name=name, file=ContentFile(content, name), sha256=hashlib.sha256(content).hexdigest(), **facts
    )


def claim(mission: Mission, account: ProviderAccount, limit: int = 1) -> list[int]:
    with transaction.atomic():
        locked = ProviderAccount.objects.select_for_update().get(pk=account.pk)
        return lifecycle.claim(mission.pk, locked, limit=limit, now=timezone.now())


def begin(*attempt_ids: int) -> bool:
    requests = {attempt_id: {"prompt": "sent"} for attempt_id in attempt_ids}
    return requests.keys() == set(lifecycle.mark_sending(requests, worker=""))


def accept(*attempt_ids: int, task_id: str = "", **more: Any) -> bool:
    now = timezone.now()
    acceptances = {
        attempt_id: lifecycle.Acceptance(
            remote_task_id=task_id or f"9{attempt_id:018d}", raw={}, at=now, next_poll_at=now
        )
        for attempt_id in attempt_ids
    }
    return bool(lifecycle.accept(acceptances, **more))


def lose_answer(attempt_id: int) -> bool:
    return lifecycle.mark_unconfirmed(attempt_id, code="lost", message="No answer.")


def refuse(attempt_id: int, *, again: bool = True, **more: Any) -> bool:
    retry_at = timezone.now() if again else None
    return lifecycle.refuse(attempt_id, code="1003", message="Too fast.", retry_at=retry_at, **more)


def succeed(attempt_id: int, *, cost: str | None = "0.05", urls: Iterable[str] = ("https://a.example/1.png",)) -> bool:
    now = timezone.now()
    outputs = [lifecycle.NewOutput(url=url, extension="png") for url in urls]
    price = None if cost is None else Decimal(cost)
    success = lifecycle.Success(outputs=outputs, cost=price, raw={})
    return bool(lifecycle.succeed({attempt_id: success}, expires_at=now, first_try_at=now))


def fail(attempt_id: int, *, again: bool = False, cost: str | None = None) -> bool:
    retry_at = timezone.now() if again else None
    price = None if cost is None else Decimal(cost)
    return lifecycle.fail(attempt_id, code="1015", message="It failed.", cost=price, retry_at=retry_at)


def bring_to_all(mission: Mission, account: ProviderAccount) -> None:
    """Fail items 1–2 and 3 for two causes, complete 4, lose 5, run 6, leave the rest pending."""
    first, second, third, fourth, fifth, sixth = claim(mission, account, 6)
    assert begin(first, second, third, fourth, fifth, sixth)
    assert accept(first, second, fourth, sixth)
    assert fail(first)
    assert fail(second)
    assert refuse(third, again=False)
    assert succeed(fourth)
    assert lose_answer(fifth)


def bring_to(status: str, attempt_id: int) -> int:
    """Move a prepared attempt to another status, the way the engine does."""
    steps: dict[str, list[Callable[[int], bool]]] = {
        "prepared": [],
        "sending": [begin],
        "running": [begin, accept],
        "unconfirmed": [begin, lose_answer],
        "succeeded": [begin, accept, succeed],
        "failed": [begin, accept, fail],
        "refused": [begin, lambda pk: refuse(pk, again=False)],
        "void": [lambda pk: lifecycle.withdraw(pk, reason="test")],
        "cancelled": [],
    }
    for step in steps[status]:
        assert step(attempt_id)
    return attempt_id


# --- What must hold at any moment ---


def check_mission(mission_id: int) -> None:
    """Check counts, money, events and that no item has two live attempts."""
    mission = Mission.objects.get(pk=mission_id)
    rows = dict(mission.items.values_list("status").annotate(Count("pk")).order_by())
    assert mission.counts == {status.value: rows.get(status.value, 0) for status in ItemStatus}
    assert mission.total_count == mission.items.count()
    _check_money(mission)
    for item in mission.items.all():
        _check_item(item)
    chosen = [item.place for item in mission.items.filter(is_chosen=True)]
    assert sorted(chosen) == sorted({item.place for item in mission.items.all()})
    _check_chain(mission.events.filter(item=None), "", mission.status)
    if mission.status in (MissionStatus.COMPLETED, MissionStatus.FAILED):
        assert not mission.in_flight_count + mission.pending_count + mission.unconfirmed_count
        assert mission.ended_at
        assert bool(mission.completed_count) == (mission.status == MissionStatus.COMPLETED)
    if mission.status == MissionStatus.CANCELLED:
        assert not mission.pending_count
        assert not Attempt.objects.filter(item__mission=mission, status=AttemptStatus.PREPARED).exists()


def _check_money(mission: Mission) -> None:
    attempts = Attempt.objects.filter(item__mission=mission)
    assert mission.cost == sum(mission.items.values_list("cost", flat=True), Decimal(0))
    assert mission.cost == sum(attempts.exclude(cost=None).values_list("cost", flat=True), Decimal(0))
    is_open = Q(status__in=LIVE_ATTEMPTS) | Q(status=AttemptStatus.SUCCEEDED, cost=None)
    expected = attempts.filter(is_open, expected_cost__isnull=False).values_list("expected_cost", flat=True)
    assert mission.reserved_cost == sum(expected, Decimal(0))  # (SQLite would add binary fractions)


MAY_BE_PAID = [
    AttemptStatus.RUNNING,
    AttemptStatus.UNCONFIRMED,
    AttemptStatus.SUCCEEDED,
    AttemptStatus.FAILED,
    AttemptStatus.CANCELLED,
]
LIVE_STATUS = {
    AttemptStatus.PREPARED: ItemStatus.SUBMITTING,
    AttemptStatus.SENDING: ItemStatus.SUBMITTING,
    AttemptStatus.RUNNING: ItemStatus.PROCESSING,
    AttemptStatus.UNCONFIRMED: ItemStatus.UNCONFIRMED,
}


def _check_item(item: MissionItem) -> None:
    attempts = list(item.attempts.all())
    live = [attempt for attempt in attempts if attempt.status in LIVE_ATTEMPTS]
    assert [LIVE_STATUS[AttemptStatus(attempt.status)] for attempt in live] in ([], [item.status])
    assert bool(live) == (item.status in LIVE_STATUS.values())
    assert item.attempt_count == sum(attempt.status in MAY_BE_PAID for attempt in attempts)
    assert item.submission_count == len(attempts) == max((attempt.number for attempt in attempts), default=0)
    assert bool(item.ended_at) == (item.status in (ItemStatus.COMPLETED, ItemStatus.FAILED, ItemStatus.CANCELLED))
    _check_chain(item.events.all(), "" if item.first_index else ItemStatus.PENDING, item.status)


def _check_chain(events: Iterable[ItemEvent], start: str, end: str) -> None:
    statuses = [start]
    for event in events:
        assert event.from_status == statuses[-1], f"{event} after {statuses}"
        statuses.append(event.to_status)
    assert statuses[-1] == end


# --- Two at once ---


def at_once(*verbs: Callable[[], Any]) -> list[Any]:
    """Run callables in threads that start together.  Return results or exceptions in order."""
    results: list[Any] = [None] * len(verbs)
    barrier = threading.Barrier(len(verbs))

    def run(place: int, verb: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[place] = verb()
        except Exception as error:  # noqa: BLE001  it is looked at by the test
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(verbs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- Time ---

CLOCKS: list[tuple[type[Model], list[str]]] = [
    (Mission, ["not_before"]),
    (MissionItem, ["available_at"]),
    (
        Attempt,
        [
            "created_at",
            "sending_at",
            "accepted_at",
            "running_seen_at",
            "unanswered_since",
            "next_poll_at",
            "ended_at",
        ],
    ),
    (Output, ["next_try_at", "expires_at"]),
    (ProviderAccount, ["soft_limit_at", "ticked_at", "reaped_at", "checked_at"]),
    (ProviderUpload, ["expires_at"]),
    (WorkerCluster, ["beat_at"]),
    (OrmQ, ["lock"]),
]


def pass_time(seconds: float) -> None:
    """Let time pass for every row, so that no test has to wait: what was now is ``seconds`` ago."""
    step = timedelta(seconds=seconds)
    for model, names in CLOCKS:
        model._default_manager.update(**{name: F(name) - step for name in names})


# --- Messages ---


class Workers:
    """Workers in this process: take messages from the broker's table and execute them in order.

    ``limit`` in seconds is the patience of ``run``, in real time.
    """

    def __init__(self, account: ProviderAccount) -> None:
        self.account = account
        self.played: list[tuple[str, tuple[Any, ...]]] = []
        self.seconds_passed = 0.0
        self.is_patient = False  # True: wait for later messages in real time instead of moving the clock

    def waiting(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return messages that were not executed yet, soonest first."""
        commit()
        return [_read(row)[:2] for row in _messages()]

    def play(self, *names: str) -> int:
        """Execute every due message and its successors, or only those named.

        Ticks are left alone unless they are named.  Returns how many were played.
        """
        count = 0
        while row := self._next(names):
            self._do(row)
            count += 1
        return count

    def run(self, until: Callable[[], bool]) -> None:
        """Start the ticks and go on, while time passes, until something is true.

        After five minutes of real time, fail with the state that was reached.
        """
        execution.arm(self.account.pk)
        commit()
        deadline = time.monotonic() + 300
        while not until():
            assert time.monotonic() < deadline, f"not reached; {self._state()}"
            row = _messages().filter(lock__lte=timezone.now()).first()
            if row:
                self._do(row)
            else:
                self._wait()

    def finish(self, mission: Mission) -> Mission:
        """Run until the mission has ended and no file is left to fetch."""

        def is_over() -> bool:
            mission.refresh_from_db()
            is_fetching = Output.objects.filter(item__mission=mission, status="pending").exists()
            return mission.status in lifecycle.ENDED and not mission.in_flight_count and not is_fetching

        self.run(is_over)
        check_mission(mission.pk)
        return mission

    def _next(self, names: tuple[str, ...]) -> OrmQ | None:
        commit()
        for row in _messages().filter(lock__lte=timezone.now()):
            name = _read(row)[0]
            if name in names or (not names and name != "tick"):
                return row
        return None

    def _do(self, row: OrmQ) -> None:
        name, args, function = _read(row)
        row.delete()
        self.played.append((name, args))
        module, _, verb = function.rpartition(".")
        getattr(import_module(module), verb)(*args)
        commit()

    def _wait(self) -> None:
        soonest = _messages().first()
        seconds = 0.05 if soonest is None else (soonest.lock - timezone.now()).total_seconds()
        if self.is_patient:
            time.sleep(max(min(seconds, 0.05), 0))
            return
        time.sleep(0.01)  # the simulator's clock is a real one
        pass_time(max(seconds, 0.0))
        self.seconds_passed += max(seconds, 0.0)

    def _state(self) -> dict[str, Any]:
        return {
            "missions": list(Mission.objects.values_list("pk", "status")),
            "items": list(MissionItem.objects.values_list("status").annotate(Count("pk")).order_by()),
            "messages": self.waiting()[:5],
        }


def commit() -> None:
    """Run on_commit callbacks now, in a test that is one transaction."""
    if connection.in_atomic_block:
        while connection.run_on_commit:
            entry: Any = connection.run_on_commit.pop(0)
            entry[1]()


def _messages() -> Any:
    return OrmQ.objects.filter(key=Conf.CLUSTER_NAME).order_by("lock", "pk")


def _read(row: OrmQ) -> tuple[str, tuple[Any, ...], str]:
    message = SignedPackage.loads(row.payload)
    function = str(message["func"])
    return function.rpartition(".")[2], tuple(message["args"]), function
