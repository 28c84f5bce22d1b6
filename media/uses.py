"""Uses of media files by missions: record them, and find those that still need the file.

The app that owns the missions registers which of its rows are open, because ``media`` does not know
their statuses.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from core.db import bulk
from media.models import MediaFile, MediaUse

BATCH = 1000

_open_uses = Q(pk__in=[])


def register_open_uses(condition: Q) -> None:
    """Set the condition on ``MediaUse`` that says: this use still needs its file."""
    global _open_uses
    _open_uses = condition


def record_uses(mission_id: int, media_ids: Iterable[int]) -> list[int]:
    """Record that a mission uses these files, so that none is deleted before the mission has ended.

    Returns the ids of files that do not exist (any more). Call it in the transaction that makes the
    mission name the files, and late in it: their rows stay locked until it ends.
    """
    missing: list[int] = []
    for batch in bulk.batches(sorted(set(media_ids)), BATCH):
        files = MediaFile.objects.filter(pk__in=batch).order_by("pk").select_for_update(no_key=True)
        existing = set(files.values_list("pk", flat=True))
        uses = [MediaUse(mission_id=mission_id, media_id=media_id) for media_id in batch if media_id in existing]
        MediaUse.objects.bulk_create(uses, ignore_conflicts=True)
        missing += [media_id for media_id in batch if media_id not in existing]
    return missing


def first_open_use(media: MediaFile) -> MediaUse | None:
    """Return the use by the oldest mission that may still have to send the file."""
    uses = MediaUse.objects.filter(_open_uses, media=media).select_related("mission")
    return uses.order_by("mission_id").first()
