"""References to files in parameters: ``media:ID`` and ``output:ITEM/N``.

``output:ITEM/N`` is result number N of the item with the database id ITEM, of any mission of the
same owner. At submission a reference becomes a URL at the account's provider, or a file that is
passed on as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Any, BinaryIO, cast

from django.contrib.auth.models import AbstractBaseUser
from django.core.files.storage import Storage, storages
from django.utils.translation import gettext as _

from core.db import bulk
from core.errors import FieldError
from core.reasons import Reason
from media import names as media_names
from media import renditions
from media.images import FORMATS_BY_TYPE, STANDARD, Limits
from media.models import MediaFile
from media.renditions import SentFile
from missions import reasons
from missions.models import Attempt, AttemptStatus, Mission, Output, OutputStatus, OutputUse
from providers import catalog, uploads
from providers.adapters.base import InputFile
from providers.adapters.errors import Rejected
from providers.adapters.registry import PROVIDERS
from providers.catalog import Model
from providers.catalog.values import is_absent
from providers.references import MEDIA, OUTPUT, fit_problem, image_limits
from workers.heartbeat import worker_name

BATCH = 1000
EXAMPLES = 3  # names that a warning shows


def has_files(attempt: Attempt) -> bool:
    """Return True when files have to be read, converted or uploaded before an attempt is sent.

    That takes time.
    """
    return bool(_file_names(attempt))


def resolve(attempt: Attempt) -> tuple[dict[str, Any], dict[str, InputFile]]:
    """Return an attempt's parameters, and the files to pass on as they are.

    A provider with uploads gets URLs in place of the references, and no files. Raises Rejected when
    a file is gone or refused, AccountBlocked, or Unavailable when the upload got no answer.
    """
    params = attempt.item.mission.params | attempt.item.params
    names = _file_names(attempt)
    if not names:
        return params, {}
    model = catalog.model_of(attempt.item.mission)
    uploading = PROVIDERS[attempt.account.provider].capabilities.uploads
    # Converting and uploading take time: the reaper must see that a worker is doing it.
    Attempt.objects.filter(pk=attempt.pk, status=AttemptStatus.PREPARED).update(worker=worker_name())
    files: dict[str, InputFile] = {}

    def resolved(entry: str, limits: Limits | None) -> str:
        file = _file(entry, owner_id=attempt.item.mission.owner_id, limits=limits)
        if file is None:
            return entry
        if uploading:
            return uploads.url_of(attempt.account, file)
        files[entry] = file
        return entry

    for name in names:
        value = params[name]
        limits = image_limits(model, model.parameter(name))
        if isinstance(value, str):
            params[name] = resolved(value, limits)
        else:
            params[name] = [resolved(entry, limits) for entry in value]
    return params, files


def replace_names(
    owner: AbstractBaseUser, model: Model, shared: dict[str, Any], rows: Sequence[Any]
) -> tuple[dict[str, Any], list[Any], list[tuple[int | None, FieldError]], list[Reason]]:
    """Replace names of uploaded images, and addresses of this site, by ``media:ID``.

    Returns the shared parameters, the rows, the errors with the number of their row (None for
    shared parameters), and warnings.
    """
    shared, replaced = dict(shared), list(rows)
    places: list[tuple[int | None, dict[str, Any]]] = [(None, shared)]
    for index, row in enumerate(rows):
        if isinstance(row, str) and model.file_names({model.batch_field: row}):
            row = {model.batch_field: row}
        if isinstance(row, Mapping):
            replaced[index] = dict(row)
            places.append((index, replaced[index]))
    texts: set[str] = set()
    cells: list[tuple[int | None, dict[str, Any], str]] = []
    for number, params in places:
        for name in model.file_names(params):
            found = [text for text in _texts(params[name]) if not is_absent(text) and media_names.is_name(text)]
            if found:
                texts.update(found)
                cells.append((number, params, name))
    if not texts:
        return shared, replaced, [], []
    resolved = media_names.resolve(texts, owner=owner)
    errors: list[tuple[int | None, FieldError]] = []
    for number, params, name in cells:
        value = params[name]
        named = resolved.problems.keys() - resolved.unknown  # the catalogue explains what else is allowed
        problems = [resolved.problems[text] for text in _texts(value) if text in named]
        if problems:
            errors.append((number, FieldError(name, problems[0])))
        if isinstance(value, str):
            params[name] = resolved.references.get(value, value)
        else:
            params[name] = [resolved.references.get(each, each) if isinstance(each, str) else each for each in value]
    return shared, replaced, errors, resolved.warnings


def conversion_warnings(
    files: Mapping[int, MediaFile], model: Model, names: Sequence[tuple[str, str, int]]
) -> list[Reason]:
    """Return a warning if images are converted for a model. Arguments as for ``file_errors``."""
    wanted = {(media_id, name) for _place, name, media_id in names}
    examples = []
    for media_id, name in sorted(wanted):
        limits = image_limits(model, model.parameter(name))
        if limits and media_id in files and (text := renditions.difference(files[media_id], limits)):
            examples.append(text)
    if not examples:
        return []
    return [reasons.IMAGES_CONVERTED(count=len(examples), examples="; ".join(examples[:EXAMPLES]))]


def _texts(value: Any) -> list[str]:
    return [each for each in (value if isinstance(value, list | tuple) else [value]) if isinstance(each, str)]


def output_errors(owner_id: int, model: Model, names: Sequence[tuple[str, str, tuple[int, int]]]) -> list[FieldError]:
    """Return an error for every result that is not the owner's, not stored or does not fit.

    ``names`` holds (field of the error, parameter, (item's id, number)).
    """
    outputs = _find_outputs({key for _place, _name, key in names}, owner_id=owner_id)
    errors = []
    for place, name, key in names:
        output, parameter = outputs.get(key), model.parameter(name)
        reference = f"output:{key[0]}/{key[1]}"
        if output is None or output.item.mission.delete_requested_at:
            errors.append(FieldError(place, _("There is no result %s among your missions.") % reference))
        elif output.status != OutputStatus.STORED or not output.file:
            errors.append(FieldError(place, _("The result %s has no stored file. Choose another one.") % reference))
        elif output.content_type in FORMATS_BY_TYPE and image_limits(model, parameter):
            continue  # a picture is converted when it is sent
        elif parameter and (problem := fit_problem(parameter, reference, output.content_type, output.size_bytes or 0)):
            errors.append(FieldError(place, problem))
    return errors


def record_output_uses(mission: Mission, keys: Iterable[tuple[int, int]]) -> list[str]:
    """Protect the results that a mission names until it has ended.

    Return the references of those that are gone. Call it in the transaction that stores these
    references in the mission: the results' rows stay locked until the transaction ends.
    """
    outputs = _find_outputs(set(keys), owner_id=mission.owner_id)
    ids = [output.pk for output in outputs.values()]
    used_ids: set[int] = set()
    for batch in bulk.batches(ids, BATCH):
        stored = Output.objects.filter(pk__in=batch, status=OutputStatus.STORED).order_by("pk")
        used_ids |= set(stored.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
    OutputUse.objects.bulk_create(
        [OutputUse(mission=mission, output_id=pk) for pk in sorted(used_ids)], ignore_conflicts=True, batch_size=BATCH
    )
    used_keys = {key for key, output in outputs.items() if output.pk in used_ids}
    return [f"output:{item_id}/{number}" for item_id, number in sorted(set(keys) - used_keys)]


def _find_outputs(keys: Set[tuple[int, int]], *, owner_id: int) -> dict[tuple[int, int], Output]:
    """Return the latest results of a person's missions by (item's id, number)."""
    latest: dict[tuple[int, int], Output] = {}
    for batch in bulk.batches(sorted({item_id for item_id, _number in keys}), BATCH):
        outputs = Output.objects.filter(item__in=batch, item__mission__owner=owner_id).order_by("attempt")
        for output in outputs.select_related("item__mission").defer("item__params", "item__mission__params"):
            latest[output.item_id, output.index] = output
    return {key: output for key, output in latest.items() if key in keys}


def _file_names(attempt: Attempt) -> list[str]:
    mission = attempt.item.mission
    return catalog.model_of(mission).file_names(mission.params | attempt.item.params)


def _file(reference: str, *, owner_id: int, limits: Limits | None) -> InputFile | None:
    """Return the file behind a reference, None for an address.

    Pictures are converted to what ``limits`` allow. Raises Rejected when the file is gone or cannot
    be converted.
    """
    try:
        if match := MEDIA.fullmatch(reference):
            media = MediaFile.objects.filter(pk=int(match[1])).first()
            if media is None:
                raise Rejected(f"The file {reference} no longer exists: upload it again.", code="reference_missing")
            sent = renditions.open_for(media, limits or STANDARD)
        elif match := OUTPUT.fullmatch(reference):
            key = int(match[1]), int(match[2])
            output = _find_outputs({key}, owner_id=owner_id).get(key)
            if output is None or output.status != OutputStatus.STORED or not output.file:
                message = f"The result {reference} no longer exists. Choose another file."
                raise Rejected(message, code="reference_missing")
            name = output.file.rsplit("/", 1)[-1]
            opening = partial(_open, storages["results"], output.file)
            sent = SentFile(name, output.content_type, output.size_bytes or 0, output.sha256, opening)
            if limits and output.content_type in FORMATS_BY_TYPE:
                sent = renditions.open_result(sent, limits)
        else:
            return None
    except FileNotFoundError:
        message = f"The file of {reference} is missing on this server: upload it again."
        raise Rejected(message, code="reference_missing") from None
    except renditions.UNREADABLE:
        raise Rejected(reasons.REFERENCE_UNUSABLE(reference=reference), code="reference_unusable") from None
    return InputFile(sent.name, sent.content_type, sent.size_bytes, sent.sha256, sent.open)


def _open(storage: Storage, name: str) -> BinaryIO:
    return cast(BinaryIO, storage.open(name, "rb"))
