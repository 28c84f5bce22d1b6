"""Corrected rows of a spreadsheet, back onto the same failed items.

Reading them changes nothing; ``apply_corrections`` stores them, and retries these items if asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from batch_input.headings import CUSTOM_ID
from batch_input.result_columns import ITEM, item_of, result_columns, without_guards
from batch_input.tables import Table, split_list
from batch_input.values import understand
from core.db import bulk
from core.errors import FieldError, NotPossible
from core.text import trim
from media import names as media_names
from missions import lifecycle
from missions.models import ItemStatus, Mission, MissionItem, MissionStatus
from missions.results.sheets import MAX_CELL, Sheet
from missions.services.mend import edit_failed
from missions.services.retry import Retried, own_params, retry_failed
from missions.services.validate import MissionInvalid, total_price


@dataclass(frozen=True, slots=True)
class CorrectedRow:
    """A row that changes its item. ``cells`` are (heading, before, after) of each changed cell."""

    line: int
    index: int
    params: dict[str, Any]
    cells: list[tuple[str, str, str]]


@dataclass(slots=True)
class Corrections:
    """The effect that the rows of a sheet would have.

    ``unchanged`` and ``not_failed`` are numbers of items, ``unknown`` and ``repeated`` lines of the
    sheet. ``problems`` are by line and parameter. ``estimate`` is the price of one attempt for each
    of ``changed`` (None: unknown).
    """

    changed: list[CorrectedRow] = field(default_factory=list)
    unchanged: list[int] = field(default_factory=list)
    not_failed: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    problems: list[FieldError] = field(default_factory=list)
    unused_columns: list[str] = field(default_factory=list)
    estimate: Decimal | None = None

    @property
    def params(self) -> dict[int, dict[str, Any]]:
        """The changed parameters by item, as ``apply_corrections`` takes them."""
        return {row.index: row.params for row in self.changed}


def read_corrections(mission: Mission, table: Table, *, allow_free_form: bool = False) -> Corrections:
    """Compare the rows of a sheet with the items that they name.

    Only cells that differ from the item's are read. Raises MissionInvalid if the table has no
    column *Item number*.
    """
    table = without_guards(table)
    places = result_columns(table)
    item_place = next((place for place, key in places.items() if key == ITEM), None)
    if item_place is None:
        message = _(
            "This table has no column “Item number”. Download the failed rows as a spreadsheet and correct those."
        )
        raise MissionInvalid([FieldError("file", message)])
    sheet = Sheet(mission)
    names = table.names(has_header=True)
    fields = {
        place: (heading, sheet.fields[heading])
        for place, heading in enumerate(names)
        if place not in places and sheet.fields.get(heading, CUSTOM_ID) != CUSTOM_ID
    }
    result = Corrections()
    result.unused_columns = [
        name
        for place, name in enumerate(names)
        if place not in places and place not in fields and name not in sheet.cells and name not in sheet.fields
    ]
    records = table.body(has_header=True)
    named = {record.line: item_of(record.cells[item_place]) for record in records if item_place < len(record.cells)}
    items = _items(mission, [pair[1] for pair in named.values() if pair])
    seen: set[int] = set()
    candidates: list[tuple[int, MissionItem, list[tuple[str, str, str, str]]]] = []
    for record in records:
        pair = named.get(record.line)
        item = items.get(pair[1]) if pair and pair[0] == mission.pk else None
        if item is None:
            result.unknown.append(record.line)
        elif item.index in seen:
            result.repeated.append(record.line)
        elif item.status != ItemStatus.FAILED:
            result.not_failed.append(item.index)
        else:
            before = sheet.input_cells(item)
            changes = []
            for place, (heading, name) in fields.items():
                text = _text(record.cells[place] if place < len(record.cells) else None)
                if place in record.problems:
                    result.problems.append(FieldError(f"file.{record.line}.{name}", record.problems[place]))
                elif text != _text(before[name]):
                    changes.append((heading, name, before[name], text))
            candidates.append((record.line, item, changes))
        if item is not None:
            seen.add(item.index)
    _read_changes(mission, sheet, candidates, result, allow_free_form=allow_free_form)
    return result


def apply_corrections(
    *,
    mission_id: int,
    params: Mapping[int, Mapping[str, Any]],
    actor: str,
    is_retried: bool,
    allow_free_form: bool = False,
    on_done: Callable[[Retried], None] | None = None,
) -> Retried:
    """Store other parameters of failed items and retry these, or only store them.

    Both or neither happens. Items that are not failed any more are left alone. ``on_done`` is
    called in the same transaction. Raises MissionInvalid and NotPossible.
    """
    with transaction.atomic():
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        if mission.status == MissionStatus.CANCELLED:
            raise NotPossible(_("The mission was cancelled, so its items cannot be changed any more."))
        edited = edit_failed(mission_id=mission_id, params=params, actor=actor, allow_free_form=allow_free_form)
        if is_retried and edited:
            return retry_failed(
                mission_id=mission_id, actor=actor, indexes=edited, at_most=len(edited), on_done=on_done
            )
        result = Retried(len(edited) if not is_retried else 0, Decimal(0), mission.currency)
        if on_done is not None:
            on_done(result)
    return result


def _items(mission: Mission, indexes: list[int]) -> dict[int, MissionItem]:
    found: dict[int, MissionItem] = {}
    for part in bulk.batches(indexes, lifecycle.BATCH):
        found |= {item.index: item for item in mission.items.filter(index__in=part)}
    for item in found.values():
        item.mission = mission
    return found


def _read_changes(
    mission: Mission,
    sheet: Sheet,
    candidates: list[tuple[int, MissionItem, list[tuple[str, str, str, str]]]],
    result: Corrections,
    *,
    allow_free_form: bool,
) -> None:
    """Understand the changed cells of failed items and check the parameters that they make."""
    files = {parameter.name for parameter in sheet.model.parameters if parameter.is_file}
    texts = {
        entry
        for _line, _item, changes in candidates
        for _heading, name, _before, after in changes
        if name in files
        for entry in split_list(after)
        if media_names.is_name(entry)
    }
    resolved = media_names.resolve(texts, owner=mission.owner) if texts else media_names.Resolved()
    merged = []
    for line, item, changes in candidates:
        own_names = {name: reference for reference, name in ((item.origin or {}).get("names") or {}).items()}
        params: dict[str, Any] = {}
        problems: list[FieldError] = []
        for _heading, name, _before, after in changes:
            understood = understand(sheet.model.parameter(name), after)
            value = understood.value
            if name in files:
                entries = value if isinstance(value, list) else [value]
                entries = [own_names.get(entry) or resolved.references.get(entry, entry) for entry in entries if entry]
                value = entries if isinstance(value, list) else "".join(entries[:1])
                problems += [
                    FieldError(f"file.{line}.{name}", resolved.problems[entry])
                    for entry in entries
                    if entry in resolved.problems
                ]
            if understood.problem:
                problems.append(FieldError(f"file.{line}.{name}", understood.problem))
            params[name] = value
        if problems:
            result.problems += problems
            continue
        try:
            own = own_params(item, params, allow_free_form) if params else item.params
        except MissionInvalid as invalid:
            for error in invalid.errors:
                name = error.field.removeprefix("params").lstrip(".")
                result.problems.append(FieldError(f"file.{line}.{name}".rstrip("."), error.message))
            continue
        if own == item.params:
            result.unchanged.append(item.index)
        else:
            cells = [(heading, before, after) for heading, _name, before, after in changes]
            result.changed.append(CorrectedRow(line, item.index, params, cells))
            merged.append(mission.params | own)
    result.estimate = total_price(sheet.model, merged)


def _text(cell: Any) -> str:
    """Return a cell as it is compared: spreadsheets change line ends and spaces around it."""
    if cell is None:
        return ""
    text = str(cell).lower() if isinstance(cell, bool) else str(cell)
    return trim(text.replace("\r\n", "\n").replace("\r", "\n"))[:MAX_CELL]
