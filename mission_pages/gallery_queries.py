"""Results of missions in pages: newest first, in the order of the batch, or only the starred ones.

A page begins after or ends before a *place*, a text that names a result's position in a view. That
costs the same in missions of any size: nothing counts rows or skips over them. Only starred
results, which are few, are looked up item by item until the page is full; and only a jump, to an
item's number or over many results, counts in an index.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from core.db.words import Query
from missions import search, selectors
from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus, ResultEntry
from missions.search.documents import mission_mark

NEWEST, BATCH_ORDER, STARRED = "newest", "batch", "starred"
VIEWS = (NEWEST, BATCH_ORDER, STARRED)
ALL = "all"  # the results of all missions, in the order of the search
NOWHERE = ":"  # a mark that no result has
COMMON = 0.25  # the share of a mission's results from which on their words are common
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Words:
    """Words that results have, and the number of these results.

    ``are_common``  so many have them that looking at one item after the other soon fills a page
    ``has_versions``  the mission has rows with several versions
    """

    query: Query
    count: int = 0
    are_common: bool = False
    has_versions: bool = False


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """A page of completed items with their outputs.

    ``before``, ``after``  the places from which the neighbouring pages are read; "" if there is
                           none
    ``rank``  the number of results before the page; None if nobody counted them
    """

    items: list[MissionItem]
    before: str = ""
    after: str = ""
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The moment in which an item was completed."""

    item_id: int
    at: datetime


def words_in(mission: Mission, text: str) -> Words | None:
    """Return the words of a search text, with the number of results; None if it is blank.

    As on the page of all results, each may be the beginning of a word, and all must occur.
    """
    if not text.strip():
        return None
    query = [[mission_mark(mission.pk)], *(search.word_query(text) or [[NOWHERE]])]
    has_versions = mission.items.filter(first_index__isnull=False).exists()
    # Entries are counted in half the time; they are of all versions.
    found = (
        results(mission, BATCH_ORDER, Words(query))
        if has_versions
        else ResultEntry.objects.filter(words__matches=query)
    )
    count = found.count()
    return Words(query, count, count >= mission.completed_count * COMMON, has_versions)


def results(mission: Mission, view: str, words: Words | None = None) -> QuerySet[MissionItem]:
    """Return the results of a view, in no order: of each row the chosen version.

    ``words`` (``words_in``) limit them to the results that have these.
    """
    items = mission.items.filter(status=ItemStatus.COMPLETED, is_chosen=True)
    if words:
        items = items.filter(entry__words__matches=words.query)
    if view == STARRED:
        items = items.filter(Exists(Output.objects.filter(item=OuterRef("pk"), is_starred=True)))
    return items.order_by()


def count(mission: Mission, view: str, words: Words | None = None) -> int:
    """Return how many results a view has. Only starred ones and later versions are counted."""
    if view == STARRED:
        return results(mission, view, words).count()
    if words:
        return words.count
    later = mission.items.filter(status=ItemStatus.COMPLETED, first_index__isnull=False)
    return mission.completed_count - later.count()


def results_page(
    mission: Mission, *, view: str, limit: int, after: str = "", before: str = "", words: Words | None = None
) -> ResultsPage:
    """Return the page after or before a place, in two statements; without a place the first page.

    Items of which every file is still being fetched are left out: they have nothing to show yet.
    An invalid place gives the first page. Rows with several versions take two statements more.
    """
    items = _ready(_ordered(mission, view, words))
    if end := _compared(view, before, "lt"):
        rows = list(items.filter(end).reverse().prefetch_related("outputs")[: limit + 1])
        has_before, has_after = len(rows) > limit, bool(rows)
        return _page(mission, rows[:limit][::-1], view=view, has_before=has_before, has_after=has_after)
    begin = _compared(view, after, "gt")
    rows = list(items.filter(begin or Q()).prefetch_related("outputs")[: limit + 1])
    has_after, rank = len(rows) > limit, None if begin else 0
    return _page(mission, rows[:limit], view=view, has_before=bool(begin), has_after=has_after, rank=rank)


def results_from(mission: Mission, *, view: str, limit: int, number: int, words: Words | None = None) -> ResultsPage:
    """Return the page that begins with the row of an item's number.

    If that row has no result in the view, the page begins with the next one that has one, or else
    with the last before it. The results before the page are counted.
    """
    item = mission.items.filter(index=number).only("index", "first_index").first()
    place = str(item.place if item else number)
    order = BATCH_ORDER if view == NEWEST else view
    rows = _ordered(mission, order, words)
    found = rows.filter(_compared(order, place, "gte") or Q()).first() or rows.last()
    if view == NEWEST and found and not found.is_chosen:
        found = results(mission, view).filter(first_index=found.index).first()
    return _page_from(mission, view, found, limit, words)


def results_at(mission: Mission, *, view: str, limit: int, rank: int, words: Words | None = None) -> ResultsPage:
    """Return the page that begins after ``rank`` results, or the last page if there are fewer."""
    everything = _ordered(mission, view, words)
    if item := next(iter(everything[rank : rank + 1]), None):
        return _page_from(mission, view, item, limit, words, rank=rank)
    item = next(iter(everything.reverse()[limit - 1 : limit]), None) or everything.first()
    return _page_from(mission, view, item, limit, words)


def results_numbered(mission: Mission, *, numbers: Sequence[int]) -> ResultsPage:
    """Return the results of these items as one page, in the order of the batch."""
    items = _ready(results(mission, BATCH_ORDER)).filter(index__in=numbers)
    return _page(mission, sorted(items.prefetch_related("outputs"), key=lambda item: item.place))


def numbers_between(mission: Mission, *, view: str, first: str, last: str, words: Words | None = None) -> list[int]:
    """Return the numbers of the results from one place to another, both included."""
    begin, end = _compared(view, first, "gte"), _compared(view, last, "lte")
    if not begin or not end:
        return []
    if view == NEWEST:
        return list(_ordered(mission, view, words).filter(begin, end).values_list("index", flat=True))
    rows = results(mission, view, words).annotate(row=Coalesce("first_index", "index"))
    return list(rows.filter(row__gte=int(first), row__lte=int(last)).order_by("row").values_list("index", flat=True))


def place_of(item: MissionItem, view: str) -> str:
    """Return the place of a result in a view."""
    if view == ALL:
        return f"{item.entry.place}-0"
    if view in (BATCH_ORDER, STARRED) or item.ended_at is None:
        return str(item.place)
    return place_at(item.ended_at, item.pk)


def place_at(moment: datetime, item_id: int = 0) -> str:
    """Return the place of a moment among the newest results."""
    return f"{(moment - _EPOCH) // timedelta(microseconds=1)}-{item_id}"


def numbers_being_fetched(mission: Mission) -> list[int]:
    """Return the numbers of the items of which files are still being fetched, in order."""
    numbers = selectors.pending_files().filter(item__mission=mission).order_by("item__index")
    return list(numbers.values_list("item__index", flat=True).distinct())


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
    newest = _newest(MissionItem.objects.filter(mission=mission_id, status=ItemStatus.COMPLETED))[:limit]
    chosen = MissionItem.objects.filter(pk__in=newest.values("pk")).order_by()
    return chosen.values_list("mission_id", "pk", "ended_at")


def _newest(completed: QuerySet[MissionItem]) -> QuerySet[MissionItem]:
    """Return completed items, newest first. The conditions fit the index ``item_ended``."""
    return completed.filter(ended_at__isnull=False, error_code="").order_by("-ended_at", "-pk")


def _ordered(mission: Mission, view: str, words: Words | None = None) -> QuerySet[MissionItem]:
    """Return one item of each row, in the order of the view.

    In the order of the batch it is the first version, which stands in the place of the row. Starred
    ones, and those with words that are not common, are read and sorted, by the chosen version.
    """
    if words and words.are_common and (view == NEWEST or (view == BATCH_ORDER and not words.has_versions)):
        entries = ResultEntry.objects.filter(item=OuterRef("pk"), words__matches=words.query)
        items = results(mission, view).filter(Exists(entries))
        return _newest(items) if view == NEWEST else items.annotate(row=F("index")).order_by("row")
    if view == NEWEST:
        return _newest(results(mission, view, words))
    if view == STARRED or words:
        return results(mission, view, words).annotate(row=Coalesce("first_index", "index")).order_by("row")
    rows = mission.items.filter(status=ItemStatus.COMPLETED, first_index=None)
    return rows.annotate(row=F("index")).order_by("row")


def _ready(items: QuerySet[MissionItem]) -> QuerySet[MissionItem]:
    """Return the items that have something to show, or will never have."""
    outputs = Output.objects.filter(item=OuterRef("pk"))
    pending = Q(status=OutputStatus.PENDING)
    return items.filter(~Exists(outputs.filter(pending)) | Exists(outputs.exclude(pending)))


def _compared(view: str, place: str, comparison: str) -> Q | None:
    """Return the condition for what comes after a place ("gt", "gte") or before it ("lt", "lte").

    None if it is no place of the view.
    """
    if view != NEWEST:
        return Q(**{f"row__{comparison}": int(place)}) if _NUMBER.fullmatch(place) else None
    if not (match := _MOMENT.fullmatch(place)):
        return None
    at = _EPOCH + timedelta(microseconds=min(int(match[1]), 2**52))
    # The newest come first, so what comes after a place has an earlier time.
    left_out = {"gt": "gte", "gte": "gt", "lt": "lte", "lte": "lt"}[comparison]
    in_time = Q(ended_at__lte=at) if comparison in ("gt", "gte") else Q(ended_at__gte=at)
    return in_time & ~Q(ended_at=at, **{f"pk__{left_out}": int(match[2])})


def _page_from(
    mission: Mission,
    view: str,
    item: MissionItem | None,
    limit: int,
    words: Words | None = None,
    *,
    rank: int | None = None,
) -> ResultsPage:
    """Return the page that begins with an item. ``rank``: see ``ResultsPage``; None: count it."""
    begin = _compared(view, place_of(item, view), "gte") if item else None
    earlier = _compared(view, place_of(item, view), "lt") if item else None
    if not begin or not earlier:
        return ResultsPage([], rank=0)
    ordered = _ordered(mission, view, words)
    if rank is None:
        rank = ordered.order_by().filter(earlier).count()
    rows = list(_ready(ordered).filter(begin).prefetch_related("outputs")[: limit + 1])
    return _page(mission, rows[:limit], view=view, has_before=rank > 0, has_after=len(rows) > limit, rank=rank)


def _page(
    mission: Mission,
    rows: list[MissionItem],
    *,
    view: str = BATCH_ORDER,
    has_before: bool = False,
    has_after: bool = False,
    rank: int | None = None,
) -> ResultsPage:
    before = place_of(rows[0], view) if rows and has_before else ""
    after = place_of(rows[-1], view) if rows and has_after else ""
    if replaced := [row.index for row in rows if not row.is_chosen]:
        chosen = _ready(results(mission, view)).filter(first_index__in=replaced).prefetch_related("outputs")
        by_row = {item.place: item for item in chosen}
        rows = [by_row.get(row.index, row) for row in rows]
    for item in rows:
        item.mission = mission
    return ResultsPage(rows, before, after, rank)
