"""Results of missions in pages, newest first or in the order of the batch.

The cost of a page does not depend on the size of the mission: nothing counts rows or skips over
them. Only starred results, which are few, are looked up item by item until the page is full.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus

NEWEST, BATCH_ORDER, STARRED = "newest", "batch", "starred"
VIEWS = (NEWEST, BATCH_ORDER, STARRED)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """A page of completed items with their outputs. ``next_cursor`` is "" on the last page."""

    items: list[MissionItem]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Completion:
    """The moment in which an item was completed."""

    item_id: int
    at: datetime


def results_page(mission: Mission, *, view: str, cursor: str, limit: int) -> ResultsPage:
    """Return a page of a mission's results, in two statements.

    An invalid cursor gives the first page.
    """
    order = _newest if view == NEWEST else _in_batch_order
    items = order(mission.items.filter(status=ItemStatus.COMPLETED), cursor)
    if view == STARRED:
        items = items.filter(Exists(Output.objects.filter(item=OuterRef("pk"), is_starred=True)))
    rows = list(items.prefetch_related("outputs")[: limit + 1])
    for item in rows:
        item.mission = mission
    last = rows[limit - 1] if len(rows) > limit else None
    return ResultsPage(rows[:limit], _cursor_of(last, view) if last else "")


def recent_completions(mission_ids: Sequence[int], *, limit: int) -> dict[int, list[Completion]]:
    """Return up to ``limit`` latest completions of each mission, newest first.

    It takes one statement.
    """
    by_mission: defaultdict[int, list[Completion]] = defaultdict(list)
    parts = [_latest(pk, limit) for pk in mission_ids]
    rows: Iterable[tuple[Any, ...]] = parts[0].union(*parts[1:], all=True) if parts else ()
    for mission_id, item_id, ended_at in rows:
        by_mission[mission_id].append(Completion(item_id, ended_at))
    return {pk: sorted(of_one, key=lambda done: done.at, reverse=True) for pk, of_one in by_mission.items()}


def newest_pictures(completions: Mapping[int, Sequence[Completion]], *, limit: int) -> dict[int, list[Output]]:
    """Return the first picture of each mission's latest completions, newest first.

    It takes one statement.
    """
    completions_by_item = {done.item_id: done for of_one in completions.values() for done in of_one[:limit]}
    pictures: defaultdict[int, list[Output]] = defaultdict(list)
    stored = Output.objects.filter(item__in=list(completions_by_item), index=1, status=OutputStatus.STORED).exclude(
        thumbnail=""
    )
    for output in stored.select_related("item").only("index", "thumbnail", "item__index", "item__mission"):
        pictures[output.item.mission_id].append(output)
    for of_one in pictures.values():
        of_one.sort(key=lambda output: completions_by_item[output.item_id].at, reverse=True)
    return dict(pictures)


def _latest(mission_id: int, limit: int) -> QuerySet[MissionItem, tuple[Any, ...]]:
    """Return the latest completions as part of a union.

    SQLite allows a limit only inside a condition.
    """
    newest = _newest(MissionItem.objects.filter(mission=mission_id, status=ItemStatus.COMPLETED), "")[:limit]
    chosen = MissionItem.objects.filter(pk__in=newest.values("pk")).order_by()
    return chosen.values_list("mission_id", "pk", "ended_at")


def _newest(items: QuerySet[MissionItem], cursor: str) -> QuerySet[MissionItem]:
    """Return items by their end, newest first. The conditions fit the index ``item_ended``."""
    items = items.filter(ended_at__isnull=False, error_code="").order_by("-ended_at", "-pk")
    place = _PLACE.fullmatch(cursor)
    if not place:
        return items
    moment, pk = _EPOCH + timedelta(microseconds=min(int(place[1]), 2**52)), int(place[2])
    return items.filter(ended_at__lte=moment).exclude(ended_at=moment, pk__gte=pk)


def _in_batch_order(items: QuerySet[MissionItem], cursor: str) -> QuerySet[MissionItem]:
    after = int(cursor) if cursor.isdecimal() and len(cursor) < 10 else 0
    return items.filter(index__gt=after).order_by("index")


def _cursor_of(item: MissionItem, view: str) -> str:
    if view != NEWEST or item.ended_at is None:
        return str(item.index)
    return f"{(item.ended_at - _EPOCH) // timedelta(microseconds=1)}-{item.pk}"
