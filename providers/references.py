"""References to files in parameters.

``media:ID`` is a file that its owner uploaded. ``output:ITEM/N`` is result number N of the item
with the database id ITEM, of any mission of the same owner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from core.errors import FieldError
from media.images import SENDABLE, STANDARD, Limits
from media.models import MediaFile
from providers.adapters.registry import PROVIDERS
from providers.catalog import Model, Parameter, ParameterType

MEDIA = re.compile(r"media:([0-9]{1,18})")
OUTPUT = re.compile(r"output:([0-9]{1,18})/([0-9]{1,5})")
IMAGE_TYPES = (ParameterType.IMAGE, ParameterType.IMAGES)


def media_ids(model: Model, params: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the uploaded files that ``params`` name, as (parameter, id)."""
    return [(name, int(match[1])) for name, entry in _entries(model, params) if (match := MEDIA.fullmatch(entry))]


def output_keys(model: Model, params: Mapping[str, Any]) -> list[tuple[str, tuple[int, int]]]:
    """Return the results that ``params`` name, as (parameter, (item's id, number))."""
    matches = [(name, OUTPUT.fullmatch(entry)) for name, entry in _entries(model, params)]
    return [(name, (int(match[1]), int(match[2]))) for name, match in matches if match]


def _entries(model: Model, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    values = [(name, params[name]) for name in model.file_names(params)]
    return [(name, entry) for name, value in values for entry in ([value] if isinstance(value, str) else value)]


def params_file_errors(owner_id: int, model: Model, params: Mapping[str, Any]) -> list[FieldError]:
    """Return an error for every file that the owner does not have or the model refuses."""
    names = [(name, name, media_id) for name, media_id in media_ids(model, params)]
    return file_errors(files_of(owner_id, names), model, names)


def files_of(owner_id: int, names: Sequence[tuple[str, str, int]]) -> dict[int, MediaFile]:
    """Return the owner's files by id; ``names`` as for ``file_errors``."""
    ids = {media_id for _place, _name, media_id in names}
    return MediaFile.objects.filter(owner_id=owner_id).in_bulk(ids) if ids else {}


def file_errors(
    files: Mapping[int, MediaFile], model: Model, names: Sequence[tuple[str, str, int]]
) -> list[FieldError]:
    """Return an error for every file that the owner does not have, or where no images are taken.

    Images in other formats, and larger ones, are converted when they are sent
    (``media.renditions``). ``files`` are the owner's by id, ``names`` holds (field of the error,
    parameter, media id).
    """
    errors = []
    for place, name, media_id in names:
        media, parameter = files.get(media_id), model.parameter(name)
        if media is None:
            errors.append(FieldError(place, _("There is no uploaded file %s: upload it first.") % media_id))
        elif parameter and image_limits(model, parameter) is None:
            problem = fit_problem(parameter, media.name, media.content_type, media.size_bytes)
            errors.append(FieldError(place, problem or _("This parameter takes no images.")))
    return errors


def image_limits(model: Model, parameter: Parameter | None) -> Limits | None:
    """Return the formats and sizes in which a parameter takes images; None if it takes none.

    Nothing is known about the parameters of a model outside the catalogue: they get what the
    catalogue's models take.
    """
    upload_limit = PROVIDERS[model.provider].capabilities.upload_max_bytes if model.provider in PROVIDERS else None
    if parameter is None or not parameter.formats:
        formats = STANDARD.formats | {"WEBP"}
        is_image = parameter is None or parameter.type in IMAGE_TYPES
    else:
        formats = frozenset(format_.replace("JPEG", "JPG") for format_ in parameter.formats) & set(SENDABLE)
        is_image = parameter.type in IMAGE_TYPES and bool(formats)
    if not is_image:
        return None
    max_bytes = (parameter and parameter.max_bytes) or STANDARD.max_bytes
    return Limits(formats, min(max_bytes, upload_limit or max_bytes), parameter.max_side if parameter else None)


def fit_problem(parameter: Parameter, name: str, content_type: str, size_bytes: int) -> str:
    """Return why a parameter does not accept a file of this type and size, "" if it does."""
    kind = content_type.rpartition("/")[2].upper().replace("JPEG", "JPG")
    if parameter.formats and kind not in {format_.replace("JPEG", "JPG") for format_ in parameter.formats}:
        facts = {"name": name, "kind": kind, "allowed": ", ".join(parameter.formats)}
        return _("%(name)s is %(kind)s; this model takes %(allowed)s.") % facts
    if parameter.max_bytes and size_bytes > parameter.max_bytes:
        facts = {"name": name, "size": f"{size_bytes:,}", "limit": f"{parameter.max_bytes:,}"}
        return _("%(name)s has %(size)s bytes; this model takes at most %(limit)s.") % facts
    return ""
