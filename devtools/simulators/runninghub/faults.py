"""Faults, by option or by a marker in the prompt.

A fault is named ``<where>_<what>``.  *where* says at which moment, *what* says how:

    submit_*   a submit is refused before it is accepted: nothing is paid
    paid_*     a submit is accepted and paid, then its answer is spoilt
    query_* upload_* cancel_* account_* price_*   the answer is spoilt
    task_*     how an accepted task ends
    file_*     how a result file downloads
    webhook_*  how a webhook is delivered

A fault is armed with the next N requests (an integer) or with a probability (a float, or "always").
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devtools.simulators.http import CUT_FAULTS, HTTP_FAULTS

# where → named faults, is an HTTP status allowed, is a RunningHub code allowed
WAYS: dict[str, tuple[frozenset[str], bool, bool]] = {
    "submit": (frozenset({"drop", "hang", "malformed", "no_id"}), True, True),
    "paid": (CUT_FAULTS | {"malformed", "no_id"}, True, True),
    "query": (CUT_FAULTS | {"malformed", "early"}, True, True),
    "upload": (CUT_FAULTS | {"malformed"}, True, True),
    "cancel": (CUT_FAULTS | {"malformed"}, True, True),
    "account": (CUT_FAULTS | {"malformed"}, True, True),
    "price": (CUT_FAULTS | {"malformed"}, True, True),
    "task": (frozenset({"cancel", "never", "vanish", "empty"}), False, True),
    "file": (CUT_FAULTS | {"html", "short", "zip"}, True, False),
    "webhook": (frozenset({"lost", "double", "late"}), False, False),
}

Amount = int | float


def fault_name(text: str) -> tuple[str, str]:
    """Split ``"submit_500"`` into ``("submit", "500")``.  Raises ValueError if unknown."""
    where, _, what = text.replace("-", "_").partition("_")
    names, takes_status, takes_code = WAYS.get(where, (frozenset(), False, False))
    if what in names or (takes_status and what in HTTP_FAULTS) or (takes_code and code_of(what)):
        return where, what
    raise ValueError(f"there is no fault {text!r}")


def code_of(what: str) -> str:
    """Return the code in ``"1501"`` or ``"code_500"`` (also an HTTP status), or ""."""
    code = what.removeprefix("code_")
    return code if code.isdecimal() and code.isascii() else ""


def amount_of(value: Any) -> Amount:
    """Return an amount: 3 for the next three requests, 0.1 for one in ten, 0 for none.

    "always" is 1.0. Raises ValueError.
    """
    if value == "always":
        return 1.0
    if isinstance(value, str):
        value = float(value) if "." in value else int(value)
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"expected a count, a probability up to 1.0 or 'always', not {value!r}")


def chance(*parts: object) -> float:
    """Return a number in [0, 1) that depends only on the parts."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


# --- markers in prompts ---

MARKER = re.compile(r"\[\[sim:([^\[\]\"\\]{1,60})\]\]")
ALIASES = {"reject": "submit", "lose": "paid", "fail": "task"}
WORDS = {"no-result": "task:empty", "never": "task:never", "vanish": "task:vanish", "cancel": "task:cancel"}
NUMBERS = {"slow", "results"}


@dataclass(frozen=True, slots=True)
class Marker:
    """``what`` happens at ``where``, the first ``times`` times (None: each time)."""

    where: str
    what: str
    times: int | None = None


@functools.lru_cache(maxsize=4096)
def read_markers(text: str) -> tuple[Marker, ...]:
    """Return every ``[[sim:…]]`` in a text.  Raises ValueError for an unknown one."""
    markers = []
    for marker in MARKER.findall(text):
        spelling = f"task:{marker}" if marker.isdecimal() else WORDS.get(marker, marker)
        where, what, times = [*spelling.split(":"), "", ""][:3]
        if where in NUMBERS and re.fullmatch(r"\d+(\.\d+)?", what):
            markers.append(Marker(where, what))
            continue
        if where.endswith("-once"):
            where, times = where.removesuffix("-once"), "1"
        try:
            markers.append(Marker(*fault_name(f"{ALIASES.get(where, where)}_{what}"), int(times) if times else None))
        except ValueError:
            raise ValueError(f"the simulator does not know the marker [[sim:{marker}]]") from None
    return tuple(markers)


def number(marks: str, name: str, otherwise: float) -> float:
    """Return the value of a marker like ``[[sim:slow:30]]``."""
    return next((float(marker.what) for marker in read_markers(marks) if marker.where == name), otherwise)


# --- deciding ---


class Faults:
    """The armed faults.  ``use(subject, name)`` counts durably how often a marker was applied."""

    def __init__(self, use: Callable[[str, str], int]) -> None:
        self.armed: dict[str, dict[str, Amount]] = {}
        self._use = use
        self._requests: Counter[tuple[str, str]] = Counter()

    def arm(self, name: str, value: Any) -> None:
        where, what = fault_name(name)
        amount = amount_of(value)
        self.armed.setdefault(where, {})[what] = amount
        if not amount:
            self._disarm(where, what)

    def listed(self) -> dict[str, Amount]:
        return {f"{where}_{what}": amount for where, ways in self.armed.items() for what, amount in ways.items()}

    def meet(self, where: str, marks: str, subject: str, seed: int) -> str:
        """Return the fault of this request, or "".  A marker precedes the armed faults."""
        for marker in read_markers(marks) if marks else ():
            if marker.where != where:
                continue
            if marker.times is None or self._use(subject, f"{where}_{marker.what}") <= marker.times:
                return marker.what
        if where not in self.armed:
            return ""
        self._requests[where, subject] += 1
        for what, amount in list(self.armed[where].items()):
            if isinstance(amount, int):
                self.armed[where][what] = amount - 1
                if amount == 1:
                    self._disarm(where, what)
                return what
            if chance(seed, where, what, subject, self._requests[where, subject]) < amount:
                return what
        return ""

    def _disarm(self, where: str, what: str) -> None:
        del self.armed[where][what]
        if not self.armed[where]:
            del self.armed[where]
