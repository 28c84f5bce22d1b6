"""Reads of media files that several interfaces share."""

from __future__ import annotations

from django.db.models import QuerySet

from media.models import MediaFile, MediaUse

USES_SHOWN = 20


def find_media(files: QuerySet[MediaFile], *, search: str = "") -> QuerySet[MediaFile]:
    """Return those of ``files`` with ``search`` in their name, in any case; newest first."""
    words = search.replace("\0", "").strip()
    return (files.filter(name__icontains=words) if words else files).select_related("owner")


def newest_uses(media: MediaFile, *, limit: int = USES_SHOWN) -> list[MediaUse]:
    """Return the uses of a file by its newest missions, without missions that are being deleted."""
    uses = MediaUse.objects.filter(media=media, mission__delete_requested_at=None).select_related("mission")
    shown = uses.only("mission__name", "mission__status", "mission__owner_id", "media_id")
    return list(shown.order_by("-mission_id")[:limit])
