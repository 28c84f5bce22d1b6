"""Store and delete media files.

A file that is stored is what it claims to be: its type is detected from its content, and all of it
was decoded once.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.errors import FieldError, Invalid, NotPossible
from core.storage import disk
from core.text import is_blank
from media import images, names, renditions
from media.images import FORMATS, ImageFacts, Rendition
from media.models import MediaFile, MediaUse, new_key
from media.previews import preview_path
from media.uses import first_open_use

MAX_NAME = 255
CHUNK_BYTES = 1024 * 1024
STORE_ROUNDS = 3  # of storing an image that other requests store or delete meanwhile

# Control characters, and marks that reverse the direction of writing.
_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class UploadInvalid(Invalid):
    """The file cannot be used, and nothing of it was stored. The message is for people."""

    error = "upload_invalid"

    def __init__(self, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(errors or [FieldError("file", message)], message)


class MediaInUse(NotPossible):
    """The file cannot be deleted, because an open mission needs it.

    The message names the mission.
    """


@dataclass(frozen=True, slots=True)
class Upload:
    """An image that was read and decoded, and is not stored yet.

    ``existing`` is the owner's row of the same bytes, for which nothing was decoded.
    """

    content: bytes
    sha256: str
    name: str
    existing: MediaFile | None = None
    facts: ImageFacts | None = None
    rendition: Rendition | None = None


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """The row of an upload.

    ``is_new`` is False when its owner had uploaded the same bytes before.
    """

    media: MediaFile
    is_new: bool


def store_upload(*, owner: AbstractBaseUser, file: IO[bytes], name: str) -> StoredUpload:
    """Read an image and store it for its owner; the same bytes again return the same row.

    ``file`` is read from its current position; ``name`` is the file's name on the uploader's
    computer, with or without its folders. Raises UploadInvalid unless it is a whole picture in a
    format of ``media.images``, of at most MEDIA_MAX_BYTES and MEDIA_MAX_PIXELS, and OutOfSpace when
    the server has no room. The file is written before its row, and deleted when the row cannot be
    written: call this outside of a transaction that may be rolled back.
    """
    return store(read_upload(owner=owner, file=file, name=name), owner=owner)


def read_upload(*, owner: AbstractBaseUser, file: IO[bytes], name: str) -> Upload:
    """Read and check an image without storing it. Raises UploadInvalid or OutOfSpace."""
    disk.require_space()
    content = _read(file)
    digest = hashlib.sha256(content).hexdigest()
    existing = MediaFile.objects.filter(owner_id=owner.pk, sha256=digest).first()
    if existing is not None and existing.rendition is not None:
        return Upload(content, digest, name, existing)
    facts, rendition = decode(content)
    return Upload(content, digest, name, existing, facts, rendition)


def store(upload: Upload, *, owner: AbstractBaseUser) -> StoredUpload:
    """Store an image that was read, as ``store_upload`` does.

    Raises NotPossible when other requests store and delete the same image again and again.
    """
    existing = upload.existing
    for _round in range(STORE_ROUNDS):
        if existing is not None and _store_again(existing, upload):
            return StoredUpload(existing, is_new=False)
        try:
            return StoredUpload(_insert(upload, owner), is_new=True)
        except IntegrityError:
            existing = MediaFile.objects.filter(owner_id=owner.pk, sha256=upload.sha256).first()
    raise NotPossible(_("Other requests store and delete this image at the same time. Send it again."))


def _store_again(existing: MediaFile, upload: Upload) -> bool:
    """Add the name of an upload to the row of the same bytes. Return False if the row is gone."""
    if not _restore_file(existing, upload.content) or not names.record(existing, [upload.name or existing.name]):
        return False
    if existing.rendition is None and upload.rendition is not None:  # an older release stored the row
        renditions.store(existing, upload.rendition)
        if not MediaFile.objects.filter(pk=existing.pk).update(rendition=existing.rendition):
            if existing.rendition_path:
                existing.file.storage.delete(existing.rendition_path)
            return False
    return True


def _insert(upload: Upload, owner: AbstractBaseUser) -> MediaFile:
    """Store the files of an image, then its row. Raises IntegrityError if there is one already."""
    facts, rendition = upload.facts, upload.rendition
    if facts is None or rendition is None:  # there was a row when the upload was read
        facts, rendition = decode(upload.content)
    image_format = FORMATS[facts.format]
    media = MediaFile(
        owner_id=owner.pk,
        key=new_key(),
        name=clean_name(upload.name, image_format.extensions),
        sha256=upload.sha256,
        content_type=image_format.content_type,
        size_bytes=len(upload.content),
        width=facts.width,
        height=facts.height,
    )
    media.file.save(f"{media.key}.{image_format.extensions[0]}", ContentFile(upload.content), save=False)
    storage = media.file.storage
    try:
        renditions.store(media, rendition)
        with transaction.atomic():
            media.save(force_insert=True)
            names.record(media, [media.name, upload.name])
    except BaseException:
        for path in filter(None, (str(media.file.name), media.rendition_path)):
            storage.delete(path)
        raise
    return media


def delete_media(*, media: MediaFile, is_expired: bool = False) -> None:
    """Delete an image: its row now, its file and preview after the commit (or ``cleanup`` deletes
    them later).

    ``is_expired``: by retention, not by a person, so the audit log gets no entry. Raises MediaInUse
    while an open mission uses it, DoesNotExist when it is already deleted. The
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
        if not is_expired:
            audit.record(Verb.MEDIA_DELETE, media, owner=media.owner_id)
        for path in filter(None, (str(media.file.name), preview_path(media), media.rendition_path)):
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


def decode(content: bytes) -> tuple[ImageFacts, Rendition]:
    """Decode an image; return its properties and its standard rendition. Raises UploadInvalid."""
    try:
        return images.render(content, images.STANDARD)
    except images.NotAnImage:
        raise UploadInvalid(_("This is not a JPEG, PNG, GIF, WebP, HEIC, AVIF, BMP or TIFF image.")) from None
    except images.TooManyPixels as error:
        limit = f"{settings.MEDIA_MAX_PIXELS:,}"
        if error.size is None:
            message = _("The image has more than %(limit)s pixels. Reduce it.") % {"limit": limit}
        else:
            facts = {"width": error.size[0], "height": error.size[1], "limit": limit}
            message = _("The image has %(width)d×%(height)d pixels; at most %(limit)s are taken. Reduce it.")
            message %= facts
        raise UploadInvalid(message) from None
    except (images.Damaged, images.DoesNotFit):
        raise UploadInvalid(_("The image is damaged and cannot be read completely. Save it again.")) from None


def clean_name(name: str, extensions: Sequence[str]) -> str:
    """Return a file name that is safe to show and to pass on.

    Folders, control characters and direction marks are removed; a name without a visible character
    becomes "image". The extension becomes one of ``extensions`` if it is another.
    """
    shown = name.encode("utf-8", "replace").decode().replace("\\", "/").rpartition("/")[2]
    shown = _FORBIDDEN_IN_NAMES.sub("", shown).strip() or "image"
    path = PurePosixPath(shown)
    suffix = path.suffix if path.suffix.lower().removeprefix(".") in extensions else f".{extensions[0]}"
    stem = shown.removesuffix(suffix)
    if is_blank(stem):
        stem = "image"
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
