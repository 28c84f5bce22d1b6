"""Star and tag results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from core import tags
from core.db import bulk
from core.errors import FieldError, Invalid
from missions import search, selectors
from missions.models import ItemTag, MissionItem, Output

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


def tag_items(*, item_ids: Sequence[int], add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Give tags to items of any missions, and take others away; one in both stays. Case does not
    matter: a tag is written as the owner has written it before.

    Return how many items changed. Raise Invalid before any change.
    """
    added = tags.clean_tags(add)
    removed = set(map(tags.comparable, remove)) - added.keys()
    owners: dict[int, int] = {}
    for part in bulk.batches(item_ids, BATCH):
        kept = MissionItem.objects.filter(pk__in=part, mission__delete_requested_at=None)
        owners |= kept.order_by("pk").values_list("pk", "mission__owner")
    written: dict[int, dict[str, str]] = {}  # the tags of each owner by their comparable form
    touched = set(added.values())
    for owner in set(owners.values()):
        known = {name: tags.comparable(name) for name in selectors.known_tags(owner)}
        touched |= {name for name, key in known.items() if key in added or key in removed}
        written[owner] = added | {key: name for name, key in known.items()}
        if len(written[owner]) > max(selectors.MAX_TAGS, len(known)):
            message = _("There are %(count)d different tags already. Use one of them, or remove one from all results.")
            raise Invalid([FieldError("tags", message % {"count": len(known)})])
    for part in bulk.batches(list(owners), BATCH) if added else ():
        others = ItemTag.objects.filter(item__in=part).exclude(name__in=touched).order_by().values("item")
        if others.annotate(count=Count("pk")).filter(count__gt=tags.MAX_COUNT - len(added)).exists():
            message = _("A result can have at most %(count)d tags. Remove some of them first.")
            raise Invalid([FieldError("tags", message % {"count": tags.MAX_COUNT})])
    changed_count = 0
    for part in bulk.batches(list(owners), BATCH):
        with transaction.atomic():
            rows = ItemTag.objects.filter(item__in=part, name__in=touched).values_list("pk", "item", "name")
            held = [(pk, item_id, tags.comparable(name)) for pk, item_id, name in rows]
            has = {(item_id, key) for _pk, item_id, key in held}
            new = [(pk, key) for pk in part for key in added if (pk, key) not in has]
            ItemTag.objects.filter(pk__in=[pk for pk, _item, key in held if key in removed]).delete()
            made = [ItemTag(item_id=pk, owner_id=owners[pk], name=written[owners[pk]][key]) for pk, key in new]
            ItemTag.objects.bulk_create(made, ignore_conflicts=True)
            changed = sorted({pk for pk, _key in new} | {pk for pk, key in has if key in removed})
            transaction.on_commit(partial(search.refresh_marks, changed, new_tags=[*added.values()]))
            changed_count += len(changed)
    return changed_count
