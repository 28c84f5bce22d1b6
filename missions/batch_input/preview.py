"""What would happen if this were submitted: how many items, at which price, for how long; or everything that is wrong.

Nothing is stored and nothing is spent here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from core.errors import FieldError
from missions import selectors, services
from missions.batch_input import columns, composition, importers
from missions.batch_input.composition import Composed, Entry, RowProblem
from providers.catalog import Model
from providers.models import ProviderAccount

FIRST_ITEMS = 3
SHOWN_VALUE = 80
MAX_ROUNDS = 60  # of leaving out: each finds up to services.MAX_ERRORS rows


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that a person wants, as far as it decides what is made and what it costs."""

    owner: AbstractBaseUser
    name: str
    model: Model
    params: Mapping[str, Any]
    entry: Entry
    repeat: int = 1
    description: str = ""
    spending_limit: Decimal | None = None
    leave_out: bool = False  # make the mission of the rows that are right

    def arguments(self, rows: Sequence[Any]) -> dict[str, Any]:
        """What ``services.check_mission`` and ``services.create_mission`` take."""
        return {
            "owner": self.owner,
            "name": self.name,
            "description": self.description,
            "task_type": self.model.task_type.value,
            "model": self.model.endpoint,
            "params": self.params,
            "rows": rows,
            "repeat": self.repeat,
            "spending_limit": self.spending_limit,
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """``rows`` are those that would be submitted, ``count`` the items that they make, ``seconds`` None while nobody knows.

    ``problems`` are those of the form as a whole, by ``create_mission``'s arguments (``params.prompt``); ``row_problems`` by row.
    """

    wanted: Wanted
    rows: list[Any] = field(default_factory=list)
    count: int = 0
    repeated: int = 0
    left_out: int = 0
    estimate: Decimal | None = None
    seconds: float | None = None
    first_items: list[dict[str, Any]] = field(default_factory=list)
    problems: list[FieldError] = field(default_factory=list)
    row_problems: list[RowProblem] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        wrong = self.problems or (self.row_problems and not self.wanted.leave_out)
        return bool(self.count) and not wrong

    @property
    def is_empty(self) -> bool:
        """Whether nothing was entered yet, which is no mistake."""
        return not self.count and not self.row_problems and not self.problems

    @property
    def goes_beyond_limit(self) -> bool:
        limit = self.wanted.spending_limit
        return limit is not None and self.estimate is not None and self.estimate > limit

    @property
    def currency(self) -> str:
        return self.wanted.model.currency

    @property
    def promise(self) -> str:
        """What the button says, for comparison: a mission is only made if it is still true then."""
        return f"{self.wanted.model.endpoint} {self.count} {self.estimate} {self.currency}"

    @property
    def problem_count(self) -> int:
        return len(self.problems) + len(self.row_problems)


def preview(wanted: Wanted) -> Preview:
    """Check everything, as ``services.create_mission`` would."""
    count = composition.count(wanted.entry)
    if too_many := services.size_problem(count * wanted.repeat):
        return Preview(wanted, count=count * wanted.repeat, problems=[too_many])
    composed = composition.compose(wanted.entry, wanted.model, owner=wanted.owner)
    if not composed.rows and not composed.problems:
        return Preview(wanted)
    return _with_facts(_check(wanted, composed))


def _check(wanted: Wanted, composed: Composed) -> Preview:
    """Ask the services.  Leaving out, ask again without the rows that were wrong, until none is."""
    kept = [number for number in range(len(composed.rows)) if number not in composed.broken]
    found = list(composed.problems)
    problems: list[FieldError] = []
    for _round in range(MAX_ROUNDS if wanted.leave_out else 1):
        errors, draft = services.check_mission(**wanted.arguments([composed.rows[number] for number in kept]))
        wrong = [error for error in errors if error.field.startswith("batch_input.")]
        problems = [error for error in errors if error not in wrong] if kept else []
        found += [_row_problem(error, composed, kept) for error in wrong]
        if draft is not None:
            return _accepted(wanted, composed, kept, draft, found)
        if not wrong:
            break
        named = {_row_number(error) for error in wrong}
        kept = [number for place, number in enumerate(kept) if place not in named] if wanted.leave_out else kept
    return Preview(
        wanted,
        rows=[composed.rows[number] for number in kept],
        count=len(kept) * wanted.repeat,
        problems=problems,
        row_problems=found,
        first_items=[_as_row(composed.rows[number], wanted) for number in kept[:FIRST_ITEMS]],
    )


def _accepted(
    wanted: Wanted, composed: Composed, kept: Sequence[int], draft: services.Draft, found: list[RowProblem]
) -> Preview:
    return Preview(
        wanted,
        rows=[composed.rows[number] for number in kept],
        count=len(draft.rows),
        left_out=len(composed.rows) - len(kept),
        estimate=draft.estimated_cost,
        row_problems=found,
        first_items=[draft.params | row for row in draft.rows[:FIRST_ITEMS]],
    )


def _with_facts(checked: Preview) -> Preview:
    return replace(
        checked,
        repeated=importers.duplicates(checked.rows),
        seconds=expected_seconds(checked.wanted.model, checked.count),
    )


def _as_row(row: Any, wanted: Wanted) -> dict[str, Any]:
    return {name: value for name, value in (dict(wanted.params) | row).items() if value not in ("", None, [])}


def _row_number(error: FieldError) -> int:
    return int(error.field.split(".")[1])


def _row_problem(error: FieldError, composed: Composed, kept: Sequence[int]) -> RowProblem:
    number = kept[_row_number(error)]
    name = error.field.split(".", 2)[2]
    row = composed.rows[number]
    value = row.get(name, "") if isinstance(row, dict) else row
    return RowProblem(
        composed.places[number], error.message, field=name, column=composed.columns.get(name, ""), value=_shown(value)
    )


def _shown(value: Any) -> str:
    text = importers.SEPARATOR.join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= SHOWN_VALUE else text[: SHOWN_VALUE - 1] + "…"


def expected_seconds(model: Model, count: int) -> float | None:
    """How long ``count`` items would take if nothing else ran, by this model's latest successes; None if there were too few."""
    known = selectors.expectation(model.endpoint)
    if known is None or not count:
        return None
    accounts = ProviderAccount.objects.in_use().filter(provider=model.provider)
    slots = sum(selectors.slot_limit(account, now=timezone.now()) for account in accounts)
    waves = math.ceil(count / (slots or settings.RUNNINGHUB_CONCURRENCY or 1))
    return (waves - 1) * (known.first + known.last) / 2 + known.last


def longest_prompt(wanted: Wanted) -> tuple[int, int | None]:
    """The length of the longest prompt that was typed, and how long one may be."""
    field_ = columns.prompt_field(wanted.model)
    lengths = (len(text) for _line, text in composition.prompt_lines(wanted.entry.prompts))
    return max(lengths, default=0), field_.max_length if field_ else None
