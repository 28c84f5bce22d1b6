"""Fill the index of the search in small transactions.

Two kinds of work, in this order:

1. Completions. An attempt that ended well after ``SearchState.indexed_to`` has a result that is not
   indexed. Recorded late, it may have an earlier time: the last seconds are looked at again in each
   round, the last hours from time to time.
2. Parts of missions, from ``Mission.unindexed_last`` down to ``unindexed_first``: the prompts of
   their items, and their results as far as they are older than the index or a mark of the whole
   mission has changed.

One worker at a time does it. Two at once would do no harm, only the same work twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from core.words import words_of
from missions.models import (
    Attempt,
    AttemptStatus,
    ItemStatus,
    Mission,
    MissionItem,
    PromptEntry,
    ResultEntry,
    SearchDay,
    SearchState,
    SearchWord,
)
from missions.models.mission import ALL_PARTS
from missions.search.documents import Document, changing_marks, item_words, result_documents, tag_mark

PART = 500  # items of a transaction
BUCKET_BITS = 14  # PostgreSQL: results whose places share the higher bits are searched together
LEASE = timedelta(minutes=1)
OVERLAP = timedelta(seconds=30)  # completions may be recorded so long after others with a later time
LATE, LATE_EVERY = timedelta(hours=2), timedelta(minutes=10)
PAUSE_SECONDS = 0.02  # between two parts, so that others can write


def is_behind() -> bool:
    """Return True if something is to be indexed. Reads a few rows by indexes."""
    if Mission.objects.filter(unindexed_last__isnull=False).exists():
        return True
    state, now = SearchState.objects.filter(pk=1).first(), timezone.now()
    if state is None or _is_late_check_due(state, now):
        return True
    return _unindexed_completions(state.indexed_to - OVERLAP).exists()


def catch_up(*, seconds: float) -> bool:
    """Index for about so many seconds. Return True if more is left to do.

    It does nothing while another worker is at it.
    """
    until = time.monotonic() + seconds
    now = timezone.now()
    SearchState.objects.get_or_create(
        pk=1, defaults={"started_at": now, "indexed_to": now - LATE, "checked_at": now, "leased_until": now}
    )
    # A lease from before the clock was set back ends, too.
    free = SearchState.objects.filter(Q(leased_until__lte=now) | Q(leased_until__gt=now + LEASE), pk=1)
    if not free.update(leased_until=now + LEASE):
        return False
    try:
        while time.monotonic() < until:
            if not _index_completions(timezone.now()) and not _index_part():
                return False
            time.sleep(PAUSE_SECONDS)
        return True
    finally:
        SearchState.objects.filter(pk=1).update(leased_until=timezone.now())


def mark_changed(mission_id: int, *, first: int = 1, last: int | None = None) -> None:
    """Have a mission's items indexed again, from the index ``first`` to ``last``; None: to the end.

    Call it in the transaction that changes a prompt, or a mark of all results. The mission's name
    and description are indexed with its first item.
    """
    first_part, last_part = _part_of(first), ALL_PARTS if last is None else _part_of(last)
    is_marked = Q(unindexed_last__isnull=False)
    Mission.objects.filter(pk=mission_id).update(
        unindexed_first=Case(When(is_marked, then=Least("unindexed_first", first_part)), default=first_part),
        # Always another number, so that a worker that is indexing it sees the change.
        unindexed_last=Greatest(Coalesce(F("unindexed_last") + 1, last_part), last_part),
    )


def rebuild() -> int:
    """Have everything indexed again, and remove the entries of deleted rows. Return their number.

    Searches go on meanwhile.
    """
    removed = 0
    items, missions = MissionItem.objects.filter(pk=OuterRef("item")), Mission.objects.filter(pk=OuterRef("mission"))
    for entries in (ResultEntry.objects.filter(~Exists(items)), PromptEntry.objects.filter(~Exists(missions))):
        while keys := list(entries.values_list("pk", flat=True)[:PART]):
            removed += entries.model._default_manager.filter(pk__in=keys).delete()[0]
    Mission.objects.update(
        unindexed_first=0, unindexed_last=Greatest(Coalesce(F("unindexed_last") + 1, ALL_PARTS), ALL_PARTS)
    )
    return removed


def refresh_marks(item_ids: Sequence[int], *, new_tags: Sequence[str] = ()) -> None:
    """Write the marks that a person has changed into the entries of results.

    ``new_tags`` were given to all of them: their words are counted. Call it after the transaction
    that changes them: then either this sees the entry of an item that is being indexed, or the
    indexing sees the change (``_write_results``).
    """
    for start in range(0, len(item_ids), PART):
        with transaction.atomic():
            part = item_ids[start : start + PART]
            entries = ResultEntry.objects.filter(item__in=part).order_by("place")
            locked = list(entries.select_for_update(no_key=True).values_list("item", flat=True))
            items = MissionItem.objects.filter(pk__in=locked).select_related("mission")
            _update(result_documents(list(items)))
            _count([{tag_mark(name), *words_of([name]).words} for name in new_tags] * len(part))


# --- Completions ---


def _unindexed_completions(since: datetime) -> QuerySet[Attempt]:
    """Return the attempts that ended well since a time and whose results are not indexed."""
    indexed = ResultEntry.objects.filter(item=OuterRef("item"), completed_at__gte=OuterRef("ended_at"))
    return Attempt.objects.filter(
        ~Exists(indexed), status=AttemptStatus.SUCCEEDED, ended_at__gt=since, item__status=ItemStatus.COMPLETED
    )


def _is_late_check_due(state: SearchState, now: datetime) -> bool:
    return not now - LATE_EVERY < state.checked_at <= now


def _index_completions(now: datetime) -> bool:
    """Index up to PART completions. Return True if there were any."""
    state = SearchState.objects.get(pk=1)
    is_late_check = _is_late_check_due(state, now)
    since = min(state.indexed_to - OVERLAP, now - LATE) if is_late_check else state.indexed_to - OVERLAP
    found = list(_unindexed_completions(since).order_by("ended_at", "pk").only("item", "ended_at")[:PART])
    ended = {attempt.item_id: attempt.ended_at or now for attempt in found}
    if ended:
        items = MissionItem.objects.filter(pk__in=ended).select_related("mission")
        _write_results([Completed(item, ended[item.pk]) for item in items], are_new=True)
    is_complete = len(found) < PART  # an item may have several attempts
    indexed_to = now if is_complete else max(state.indexed_to, *ended.values())
    checked = {"checked_at": now} if is_late_check and is_complete else {}
    SearchState.objects.filter(pk=1).update(indexed_to=indexed_to, leased_until=now + LEASE, **checked)
    return bool(ended)


# --- Parts of missions ---


def _part_of(index: int) -> int:
    return (index - 1) // PART


def _index_part() -> bool:
    """Index the last unindexed part of the newest mission that has one. Return True if there was
    one.
    """
    unindexed = Mission.objects.filter(unindexed_last__isnull=False).order_by("-pk")
    mission = unindexed.defer("metadata", "input").first()
    if mission is None or mission.unindexed_last is None:
        return False
    first, last = mission.unindexed_first or 0, mission.unindexed_last
    last_index = mission.items.order_by("-index").values_list("index", flat=True).first()
    part = min(last, _part_of(last_index or 1))
    items = list(mission.items.filter(index__gt=part * PART, index__lte=(part + 1) * PART).order_by("-index"))
    for item in items:
        item.mission = mission
    words = item_words(mission, items)
    if part == 0:
        words.append(words_of([mission.name, mission.description]))
    with transaction.atomic():
        entry = PromptEntry(mission=mission, part=part, words=frozenset[str]().union(*(each.tokens for each in words)))
        PromptEntry.objects.bulk_create(
            [entry], update_conflicts=True, unique_fields=["mission", "part"], update_fields=["words"]
        )
        _count(each.words for each in words)
    completed = [
        Completed(item, item.ended_at) for item in items if item.status == ItemStatus.COMPLETED and item.ended_at
    ]
    _write_results(completed, are_new=False)
    # Not in the transactions above: the row of a mission at work is locked again and again.
    unchanged = Mission.objects.filter(pk=mission.pk, unindexed_last=last)
    unchanged.update(unindexed_last=part - 1 if part > first else None)
    return True


# --- Rows ---


@dataclass(frozen=True, slots=True)
class Completed:
    """An item and when it was completed."""

    item: MissionItem
    at: datetime


def _write_results(results: Sequence[Completed], *, are_new: bool) -> None:
    """Write the entries of completed items. ``are_new``: they get new places, at the top.

    Otherwise they keep their places. An item without one gets a place below all others if it is
    older than the index, else at the top; one that has just been completed is left to
    ``_index_completions``.
    """
    if not results:
        return
    too_new = timezone.now() - LATE
    documents = result_documents([result.item for result in results])
    with transaction.atomic():
        state = SearchState.objects.select_for_update(no_key=True).get(pk=1)
        entries = ResultEntry.objects.filter(item__in=list(documents))
        if are_new:
            entries.delete()
            older, newer = [], list(results)
        else:
            known = set(entries.select_for_update(no_key=True).values_list("item", flat=True))
            _update({pk: document for pk, document in documents.items() if pk in known})
            unknown = [result for result in results if result.item.pk not in known]
            older = [result for result in unknown if result.at < state.started_at]
            newer = [result for result in unknown if state.started_at <= result.at < too_new]
        placed = [
            *enumerate(sorted(newer, key=_by_completion), start=state.highest_place + 1),
            *enumerate(sorted(older, key=_by_completion), start=state.lowest_place - len(older)),
        ]
        ResultEntry.objects.bulk_create(
            [
                ResultEntry(
                    place=place,
                    item=result.item,
                    completed_at=result.at,
                    words=_tokens(documents[result.item.pk], place),
                )
                for place, result in placed
            ],
            ignore_conflicts=True,
        )
        _count(documents[result.item.pk].words.words | documents[result.item.pk].marks for _place, result in placed)
        _widen_days(placed)
        SearchState.objects.filter(pk=1).update(
            highest_place=F("highest_place") + len(newer), lowest_place=F("lowest_place") - len(older)
        )
    # A star or a tag may have been set since the documents were made.
    now_marked = changing_marks(list(documents))
    refresh_marks([pk for pk, marks in now_marked.items() if marks != documents[pk].changing_marks])


def _by_completion(result: Completed) -> tuple[datetime, int]:
    return result.at, result.item.pk


def _update(documents: Mapping[int, Document]) -> None:
    """Write the words of entries that exist and are locked."""
    rows = list(ResultEntry.objects.filter(item__in=list(documents)).defer("words"))
    for row in rows:
        row.words = _tokens(documents[row.item_id], row.place)
    table = connection.ops.quote_name(ResultEntry._meta.db_table)
    field = ResultEntry._meta.get_field("words")
    placeholder = field.get_placeholder(None, None, connection)
    values = [(field.get_db_prep_value(row.words, connection), row.place) for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET words = {placeholder} WHERE place = %s", values)  # noqa: S608


def _tokens(document: Document, place: int) -> frozenset[str]:
    return document.tokens | {bucket_mark(place >> BUCKET_BITS)} if uses_buckets() else document.tokens


def uses_buckets() -> bool:
    """Return True if entries are marked with their bucket (``queries``)."""
    return connection.vendor == "postgresql"


def bucket_mark(bucket: int) -> str:
    return f":b{bucket}"


def _count(documents: Iterable[Iterable[str]]) -> None:
    """Count in how many documents words and marks are, in the transaction that writes these."""
    counts = Counter(word for document in documents for word in document)
    table = connection.ops.quote_name(SearchWord._meta.db_table)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} (word, count) VALUES (%s, %s) "  # noqa: S608
            f"ON CONFLICT (word) DO UPDATE SET count = {table}.count + excluded.count",
            sorted(counts.items()),
        )


def _widen_days(placed: Iterable[tuple[int, Completed]]) -> None:
    """Let the spans of days contain the places of new entries."""
    spans: dict[date, SearchDay] = {}
    for place, result in placed:
        day = result.at.astimezone(UTC).date()
        span = spans.setdefault(day, SearchDay(day=day, lowest=place, highest=place))
        span.lowest, span.highest = min(span.lowest, place), max(span.highest, place)
    for known in SearchDay.objects.filter(day__in=list(spans)):
        span = spans[known.day]
        span.lowest, span.highest = min(span.lowest, known.lowest), max(span.highest, known.highest)
    SearchDay.objects.bulk_create(
        spans.values(), update_conflicts=True, unique_fields=["day"], update_fields=["lowest", "highest"]
    )
