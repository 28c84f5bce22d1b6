"""Detect the type of a fetched file from its content, never from its name or headers."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import av
from PIL import Image

from media import reasons
from media.images import PNG_START, small_jpeg, without_texts

Image.init()  # load Pillow's formats now, so that worker processes share them

IMAGE_FORMATS = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "GIF": "gif"}
LARGEST_IN_MEMORY = 64 * 1024 * 1024  # bytes of a picture; a worker inspects eight at a time
OPENED_FORMATS = ["PNG", "JPEG", "WEBP", "GIF"]  # (the opener of JPEG also finds MPO)
MAX_PIXELS = 80_000_000  # in a picture of a clip: opening it takes up to 9 bytes of memory for each
VIDEO_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "webm"}
# Other kinds, by their first bytes. Only models that are not in the catalogue produce them.
OTHER_KINDS = {
    "zip": (b"PK\x03\x04", "application/zip"),
    "glb": (b"glTF", "model/gltf-binary"),
    "wav": (b"RIFF", "audio/wav"),
    "flac": (b"fLaC", "audio/flac"),
    "mp3": (b"ID3", "audio/mpeg"),
}


class NotAResult(Exception):
    """The file is no image, video or other known result. The message is for people."""


@dataclass(frozen=True, slots=True)
class Inspected:
    extension: str
    content_type: str
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    thumbnail: bytes | None = None  # JPEG


def inspect(path: Path, *, claimed: str) -> Inspected:
    """Open a file and return its type and facts.

    ``claimed`` is the extension that the provider gave. Raises NotAResult when the content is of no
    supported kind or damaged, such as an error page or an incomplete file.
    """
    with path.open("rb") as file:
        head = file.read(32)
    if _looks_like_video(head):
        return _inspect_video(path)
    signature, content_type = OTHER_KINDS.get(claimed, (b"", ""))
    if signature and head.startswith(signature):
        return Inspected(extension=claimed, content_type=content_type)
    if head.startswith(PNG_START) and path.stat().st_size <= LARGEST_IN_MEMORY:
        # A workflow in a PNG may be longer than Pillow unpacks.
        return _inspect_image(io.BytesIO(without_texts(path.read_bytes())))
    return _inspect_image(path)


def _looks_like_video(head: bytes) -> bool:
    return head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3")


def _inspect_image(source: Path | IO[bytes]) -> Inspected:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=OPENED_FORMATS) as image:
                extension = IMAGE_FORMATS[str(image.format)]
                size = image.size
                image.load()  # a file that broke off is found out here
                thumbnail = small_jpeg(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise NotAResult(reasons.OUTPUT_UNREADABLE()) from error
    return Inspected(extension, f"image/{extension.replace('jpg', 'jpeg')}", *size, thumbnail=thumbnail)


def _inspect_video(path: Path) -> Inspected:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise NotAResult("The result is a video file without a picture.")
            stream = container.streams.video[0]
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # FFmpeg then opens no larger one
            extension = VIDEO_CONTAINERS.get(container.format.name, "mp4")
            seconds = container.duration / av.time_base if container.duration else None
            frame = next(container.decode(stream))
            poster = small_jpeg(frame.to_image())  # type: ignore[no-untyped-call]
            return Inspected(extension, f"video/{extension}", stream.width, stream.height, seconds, poster)
    except (av.FFmpegError, StopIteration, OSError) as error:
        raise NotAResult(reasons.OUTPUT_UNREADABLE()) from error
