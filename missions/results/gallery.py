"""What missions made, newest first or in the order of the batch, in pages that cost the same however large a mission is.

Only indexed reads with a limit: nothing here counts rows, and nothing skips over them.  But for starred results, which are few:
each completed item is looked up in an index until the page is full.
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
    """Completed items with their outputs, and where the next page begins: "" when this is the last."""

    items: list[MissionItem]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Completion:
    """When an item was completed."""

    item_id: int
    at: datetime


def results_page(mission: Mission, *, view: str, cursor: str, limit: int) -> ResultsPage:
    """A page of a mission's results, in two statements.  A cursor that means nothing is the first page."""
    order = _newest if view == NEWEST else _in_batch_order
    items = order(mission.items.filter(status=ItemStatus.COMPLETED), cursor)
    if view == STARRED:
        items = items.filter(Exists(Output.objects.filter(item=OuterRef("pk"), is_starred=True)))
    found = list(items.prefetch_related("outputs")[: limit + 1])
    for item in found:
        item.mission = mission
    last = found[limit - 1] if len(found) > limit else None
    return ResultsPage(found[:limit], _cursor_of(last, view) if last else "")


def recent_completions(mission_ids: Sequence[int], *, limit: int) -> dict[int, list[Completion]]:
    """The latest completions of each mission, newest first, at most ``limit`` of each, in one statement."""
    found: defaultdict[int, list[Completion]] = defaultdict(list)
    parts = [_latest(pk, limit) for pk in mission_ids]
    rows: Iterable[tuple[Any, ...]] = parts[0].union(*parts[1:], all=True) if parts else ()
    for mission_id, item_id, ended_at in rows:
        found[mission_id].append(Completion(item_id, ended_at))
    return {pk: sorted(of_one, key=lambda done: done.at, reverse=True) for pk, of_one in found.items()}


def newest_pictures(completions: Mapping[int, Sequence[Completion]], *, limit: int) -> dict[int, list[Output]]:
    """The first picture of each mission's latest completions, newest first, in one statement."""
    wanted = {done.item_id: done for of_one in completions.values() for done in of_one[:limit]}
    pictures: defaultdict[int, list[Output]] = defaultdict(list)
    stored = Output.objects.filter(item__in=list(wanted), index=1, status=OutputStatus.STORED).exclude(thumbnail="")
    for output in stored.select_related("item").only("index", "thumbnail", "item__index", "item__mission"):
        pictures[output.item.mission_id].append(output)
    for of_one in pictures.values():
        of_one.sort(key=lambda output: wanted[output.item_id].at, reverse=True)
    return dict(pictures)


def _latest(mission_id: int, limit: int) -> QuerySet[MissionItem, tuple[Any, ...]]:
    """Written so that it can be part of a union: SQLite takes no limit there, but one within a condition."""
    newest = _newest(MissionItem.objects.filter(mission=mission_id, status=ItemStatus.COMPLETED), "")[:limit]
    chosen = MissionItem.objects.filter(pk__in=newest.values("pk")).order_by()
    return chosen.values_list("mission_id", "pk", "ended_at")


def _newest(items: QuerySet[MissionItem], cursor: str) -> QuerySet[MissionItem]:
    """``ended_at`` and ``error_code`` are named so that the index ``item_ended`` serves: a completed item has no error."""
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
