"""Star results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from core.db import bulk
from missions import search
from missions.models import MissionItem, Output

BATCH = 1000  # items in one statement


def star_items(*, item_ids: Sequence[int], is_starred: bool) -> int:
    """Star the results of items of any missions, or remove the star.

    Return how many results changed.
    """
    changed = 0
    for part in bulk.batches(item_ids, BATCH):
        outputs = Output.objects.filter(item__in=part, is_starred=not is_starred)
        items = sorted(set(outputs.order_by().values_list("item", flat=True)))
        changed += outputs.update(is_starred=is_starred)
        transaction.on_commit(partial(search.refresh_marks, items))
    return changed


def star_results(*, mission_id: int, indexes: Sequence[int] | QuerySet[MissionItem, int], is_starred: bool) -> int:
    """Star the results of the items at these indexes, or remove the star.

    Return how many results changed.
    """
    items = MissionItem.objects.filter(mission=mission_id, index__in=indexes)
    return star_items(item_ids=list(items.values_list("pk", flat=True)), is_starred=is_starred)
