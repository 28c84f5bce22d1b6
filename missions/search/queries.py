"""Find results by words and marks, newest first, in pages.

The database never sorts what a common word finds: it is in half a million rows. SQLite's FTS5 reads
its lists of rows from the newest place down and stops when a page is full. PostgreSQL's GIN finds
all rows that have some words. If one of the words is rare, these are few, and they are sorted. Else
one bucket of places after the other is searched, newest first; each entry is marked with its
bucket.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import Max, Min, Q

from accounts import rights
from accounts.rights import Action
from core.db.transactions import without_jit
from core.db.words import Query, fts5_query, index_name, tsquery
from core.words import MAX_LENGTH, query_words
from missions.models import ItemStatus, Mission, MissionItem, PromptEntry, ResultEntry, SearchDay, SearchWord
from missions.search import documents
from missions.search.indexing import BUCKET_BITS, bucket_mark

# Words that the beginning of a word stands for. Each costs time, most of all the frequent ones.
BEGINNINGS, FREQUENT_BEGINNINGS = 200, 24
FREQUENT = 1000  # entries
SORTED = 50_000  # entries that PostgreSQL may read and sort for one page
ROUNDS = 6  # searches for one page, each four times as large, while rows that were found cannot be shown
NEWEST = 2**62


@dataclass(frozen=True, slots=True)
class Filters:
    """The conditions of a search; empty ones do not limit it.

    ``text``: words that all occur in the prompt, the own id, the names of uploaded files or the
    tags; each may be the beginning of a word. ``since`` and ``until`` (excluded) limit the time of
    completion.
    """

    text: str = ""
    mission: int = 0  # its id
    custom_id: str = ""
    provider: str = ""
    model: str = ""
    task_type: str = ""
    is_starred: bool = False
    tag: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """Completed items with their missions and outputs, newest first.

    ``next_cursor`` is "" on the last page.
    """

    items: list[MissionItem]
    next_cursor: str


def find_results(
    user: AbstractBaseUser | AnonymousUser, filters: Filters, *, cursor: str = "", limit: int
) -> ResultsPage:
    """Return a page of the results that a person may see. An invalid cursor gives the first page.

    The index only proposes results: each is shown as its rows are now, if the person may see it.
    """
    before = int(cursor) if cursor.isdecimal() and len(cursor) < 19 else NEWEST
    query = _query(user, filters)
    if query is None:
        return ResultsPage([], "")
    visible = Q(mission__in=Mission.objects.visible_to(user), status=ItemStatus.COMPLETED, is_chosen=True)
    items: list[MissionItem] = []
    for number in range(ROUNDS):
        size = (limit + 1 - len(items)) * 4**number
        places = _places(query, filters, before=before, limit=size)
        proposed = MissionItem.objects.filter(visible, entry__place__in=places).select_related("mission", "entry")
        shown = proposed.defer("entry__words").prefetch_related("outputs").order_by("-entry__place")
        items += shown[: limit + 1 - len(items)]
        if len(places) < size:
            has_more = len(items) > limit
            break
        before, has_more = places[-1], True
        if len(items) > limit:
            break
    page = items[:limit]
    if len(items) > limit:
        before = page[-1].entry.place
    return ResultsPage(page, str(before) if has_more else "")


def missions_with_words(text: str) -> Q:
    """Return the condition for missions that have all words of a text, or words that begin so.

    They may be in prompts, own ids, names of files, the name and the description.
    """
    query = word_query(text)
    return Q(pk__in=PromptEntry.objects.filter(words__matches=query).values("mission")) if query else Q(pk__in=[])


# --- Words ---


def _query(user: AbstractBaseUser | AnonymousUser, filters: Filters) -> Query | None:
    """Return the words and marks to look for; None if there can be no result."""
    groups: list[list[str]] = []
    if not rights.may_all(user, Action.VIEW, Mission):
        groups.append([documents.owner_mark(user.pk or 0)])
    if filters.mission:
        groups.append([documents.mission_mark(filters.mission)])
    if filters.custom_id:
        groups.append([documents.custom_id_mark(filters.custom_id)])
    if filters.model:
        groups.append([documents.model_mark(filters.provider, filters.model)])
    elif filters.provider:
        groups.append([documents.provider_mark(filters.provider)])
    if filters.task_type:
        groups.append([documents.task_type_mark(filters.task_type)])
    if filters.is_starred:
        groups.append([documents.STARRED])
    if filters.tag:
        groups.append([documents.tag_mark(filters.tag)])
    if filters.text.strip():
        words = word_query(filters.text)
        if words is None:
            return None
        groups += words
    return groups


def word_query(text: str) -> list[list[str]] | None:
    """Return the words of a search text, each with the words that it begins; None if one is in no
    document or there is none.
    """
    asked = query_words(text)
    groups = [[piece] for piece in sorted(asked.pieces)]
    groups += [_words_with_beginning(word) for word in sorted(asked.words)]
    return groups if groups and all(groups) else None


def _words_with_beginning(beginning: str) -> list[str]:
    """Return the most frequent words of the index that begin so, the whole word among them."""
    words = SearchWord.objects.order_by("-count", "word")
    if len(beginning) == MAX_LENGTH:
        found = words.filter(word=beginning)
    elif connection.vendor == "postgresql":
        found = words.filter(word__startswith=beginning)
    else:  # LIKE would not use the index
        found = words.filter(word__gte=beginning, word__lt=beginning + chr(0x10FFFF))
    rows = list(found[: BEGINNINGS + FREQUENT_BEGINNINGS])
    frequent = [row.word for row in rows if row.count > FREQUENT]
    chosen = frequent[:FREQUENT_BEGINNINGS] + [row.word for row in rows[len(frequent) :]][:BEGINNINGS]
    if len(rows) >= BEGINNINGS and beginning not in chosen:
        chosen += words.filter(word=beginning).values_list("word", flat=True)
    return chosen


# --- Places ---


@dataclass(frozen=True, slots=True)
class _Span:
    """The places and times in which to search. ``condition`` and ``values`` are SQL about times."""

    lowest: int
    highest: int
    condition: str
    values: list[Any]


def _places(query: Query, filters: Filters, *, before: int, limit: int) -> list[int]:
    """Return the newest places below ``before`` whose entries match."""
    span = _span(filters, before)
    if query and connection.vendor == "postgresql":
        sql, values = _postgresql(query, span, limit)
    elif query:
        sql, values = _sqlite(query, span, limit)
    else:
        sql = f"""
            SELECT place FROM {ResultEntry._meta.db_table} WHERE place BETWEEN %s AND %s AND {span.condition}
            ORDER BY place DESC LIMIT %s
        """  # noqa: S608
        values = [span.lowest, span.highest, *span.values, limit]
    with without_jit(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [row[0] for row in cursor.fetchall()]


def _span(filters: Filters, before: int) -> _Span:
    conditions: list[str] = []
    values: list[Any] = []
    days = SearchDay.objects.all()
    if filters.since:
        conditions.append("completed_at >= %s")
        values.append(connection.ops.adapt_datetimefield_value(filters.since))
        days = days.filter(day__gte=filters.since.astimezone(UTC).date())
    if filters.until:
        conditions.append("completed_at < %s")
        values.append(connection.ops.adapt_datetimefield_value(filters.until))
        days = days.filter(day__lte=filters.until.astimezone(UTC).date())
    ends = days.aggregate(lowest=Min("lowest"), highest=Max("highest"))
    condition = " AND ".join(conditions) or "1 = 1"
    return _Span(ends["lowest"] or 0, min(ends["highest"] or -1, before - 1), condition, values)


def _sqlite(query: Query, span: _Span, limit: int) -> tuple[str, list[Any]]:
    index = index_name(ResultEntry)
    in_time = ""
    if span.values:
        in_time = f"""
            AND EXISTS (SELECT 1 FROM {ResultEntry._meta.db_table} WHERE place = {index}.rowid AND {span.condition})
        """  # noqa: S608
    sql = f"""
        SELECT rowid FROM {index} WHERE {index} MATCH %s AND rowid BETWEEN %s AND %s {in_time}
        ORDER BY rowid DESC LIMIT %s
    """  # noqa: S608
    return sql, [fts5_query(query), span.lowest, span.highest, *span.values, limit]


def _postgresql(query: Query, span: _Span, limit: int) -> tuple[str, list[Any]]:
    """OFFSET 0 keeps the planner from walking down the primary key in search of a rare word.

    The loop over the buckets needs no sort, because its rows come in its order.
    """

    def matching(tsquery: str) -> str:
        return f"""
            SELECT place FROM (
                SELECT place, completed_at FROM {ResultEntry._meta.db_table} WHERE words @@ {tsquery} OFFSET 0
            ) AS matching
            WHERE place BETWEEN %s AND %s AND {span.condition}
            ORDER BY place DESC LIMIT %s
        """  # noqa: S608

    values = [span.lowest, span.highest, *span.values, limit]
    if _most_entries(query) <= SORTED:
        return matching("%s::tsquery"), [tsquery(query), *values]
    in_bucket = matching(f"(%s || '''{bucket_mark(0)[:-1]}' || bucket || '''')::tsquery")
    sql = f"""
        SELECT found.place FROM generate_series(%s, %s, -1) AS bucket CROSS JOIN LATERAL ({in_bucket}) AS found
        LIMIT %s
    """  # noqa: S608
    buckets = [span.highest >> BUCKET_BITS, span.lowest >> BUCKET_BITS]
    return sql, [*buckets, tsquery(query) + " & ", *values, limit]


def _most_entries(query: Query) -> float:
    """Return a number that the matching entries do not exceed; infinite if it is not known."""
    words = SearchWord.objects.filter(word__in=[word for group in query for word in group])
    counts = dict(words.values_list("word", "count"))
    return min(sum(counts.get(word, math.inf) for word in group) for group in query)
