"""Check a mission entry: its items, price and duration, or all its problems.

Nothing is stored or spent.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.db.models import F
from django.utils import timezone

from batch_input.hints import MARKUP, hints_of_rows
from batch_input.report import InputReport
from batch_input.rows import BatchRows, RowProblem, Source, build_rows, count_repeats, table_columns
from batch_input.tables import SEPARATOR
from batch_input.variables import columns_in, count_varied
from core.errors import FieldError
from mission_pages.new_mission.form import ALSO, FormState, MissionEntry, parse
from missions import durations, services
from missions.models import Mission, MissionStatus
from providers import slots
from providers.catalog import Model
from providers.models import ProviderAccount

FIRST_ITEMS = 3
MAX_VALUE_LENGTH = 80  # characters of an invalid value that are shown
NAMES_SHOWN = 3
MAX_ROUNDS = 60  # of skipping invalid rows; each round finds up to services.MAX_ERRORS of them


@dataclass(frozen=True, slots=True)
class Preview:
    """The result of a check. ``rows`` would be submitted and make ``count`` items; ``time`` is None
    if it is unknown.

    ``problems`` concern the form as a whole, named as the arguments of ``validate_mission`` are
    (``params.prompt``); ``row_problems`` concern single rows. ``varied_count`` prompts have
    alternatives, and with variables all are ``varied_items``; ``named_columns`` name columns.
    ``run_first`` items run before a release and cost ``first_price``, the rest ``rest_price``;
    None if all run, or a price is unknown.
    ``report`` says what was read, with hints about the texts among its warnings. ``others`` are
    the previews of further models for the same rows.
    """

    entry: MissionEntry
    rows: Sequence[Any] = ()
    count: int = 0
    repeated_count: int = 0
    skipped_count: int = 0
    estimate: Decimal | None = None
    time: ExpectedTime | None = None
    first_items: Sequence[dict[str, Any]] = ()
    problems: list[FieldError] = field(default_factory=list)
    row_problems: list[RowProblem] = field(default_factory=list)
    report: InputReport = field(default_factory=InputReport)
    draft: services.Draft | None = None
    varied_count: int = 0
    varied_items: int = 0
    named_columns: int = 0
    run_first: int | None = None
    first_price: Decimal | None = None
    rest_price: Decimal | None = None
    others: Sequence[Preview] = ()

    @property
    def all(self) -> list[Preview]:
        """This preview and those of further models, each a mission."""
        return [self, *self.others]

    @property
    def total_count(self) -> int:
        """The items of all missions."""
        return sum(each.count for each in self.all)

    @property
    def total_estimate(self) -> Decimal | None:
        """The price of all missions; None if one is unknown, or their currencies differ."""
        estimates = [each.estimate for each in self.all if each.estimate is not None]
        currencies = {each.currency for each in self.all if each.estimate}
        return sum(estimates, Decimal(0)) if len(estimates) == len(self.all) and len(currencies) < 2 else None

    @property
    def price_now(self) -> Decimal | None:
        """The price of what all missions send before a release; None if one is unknown."""
        prices = [each.first_price if each.run_first else each.estimate for each in self.all]
        known = [price for price in prices if price is not None]
        return sum(known, Decimal(0)) if len(known) == len(prices) and self.total_estimate is not None else None

    @property
    def total_currency(self) -> str:
        """The currency of all missions that cost something."""
        return next((each.currency for each in self.all if each.estimate), self.currency)

    @property
    def file_names(self) -> list[str]:
        """Return the first names of result files."""
        return self.draft.naming.examples(self.draft.file_stems(NAMES_SHOWN)) if self.draft else []

    @property
    def is_empty(self) -> bool:
        return not self.count and not self.problem_count

    @property
    def is_ready(self) -> bool:
        """True if the mission can be submitted as it is."""
        has_row_problems = bool(self.row_problems) and not self.entry.leave_out
        is_ready = self.draft is not None and not has_row_problems and not self.entry.form.errors
        return is_ready and all(other.is_ready for other in self.others)

    @property
    def currency(self) -> str:
        return self.entry.model.currency

    @property
    def exceeds_limit(self) -> bool:
        """True if the mission will pause at its own spending limit before it ends."""
        limit = self.entry.spending_limit
        return limit is not None and self.estimate is not None and self.estimate > limit

    @property
    def held_count(self) -> int:
        """The items that wait for a release."""
        return self.count - self.run_first if self.run_first else 0

    @property
    def quoted_total(self) -> str:
        """Return what the submit button promises: count, price, and what was read of which file.

        A mission is created only while this is still true.
        """
        quote = f"{self.entry.model.endpoint} {self.count} {self.estimate} {self.currency}"
        quote += "".join(f" + {other.quoted_total}" for other in self.others)
        if self.entry.variations:
            quote += f" {json.dumps(self.entry.variations)}"
        if self.entry.rules.has_variables:
            quote += " variables"
        if self.run_first:
            quote += f" first {self.run_first}"
        report = self.entry.report
        if self.entry.batch.source == Source.FILE:
            return f"{quote} {hashlib.sha256(json.dumps(report.to_json()).encode()).hexdigest()[:16]}"
        return f"{quote} {report.name}" if report.name else quote

    @property
    def problem_count(self) -> int:
        return len(self.problems) + len(self.row_problems)


def check(entry: MissionEntry) -> Preview:
    """Build the rows and validate them.

    If invalid rows are to be skipped, validate again without them.
    """
    count = entry.batch.row_count * entry.repeat
    if too_many := services.size_problem(count):
        return Preview(entry, count=count, problems=[too_many])
    built = build_rows(entry.batch, owner=entry.owner)
    if not built.rows and not built.problems:
        return Preview(entry)

    columns = table_columns(entry.batch.imported) if entry.rules.has_variables and entry.batch.imported else None
    varied_count, varied_items, named_columns = _variables(entry, built.rows)
    numbers = [number for number in range(len(built.rows)) if number not in built.invalid]
    row_problems = list(built.problems)
    problems: list[FieldError] = []
    draft = None
    for _round in range(MAX_ROUNDS if entry.leave_out else 1):
        errors: list[FieldError] = []
        try:
            cells = None if columns is None else [columns[number] for number in numbers]
            chosen = [built.rows[number] for number in numbers], [built.origins[number] for number in numbers]
            draft = services.validate_mission(**entry.arguments(*chosen, built.headings, cells))
        except services.MissionInvalid as invalid:
            errors = invalid.errors
        row_errors = [error for error in errors if error.field.startswith("batch_input.")]
        problems = [error for error in errors if not error.field.startswith("batch_input.")] if numbers else []
        row_problems += [_row_problem(error, built, numbers) for error in row_errors]
        if draft is not None or not row_errors:
            break
        if entry.leave_out:
            invalid_places = {int(error.field.split(".")[1]) for error in row_errors}
            numbers = [number for place, number in enumerate(numbers) if place not in invalid_places]

    rows = [built.rows[number] for number in numbers]
    if draft is not None:
        count = len(draft.rows)
        shown = 2 * FIRST_ITEMS if entry.rules.has_variables else FIRST_ITEMS
        first_items = [draft.params | row for row in draft.rows[:shown]]
    else:
        count = len(rows) * entry.repeat
        first_items = [
            {name: value for name, value in (dict(entry.params) | row).items() if value not in ("", None, [])}
            for row in rows[:FIRST_ITEMS]
        ]
    run_first = entry.run_first if entry.run_first is not None and entry.run_first < count else None
    first_price, rest_price = draft.prices_of_parts(run_first) if draft is not None and run_first else (None, None)
    sent = rows if draft is None or not entry.rules else [draft.params | row for row in draft.rows]
    hints = [hint for hint in hints_of_rows(sent, entry.model) if not varied_count or hint.code != MARKUP.code]
    skipped_count = len(built.rows) - len(rows) if draft is not None else 0
    report = replace(
        entry.report,
        warnings=(
            *entry.report.warnings,
            *built.warnings,
            *hints,
            *(draft.warnings if draft is not None else ()),
        ),
    )
    if entry.batch.source == Source.FILE:
        report = replace(report, rows=len(rows), skipped=report.skipped + skipped_count)
    return Preview(
        entry,
        rows=rows,
        count=count,
        repeated_count=count_repeats(rows),
        skipped_count=skipped_count,
        estimate=draft.estimated_cost if draft is not None else None,
        time=expected_time(entry.model, count, priority=entry.priority),
        first_items=first_items,
        problems=problems,
        row_problems=row_problems,
        report=report,
        draft=draft,
        varied_count=varied_count,
        varied_items=varied_items,
        named_columns=named_columns,
        run_first=run_first,
        first_price=first_price,
        rest_price=rest_price,
    )


def check_models(state: FormState, entry: MissionEntry) -> Preview:
    """Check an entry, and the same rows with each of its further models."""
    preview = check(entry)
    others = []
    for model in entry.also:
        fields = {name: text for name, text in state.fields.items() if not name.startswith(ALSO)}
        other = parse(replace(state, fields=fields | {"model": model.key}))
        others.append(check(replace(other, name=entry.name)))
    preview = replace(preview, others=others)
    if others and preview.is_ready:
        errors = services.group_limit_errors([each.draft for each in preview.all if each.draft])
        if errors:
            preview = replace(preview, problems=[*preview.problems, *errors], draft=None)
    return preview


def _variables(entry: MissionEntry, rows: Sequence[Any]) -> tuple[int, int, int]:
    """Return how many prompts have alternatives, how many items they all make, and how many name
    columns of the table. The items of a table whose cells name columns are counted by the check.
    """
    prompt = entry.batch.prompt
    if prompt is None:
        return 0, 0, 0
    shared = entry.params.get(prompt.name, "")
    texts = [entry.rules.around(str(row.get(prompt.name, shared))) for row in rows]
    texts = [text for text in texts if "{" in text or "｛" in text]
    varied_count, items = count_varied(texts)
    return varied_count, items + len(rows) - len(texts), sum(bool(columns_in(text)) for text in texts)


def _row_problem(error: FieldError, built: BatchRows, numbers: Sequence[int]) -> RowProblem:
    """Return an error such as ``batch_input.3.prompt`` with its row's origin and value."""
    _batch_input, place, name = error.field.split(".", 2)
    number = numbers[int(place)]
    value = built.rows[number].get(name, "")
    text = SEPARATOR.join(map(str, value)) if isinstance(value, list) else str(value)
    if len(text) > MAX_VALUE_LENGTH:
        text = text[: MAX_VALUE_LENGTH - 1] + "…"
    return RowProblem(built.origins[number], error.message, field=name, column=built.columns.get(name, ""), value=text)


@dataclass(frozen=True, slots=True)
class ExpectedTime:
    """The expected duration of a mission that is submitted now, and what runs beside it.

    ``queued_count``  items of other missions that share the slots or come first
    """

    seconds: float
    queued_count: int


def expected_time(model: Model, count: int, *, priority: int = 0) -> ExpectedTime | None:
    """Return the expected duration of ``count`` items; None if it is unknown.

    Items of missions with a higher priority run first. Missions of the same priority share the
    slots, so the longest of them do not delay this one by all of their items.
    """
    expectation = durations.expectation(model.provider, model.endpoint)
    if expectation is None or not count:
        return None
    accounts = ProviderAccount.objects.filter(provider=model.provider)
    # Of those that could be used, when none can be used now.
    usable = accounts.in_use() or accounts or [ProviderAccount(provider=model.provider)]
    slot_count = sum(slots.slot_limit(account, now=timezone.now()) for account in usable)
    open_missions = Mission.objects.filter(
        provider=model.provider, status__in=[MissionStatus.QUEUED, MissionStatus.RUNNING], priority__gte=priority
    )
    left = F("pending_count") + F("submitting_count") + F("processing_count") - F("held_count")
    first, beside, sharing = 0, 0, 0
    for its_priority, its_left in open_missions.values_list("priority", left):
        if its_priority > priority:
            first += its_left
        elif its_left:
            beside += its_left
            sharing += 1
    waves = math.ceil((first + min(beside + count, count * (sharing + 1))) / max(slot_count, 1))
    seconds = (waves - 1) * (expectation.first + expectation.last) / 2 + expectation.last
    return ExpectedTime(seconds, first + beside)
