"""Composed reads with more than one user."""

from __future__ import annotations

import contextlib
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NoReturn

from django.db.models import CharField, Count, F, Func, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum
from django.db.models.fields.json import KeyTransform

from billing.budget import Budget
from billing.models import Period, SpendingLimit
from billing.selectors import Spending, budget_of
from core.db.distinct import distinct_texts
from core.money import MILLIONTH, amount_text
from missions.lifecycle import OPEN
from missions.models import (
    LIVE_ATTEMPTS,
    Attempt,
    ItemStatus,
    ItemTag,
    Mission,
    MissionItem,
    Output,
    OutputStatus,
    RemovedSpending,
)
from missions.search import missions_with_words
from notifications.services import MissionFacts
from providers.models import ProviderModel

ITEMS_PER_PAGE = 500
MAX_SEARCH_WORDS = 10
MAX_FOLDERS = MAX_TAGS = 500  # that a list of choices shows


def find_missions(
    missions: QuerySet[Mission],
    *,
    ordering: str,
    statuses: Sequence[str] = (),
    task_type: str | None = None,
    search: str = "",
    folder: str = "",
    group: str = "",
    metadata: Mapping[str, str] | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
) -> QuerySet[Mission]:
    """Return those of ``missions`` that match, by ``ordering``, then newest first.

    Each word of ``search`` is a part of the name or the description, in any case, or begins a word
    of a prompt, an own id or the name of a file. ``metadata`` holds values of names in the
    metadata: ``"12"`` matches the text and the number. Large columns are deferred.
    """
    exact = {"task_type": task_type, "created_at__gte": created_from, "created_at__lt": created_to}
    missions = missions.filter(**{name: value for name, value in exact.items() if value is not None})
    if statuses:
        missions = missions.filter(status__in=statuses)
    if folder:
        missions = missions.filter(folder=folder)
    if group:
        missions = missions.filter(group=group)
    for word in search.replace("\0", "").split()[:MAX_SEARCH_WORDS]:
        in_texts = Q(name__icontains=word) | Q(description__icontains=word)
        missions = missions.filter(in_texts | missions_with_words(word))
    for number, (name, text) in enumerate((metadata or {}).items()):
        alias = f"metadata_{number}"
        is_value = Q(**{alias: text})
        with contextlib.suppress(ValueError):
            value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
            if value is not None and not isinstance(value, str | list | dict):
                is_value |= Q(**{alias: value})
        missions = missions.alias(**{alias: KeyTransform(name, "metadata")}).filter(is_value)
    return missions.defer("params", "metadata").order_by(ordering, "-pk")


def folders_of(user_id: int) -> list[str]:
    """Return the folders of a person's missions, by name."""
    kept = Mission.objects.filter(owner=user_id, delete_requested_at=None).exclude(folder="")
    return list(kept.order_by("folder").values_list("folder", flat=True).distinct()[:MAX_FOLDERS])


def known_tags(owner_id: int | None = None) -> list[str]:
    """Return the tags of a person's results; None: of everybody's. At most MAX_TAGS, by name."""
    return distinct_texts(ItemTag, "owner_id", "name", of=owner_id, limit=MAX_TAGS)


def _refuse_constant(word: str) -> NoReturn:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError(word)


def _finite(text: str) -> float:
    """Refuse 1e999, which no database can compare with JSON."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def items_after(
    mission: Mission,
    after: int,
    *,
    limit: int,
    statuses: Sequence[str] = (),
    error_code: str | None = None,
    custom_id: str | None = None,
    is_chosen: bool | None = None,
) -> tuple[list[MissionItem], int | None]:
    """Return up to ``limit`` items after the index ``after``, and the index to go on from: None at
    the end. ``is_chosen``: only the chosen version of each row, or only the others.

    Each has its outputs in ``loaded_outputs`` and its ``progress``. Indexes never change, so that
    paging sees each item at most once, whatever workers do meanwhile.
    """
    items = _with_progress(mission.items.filter(index__gt=after).order_by("index"))
    # Lists cost less than managers.
    items = items.prefetch_related(Prefetch("outputs", to_attr="loaded_outputs"), "tags")
    if statuses:
        items = items.filter(status__in=statuses)
    if error_code is not None:
        items = items.filter(error_code=error_code)
    if custom_id is not None:
        items = items.filter(custom_id=custom_id)
    if is_chosen is not None:
        items = items.filter(is_chosen=is_chosen)
    rows = list(items[: limit + 1])
    page: list[MissionItem] = [*rows[:limit]]
    return page, page[-1].index if len(rows) > limit else None


def items_with_outputs(
    mission: Mission,
    indexes: Sequence[int] | QuerySet[MissionItem, int] | None = None,
    *,
    has_all_versions: bool = False,
) -> Iterator[tuple[MissionItem, list[Output]]]:
    """Yield a mission's items in the order of the batch, or those at ``indexes``, each with its
    ``progress``, its ``tag_names`` and its outputs.

    Of a row with several versions it is the chosen one, or all of them with ``has_all_versions``,
    in the place of the first.

    They are read page by page: no transaction and no cursor stays open, however long the caller
    takes. (Not with ``prefetch_related``: its rows refer to each other in circles, so that pages
    would stay in memory until they are collected.)
    """
    last = 0
    all_items = _with_progress(mission.items.all())
    items = all_items.filter(first_index=None) if indexes is None else all_items.filter(index__in=indexes)
    while page := list(items.filter(index__gt=last).order_by("index")[:ITEMS_PER_PAGE]):
        last = page[-1].index
        if indexes is None:
            later = all_items.filter(first_index__in=[item.index for item in page]).order_by("version")
            page = [item for item in (*page, *later) if has_all_versions or item.is_chosen]
            page.sort(key=lambda item: item.place)
        outputs: defaultdict[int, list[Output]] = defaultdict(list)
        tags: defaultdict[int, list[str]] = defaultdict(list)
        ids = [item.pk for item in page]
        for output in Output.objects.filter(item__in=ids).order_by("attempt", "index"):
            outputs[output.item_id].append(output)
        for pk, name in ItemTag.objects.filter(item__in=ids).values_list("item", "name"):
            tags[pk].append(name)
        for item in page:
            item.mission = mission
            item.tag_names = tags[item.pk]  # type: ignore[attr-defined]
            yield item, outputs[item.pk]


def pending_files() -> QuerySet[Output]:
    """Return the files of all missions that are still being downloaded, which are few."""
    # The status is part of the statement: SQLite then sees that the partial index applies.
    return Output.objects.filter(status=Func(template=f"'{OutputStatus.PENDING}'", output_field=CharField()))


def pending_file_counts() -> dict[int, int]:
    """Return how many files are still being downloaded, by mission."""
    return dict(pending_files().order_by().values_list("item__mission").annotate(count=Count("pk")))


def _with_progress(items: QuerySet[MissionItem]) -> QuerySet[MissionItem]:
    """Annotate items with the ``progress`` of the attempt that runs."""
    live = Attempt.objects.filter(item=OuterRef("pk"), status__in=LIVE_ATTEMPTS)
    return items.annotate(progress=Subquery(live.values("progress")[:1]))


def has_open_missions_with(model: ProviderModel) -> bool:
    """Return True if a mission that has not ended may use a model that a person added."""
    missions = Mission.objects.filter(provider=model.provider, model=model.endpoint, status__in=OPEN)
    return (missions if model.is_shared else missions.filter(owner=model.owner_id)).exists()


def spending_of(user_id: int, currency: str, since: datetime | None) -> Spending:
    """Return the spending of a person's missions in a currency, since a time or in all.

    A mission's cost and its reserved cost are read in one row: a task that finishes meanwhile may
    be counted twice but is never missed. Removed missions count, too.
    """
    missions = Mission.objects.filter(owner=user_id, currency=currency)
    recent = Q() if since is None else Q(created_at__gte=since)
    sums = missions.aggregate(
        charged=Sum("cost", filter=recent, default=Decimal(0)),
        expected=Sum("reserved_cost", default=Decimal(0)),
        in_flight=Sum(F("submitting_count") + F("processing_count"), default=0),
    )
    # Rows of older versions have no currency: they count in every one.
    removed = RemovedSpending.objects.filter(owner=user_id, currency__in=[currency, ""])
    charged = sums["charged"]
    if since is not None:
        removed = removed.filter(day__gte=since.date())
        older = missions.filter(Q(ended_at=None) | Q(ended_at__gte=since), created_at__lt=since)
        ended = Attempt.objects.filter(item__mission__in=older, item__cost__gt=0, ended_at__gte=since)
        charged += ended.aggregate(sum=Sum("cost", default=Decimal(0)))["sum"]
    charged += removed.aggregate(sum=Sum("amount", default=Decimal(0)))["sum"]
    # SQLite adds binary fractions.
    return Spending(charged.quantize(MILLIONTH), sums["expected"].quantize(MILLIONTH), sums["in_flight"])


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """A person's spending limit in its current period."""

    budget: Budget
    period: str

    @property
    def period_label(self) -> str:
        """The period for people, such as "per day (UTC)"."""
        return str(Period(self.period).label)


def budget_left(user_id: int, *, now: datetime) -> BudgetLeft | None:
    """Return what a person's spending limit leaves; None without a limit."""
    limit = SpendingLimit.objects.filter(user=user_id).first()
    return None if limit is None else BudgetLeft(budget_of(limit, now=now), limit.period)


@dataclass(frozen=True, slots=True)
class SpentLately:
    """The amounts that providers have charged a person in one currency."""

    currency: str
    today: Decimal
    this_month: Decimal


def spent_lately(user_id: int, *, now: datetime) -> list[SpentLately]:
    """Return what a person's missions have cost in the present day and month (UTC), by currency."""
    missions = Mission.objects.filter(owner=user_id).exclude(currency="")
    currencies = missions.order_by("currency").values_list("currency", flat=True).distinct()
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        SpentLately(
            currency,
            spending_of(user_id, currency, day).charged,
            spending_of(user_id, currency, day.replace(day=1)).charged,
        )
        for currency in currencies
    ]


def describe_missions(mission_ids: Collection[int], items: Mapping[int, Collection[int]]) -> dict[int, MissionFacts]:
    """Return the facts of missions for their notifications, without those that are being deleted.

    ``items`` holds the indexes of the items of interest, by mission.
    """
    fetching = pending_file_counts()
    missions = Mission.objects.filter(pk__in=mission_ids, delete_requested_at=None)
    counts = [f"{status}_count" for status in ItemStatus.values]
    facts = {}
    for mission in missions.only("name", "total_count", "cost", "currency", *counts):
        rows: Iterable[MissionItem] = ()
        if indexes := items.get(mission.pk):
            rows = MissionItem.objects.filter(mission=mission.pk, index__in=indexes).only(
                "index", "custom_id", "error_code"
            )
        facts[mission.pk] = MissionFacts(
            name=mission.name,
            total_count=mission.total_count,
            counts=mission.counts,
            cost=amount_text(mission.cost) or "0",
            currency=mission.currency,
            is_settled=mission.pk not in fetching,
            items={row.index: {"custom_id": row.custom_id, "error_code": row.error_code} for row in rows},
        )
    return facts
