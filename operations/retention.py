"""Delete data that the retention settings let expire, and leftovers that nobody can request.

Missions that have not ended, or that have unconfirmed items, are never touched. Starred results and
their missions stay. Where only the files of results are deleted, their rows stay, with all
metadata. The costs of deleted missions stay in all sums. Work is done in small transactions: after
an interruption, the next run continues.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.files.storage import Storage, storages
from django.db.models import Exists, Model, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from accounts.audit import services as audit
from core.api import idempotency
from core.db import bulk
from core.models import IdempotencyKey
from core.storage.listing import StoredFile, files_below
from drafts import services as drafts
from drafts.models import FormDraft
from media import names as media_names
from media.models import MediaFile, MediaUse
from media.previews import preview_path
from media.services import MediaInUse, delete_media
from missions import lifecycle, reasons
from missions.models import ItemEvent, Mission, Output, OutputStatus, OutputUse
from missions.results import download
from missions.services.purge import purge_mission
from notifications.tasks import expired_deliveries
from providers.models import ProviderUpload
from templates_app.models import MissionTemplate

BATCH = 500
MISSIONS_AT_ONCE = 50
DRAFTS_AT_ONCE = 10  # each may hold a table of megabytes
STRAY_AFTER = timedelta(days=1)  # the row of a younger file may be about to be written


@dataclass(frozen=True, slots=True)
class Cleaned:
    """One kind of deletable data: how much of it, and the bytes of its files."""

    kind: str
    count: int = 0
    size_bytes: int = 0


def is_configured() -> bool:
    """Return True if any retention setting is on."""
    days = (settings.RETENTION_MISSIONS_DAYS, settings.RETENTION_RESULTS_DAYS, settings.RETENTION_AUDIT_DAYS)
    return any((*days, settings.RETENTION_EVENTS_DAYS, settings.RETENTION_MEDIA_DAYS))


def clean(*, now: datetime, apply: bool) -> Iterator[Cleaned]:
    """Yield what can be deleted now, kind by kind; with ``apply``, delete it first."""

    def limit(days: int) -> datetime | None:
        """Return the time before which data has expired; None if it never does."""
        return now - timedelta(days=days) if days else None

    yield clean_missions(limit(settings.RETENTION_MISSIONS_DAYS), apply=apply)
    # A preview counts nothing twice: what goes with its mission is not listed again.
    expired: QuerySet[Mission] = Mission.objects.none()
    if (before := limit(settings.RETENTION_MISSIONS_DAYS)) and not apply:
        expired = _expired_missions(before)
    yield clean_results(limit(settings.RETENTION_RESULTS_DAYS), now=now, apply=apply, without=expired)
    events = ItemEvent.objects.none()
    if before := limit(settings.RETENTION_EVENTS_DAYS):
        missions = _ended_missions(before).exclude(pk__in=expired)
        events = ItemEvent.objects.filter(at__lt=before, mission__in=missions)
    yield _clean_rows("events", events, apply)
    yield clean_media(limit(settings.RETENTION_MEDIA_DAYS), apply=apply)
    audit_count = 0
    if before := limit(settings.RETENTION_AUDIT_DAYS):
        audit_count = audit.expire(before=before) if apply else audit.expired_count(before=before)
    yield Cleaned("audit entries", audit_count)
    yield _clean_rows("deliveries of notifications", expired_deliveries(now), apply)
    yield _clean_rows("unfinished forms", FormDraft.objects.filter(updated_at__lt=now - drafts.LIFETIME), apply)
    old_keys = IdempotencyKey.objects.filter(claimed_at__lt=now - idempotency.LIFETIME - idempotency.LEASE)
    yield _clean_rows("idempotency keys", old_keys, apply)
    old_links = ProviderUpload.objects.filter(expires_at__lt=now)
    yield _clean_rows("links to uploads at the provider", old_links, apply)
    yield _clean_rows("sessions", Session.objects.filter(expire_date__lt=now), apply)
    before = now - STRAY_AFTER
    yield clean_stray_results(before, apply=apply)
    yield clean_stray_uploads(before, apply=apply)
    yield clean_partial_downloads(before, apply=apply)


def _clean_rows(kind: str, rows: QuerySet[Model], apply: bool) -> Cleaned:
    if not apply:
        return Cleaned(kind, rows.count())
    count = 0
    while page := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        count += len(page)
        rows.model._default_manager.filter(pk__in=page).delete()
    return Cleaned(kind, count)


def _ended_missions(before: datetime) -> QuerySet[Mission]:
    return Mission.objects.filter(
        status__in=lifecycle.ENDED, ended_at__lt=before, unconfirmed_count=0, submitting_count=0, processing_count=0
    )


def _expired_missions(before: datetime) -> QuerySet[Mission]:
    """Return the ended missions that ``clean_missions`` deletes."""
    outputs = Output.objects.filter(item__mission=OuterRef("pk"))
    uses = OutputUse.objects.filter(output__item__mission=OuterRef("pk"), mission__status__in=lifecycle.OPEN)
    old = _ended_missions(before).exclude(Exists(outputs.filter(is_starred=True)))
    return old.exclude(Exists(outputs.filter(status=OutputStatus.PENDING))).exclude(Exists(uses))


# --- By age ---


def clean_missions(before: datetime | None, *, apply: bool) -> Cleaned:
    """Delete missions that ended before a time, with items, attempts and files.

    A mission stays while a result is starred, still being fetched, or needed by an open mission.
    """
    count = size = last = 0
    if before is None:
        return Cleaned("missions")
    old = _expired_missions(before)
    while page := list(old.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:MISSIONS_AT_ONCE]):
        last = page[-1]
        files = Output.objects.filter(item__mission__in=page).values_list("item__mission").order_by()
        sizes = dict(files.annotate(size=Sum("size_bytes", filter=~Q(file=""))))
        for mission_id in page:
            if apply:
                lifecycle.request_deletion(mission_id, actor=lifecycle.ENGINE)
                if not purge_mission(mission_id):
                    continue
            count += 1
            size += sizes.get(mission_id) or 0
    return Cleaned("missions", count, size)


def clean_results(
    before: datetime | None, *, now: datetime, apply: bool, without: QuerySet[Mission] | None = None
) -> Cleaned:
    """Delete the files of results whose missions ended before a time, except those of ``without``.

    The rows change first: a file left behind by a crash is then a stray file.
    """
    count = size = last = 0
    if before is None:
        return Cleaned("results")
    missions = _ended_missions(before)
    if without is not None:
        missions = missions.exclude(pk__in=without)
    old = Output.objects.filter(status=OutputStatus.STORED, is_starred=False, item__mission__in=missions)
    while page := list(old.exclude(file="").filter(pk__gt=last).order_by("pk").values("pk", "size_bytes")[:BATCH]):
        last = page[-1]["pk"]
        count += len(page)
        size += sum(row["size_bytes"] or 0 for row in page)
        if apply:
            outputs = old.filter(pk__in=[row["pk"] for row in page])
            download.remove(lifecycle.remove_outputs(outputs, message=reasons.OUTPUT_REMOVED(), now=now))
    return Cleaned("results", count, size)


def clean_media(before: datetime | None, *, apply: bool) -> Cleaned:
    """Delete old uploads that no recent mission, template or unfinished form names."""
    count = size = 0
    if before is None:
        return Cleaned("uploaded images")
    mentioned = _mentioned_files()
    uses = MediaUse.objects.filter(media=OuterRef("pk")).exclude(mission__in=_ended_missions(before))
    unused = MediaFile.objects.filter(~Exists(uses), created_at__lt=before).prefetch_related("names")
    for media in unused.order_by("pk").iterator(BATCH):
        if not mentioned[media.owner_id].isdisjoint(media_names.names_of(media)):
            continue
        if apply:
            try:
                delete_media(media=media, is_expired=True)
            except (MediaInUse, MediaFile.DoesNotExist):
                continue
        count += 1
        size += media.size_bytes
    return Cleaned("uploaded images", count, size)


def _mentioned_files() -> dict[int, set[str]]:
    """Return what templates and unfinished forms mention, by their owner (``media.names``)."""
    mentioned: dict[int, set[str]] = defaultdict(set)
    for owner_id, config in MissionTemplate.objects.values_list("owner_id", "config").iterator(BATCH):
        mentioned[owner_id].update(word for text in _texts(config) for word in media_names.mentioned(text))
    drafts_of_forms = FormDraft.objects.filter(mission_id=None).values_list("owner_id", "form", "table")
    for owner_id, *columns in drafts_of_forms.iterator(DRAFTS_AT_ONCE):
        for column in filter(None, columns):
            mentioned[owner_id].update(
                word for text in _texts(json.loads(column)) for word in media_names.mentioned(text)
            )
    return mentioned


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts(entry)


# --- Files without a row ---


def clean_stray_results(before: datetime, *, apply: bool) -> Cleaned:
    """Delete result files that were written before a time and that no row names."""

    def names_in_use(names: Sequence[str]) -> set[str]:
        return _names_in_columns(names, Output.objects.all(), "file", "thumbnail")

    files = files_below(storages["results"], "missions")
    return _clean_strays("result files without a row", storages["results"], files, names_in_use, before, apply)


def clean_stray_uploads(before: datetime, *, apply: bool) -> Cleaned:
    """Delete uploads, previews and renditions that were written before a time and have no row."""

    def names_in_use(names: Sequence[str]) -> set[str]:
        keys = {name.rpartition("/")[2].partition(".")[0] for name in names}
        in_use = _names_in_columns(names, MediaFile.objects.all(), "file")
        for part in bulk.batches(sorted(keys), BATCH):
            for media in MediaFile.objects.filter(key__in=part):
                in_use |= {str(media.file.name), preview_path(media), media.rendition_path}
        return in_use

    files = files_below(storages["default"], "media")
    return _clean_strays("uploads without a row", storages["default"], files, names_in_use, before, apply)


def _clean_strays(
    kind: str,
    storage: Storage,
    pages: Iterable[Sequence[StoredFile]],
    names_in_use: Callable[[Sequence[str]], set[str]],
    before: datetime,
    apply: bool,
) -> Cleaned:
    count = size = 0
    for page in pages:
        old = [file for file in page if file.written_at < before]
        names = names_in_use([file.name for file in old])
        for file in old:
            if file.name in names:
                continue
            if apply:
                storage.delete(file.name)
            count, size = count + 1, size + file.size
    return Cleaned(kind, count, size)


def _names_in_columns(names: Sequence[str], rows: QuerySet[Model], *columns: str) -> set[str]:
    in_use: set[str] = set()
    for part in bulk.batches(names, BATCH):
        for column in columns:
            in_use |= set(rows.filter(**{f"{column}__in": part}).values_list(column, flat=True))
    return in_use


def clean_partial_downloads(before: datetime, *, apply: bool) -> Cleaned:
    """Delete partial downloads that killed workers of this machine left before a time."""
    age = timezone.now() - before
    return Cleaned("interrupted downloads", *download.remove_parts(older_than=age, apply=apply))
