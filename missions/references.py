"""References to files in parameters: ``media:ID`` of an uploaded file, ``output:ITEM/N`` of a result.

``output:ITEM/N`` is result number N of the item with the database id ITEM, of any mission of the same
owner. At submission a reference becomes a URL at the account's provider, or a file that is passed on
as it is.
"""

from __future__ import annotations

from functools import partial
from typing import Any, BinaryIO, cast

from django.core.files.storage import Storage, storages

from media.models import MediaFile
from missions.models import Attempt, AttemptStatus, Output, OutputStatus
from providers import catalog, uploads
from providers.adapters.base import InputFile
from providers.adapters.errors import Rejected
from providers.adapters.registry import PROVIDERS
from providers.references import MEDIA, OUTPUT
from workers.heartbeat import worker_name


def needs_upload(attempt: Attempt) -> bool:
    """Return True when files have to be uploaded before an attempt is sent, which takes time."""
    return PROVIDERS[attempt.account.provider].capabilities.uploads and bool(_file_names(attempt))


def resolve(attempt: Attempt) -> tuple[dict[str, Any], dict[str, InputFile]]:
    """Return an attempt's parameters, and the files that they name and the provider takes as they are.

    A provider with uploads gets URLs in place of the references, and no files. Raises Rejected when
    a file is gone or refused, AccountBlocked, or Unavailable when the upload got no answer.
    """
    params = attempt.item.mission.params | attempt.item.params
    names = _file_names(attempt)
    if not names:
        return params, {}
    uploading = PROVIDERS[attempt.account.provider].capabilities.uploads
    if uploading:
        # Uploading takes time: the reaper must see that somebody is at it.
        Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.PREPARED).update(worker=worker_name())
    files: dict[str, InputFile] = {}

    def resolved(entry: str) -> str:
        file = _file(entry, owner_id=attempt.item.mission.owner_id)
        if file is None:
            return entry
        if uploading:
            return uploads.url_of(attempt.account, file)
        files[entry] = file
        return entry

    for name in names:
        value = params[name]
        params[name] = resolved(value) if isinstance(value, str) else [resolved(entry) for entry in value]
    return params, files


def find_outputs(keys: set[tuple[int, int]], *, owner_id: int) -> dict[tuple[int, int], Output]:
    """Return the results of a person's missions by (item's id, number): of several, the latest."""
    outputs = Output.objects.filter(
        item__in={item_id for item_id, _ in keys},
        index__in={number for _, number in keys},
        item__mission__owner=owner_id,
        item__mission__delete_requested_at=None,
    )
    latest = {(output.item_id, output.index): output for output in outputs.order_by("attempt")}
    return {key: output for key, output in latest.items() if key in keys}


def _file_names(attempt: Attempt) -> list[str]:
    mission = attempt.item.mission
    return catalog.model_of(mission).file_names(mission.params | attempt.item.params)


def _file(reference: str, *, owner_id: int) -> InputFile | None:
    """Return the file behind a reference, None for an address. Raises Rejected when it is gone."""
    if match := MEDIA.fullmatch(reference):
        media = MediaFile.objects.filter(pk=int(match[1])).first()
        if media is None:
            raise Rejected(f"The file {reference} no longer exists: upload it again.", code="reference_missing")
        opening = partial(_open, media.file.storage, str(media.file.name))
        return InputFile(media.name, media.content_type, media.size_bytes, media.sha256, opening)
    if match := OUTPUT.fullmatch(reference):
        key = int(match[1]), int(match[2])
        output = find_outputs({key}, owner_id=owner_id).get(key)
        if output is None or output.status != OutputStatus.STORED or not output.file:
            raise Rejected(f"The result {reference} no longer exists. Choose another file.", code="reference_missing")
        name = output.file.rsplit("/", 1)[-1]
        opening = partial(_open, storages["results"], output.file)
        return InputFile(name, output.content_type, output.size_bytes or 0, output.sha256, opening)
    return None


def _open(storage: Storage, name: str) -> BinaryIO:
    return cast(BinaryIO, storage.open(name, "rb"))
