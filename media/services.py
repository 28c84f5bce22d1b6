"""Taking reference images in, and removing them.

A file that gets in is what it says it is: its kind is decided by its content and all of it was read once.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from core.errors import FieldError, Invalid
from media.models import MediaFile, new_key
from media.pictures import AT_ONCE, UNREADABLE
from media.previews import preview_path

MAX_PIXELS = 80_000_000  # decoding takes 3 to 4 bytes of memory for each
MAX_NAME = 255
CHUNK_BYTES = 1024 * 1024
# Pillow's word for a format → our extension, and the other ways to write it.  MPO is a JPEG as some cameras write it.
KINDS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
SPELLINGS = {"jpg": {".jpg", ".jpeg"}, "png": {".png"}, "gif": {".gif"}, "webp": {".webp"}}
CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp"}

_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # control, and reversed writing


class UploadInvalid(Invalid):
    """The file cannot be used, and nothing of it was stored.  The message is for people."""

    error = "upload_invalid"

    def __init__(self, message: str) -> None:
        super().__init__([FieldError("file", message)], message)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file turned out to be."""

    extension: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an upload ended up.  ``is_new`` is False when its owner had uploaded the same bytes before."""

    media: MediaFile
    is_new: bool


def store_upload(*, owner: AbstractBaseUser, file: IO[bytes], name: str) -> Stored:
    """Keep an image for its owner; the same bytes again give the same row.

    ``file`` is read from where it stands; ``name`` is what the person calls it.  Raises UploadInvalid for what is not a
    whole JPEG, PNG, GIF or WebP image of at most MEDIA_MAX_BYTES.  The file is written before its row, and removed when the
    row cannot be: call this outside a transaction that may be rolled back.
    """
    content = _read(file)
    picture = inspect(content)
    digest = hashlib.sha256(content).hexdigest()
    known = MediaFile.objects.filter(owner_id=owner.pk, sha256=digest).first()
    if known is not None and _has_file(known, content):
        return Stored(known, is_new=False)
    media = MediaFile(
        owner_id=owner.pk,
        key=new_key(),
        name=clean_name(name, picture.extension),
        sha256=digest,
        content_type=CONTENT_TYPES[picture.extension],
        size_bytes=len(content),
        width=picture.width,
        height=picture.height,
    )
    try:
        with _written(media, content, picture.extension), transaction.atomic():
            media.save(force_insert=True)
    except IntegrityError:
        first = MediaFile.objects.filter(owner_id=owner.pk, sha256=digest).first()
        if first is None:
            raise
        return Stored(first, is_new=False)  # the same bytes came in twice at once
    return Stored(media, is_new=True)


def delete_media(*, media: MediaFile) -> None:
    """Remove an image: its row, and once that is committed its file and its preview (or ``cleanup`` removes them later).

    Raises Django's RestrictedError while rows of another app hold on to it (``missions.services.delete_media`` knows
    when they may let go).
    """
    with transaction.atomic():
        MediaFile.objects.filter(pk=media.pk).delete()
        for path in (str(media.file.name), preview_path(media)):
            transaction.on_commit(functools.partial(media.file.storage.delete, path), robust=True)


def inspect(content: bytes) -> Picture:
    """Say what an image is, after decoding it.  Raises UploadInvalid."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG", "GIF", "WEBP"]) as image:
            kind, (width, height) = KINDS[str(image.format)], image.size
            if width * height > MAX_PIXELS:
                told = _("The image has %(width)d×%(height)d pixels, which is more than can be used.")
                raise UploadInvalid(told % {"width": width, "height": height})
            with AT_ONCE:
                image.load()  # a file that broke off is found out here
    except UploadInvalid:
        raise
    except UnidentifiedImageError:
        raise UploadInvalid(_("This is not a JPEG, PNG, GIF or WebP image.")) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UploadInvalid(_("The image has more pixels than can be used.")) from None
    except UNREADABLE:
        raise UploadInvalid(_("The image is damaged: it cannot be read to its end. Save it again.")) from None
    return Picture(kind, width, height)


def clean_name(name: str, extension: str) -> str:
    """A name to show, and to hand on with the file: no folders, no control characters, an ending that is true."""
    shown = name.encode("utf-8", "replace").decode().replace("\\", "/").rpartition("/")[2]
    shown = _NOT_IN_A_NAME.sub("", shown).strip() or "image"
    path = PurePosixPath(shown)
    ending = path.suffix if path.suffix.lower() in SPELLINGS[extension] else f".{extension}"
    stem = shown.removesuffix(ending) or "image"
    return stem[: MAX_NAME - len(ending)] + ending


def _read(file: IO[bytes]) -> bytes:
    """The whole file, but no more of one that is too big than is needed to see that."""
    limit = settings.MEDIA_MAX_BYTES
    content = bytearray()
    while len(content) <= limit and (chunk := file.read(CHUNK_BYTES)):
        content += chunk
    if not content:
        raise UploadInvalid(_("The file is empty."))
    if len(content) > limit:
        raise UploadInvalid(_("The file is larger than %s MB. Use a smaller one.") % f"{limit / 1024**2:g}")
    return bytes(content)


@contextmanager
def _written(media: MediaFile, content: bytes, extension: str) -> Iterator[None]:
    """Write the file, and take it away again when what follows fails."""
    media.file.save(f"{media.key}.{extension}", ContentFile(content), save=False)
    storage, path = media.file.storage, str(media.file.name)
    try:
        yield
    except BaseException:
        storage.delete(path)
        raise


def _has_file(media: MediaFile, content: bytes) -> bool:
    """Give a row whose file was lost from the storage its file back.  False when the row was deleted at this moment."""
    storage, path = media.file.storage, str(media.file.name)
    if storage.exists(path):
        return True
    media.file.name = storage.save(path, ContentFile(content))
    is_kept = bool(MediaFile.objects.filter(pk=media.pk).update(file=media.file.name))
    if not is_kept:
        storage.delete(media.file.name)
    return is_kept
