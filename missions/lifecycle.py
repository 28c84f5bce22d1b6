"""The only writer of a status.

Every move is a compare-and-swap: it names the statuses that it may come from, changes the row only if it still has one of
them, and leaves an event.  Whoever loses the race gets ``LostRace`` (or False) and walks away.

Locks are always taken in the order account, a person's spending limit, mission, item, attempt.  A move locks its mission's row
first: the counts on it and the money that it reserves change in the same transaction, events of one mission are written in the
order of their ids, and a mission that a person has just stopped cannot be overtaken by a worker that is about to send.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from billing.budget import Budget
from core.db import bulk
from missions.models import (
    Attempt,
    AttemptStatus,
    ItemEvent,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
    OutputStatus,
)
from missions.policy import circuit_breaker
from providers import catalog
from providers.models import ProviderAccount

log = logging.getLogger(__name__)

ENGINE = "engine"

_T = TypeVar("_T")
_K = TypeVar("_K")

# The engine moves many attempts in one transaction; a savepoint for each would cost two statements.
_atomic = functools.partial(transaction.atomic, savepoint=False)

BATCH = 2000  # rows per statement in bulk moves

RUNNABLE = (MissionStatus.QUEUED, MissionStatus.RUNNING)
LIVE_ITEMS = (ItemStatus.SUBMITTING, ItemStatus.PROCESSING, ItemStatus.UNCONFIRMED)
OPEN = (MissionStatus.SCHEDULED, *RUNNABLE, MissionStatus.PAUSED)
ENDED = (MissionStatus.COMPLETED, MissionStatus.FAILED, MissionStatus.CANCELLED)


@contextlib.contextmanager
def durably() -> Iterator[None]:
    """A transaction that outlives a power failure once it is committed: for what must be on disk before a POST goes out.

    PostgreSQL commits so anyway.  Our SQLite connections do not sync each commit (``synchronous=NORMAL``: a process may die
    at any moment, but with the machine the last commits go too), so this one does.
    """
    is_outermost = connection.vendor == "sqlite" and not connection.in_atomic_block
    if is_outermost:
        _pragma("synchronous=FULL")
    try:
        with transaction.atomic():
            yield
    finally:
        if is_outermost:
            _pragma("synchronous=NORMAL")


def _pragma(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {text}")


class LostRace(Exception):
    """The row had already moved on: somebody else did what was about to be done, or undid its reason."""


@dataclass(frozen=True, slots=True)
class NewOutput:
    """A result that the provider told of and that is still to be fetched (or is a text, and complete)."""

    url: str = ""
    text: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is recorded of a submission that the provider took: the id of its task, its answer, when to ask about it first."""

    remote_task_id: str
    raw: Mapping[str, Any]
    at: datetime
    next_poll_at: datetime


@dataclass(frozen=True, slots=True)
class Success:
    """What is recorded of a task that ended well.  ``cost`` is None when the provider did not say."""

    outputs: Sequence[NewOutput]
    cost: Decimal | None
    raw: Mapping[str, Any]


# --- Missions ---


def open_mission(mission: Mission, *, actor: str) -> None:
    """Give a mission whose items were just created its first status: scheduled when it has a start in the future."""
    is_later = mission.not_before is not None and mission.not_before > timezone.now()
    with transaction.atomic():
        _move_mission(mission, MissionStatus.SCHEDULED if is_later else MissionStatus.QUEUED, actor=actor, is_new=True)


def start_scheduled(mission_id: int) -> None:
    """scheduled → queued, when the time has come.  Raises LostRace."""
    with transaction.atomic():
        mission = _lock(mission_id)
        _require(mission.status == MissionStatus.SCHEDULED)
        _move_mission(mission, MissionStatus.QUEUED, reason=gettext_noop("The planned start has come."))


def pause(mission_id: int, *, actor: str, reason: str) -> list[int]:
    """Stop taking items up.  Items that hold a slot but were not sent go back to pending.

    Returns the ids of the attempts that are on the wire at this moment: they cannot be called back.
    Raises LostRace when the mission is not scheduled, queued or running.
    """
    with transaction.atomic():
        mission = _lock(mission_id)
        _require(mission.status in (MissionStatus.SCHEDULED, *RUNNABLE))
        _pause(mission, actor=actor, reason=reason)
        return _on_the_wire(mission)


def resume(mission_id: int, *, actor: str) -> None:
    """paused → scheduled, queued or running.  Raises LostRace when the mission is not paused."""
    with transaction.atomic():
        mission = _lock(mission_id)
        _require(mission.status == MissionStatus.PAUSED)
        is_later = mission.not_before is not None and mission.not_before > timezone.now()
        if is_later and mission.started_at is None:
            status = MissionStatus.SCHEDULED
        else:
            status = MissionStatus.RUNNING if mission.started_at else MissionStatus.QUEUED
        _move_mission(mission, status, actor=actor, pause_reason="", failure_streak=0)


def cancel(mission_id: int, *, actor: str, reason: str = "") -> tuple[int, list[int]]:
    """Stop for good.  Items that were not sent are cancelled; what was sent is paid and watched to its end.

    Returns how many items were cancelled, and the attempts on the wire at this moment.
    Raises LostRace when the mission has already ended.
    """
    with transaction.atomic():
        mission = _lock(mission_id)
        _require(mission.status in OPEN)
        _move_mission(mission, MissionStatus.CANCELLED, actor=actor, reason=reason, pause_reason="")
        reason = reason or "The mission was cancelled before it was sent."
        count = _withdraw_unsent(mission, ItemStatus.CANCELLED, actor=actor, reason=reason)
        pending = mission.items.filter(status=ItemStatus.PENDING)
        count += _move_many(mission, pending, ItemStatus.PENDING, ItemStatus.CANCELLED, actor=actor, reason=reason)
        _settle(mission)
        return count, _on_the_wire(mission)


def request_deletion(mission_id: int, *, actor: str) -> list[int]:
    """Stop for good and mark for removal.  Returns the attempts on the wire at this moment."""
    with transaction.atomic():
        mission = _lock(mission_id)
        wire: list[int] = []
        if mission.status in OPEN:
            wire = cancel(mission_id, actor=actor, reason=gettext_noop("The mission was deleted."))[1]
        Mission.objects.filter(pk=mission_id, delete_requested_at=None).update(delete_requested_at=timezone.now())
        return wire


def retry_failed(
    mission_id: int,
    items: QuerySet[MissionItem],
    *,
    actor: str,
    reason: str = "",
    params: Mapping[str, Any] | None = None,
) -> int:
    """failed → pending, for those of ``items`` that failed and no others.  Returns how many.

    ``params`` become the items' own parameters.  Raises LostRace when the mission was cancelled or is being deleted.
    """
    with transaction.atomic():
        mission = _lock(mission_id)
        _require(mission.status != MissionStatus.CANCELLED and mission.delete_requested_at is None)
        items = items.filter(mission_id=mission_id, status=ItemStatus.FAILED)
        changes: dict[str, Any] = {
            "available_at": timezone.now(),
            "retry_count": F("retry_count") + 1,
            "refusal_count": 0,
            "attempt_limit": F("attempt_count") + mission.max_attempts,
            "error_code": "",
            "error_message": "",
            "ended_at": None,
        }
        if params is not None:
            changes["params"] = dict(params)
        count = _move_many(
            mission, items, ItemStatus.FAILED, ItemStatus.PENDING, actor=actor, reason=reason, changes=changes
        )
        if count:
            Mission.objects.filter(pk=mission_id).update(failure_streak=0)
            _reopen(mission, actor=actor)
        return count


# --- Items and attempts: the way to the provider ---


def claim(
    mission_id: int, account: ProviderAccount, *, limit: int, now: datetime, budget: Budget | None = None
) -> list[int]:
    """pending → submitting for up to ``limit`` due items of a mission, each with a new prepared attempt.

    Must run in the transaction that holds the account's row lock and, with ``budget``, the lock on the
    owner's spending limit. Return the ids of the new attempts in batch order: as many as the limits
    afford, none when the mission was stopped meanwhile. When the limits afford none, and nothing in
    flight can change that, the mission is paused.
    """
    mission = _lock(mission_id, *_PRICE_FIELDS)
    if mission.status not in RUNNABLE:
        return []
    due = mission.items.filter(status=ItemStatus.PENDING, available_at__lte=now).order_by("available_at", "index")
    items = list(due.select_for_update(skip_locked=True, no_key=True)[:limit])
    if not items:
        return []
    model = catalog.find_model(mission.model, mission.task_type)
    prices = [model.price(mission.params | item.params) for item in items]
    budgets = [known for known in (budget_of(mission), budget) if known]
    affordable = min((known.affordable(prices) for known in budgets), default=len(items))
    if not affordable:
        _pause_if_spent(mission, budgets, prices[0])
        return []
    items, prices = items[:affordable], prices[:affordable]
    for known in budgets:
        known.reserve(prices)
    _move_many(
        mission,
        mission.items.filter(pk__in=[item.pk for item in items]),
        ItemStatus.PENDING,
        ItemStatus.SUBMITTING,
        changes={"account": account, "submission_count": F("submission_count") + 1},
        reserved=sum((price or Decimal(0) for price in prices), Decimal(0)),
    )
    attempts = Attempt.objects.bulk_create(
        Attempt(
            item=item,
            number=item.submission_count + 1,
            account=account,
            key_fingerprint=account.key_fingerprint,
            model=mission.model,
            currency=mission.currency,
            expected_cost=price,
            created_at=now,
        )
        for item, price in zip(items, prices, strict=True)
    )
    if mission.status == MissionStatus.QUEUED:
        _move_mission(mission, MissionStatus.RUNNING, started_at=mission.started_at or now)
    return [attempt.pk for attempt in attempts]


def budget_of(mission: Mission) -> Budget | None:
    """What the mission's own limit leaves; None without one."""
    if mission.spending_limit is None:
        return None
    return Budget(
        mission.spending_limit, mission.cost, mission.reserved_cost, mission.in_flight_count, mission.currency
    )


def _pause_if_spent(mission: Mission, budgets: Sequence[Budget], price: Decimal | None) -> None:
    """Pause a mission of which no item fits, unless what is in flight may yet turn out cheaper than expected."""
    for budget in budgets:
        if not budget.affordable([price]) and (price is None or not budget.in_flight):
            _pause(mission, reason=budget.exhausted_reason(price))
            return


def mark_sending(requests: Mapping[int, Mapping[str, Any]], *, worker: str) -> set[int]:
    """prepared → sending, for several attempts at once: the mark that is on disk before a POST goes out.

    ``requests`` holds the parameters to be sent, by attempt.  Returns the attempts that may be sent now; not among them are
    those that were withdrawn, and those whose mission or account was stopped or whose account was given another key.
    """
    with durably():
        now = timezone.now()
        ready = []
        for mission, attempt in _lock_attempts(requests, AttemptStatus.PREPARED):
            if mission.status in RUNNABLE and _may_send(attempt):
                attempt.request, attempt.worker, attempt.sending_at = storable(requests[attempt.pk]), worker, now
                ready.append((mission, attempt))
            else:
                _void(mission, attempt, reason=gettext_noop("Stopped before it was sent."))
        _move_attempts(ready, AttemptStatus.SENDING, "request", "worker", "sending_at")
        items = MissionItem.objects.filter(pk__in=[attempt.item_id for _, attempt in ready], started_at=None)
        items.update(started_at=now)
        return {attempt.pk for _, attempt in ready}


def _may_send(attempt: Attempt) -> bool:
    """Whether the account may still be used, with the key that it had when the attempt was given to it."""
    account = attempt.account
    is_open = account.is_enabled and not account.paused_at
    return is_open and attempt.key_fingerprint == account.key_fingerprint


def accept(acceptances: Mapping[int, Acceptance], *, reason: str = "", actor: str = ENGINE) -> set[int]:
    """sending → running, and the items submitting → processing: the provider gave the tasks ids.

    Also rescues unconfirmed attempts, for which a person may be the ``actor``.  ``acceptances`` by attempt.  Returns the
    attempts that were moved; not among them are those that had already moved on.
    """
    with _atomic():
        attempts = _lock_attempts(acceptances, AttemptStatus.SENDING, AttemptStatus.UNCONFIRMED)
        for _, attempt in attempts:
            answer = acceptances[attempt.pk]
            attempt.remote_task_id, attempt.raw = answer.remote_task_id, storable(answer.raw)
            attempt.accepted_at, attempt.next_poll_at = answer.at, answer.next_poll_at
            attempt.unanswered_since, attempt.gone_count = None, 0
            attempt.error_code, attempt.error_message = "", ""
        _move_attempts(attempts, AttemptStatus.RUNNING, *_ACCEPTED_FIELDS)
        for (mission, source), group in _grouped(attempts, lambda attempt: attempt.item.status):
            was_counted = source == ItemStatus.UNCONFIRMED
            _move_items(
                mission,
                group,
                ItemStatus.PROCESSING,
                reason=reason,
                actor=actor,
                refusal_count=0,
                error_code="",
                error_message="",
                attempt_count=F("attempt_count") + (0 if was_counted else 1),
            )
        return {attempt.pk for _, attempt in attempts}


def refuse(
    attempt_id: int,
    *,
    code: str,
    message: str,
    retry_at: datetime | None,
    counts: bool = True,
    sources: Collection[AttemptStatus] = (AttemptStatus.PREPARED, AttemptStatus.SENDING),
) -> bool:
    """prepared or sending → refused: the provider certainly did not accept the attempt, so nothing was paid.

    With ``retry_at`` the item goes back to pending until then, else it failed.  ``counts=False`` when the refusal says
    nothing about the item (no free slot, blocked account).  False when the attempt is in none of ``sources`` any more, or was
    removed with its mission.
    """
    with _atomic():
        found = _lock_attempt(attempt_id, *sources)
        if not found:
            return False
        mission, attempt = found
        now = timezone.now()
        _move_attempt(
            attempt, AttemptStatus.REFUSED, error_code=code[:64], error_message=storable(message), ended_at=now
        )
        count = F("refusal_count") + (1 if counts else 0)
        _end_or_requeue(mission, attempt, code=code, message=message, retry_at=retry_at, refusal_count=count)
        return True


def withdraw(attempt_id: int, *, reason: str) -> bool:
    """prepared → void, and its item back to pending: it was provably never sent."""
    with _atomic():
        found = _lock_attempt(attempt_id, AttemptStatus.PREPARED)
        if not found:
            return False
        mission, attempt = found
        _void(mission, attempt, reason=reason)
        return True


def mark_unconfirmed(attempt_id: int, *, code: str, message: str) -> bool:
    """sending → unconfirmed: it may have been paid, so only a person or proof from the provider moves it on."""
    with _atomic():
        found = _lock_attempt(attempt_id, AttemptStatus.SENDING)
        if not found:
            return False
        mission, attempt = found
        _move_attempt(attempt, AttemptStatus.UNCONFIRMED, error_code=code[:64], error_message=storable(message))
        _move_item(
            mission,
            attempt,
            ItemStatus.UNCONFIRMED,
            reason=message,
            error_code=code[:64],
            error_message=storable(message),
            attempt_count=F("attempt_count") + 1,
        )
        return True


def mark_unreachable(attempt_id: int, *, code: str, message: str) -> bool:
    """running → unconfirmed: the provider accepted it, and then could not say for long how it stands."""
    with _atomic():
        found = _lock_attempt(attempt_id, AttemptStatus.RUNNING)
        if not found:
            return False
        mission, attempt = found
        error = {"error_code": code[:64], "error_message": storable(message)}
        _move_attempt(attempt, AttemptStatus.UNCONFIRMED, **error)
        _move_item(mission, attempt, ItemStatus.UNCONFIRMED, reason=message, **error)
        return True


def void_unconfirmed(attempt_id: int, *, actor: str, reason: str) -> bool:
    """unconfirmed → void: a person says, or a late refusal proves, that it never ran.  The item may be submitted again.

    False when the attempt had already moved on, or when a webhook has named its task and that is still to be checked.
    """
    with _atomic():
        found = _lock_attempt(attempt_id, AttemptStatus.UNCONFIRMED)
        if not found:
            return False
        mission, attempt = found
        unhinted = Attempt.objects.filter(pk=attempt_id, status=AttemptStatus.UNCONFIRMED, hinted_task_id="")
        if not unhinted.select_for_update(no_key=True).exists():
            return False
        changes = {"attempt_count": F("attempt_count") - 1, "error_code": "", "error_message": ""}
        _void(mission, attempt, reason=reason, actor=actor, changes=changes)
        _reopen(mission, actor=actor)
        return True


# --- Items and attempts: the way back ---


def succeed(successes: Mapping[int, Success], *, expires_at: datetime, first_try_at: datetime) -> list[int]:
    """running → succeeded, and the items processing → completed.  Returns the ids of the outputs to fetch.

    ``successes`` by attempt; one that had already moved on is left out.  ``expires_at``: when the provider forgets the files;
    ``first_try_at``: when they are fetched by whoever finds that nobody did.
    """
    with _atomic():
        attempts = _lock_attempts(successes, AttemptStatus.RUNNING)
        now = timezone.now()
        for _, attempt in attempts:
            success = successes[attempt.pk]
            attempt.raw, attempt.cost, attempt.ended_at = storable(success.raw), success.cost, now
        _move_attempts(attempts, AttemptStatus.SUCCEEDED, "raw", "cost", "ended_at")
        for (mission, cost), group in _grouped(attempts, lambda attempt: attempt.cost):
            _move_items(mission, group, ItemStatus.COMPLETED, cost=cost, error_code="", error_message="", ended_at=now)
        rows = Output.objects.bulk_create(
            _new_output(attempt, index, output, expires_at=expires_at, first_try_at=first_try_at)
            for _, attempt in attempts
            for index, output in enumerate(successes[attempt.pk].outputs, start=1)
        )
        return [row.pk for row in rows if row.status == OutputStatus.PENDING]


def fail(
    attempt_id: int,
    *,
    code: str,
    message: str,
    cost: Decimal | None = None,
    raw: Mapping[str, Any] | None = None,
    retry_at: datetime | None = None,
) -> bool:
    """running → failed.  The item failed too, or waits until ``retry_at`` for a new attempt."""
    with _atomic():
        found = _lock_attempt(attempt_id, AttemptStatus.RUNNING)
        if not found:
            return False
        mission, attempt = found
        answer = {} if raw is None else {"raw": storable(raw)}
        _move_attempt(
            attempt,
            AttemptStatus.FAILED,
            error_code=code[:64],
            error_message=storable(message),
            ended_at=timezone.now(),
            cost=cost,
            **answer,
        )
        changes = {} if retry_at is None else {"retry_count": F("retry_count") + 1}
        _end_or_requeue(mission, attempt, code=code, message=message, retry_at=retry_at, cost=cost, **changes)
        return True


# --- Outputs ---


def claim_downloads(output_ids: Sequence[int], *, try_number: int, lease_until: datetime) -> list[int]:
    """Take downloads up.  Returns those that are still pending and of which the try was not made yet."""
    with _atomic():
        free = Output.objects.filter(pk__in=output_ids, status=OutputStatus.PENDING, try_count=try_number).order_by(
            "pk"
        )
        claimed = list(free.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
        Output.objects.filter(pk__in=claimed).update(try_count=try_number + 1, next_try_at=lease_until)
        return claimed


def store_outputs(facts: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """pending → stored, with what was found out about each file.  ``facts`` by output; returns those that were moved."""
    stored = {"status": OutputStatus.STORED, "stored_at": timezone.now(), "next_try_at": None, "error_message": ""}
    with _atomic():
        return {
            pk
            for pk, found in facts.items()
            if Output.objects.filter(pk=pk, status=OutputStatus.PENDING).update(**stored, **found)
        }


def lose_output(output_id: int, *, message: str) -> bool:
    """pending → lost: its address has expired.  The item stays completed; it was paid and it ran."""
    with _atomic():
        output = Output.objects.select_related("item", "attempt").get(pk=output_id)
        mission = _lock(output.item.mission_id)
        lost = Output.objects.filter(pk=output_id, status=OutputStatus.PENDING).update(
            status=OutputStatus.LOST, next_try_at=None, error_message=message
        )
        if lost:
            status = output.item.status
            _record(mission, output.item_id, status, status, reason=message, number=output.attempt.number)
        return bool(lost)


def remove_outputs(outputs: QuerySet[Output], *, message: str, now: datetime) -> list[str]:
    """stored → removed, for those of ``outputs`` that are stored.  Returns the names of their files, to be deleted after that."""
    with _atomic():
        rows = list(outputs.filter(status=OutputStatus.STORED).values_list("pk", "file", "thumbnail"))
        Output.objects.filter(pk__in=[pk for pk, _, _ in rows], status=OutputStatus.STORED).update(
            status=OutputStatus.REMOVED, file="", thumbnail="", error_message=message, removed_at=now
        )
        return [name for _, *names in rows for name in names if name]


def abandon_outputs(mission_id: int) -> None:
    """pending → lost for all of a mission that is being removed, so that no download in flight can store a file any more."""
    pending = Output.objects.filter(item__mission=mission_id, status=OutputStatus.PENDING)
    pending.update(status=OutputStatus.LOST, next_try_at=None)


# --- The moves themselves ---


_COUNTS = [f"{status}_count" for status in ItemStatus.values]
_MISSION_FIELDS = (
    "status",
    "model",
    "currency",
    "max_attempts",
    "not_before",
    "started_at",
    "delete_requested_at",
    "failure_streak",
    "failure_streak_code",
    *_COUNTS,
)
_PRICE_FIELDS = ("task_type", "params", "cost", "reserved_cost", "spending_limit")
_ATTEMPT_FIELDS = (
    "status",
    "number",
    "key_fingerprint",
    "expected_cost",
    "item__status",
    "item__mission",
    "account__paused_at",
    "account__is_enabled",
    "account__key_fingerprint",
)
_ACCEPTED_FIELDS = (
    "remote_task_id",
    "raw",
    "accepted_at",
    "next_poll_at",
    "unanswered_since",
    "gone_count",
    "error_code",
    "error_message",
)


def _lock(mission_id: int, *more: str) -> Mission:
    return Mission.objects.select_for_update(no_key=True).only(*_MISSION_FIELDS, *more).get(pk=mission_id)


def _lock_attempts(attempt_ids: Iterable[int], *statuses: AttemptStatus) -> list[tuple[Mission, Attempt]]:
    """Those of the attempts that have one of ``statuses``, with item and account, read after their missions were locked."""
    attempts = Attempt.objects.filter(pk__in=attempt_ids)
    locked = Mission.objects.select_for_update(no_key=True).only(*_MISSION_FIELDS).order_by("pk")
    missions = {mission.pk: mission for mission in locked.filter(pk__in=attempts.values("item__mission"))}
    found = attempts.select_related("item", "account").only(*_ATTEMPT_FIELDS).order_by("pk")
    return [
        (missions[attempt.item.mission_id], attempt) for attempt in found if not statuses or attempt.status in statuses
    ]


def _lock_attempt(attempt_id: int, *statuses: AttemptStatus) -> tuple[Mission, Attempt] | None:
    """``_lock_attempts`` for one: None when it has none of ``statuses`` any more, or was removed with its mission."""
    return next(iter(_lock_attempts([attempt_id], *statuses)), None)


def storable(answer: Any) -> Any:
    """JSON data as every database takes it: PostgreSQL knows no NUL and no half of a surrogate pair."""
    if isinstance(answer, str):
        return answer.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(answer, Mapping):
        return {storable(str(name)): storable(value) for name, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [storable(value) for value in answer]
    return answer


def _require(condition: bool) -> None:
    if not condition:
        raise LostRace


def _move_attempt(attempt: Attempt, to: AttemptStatus, **changes: Any) -> None:
    moved = Attempt.objects.filter(pk=attempt.pk, status=attempt.status).update(status=to, **changes)
    _require(moved == 1)


def _move_attempts(attempts: Sequence[tuple[Mission, Attempt]], to: AttemptStatus, *fields: str) -> None:
    """Move attempts from the statuses that were read under their missions' locks, and write ``fields`` of them."""
    for source, group in _groups(attempts, lambda pair: pair[1].status):
        rows = [attempt for _, attempt in group]
        ids = [attempt.pk for attempt in rows]
        moved = Attempt.objects.filter(pk__in=ids, status=source).update(status=to, **bulk.columns(rows, *fields))
        _require(moved == len(rows))
        for attempt in rows:
            attempt.status = to


def _grouped(
    attempts: Iterable[tuple[Mission, Attempt]], trait: Callable[[Attempt], _T]
) -> Iterator[tuple[tuple[Mission, _T], list[Attempt]]]:
    """The attempts of each mission that share a trait, so that one statement can move them all."""
    for (_, value), group in _groups(attempts, lambda pair: (pair[0].pk, trait(pair[1]))):
        yield (group[0][0], value), [attempt for _, attempt in group]


def _groups(things: Iterable[_T], key: Callable[[_T], _K]) -> Iterator[tuple[_K, list[_T]]]:
    groups: dict[_K, list[_T]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    yield from groups.items()


def _move_item(mission: Mission, attempt: Attempt, to: ItemStatus, **changes: Any) -> None:
    _move_items(mission, [attempt], to, **changes)


def _move_items(
    mission: Mission,
    attempts: Sequence[Attempt],
    to: ItemStatus,
    *,
    reason: str = "",
    actor: str = ENGINE,
    cost: Decimal | None = None,
    **changes: Any,
) -> None:
    """Move the attempts' items from the one status that was read under the mission's lock, and add what each cost.

    What was reserved for them is free again once they are out of the provider's hands and it is known what they cost.
    """
    [source] = {attempt.item.status for attempt in attempts}
    if cost:
        changes["cost"] = F("cost") + cost
    items = MissionItem.objects.filter(pk__in=[attempt.item_id for attempt in attempts], status=source)
    _require(items.update(status=to, **changes) == len(attempts))
    ItemEvent.objects.bulk_create(
        ItemEvent(
            mission=mission,
            item_id=attempt.item_id,
            attempt_number=attempt.number,
            from_status=source,
            to_status=to,
            reason=storable(reason),
            actor=actor,
        )
        for attempt in attempts
    )
    is_open = to in LIVE_ITEMS or (to == ItemStatus.COMPLETED and cost is None)
    _shift_counts(
        mission,
        source,
        to,
        len(attempts),
        cost=cost * len(attempts) if cost else None,
        reserved=Decimal(0) if is_open else -sum(_expected(attempts), Decimal(0)),
    )
    _settle(mission)


def _expected(attempts: Iterable[Attempt]) -> Iterator[Decimal]:
    return (attempt.expected_cost or Decimal(0) for attempt in attempts)


def _move_many(
    mission: Mission,
    items: QuerySet[MissionItem],
    source: ItemStatus,
    to: ItemStatus,
    *,
    actor: str = ENGINE,
    reason: str = "",
    changes: Mapping[str, Any] | None = None,
    reserved: Decimal = Decimal(0),
) -> int:
    """Move all of ``items`` that are in ``source``; ``reserved`` more money than before.  Returns how many."""
    ids = list(items.filter(status=source).order_by("pk").values_list("pk", flat=True))
    ended = {"ended_at": timezone.now()} if to == ItemStatus.CANCELLED else {}
    moved = 0
    for part in batches(ids, BATCH):
        rows = MissionItem.objects.filter(pk__in=part, status=source)
        moved += rows.update(**{"status": to, **ended, **(changes or {})})
    _require(moved == len(ids))
    events = bulk.Table(ItemEvent, "item_id")
    for pk in ids:
        events.add(pk)
    events.write(mission_id=mission.pk, from_status=source, to_status=to, reason=reason, actor=actor)
    if moved:
        _shift_counts(mission, source, to, moved, reserved=reserved)
    return moved


def batches(things: Sequence[_T], size: int) -> Iterator[tuple[_T, ...]]:
    """``things`` in parts of at most ``size``, in order."""
    return (tuple(things[start : start + size]) for start in range(0, len(things), size))


def _shift_counts(
    mission: Mission,
    source: str,
    to: str,
    number: int,
    *,
    cost: Decimal | None = None,
    reserved: Decimal = Decimal(0),
) -> None:
    changes: dict[str, Any] = {
        f"{source}_count": F(f"{source}_count") - number,
        f"{to}_count": F(f"{to}_count") + number,
        "updated_at": timezone.now(),
    }
    if cost:
        changes["cost"] = F("cost") + cost
    if to == ItemStatus.COMPLETED:
        changes["failure_streak"] = 0
    if reserved:
        changes["reserved_cost"] = F("reserved_cost") + reserved
    Mission.objects.filter(pk=mission.pk).update(**changes)
    setattr(mission, f"{source}_count", getattr(mission, f"{source}_count") - number)
    setattr(mission, f"{to}_count", getattr(mission, f"{to}_count") + number)


def _move_mission(
    mission: Mission, to: MissionStatus, *, actor: str = ENGINE, reason: str = "", is_new: bool = False, **changes: Any
) -> None:
    source = mission.status
    moved = Mission.objects.filter(pk=mission.pk, status=source).update(status=to, updated_at=timezone.now(), **changes)
    _require(moved == 1)
    mission.status = to
    _record(mission, None, "" if is_new else source, to, reason=reason, actor=actor)


def _pause(mission: Mission, *, actor: str = ENGINE, reason: str) -> None:
    """Stop taking items up, and take the slot from those that were not sent."""
    _move_mission(mission, MissionStatus.PAUSED, actor=actor, reason=reason, pause_reason=reason)
    if actor == ENGINE:
        log.warning("Mission %s was paused by the engine: its page says why.", mission.pk)
    withdrawn = gettext_noop("The mission was paused before it was sent.")
    _withdraw_unsent(mission, ItemStatus.PENDING, actor=actor, reason=withdrawn)


def _count_failure(mission: Mission, *, code: str, message: str) -> None:
    """An item failed for good.  Pause its mission if too many did so in a row, for the same cause."""
    streak = mission.failure_streak + 1 if code == mission.failure_streak_code else 1
    Mission.objects.filter(pk=mission.pk).update(failure_streak=streak, failure_streak_code=code)
    if (
        not circuit_breaker.trips(streak)
        or mission.status not in RUNNABLE
        or not mission.pending_count + mission.in_flight_count
    ):
        return
    failed = mission.items.filter(status=ItemStatus.FAILED, error_code=code, ended_at__isnull=False)
    latest = failed.order_by("-ended_at").values_list("cost", flat=True)[:streak]
    charged = sum(latest, Decimal(0))
    reason = circuit_breaker.why(count=streak, code=code, message=message, charged=charged, currency=mission.currency)
    _pause(mission, reason=reason)


def _settle(mission: Mission) -> None:
    """Derive from the counts whether the mission has ended."""
    is_busy = mission.in_flight_count or mission.pending_count
    if is_busy or (mission.unconfirmed_count and mission.status != MissionStatus.CANCELLED):
        return
    now = timezone.now()
    if mission.status == MissionStatus.CANCELLED:
        Mission.objects.filter(pk=mission.pk).update(ended_at=now)
    elif mission.status in OPEN:
        to = MissionStatus.COMPLETED if mission.completed_count else MissionStatus.FAILED
        _move_mission(mission, to, ended_at=now, pause_reason="")


def _reopen(mission: Mission, *, actor: str) -> None:
    """An ended mission has work again."""
    if mission.status in (MissionStatus.COMPLETED, MissionStatus.FAILED) and mission.pending_count:
        to = MissionStatus.RUNNING if mission.started_at else MissionStatus.QUEUED
        _move_mission(mission, to, actor=actor, ended_at=None)


def _end_or_requeue(
    mission: Mission, attempt: Attempt, *, code: str, message: str, retry_at: datetime | None, **changes: Any
) -> None:
    """After an attempt that came to nothing: the item waits for the next one, or is at its end."""
    message = storable(message)
    changes |= {"error_code": code[:64], "error_message": message}
    if mission.status == MissionStatus.CANCELLED and retry_at is not None:
        _move_item(mission, attempt, ItemStatus.CANCELLED, reason=message, ended_at=timezone.now(), **changes)
    elif retry_at is not None:
        _move_item(mission, attempt, ItemStatus.PENDING, reason=message, available_at=retry_at, **changes)
    else:
        _move_item(mission, attempt, ItemStatus.FAILED, reason=message, ended_at=timezone.now(), **changes)
        _count_failure(mission, code=code[:64], message=message)


def _void(
    mission: Mission,
    attempt: Attempt,
    *,
    reason: str,
    actor: str = ENGINE,
    changes: Mapping[str, Any] | None = None,
) -> None:
    now = timezone.now()
    _move_attempt(attempt, AttemptStatus.VOID, error_message=storable(reason), ended_at=now)
    if mission.status == MissionStatus.CANCELLED:
        _move_item(mission, attempt, ItemStatus.CANCELLED, reason=reason, actor=actor, ended_at=now, **(changes or {}))
    else:
        _move_item(
            mission, attempt, ItemStatus.PENDING, reason=reason, actor=actor, available_at=now, **(changes or {})
        )


def _withdraw_unsent(mission: Mission, to: ItemStatus, *, actor: str, reason: str) -> int:
    """Take the slot from every item of the mission that holds one and was not sent."""
    attempts = list(_submitting(mission, AttemptStatus.PREPARED).only("item", "expected_cost"))
    item_ids = [attempt.item_id for attempt in attempts]
    Attempt.objects.filter(item_id__in=item_ids, status=AttemptStatus.PREPARED).update(
        status=AttemptStatus.VOID, error_message=reason, ended_at=timezone.now()
    )
    items = MissionItem.objects.filter(pk__in=item_ids)
    freed = sum(_expected(attempts), Decimal(0))
    return _move_many(mission, items, ItemStatus.SUBMITTING, to, actor=actor, reason=reason, reserved=-freed)


def _on_the_wire(mission: Mission) -> list[int]:
    return list(_submitting(mission, AttemptStatus.SENDING).values_list("pk", flat=True))


def _submitting(mission: Mission, status: AttemptStatus) -> QuerySet[Attempt]:
    """Attempts that hold a slot and have no task yet: found by their items, few of which are so, however many there are."""
    return Attempt.objects.filter(item__mission=mission, item__status=ItemStatus.SUBMITTING, status=status).order_by(
        "pk"
    )


def _new_output(
    attempt: Attempt, index: int, output: NewOutput, *, expires_at: datetime, first_try_at: datetime
) -> Output:
    is_file = bool(output.url)
    return Output(
        item_id=attempt.item_id,
        attempt=attempt,
        index=index,
        status=OutputStatus.PENDING if is_file else OutputStatus.STORED,
        text=storable(output.text),
        remote_url=storable(output.url),
        extension=storable(output.extension)[:16],
        expires_at=expires_at if is_file else None,
        next_try_at=first_try_at if is_file else None,
        stored_at=None if is_file else timezone.now(),
    )


def _record(
    mission: Mission,
    item_id: int | None,
    source: str,
    to: str,
    *,
    reason: str = "",
    actor: str = ENGINE,
    number: int | None = None,
) -> None:
    ItemEvent.objects.create(
        mission=mission,
        item_id=item_id,
        attempt_number=number,
        from_status=source,
        to_status=to,
        reason=storable(reason),
        actor=actor,
    )
