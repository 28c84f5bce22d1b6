"""States of tasks.  A task's course is decided at acceptance; afterwards only the clock moves."""

from __future__ import annotations

import math
from dataclasses import dataclass

QUEUED, RUNNING, SUCCESS, FAILED, CANCEL = "QUEUED", "RUNNING", "SUCCESS", "FAILED", "CANCEL"
GONE = "GONE"  # never on the wire: the service answers 1004

# what was drawn at acceptance → status at the end; anything else is the code of a failure
FINAL = {"success": SUCCESS, "empty": SUCCESS, "cancel": CANCEL, "vanish": GONE, "never": RUNNING}


@dataclass(frozen=True, slots=True)
class Task:
    """One accepted, paid submission.  Times are epoch seconds, ``price`` is a decimal string."""

    id: str
    owner: str
    request: str
    endpoint: str
    params: str
    marks: str
    outcome: str
    results: int
    price: str
    base: str
    webhook_url: str
    accepted_at: float
    starts_at: float
    ends_at: float
    is_told: int = 0

    @property
    def kind(self) -> str:
        return kind_of(self.endpoint)

    @property
    def code(self) -> str:
        """The code with which it fails, or ""."""
        return "" if self.outcome in FINAL else self.outcome

    def status(self, now: float) -> str:
        if now < self.ends_at:
            return QUEUED if now < self.starts_at else RUNNING
        return FINAL.get(self.outcome, FAILED)

    @property
    def files(self) -> int:
        return self.results if self.outcome == "success" else 0


def kind_of(endpoint: str) -> str:
    """Return the kind of an endpoint's results: "image", "video" or "text"."""
    last = endpoint.rsplit("/", 1)[-1]
    if last.endswith(("-character", "-to-text")):
        return "text"
    return "video" if last.endswith("-to-video") or "video" in endpoint else "image"


def end_of(accepted_at: float, seconds: float, outcome: str) -> float:
    return math.inf if outcome == "never" else accepted_at + seconds
