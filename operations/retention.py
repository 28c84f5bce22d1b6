"""What goes by itself: results, events and uploads after as many days as the settings say, and what nobody can ask for any more.

Nothing of a mission that has not ended, or of which the fate of an item is unknown, is touched.  Rows of results stay, with all
that is known of the file; starred results stay altogether.  Work is done in small transactions: broken off, it goes on next time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.files.storage import Storage, storages
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.utils.translation import gettext_noop

from core.api import idempotency
from core.db import bulk
from core.models import IdempotencyKey
from core.storage.listing import files_below
from drafts import services as drafts
from drafts.models import FormDraft
from media.models import MediaFile, MediaUse
from media.previews import preview_path
from media.services import MediaInUse, delete_media
from missions import lifecycle
from missions.models import ItemEvent, Mission, Output, OutputStatus
from missions.results import download
from providers.models import ProviderUpload
from templates_app.models import MissionTemplate

BATCH = 500
STRAY_AFTER = timedelta(days=1)  # a file that is younger may be about to get its row
REMOVED = gettext_noop("The file was removed, because the operator keeps results for a limited time.")
_REFERENCE = re.compile(r"media:([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Found:
    """One kind of thing that may go: how many, and the bytes of their files."""

    what: str
    count: int = 0
    size_bytes: int = 0


def is_wanted() -> bool:
    """Whether any time is set after which something goes."""
    return any((settings.RETENTION_RESULTS_DAYS, settings.RETENTION_EVENTS_DAYS, settings.RETENTION_MEDIA_DAYS))


def clean(*, now: datetime, apply: bool) -> Iterator[Found]:
    """What may go now, kind by kind; with ``apply`` it is gone when it is told."""
    yield _results(_cutoff(now, settings.RETENTION_RESULTS_DAYS), now, apply)
    yield _rows("events", _events(_cutoff(now, settings.RETENTION_EVENTS_DAYS)), apply)
    yield _media(_cutoff(now, settings.RETENTION_MEDIA_DAYS), apply)
    yield _rows("unfinished forms", FormDraft.objects.filter(updated_at__lt=now - drafts.LIFETIME), apply)
    old_keys = IdempotencyKey.objects.filter(claimed_at__lt=now - idempotency.LIFETIME - idempotency.LEASE)
    yield _rows("idempotency keys", old_keys, apply)
    yield _rows("links to uploads at the provider", ProviderUpload.objects.filter(expires_at__lt=now), apply)
    yield _rows("sessions", Session.objects.filter(expire_date__lt=now), apply)
    yield _strays("result files that belong to no row", storages["results"], "missions", _known_results, now, apply)
    yield _strays("uploads that belong to no row", storages["default"], "media", _known_uploads, now, apply)
    yield _broken_off(now, apply)


def _cutoff(now: datetime, days: int) -> datetime | None:
    return now - timedelta(days=days) if days else None


def _ended(before: datetime) -> QuerySet[Mission]:
    return Mission.objects.filter(
        status__in=lifecycle.ENDED, ended_at__lt=before, unconfirmed_count=0, submitting_count=0, processing_count=0
    )


# --- By age ---


def _results(before: datetime | None, now: datetime, apply: bool) -> Found:
    """Files of results.  Their rows are told first: a file that is left behind then is a stray one."""
    count = size = last = 0
    if before is None:
        return Found("results")
    old = Output.objects.filter(status=OutputStatus.STORED, is_starred=False, item__mission__in=_ended(before))
    while page := list(old.exclude(file="").filter(pk__gt=last).order_by("pk").values("pk", "size_bytes")[:BATCH]):
        last = page[-1]["pk"]
        count += len(page)
        size += sum(row["size_bytes"] or 0 for row in page)
        if apply:
            kept = old.filter(pk__in=[row["pk"] for row in page])
            download.remove(lifecycle.remove_outputs(kept, message=REMOVED, now=now))
    return Found("results", count, size)


def _events(before: datetime | None) -> QuerySet[ItemEvent]:
    if before is None:
        return ItemEvent.objects.none()
    return ItemEvent.objects.filter(at__lt=before, mission__in=_ended(before))


def _media(before: datetime | None, apply: bool) -> Found:
    """Uploaded images that no mission has needed since, and no template and no unfinished form names."""
    count = size = 0
    if before is None:
        return Found("uploaded images")
    uses = MediaUse.objects.filter(media=OuterRef("pk")).exclude(mission__in=_ended(before))
    named = _named_elsewhere()
    for media in MediaFile.objects.filter(~Exists(uses), created_at__lt=before).order_by("pk").iterator(BATCH):
        if media.pk in named or (apply and not _delete_media(media)):
            continue
        count += 1
        size += media.size_bytes
    return Found("uploaded images", count, size)


def _delete_media(media: MediaFile) -> bool:
    try:
        delete_media(media=media)
    except (MediaInUse, MediaFile.DoesNotExist):
        return False
    return True


def _named_elsewhere() -> set[int]:
    texts = [str(config) for config in MissionTemplate.objects.values_list("config", flat=True).iterator(BATCH)]
    for form, table in FormDraft.objects.filter(mission_id=None).values_list("form", "table").iterator(BATCH):
        texts += (form, table)
    return {int(number) for text in texts for number in _REFERENCE.findall(text)}


def _rows(what: str, rows: QuerySet[Model], apply: bool) -> Found:
    if not apply:
        return Found(what, rows.count())
    count = 0
    while page := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        count += len(page)
        rows.model._default_manager.filter(pk__in=page).delete()
    return Found(what, count)


# --- Files without a row ---


def _strays(
    what: str, storage: Storage, top: str, known: Callable[[Sequence[str]], set[str]], now: datetime, apply: bool
) -> Found:
    """Files of a storage below ``top`` that are old enough to have a row, and have none."""
    found = Found(what)
    for page in files_below(storage, top):
        old = [file for file in page if file.written_at < now - STRAY_AFTER]
        rows = known([file.name for file in old])
        strays = [file for file in old if file.name not in rows]
        if apply:
            for file in strays:
                storage.delete(file.name)
        found = Found(what, found.count + len(strays), found.size_bytes + sum(file.size for file in strays))
    return found


def _known_results(names: Sequence[str]) -> set[str]:
    return _in_columns(names, Output.objects.all(), "file", "thumbnail")


def _known_uploads(names: Sequence[str]) -> set[str]:
    """Images that have a row, and the previews beside them."""
    stems = {name.removesuffix(".preview.jpg").rpartition("/")[2].partition(".")[0] for name in names}
    kept: set[str] = set()
    for part in bulk.batches(sorted(stems), BATCH):
        for media in MediaFile.objects.filter(key__in=part):
            kept |= {str(media.file.name), preview_path(media)}
    return kept | _in_columns(names, MediaFile.objects.all(), "file")


def _in_columns(names: Sequence[str], rows: QuerySet[Model], *columns: str) -> set[str]:
    kept: set[str] = set()
    for part in bulk.batches(names, BATCH):
        for column in columns:
            kept |= set(rows.filter(**{f"{column}__in": part}).values_list(column, flat=True))
    return kept


def _broken_off(now: datetime, apply: bool) -> Found:
    """What killed workers of this machine left of their downloads."""
    parts = [path for path in download.parts() if _is_stray(path, now)]
    size = sum(path.stat().st_size for path in parts)
    if apply:
        for path in parts:
            path.unlink(missing_ok=True)
    return Found("downloads that broke off", len(parts), size)


def _is_stray(path: Path, now: datetime) -> bool:
    try:
        return path.is_file() and path.stat().st_mtime < (now - STRAY_AFTER).timestamp()
    except FileNotFoundError:
        return False
