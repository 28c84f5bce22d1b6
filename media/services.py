"""Store and delete media files.

A file that is stored is what it claims to be: its type is detected from its content, and all of it
was decoded once.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from core.errors import FieldError, Invalid, NotPossible
from core.storage import disk
from media.images import DECODE_SLOTS, FORMATS, UNREADABLE
from media.models import MediaFile, MediaUse, new_key
from media.previews import preview_path
from media.uses import first_open_use

MAX_PIXELS = 80_000_000  # decoding takes 3 to 4 bytes of memory for each
MAX_NAME = 255
CHUNK_BYTES = 1024 * 1024
# Pillow's name of a format → our extension. MPO is a JPEG as some cameras write it.
EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
SPELLINGS = {"jpg": {".jpg", ".jpeg"}, "png": {".png"}, "gif": {".gif"}, "webp": {".webp"}}
CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp"}

# Control characters, and marks that reverse the direction of writing.
_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class UploadInvalid(Invalid):
    """The file cannot be used, and nothing of it was stored. The message is for people."""

    error = "upload_invalid"

    def __init__(self, message: str) -> None:
        super().__init__([FieldError("file", message)], message)


class MediaInUse(NotPossible):
    """The file cannot be deleted, because an open mission needs it.

    The message names the mission.
    """


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The detected properties of an image: our extension for its format, and its size in pixels."""

    extension: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """The row of an upload.

    ``is_new`` is False when its owner had uploaded the same bytes before.
    """

    media: MediaFile
    is_new: bool


def store_upload(*, owner: AbstractBaseUser, file: IO[bytes], name: str) -> StoredUpload:
    """Store an image for its owner; the same bytes again return the same row.

    ``file`` is read from its current position; ``name`` is the file's name on the uploader's
    computer. Raises UploadInvalid unless it is a whole JPEG, PNG, GIF or WebP image of at most
    MEDIA_MAX_BYTES. The file is written before its row, and deleted when the row cannot be written:
    call this outside of a transaction that may be rolled back. Raises OutOfSpace when the
    server has no room.
    """
    disk.require_space()
    content = _read(file)
    facts = detect_image(content)
    digest = hashlib.sha256(content).hexdigest()
    existing = MediaFile.objects.filter(owner_id=owner.pk, sha256=digest).first()
    if existing is not None and _restore_file(existing, content):
        return StoredUpload(existing, is_new=False)
    media = MediaFile(
        owner_id=owner.pk,
        key=new_key(),
        name=clean_name(name, facts.extension),
        sha256=digest,
        content_type=CONTENT_TYPES[facts.extension],
        size_bytes=len(content),
        width=facts.width,
        height=facts.height,
    )
    media.file.save(f"{media.key}.{facts.extension}", ContentFile(content), save=False)
    storage, path = media.file.storage, str(media.file.name)
    try:
        with transaction.atomic():
            media.save(force_insert=True)
    except IntegrityError:
        storage.delete(path)
        concurrent = MediaFile.objects.filter(owner_id=owner.pk, sha256=digest).first()
        if concurrent is None:
            raise
        return StoredUpload(concurrent, is_new=False)  # another request stored the same bytes meanwhile
    except BaseException:
        storage.delete(path)
        raise
    return StoredUpload(media, is_new=True)


def delete_media(*, media: MediaFile) -> None:
    """Delete an image: its row now, its file and preview after the commit (or ``cleanup`` deletes
    them later).

    Raises MediaInUse while an open mission uses it, DoesNotExist when it is already deleted. The
    row is locked as ``media.uses.record_uses`` locks it: either the new mission is seen here, or
    that mission finds the file missing. Ended missions no longer hold the file: retrying one then
    fails the items that name it, for free, with a message that names the file.
    """
    with transaction.atomic():
        media = MediaFile.objects.select_for_update().get(pk=media.pk)
        if reason := blocked_reason(media):
            raise MediaInUse(reason)
        MediaUse.objects.filter(media=media).delete()
        MediaFile.objects.filter(pk=media.pk).delete()
        for path in (str(media.file.name), preview_path(media)):
            transaction.on_commit(functools.partial(media.file.storage.delete, path), robust=True)


def blocked_reason(media: MediaFile) -> str:
    """Return why an image cannot be deleted now, in the reader's language; "" when it can."""
    use = first_open_use(media)
    if use is None:
        return ""
    message = _(
        "%(file)s is used by mission %(id)s (%(mission)s), which is %(status)s. "
        "Cancel the mission, or wait until it has ended."
    )
    mission = use.mission
    return message % {
        "file": media.name,
        "id": mission.pk,
        "mission": mission.name,
        "status": mission.get_status_display(),
    }


def detect_image(content: bytes) -> ImageFacts:
    """Decode an image and return its format and size. Raises UploadInvalid."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            extension, (width, height) = EXTENSIONS[str(image.format)], image.size
            if width * height > MAX_PIXELS:
                message = _("The image has %(width)d×%(height)d pixels, which is more than can be used.")
                raise UploadInvalid(message % {"width": width, "height": height})
            with DECODE_SLOTS:
                image.load()  # fails for a truncated file
    except UploadInvalid:
        raise
    except UnidentifiedImageError:
        raise UploadInvalid(_("This is not a JPEG, PNG, GIF or WebP image.")) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UploadInvalid(_("The image has too many pixels.")) from None
    except UNREADABLE:
        raise UploadInvalid(_("The image is damaged and cannot be read completely. Save it again.")) from None
    return ImageFacts(extension, width, height)


def clean_name(name: str, extension: str) -> str:
    """Return a file name that is safe to show and to pass on.

    Folders, control characters and direction marks are removed, and the extension fits the content.
    """
    shown = name.encode("utf-8", "replace").decode().replace("\\", "/").rpartition("/")[2]
    shown = _FORBIDDEN_IN_NAMES.sub("", shown).strip() or "image"
    path = PurePosixPath(shown)
    suffix = path.suffix if path.suffix.lower() in SPELLINGS[extension] else f".{extension}"
    stem = shown.removesuffix(suffix) or "image"
    return stem[: MAX_NAME - len(suffix)] + suffix


def _read(file: IO[bytes]) -> bytes:
    """Return the whole file. Of one that is too large, read only enough to know that."""
    limit = settings.MEDIA_MAX_BYTES
    content = bytearray()
    while len(content) <= limit and (chunk := file.read(CHUNK_BYTES)):
        content += chunk
    if not content:
        raise UploadInvalid(_("The file is empty."))
    if len(content) > limit:
        raise UploadInvalid(_("The file is larger than %s MB. Use a smaller one.") % f"{limit / 1024**2:g}")
    return bytes(content)


def _restore_file(media: MediaFile, content: bytes) -> bool:
    """Write the file of a row again if the storage lost it.

    Return False when the row was deleted meanwhile.
    """
    storage, path = media.file.storage, str(media.file.name)
    if storage.exists(path):
        return True
    media.file.name = storage.save(path, ContentFile(content))
    row_exists = bool(MediaFile.objects.filter(pk=media.pk).update(file=media.file.name))
    if not row_exists:
        storage.delete(media.file.name)
    return row_exists
