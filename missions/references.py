"""Reference files of a request: ``media:ID`` becomes a URL that the provider can read.

Which mission names which file is written down when it is created, so that no file is removed that is still needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, BinaryIO, cast

from django.utils import timezone

from core.db import bulk
from media.models import MediaFile
from missions import lifecycle
from missions.models import Mission, MissionMedia
from providers import provider_accounts
from providers.adapters.errors import Rejected
from providers.catalog import Model
from providers.models import ProviderAccount, ProviderUpload

_MEDIA = re.compile(r"media:([0-9]{1,18})")
# A link is used only while it lives this much longer, so that a queued task can still read it.
SAFETY = timedelta(hours=3)


def resolve(model: Model, params: Mapping[str, Any], *, account: ProviderAccount) -> dict[str, Any]:
    """``params`` with every ``media:ID`` replaced by a URL at the account's provider.

    Raises Rejected when a file is gone or refused, AccountBlocked, or Unavailable when the upload got no answer.
    """
    resolved = dict(params)
    for name in names_in(model, params):
        value = params[name]
        if isinstance(value, str):
            resolved[name] = _resolve(value, account)
        else:
            resolved[name] = [_resolve(entry, account) for entry in value]
    return resolved


def names_in(model: Model, params: Mapping[str, Any]) -> list[str]:
    """The fields of ``params`` that hold files.  Of a free-form model nothing is known but how such names end."""
    if model.is_free_form:
        return [name for name, value in params.items() if name.endswith(("Url", "Urls")) and _is_addresses(value)]
    return [field.name for field in model.parameters if field.is_file and params.get(field.name)]


def media_ids(model: Model, params: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The uploaded files that ``params`` name, as (field, id)."""
    found = []
    for name in names_in(model, params):
        value = params[name]
        for entry in [value] if isinstance(value, str) else value:
            if match := _MEDIA.fullmatch(entry):
                found.append((name, int(match[1])))
    return found


def note_uses(mission_id: int, media_ids: Iterable[int]) -> list[int]:
    """Write down that a mission names these files, so that none is removed before it has ended.  Returns those that are gone.

    Must run in the transaction that makes the mission name them, and late in it: the files stay locked to its end.
    """
    gone: list[int] = []
    for ids in bulk.batches(sorted(set(media_ids)), lifecycle.BATCH):
        files = MediaFile.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
        found = set(files.values_list("pk", flat=True))
        MissionMedia.objects.bulk_create(
            [MissionMedia(mission_id=mission_id, media_id=media_id) for media_id in ids if media_id in found],
            ignore_conflicts=True,
        )
        gone += [media_id for media_id in ids if media_id not in found]
    return gone


def needed_by(media: MediaFile) -> Mission | None:
    """The first mission that names the file and has not ended: it may still have to hand it over."""
    open_missions = Mission.objects.filter(media__media=media, status__in=lifecycle.OPEN)
    return open_missions.order_by("pk").first()


def let_go(media: MediaFile) -> None:
    """Forget which missions named a file.  The caller holds its lock and has found that none of them needs it."""
    MissionMedia.objects.filter(media=media).delete()


def _is_addresses(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(entry, str) for entry in value)
    return isinstance(value, str) and bool(value)


def _resolve(reference: str, account: ProviderAccount) -> str:
    match = _MEDIA.fullmatch(reference)
    if not match:
        return reference
    media = MediaFile.objects.filter(pk=int(match[1])).first()
    if media is None:
        raise Rejected(f"The reference file {reference} no longer exists: upload it again.", code="reference_missing")
    known = ProviderUpload.objects.filter(
        account=account, sha256=media.sha256, expires_at__gt=timezone.now() + SAFETY
    ).first()
    return known.url if known else _upload(media, account)


def _upload(media: MediaFile, account: ProviderAccount) -> str:
    try:
        with media.file.storage.open(str(media.file.name), "rb") as file:
            uploaded = provider_accounts.connect(account).upload(
                cast(BinaryIO, file), filename=media.name, content_type=media.content_type
            )
    except FileNotFoundError:
        message = f"The file of {media.name} is missing on this server: upload it again."
        raise Rejected(message, code="reference_missing") from None
    expires_at = timezone.now() + timedelta(seconds=uploaded.lifetime_seconds)
    ProviderUpload.objects.update_or_create(
        account=account,
        sha256=media.sha256,
        defaults={"url": uploaded.url, "expires_at": expires_at, "created_at": timezone.now()},
    )
    return uploaded.url
