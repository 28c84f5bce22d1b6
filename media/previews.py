"""Small pictures of uploaded images, for pages that show many at once.

One is made when it is first looked at and kept beside its image: most uploads by programs are never looked at.  It takes 0.1 s
for a photo of 24 megapixels, whose upload took three times that.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from django.core.files.base import ContentFile
from PIL import Image

from media.models import MediaFile
from media.pictures import AT_ONCE, UNREADABLE, small_jpeg


def preview_of(media: MediaFile) -> bytes:
    """A JPEG of at most 384 pixels a side, upright, without the image's metadata.

    Raises FileNotFoundError when the image is not in the storage, or can no longer be read.
    """
    storage, path = media.file.storage, preview_path(media)
    try:
        with storage.open(path, "rb") as kept:
            return bytes(kept.read())
    except FileNotFoundError:
        content = _make(media)
    _keep(media, content)
    return content


def preview_path(media: MediaFile) -> str:
    """Where a preview is in the storage, once it was made."""
    return str(PurePosixPath(str(media.file.name)).with_suffix(".preview.jpg"))


def _make(media: MediaFile) -> bytes:
    try:
        with (
            media.file.storage.open(str(media.file.name), "rb") as file,
            AT_ONCE,
            Image.open(file, formats=["JPEG", "PNG", "GIF", "WEBP"]) as image,
        ):
            return small_jpeg(image)
    except FileNotFoundError:
        raise
    except UNREADABLE:
        raise FileNotFoundError(str(media.file.name)) from None


def _keep(media: MediaFile, content: bytes) -> None:
    """Store it, unless another request was faster or the image was deleted meanwhile."""
    storage, path = media.file.storage, preview_path(media)
    saved = storage.save(path, ContentFile(content))
    if saved != path or not MediaFile.objects.filter(pk=media.pk).exists():
        storage.delete(saved)
