"""Uploaded pictures as models get them.

The original file stays as it was uploaded. Most models take JPEG and PNG of at most 10 MB, so that
rendition (``images.STANDARD``) is made once, at the upload, and its properties are kept in the
file's row. It is stored as a file only if the pixels had to be encoded again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from django.core.files.base import ContentFile
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from media import images
from media.images import FORMATS, FORMATS_BY_TYPE, STANDARD, Limits, Rendition
from media.models import MediaFile

_PIXEL_CHANGES = {images.FIRST_FRAME, images.UPRIGHT, images.COLOURS, images.REDRAWN}  # needed by every model
UNREADABLE = (images.NotAnImage, images.Damaged, images.TooManyPixels, images.DoesNotFit)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file to send. ``open`` returns a new stream; ``sha256`` differs where the content does."""

    name: str
    content_type: str
    size_bytes: int
    sha256: str
    open: Callable[[], BinaryIO]


def standard(media: MediaFile) -> Rendition | None:
    """Return what most models get of a picture, without its content.

    None for a row of an older release, whose picture has not been sent since the upgrade.
    """
    if media.rendition is None:
        return None
    known = {field.name for field in dataclasses.fields(Rendition)} - {"content"}
    values = {name: value for name, value in media.rendition.items() if name in known}
    return Rendition(**values | {"changes": tuple(values.get("changes", ()))})


def expected(media: MediaFile, limits: Limits) -> Rendition | None:
    """Return what a model with ``limits`` gets of a picture, without its content.

    None if that is known only when it has been made.
    """
    rendition = standard(media)
    if _is_plain(media, rendition, limits):
        if rendition and not media.rendition_path:
            return rendition
        return Rendition(media.content_type, media.size_bytes, media.width or 0, media.height or 0, changes=())
    if rendition and _fits(rendition.content_type, rendition.size_bytes, rendition.width, rendition.height, limits):
        return rendition
    return None


def open_for(media: MediaFile, limits: Limits) -> SentFile:
    """Return the file that a model with ``limits`` gets of a picture.

    A rendition that is neither the original nor the standard one is made now, which takes seconds
    for a large picture. Raises one of UNREADABLE, or FileNotFoundError.
    """
    if media.rendition is None:
        store(media, images.render(_read(media), STANDARD)[1])
        MediaFile.objects.filter(pk=media.pk).update(rendition=media.rendition)
    facts = expected(media, limits)
    if facts is None:
        return _made(media.name, media.sha256, _read(media), limits)
    if _is_plain(media, facts, limits):
        is_changed = facts.size_bytes != media.size_bytes
        sha256 = _derived(media.sha256, "plain") if is_changed else media.sha256
        opening: Callable[[], BinaryIO] = partial(_open_plain, media)
    else:
        sha256 = _derived(media.sha256, "standard")
        opening = partial(_open_standard, media)
    name = _with_extension(media.name, facts.content_type)
    return SentFile(name, facts.content_type, facts.size_bytes, sha256, opening)


def open_result(result: SentFile, limits: Limits) -> SentFile:
    """Return the file that a model with ``limits`` gets of a stored result, which is a picture.

    A result that fits is sent as it is. Raises one of UNREADABLE, or FileNotFoundError.
    """
    if limits.max_side is None and _fits(result.content_type, result.size_bytes, 0, 0, limits):
        return result
    with result.open() as stream:
        return _made(result.name, result.sha256, stream.read(), limits)


def store(media: MediaFile, rendition: Rendition) -> None:
    """Store the standard rendition of a picture; the caller saves the row."""
    values: dict[str, Any] = dataclasses.asdict(rendition)
    content = values.pop("content")
    values["file"] = ""
    if content is not None:
        extension = FORMATS_BY_TYPE[rendition.content_type].extensions[0]
        path = PurePosixPath(str(media.file.name)).with_suffix(f".rendition.{extension}")
        values["file"] = media.file.storage.save(str(path), ContentFile(content))
    media.rendition = values


def read_standard(media: MediaFile) -> tuple[bytes, str]:
    """Return the content and the content type of what most models get of a picture.

    Raises one of UNREADABLE, or FileNotFoundError.
    """
    sent = open_for(media, STANDARD)
    with sent.open() as stream:
        return stream.read(), sent.content_type


def notes(media: MediaFile) -> list[str]:
    """Return what people should know of the standard rendition, in the reader's language."""
    rendition = standard(media)
    return [] if rendition is None else describe(media.content_type, media.size_bytes, rendition)


def describe(content_type: str, size_bytes: int, rendition: Rendition) -> list[str]:
    """Return how a rendition differs from its original, in the reader's language.

    Metadata and the orientation are not mentioned: nobody misses them in the picture.
    """
    before, after = FORMATS_BY_TYPE[content_type].label, FORMATS_BY_TYPE[rendition.content_type].label
    facts = {
        "before": {"JPG": "JPEG"}.get(before, before),
        "after": {"JPG": "JPEG"}.get(after, after),
        "size": filesizeformat(size_bytes),
        "sent_size": filesizeformat(rendition.size_bytes),
        "width": rendition.width,
        "height": rendition.height,
    }
    texts = []
    if before != after:
        texts.append(_("Converted from %(before)s to %(after)s, %(size)s → %(sent_size)s.") % facts)
    if images.SMALLER in rendition.changes:
        texts.append(
            _("Sent at %(width)d×%(height)d pixels.") % facts
            if before != after
            else _("Sent at %(width)d×%(height)d pixels, %(size)s → %(sent_size)s.") % facts
        )
    if images.FIRST_FRAME in rendition.changes:
        texts.append(_("Only its first image is sent."))
    if images.COLOURS in rendition.changes:
        texts.append(_("Its colours are converted to those of screens (8-bit sRGB)."))
    return texts


def difference(media: MediaFile, limits: Limits) -> str:
    """Return a short text if a model with ``limits`` gets other pixels than the original's.

    Such as "IMG_1.heic: HEIC → JPG, 12.4 MB → 3.1 MB"; "" if it gets the same.
    """
    rendition = expected(media, limits)
    image_format = FORMATS_BY_TYPE.get(media.content_type)
    if image_format is None:
        return ""
    if rendition is None:
        return (
            "" if media.rendition is None else f"{media.name}: {image_format.label}, {filesizeformat(media.size_bytes)}"
        )
    if not {*_PIXEL_CHANGES, images.FORMAT, images.SMALLER} & set(rendition.changes):
        return ""
    after = FORMATS_BY_TYPE[rendition.content_type].label
    kinds = image_format.label if image_format.label == after else f"{image_format.label} → {after}"
    return f"{media.name}: {kinds}, {filesizeformat(media.size_bytes)} → {filesizeformat(rendition.size_bytes)}"


def _is_plain(media: MediaFile, rendition: Rendition | None, limits: Limits) -> bool:
    """Return True if a model gets the original, only without its metadata."""
    if rendition and _PIXEL_CHANGES & set(rendition.changes):
        return False
    size = rendition.size_bytes if rendition and not media.rendition_path else media.size_bytes
    return _fits(media.content_type, size, media.width or 0, media.height or 0, limits)


def _fits(content_type: str, size_bytes: int, width: int, height: int, limits: Limits) -> bool:
    image_format = FORMATS_BY_TYPE.get(content_type)
    return (
        image_format is not None
        and image_format.label in limits.formats & set(images.SENDABLE)
        and size_bytes <= limits.max_bytes
        and (limits.max_side is None or max(width, height) <= limits.max_side)
    )


def _read(media: MediaFile) -> bytes:
    with media.file.storage.open(str(media.file.name), "rb") as file:
        return bytes(file.read())


def _open_plain(media: MediaFile) -> BinaryIO:
    content = _read(media)
    return io.BytesIO(images.without_metadata(content) or content)


def _open_standard(media: MediaFile) -> BinaryIO:
    """Open the stored rendition; make it again if the storage has lost it."""
    try:
        return cast(BinaryIO, media.file.storage.open(media.rendition_path, "rb"))
    except FileNotFoundError:
        content = _read(media)
        return io.BytesIO(images.render(content, STANDARD)[1].content or content)


def _made(name: str, sha256: str, content: bytes, limits: Limits) -> SentFile:
    rendition = images.render(content, limits)[1]
    made = rendition.content or images.without_metadata(content) or content
    name = _with_extension(name, rendition.content_type)
    variant = f"{sorted(limits.formats)} {limits.max_bytes} {limits.max_side}"
    return SentFile(name, rendition.content_type, len(made), _derived(sha256, variant), partial(io.BytesIO, made))


def _derived(sha256: str, variant: str) -> str:
    """Return what tells the renditions of one file apart: they are uploaded one by one."""
    return hashlib.sha256(f"{sha256} {variant}".encode()).hexdigest()


def _with_extension(name: str, content_type: str) -> str:
    """Return a file's name with the extension of another type."""
    extensions = FORMATS_BY_TYPE[content_type].extensions
    stem, _dot, ending = name.rpartition(".")
    if ending.lower() in extensions:
        return name
    is_known = any(ending.lower() in each.extensions for each in FORMATS.values())
    return f"{stem if stem and is_known else name}.{extensions[0]}"
