"""Name the result files of a mission anew, by another pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection
from django.utils import timezone

from batch_input.report import InputReport
from core.file_names import pattern_problem
from missions.models import Mission, MissionItem
from missions.results.names import NamedRow, Naming, default_pattern, original_names, references_in
from providers import catalog

EXAMPLES = 4  # names that a preview shows
_FIELDS = ("index", "custom_id", "params", "origin")


def naming_problem(mission: Mission, pattern: str) -> str:
    """Return why a mission's files cannot be named by a pattern, for people; "" if they can."""
    first = mission.items.order_by("index").values_list("params", flat=True).first() or {}
    return pattern_problem(pattern, naming_of(mission).placeholders({**mission.params, **first}))


def placeholders_of(mission: Mission) -> list[str]:
    """Return the placeholders that a form offers; names of parameters have a meaning as well."""
    return naming_of(mission).placeholders(())


def example_names(mission: Mission, pattern: str) -> list[str]:
    """Return the names that a pattern would give the files of a mission's first items."""
    items = mission.items.filter(first_index=None).order_by("index").only(*_FIELDS)[:EXAMPLES]
    rows = _rows(mission, list(items))
    naming = naming_of(mission)
    return naming.examples(naming.stems(pattern or default_pattern(naming.model, rows), rows))


def usual_pattern(mission: Mission) -> str:
    """Return the pattern that the mission would have without one of its own."""
    items = mission.items.filter(first_index=None).order_by("index").only(*_FIELDS)
    return default_pattern(catalog.model_of(mission), _rows(mission, list(items)))


def rename_files(mission: Mission) -> None:
    """Store the names that the mission's pattern makes of its items. The mission is locked.

    Files keep their place in the storage: only what people and programs see is named anew.
    """
    items = list(mission.items.filter(first_index=None).order_by("index").only(*_FIELDS))
    stems = naming_of(mission).stems(mission.file_name_pattern, _rows(mission, items))
    by_place = {item.index: stem for item, stem in zip(items, stems, strict=True)}
    changes = [(by_place[item.index], item.pk) for item in items]
    later = mission.items.filter(first_index__isnull=False).values_list("pk", "first_index")
    changes += [(by_place[place], pk) for pk, place in later if place in by_place]
    quote = connection.ops.quote_name
    table, name, key = (quote(each) for each in (MissionItem._meta.db_table, "file_name", "id"))
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {name} = %s WHERE {key} = %s", changes)  # noqa: S608  names of our own


def origin_of(item: MissionItem, own: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the ``origin`` of an item that gets other parameters of its own.

    The item has its mission. Names of images that it no longer has are dropped.
    """
    mission = item.mission
    wanted = references_in(catalog.model_of(mission), mission.params | own)
    known = (item.origin or {}).get("names") or {}
    new = original_names(mission.owner_id, (each for each in wanted if each not in known))
    names = {each: name for each in wanted if (name := known.get(each) or new.get(each))}
    origin = {**(item.origin or {}), "names": names}
    return {name: value for name, value in origin.items() if value} or None


def stem_for(
    item: MissionItem, own: Mapping[str, Any], origin: Mapping[str, Any] | None, naming: Naming | None = None
) -> str:
    """Return the name of the files of an item without results, which gets other parameters.

    Only a pattern that begins with the item's number names it anew: others could name it like
    another item.
    """
    mission = item.mission
    if not item.file_name or item.first_index or not mission.file_name_pattern.startswith("{index}"):
        return item.file_name
    row = NamedRow(item.index, mission.params | own, item.custom_id, origin)
    return (naming or naming_of(mission)).stems(mission.file_name_pattern, [row])[0]


def naming_of(mission: Mission) -> Naming:
    """Return what the names of a mission's files may contain besides its rows."""
    report = InputReport.from_json(mission.input) if mission.input else None
    columns = {match.column: match.field for match in report.matches} if report else {}
    columns |= dict.fromkeys(report.unused_columns, "") if report else {}
    count = mission.items.filter(first_index=None).count()
    day = timezone.localdate(mission.created_at)
    return Naming(catalog.model_of(mission), count, day, mission.metadata, columns)


def _rows(mission: Mission, items: Sequence[MissionItem]) -> list[NamedRow]:
    """Return the rows of items, with the names of images that an older release did not store."""
    model = catalog.model_of(mission)
    rows = [NamedRow(item.index, mission.params | item.params, item.custom_id, item.origin) for item in items]
    nameless = {
        number: unnamed
        for number, row in enumerate(rows)
        if (unnamed := set(references_in(model, row.params)) - set((row.origin or {}).get("names") or {}))
    }
    known = original_names(mission.owner_id, (each for unnamed in nameless.values() for each in unnamed))
    for number in nameless:
        origin = rows[number].origin or {}
        names = {each: known[each] for each in references_in(model, rows[number].params) if each in known}
        rows[number] = replace(rows[number], origin={**origin, "names": names | (origin.get("names") or {})})
    return rows
