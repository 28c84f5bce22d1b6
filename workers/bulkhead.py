"""Bounds on the workers that wait for a provider, so that a slow one cannot take them all.

A worker that calls a provider does nothing else until the answer is there. Without bounds, the
slow answers of one account to one kind of call would take every worker, and nothing else would be
dispatched, polled or sent. Each share is counted over the workers of one cluster:

    one kind of call to one account, or for one mission    half of the workers
    all calls to one account                               three quarters
    all calls                                              seven eighths: the rest needs no provider

The counts are in the shared memory of the cluster. Outside of a cluster there are no bounds.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.worker_slots import WorkerSlots

FEWEST_WORKERS = 4  # with fewer there are no bounds
SLOW_SECONDS = 20.0
RETRY_SECONDS = 1.0  # until a message whose call was not allowed is sent again

_slots: WorkerSlots | None = None


class Call(enum.IntEnum):
    """The kinds of calls. Repeats of unanswered calls are kinds of their own."""

    SUBMIT = 1
    UPLOAD = 2
    QUERY = 3
    REPEATED_QUERY = 4
    DOWNLOAD = 5
    REPEATED_DOWNLOAD = 6
    LOOKUP = 7


@dataclass(frozen=True, slots=True)
class SlowWait:
    """Workers that have waited long for one kind of call. ``seconds``: the longest wait."""

    kind: str
    account_id: int
    workers: int
    seconds: int


def use(slots: WorkerSlots) -> None:
    """Count the calls in the shared memory of this cluster."""
    global _slots
    _slots = slots


@contextlib.contextmanager
def waiting(call: Call, account_id: int, mission_id: int = 0) -> Iterator[bool]:
    """Note that this worker calls a provider. Yield False, and do not call, if too many others do.

    With ``mission_id`` the share of this kind of call is that of the mission.
    """
    if _slots is None:
        yield True
        return
    slots, key = _slots, _key(call, account_id, mission_id)
    is_allowed = slots.begin_wait(key, lambda waits: may_call(key, [other for other, _ in waits], slots.places))
    try:
        yield is_allowed
    finally:
        if is_allowed:
            slots.end_wait()


def may_call(key: int, others: Sequence[int], places: int) -> bool:
    """Return True if one more worker may wait for ``key`` beside those that wait for ``others``."""
    if places < FEWEST_WORKERS:
        return True
    same_account = sum(_account_id(other) == _account_id(key) for other in others)
    return (
        others.count(key) < places // 2
        and same_account < places * 3 // 4
        and len(others) < places - max(places // 8, 1)
    )


def slow_waits(waits: Sequence[tuple[int, float]], *, places: int, now: float) -> list[SlowWait]:
    """Return what at least an eighth of the workers wait for, each for longer than SLOW_SECONDS.

    ``waits`` have a key and a start on the monotonic clock, whose time is ``now``.
    """
    seconds: dict[int, list[float]] = {}
    for key, began in waits:
        if now - began > SLOW_SECONDS:
            seconds.setdefault(key & 0xFFFFFFFF, []).append(now - began)
    return [
        SlowWait(Call(key & 0xFF).name.lower(), _account_id(key), len(times), int(max(times)))
        for key, times in sorted(seconds.items())
        if len(times) >= max(places // 8, 1)
    ]


def _key(call: Call, account_id: int, mission_id: int = 0) -> int:
    """Return a number that is the same for waits of one share: 31 bits, 24 bits, 8 bits."""
    return (mission_id & 0x7FFFFFFF) << 32 | (account_id & 0xFFFFFF) << 8 | call


def _account_id(key: int) -> int:
    return key >> 8 & 0xFFFFFF
