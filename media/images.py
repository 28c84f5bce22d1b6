"""Read any picture, and make of it what a model takes.

A picture is sent upright, with 8 bits a channel, as one frame, and without what its file says about
the person: location, camera, texts, thumbnails, a clip behind the picture. Where nothing of the
pixels has to change, the compressed pixels are copied, so nothing is lost.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import pillow_heif
from django.conf import settings
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

pillow_heif.register_heif_opener(thumbnails=False)

MEGABYTE = 1024 * 1024
THUMBNAIL_PIXELS = 384
SMALLEST_SIDE = 64  # a picture that does not fit at this size is refused
MAX_PROFILE_BYTES = MEGABYTE  # of a colour profile; larger ones are left out
# Uploads that one process decodes at the same time: a large one takes 320 MB of memory.
DECODE_SLOTS = threading.BoundedSemaphore(2)
# Pillow raises these for a file that is damaged or larger than any real picture.
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    EOFError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is taken.

    ``label`` is its name for people and in the catalogue, ``extensions`` begin with the usual one,
    ``is_lossy`` says that its pixels were compressed with a loss.
    """

    label: str
    content_type: str
    extensions: tuple[str, ...]
    is_lossy: bool = False


# By Pillow's name. MPO is a JPEG as some cameras write it: other pictures follow the first.
FORMATS = {
    "JPEG": Format("JPG", "image/jpeg", ("jpg", "jpeg", "jfif", "jpe", "mpo"), is_lossy=True),
    "PNG": Format("PNG", "image/png", ("png", "apng")),
    "GIF": Format("GIF", "image/gif", ("gif",)),
    "WEBP": Format("WEBP", "image/webp", ("webp",), is_lossy=True),
    "BMP": Format("BMP", "image/bmp", ("bmp", "dib")),
    "TIFF": Format("TIFF", "image/tiff", ("tiff", "tif")),
    "AVIF": Format("AVIF", "image/avif", ("avif",), is_lossy=True),
    "HEIF": Format("HEIC", "image/heic", ("heic", "heif", "hif"), is_lossy=True),
}
FORMATS_BY_TYPE = {each.content_type: each for each in FORMATS.values()}
CONTENT_TYPES = [*FORMATS_BY_TYPE, "image/heif", "image/x-ms-bmp"]  # browsers write the last two as well
SENDABLE = {"JPG": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}  # what models take, and Pillow's name of it

# Changes of a picture before it is sent. ``media.renditions`` has the sentences.
FORMAT = "format"
FIRST_FRAME = "first_frame"
UPRIGHT = "upright"
COLOURS = "colours"
SMALLER = "smaller"
METADATA = "metadata"
REDRAWN = "redrawn"  # the file is written anew, because its parts cannot be told apart

# Modes in which a picture can be sent as it is, by format.
_PLAIN_MODES = {
    "JPG": {"L", "RGB"},
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA"},
    "WEBP": {"RGB", "RGBA"},
}
_QUALITIES = (95, 90, 85, 80)  # the last halves the size of the first
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"sBIT", b"pHYs"}
PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_END = b"\xff\xd9"
# Inside of compressed pixels, FF is followed by 00, by a restart marker or by another FF.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_ORIENTATION = 0x0112


class NotAnImage(ValueError):
    """The content is no picture in one of ``FORMATS``."""


class Damaged(ValueError):
    """The picture cannot be decoded completely."""


class TooManyPixels(ValueError):
    """The picture has more pixels than MEDIA_MAX_PIXELS. ``size`` is (width, height) or None."""

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        super().__init__(size)
        self.size = size


class DoesNotFit(ValueError):
    """No rendition of the picture fits the limits of the model."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a model: labels of formats ("JPG"), bytes, and pixels of the longer side."""

    formats: frozenset[str]
    max_bytes: int
    max_side: int | None = None


# Every image model of the catalogue takes this.
STANDARD = Limits(frozenset({"JPG", "PNG"}), 10 * MEGABYTE)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The detected properties of a picture's file: Pillow's name of its format, size in pixels."""

    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Rendition:
    """A picture as it is sent.

    ``content`` is None when it is the file without its metadata (``without_metadata``).
    """

    content_type: str
    size_bytes: int
    width: int
    height: int
    changes: tuple[str, ...]
    content: bytes | None = None


def render(content: bytes, limits: Limits) -> tuple[ImageFacts, Rendition]:
    """Decode a whole picture; return its properties, and what is sent to a model with ``limits``.

    Raises NotAnImage, Damaged, TooManyPixels, or DoesNotFit.
    """
    with _decoded(content) as (image, kind):
        image_format = FORMATS[kind]
        label = image_format.label
        facts = ImageFacts(kind, image.width, image.height)
        changes = [
            change
            for change, is_needed in (
                (FIRST_FRAME, getattr(image, "n_frames", 1) > 1 and image.format != "MPO"),
                (UPRIGHT, _orientation(image) != 1),
                (COLOURS, image.mode not in _PLAIN_MODES.get(label, {"1", "L", "LA", "P", "RGB", "RGBA"})),
            )
            if is_needed
        ]
        has_format = label in SENDABLE and label in limits.formats
        has_size = limits.max_side is None or max(image.size) <= limits.max_side
        if has_format and has_size and not changes:
            plain = without_metadata(content)
            if plain is None:
                changes.append(REDRAWN)
            elif len(plain) <= limits.max_bytes:
                removed = (METADATA,) if len(plain) < len(content) else ()
                return facts, Rendition(image_format.content_type, len(plain), *image.size, removed)
        upright = ImageOps.exif_transpose(image) if UPRIGHT in changes else image
        drawn, size = _encoded(_eight_bit(upright), image_format, limits)
    new_label, width, height = size
    if new_label != label:
        changes.insert(0, FORMAT)
    if sorted((width, height)) != sorted((facts.width, facts.height)) or len(content) > limits.max_bytes:
        changes.append(SMALLER)
    content_type = FORMATS[SENDABLE[new_label]].content_type
    return facts, Rendition(content_type, len(drawn), width, height, tuple(changes), drawn)


def preview(content: bytes) -> bytes:
    """Return a small JPEG of a picture, as ``small_jpeg`` does. Raises one of UNREADABLE."""
    with _opened(content) as image, DECODE_SLOTS:
        return small_jpeg(image)


def small_jpeg(image: Image.Image) -> bytes:
    """Return a JPEG of ``image``, at most 384 pixels a side. ``image`` may be changed.

    The result is upright, has a white background instead of transparency, and carries no metadata.
    (WebP would save a tenth of the bytes for thirty times the CPU.) Raises one of UNREADABLE.
    """
    if image.mode.startswith(("I", "F")):
        image = _eight_bit(image)
    elif image.mode in ("1", "P"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BILINEAR, reducing_gap=1.0)
    image = _eight_bit(image if _orientation(image) == 1 else ImageOps.exif_transpose(image))
    buffer = io.BytesIO()
    # Without comment=, the original's comment is copied.
    _on_white(image).save(buffer, "JPEG", quality=82, comment=b"")
    return buffer.getvalue()


def without_metadata(content: bytes) -> bytes | None:
    """Return a JPEG, PNG or WebP without metadata; its compressed pixels are the same.

    The colour profile stays, unless it is larger than 1 MB. What follows the picture goes: the
    further pictures of an MPO, the clip of a moving photo. A missing end is added. Returns None for
    a file of another kind, or one whose parts cannot be told apart.
    """
    with suppress(ValueError, struct.error, IndexError):
        if content.startswith(b"\xff\xd8"):
            return b"".join(_jpeg_parts(content))
        if content.startswith(PNG_START):
            return b"".join(_png_parts(content))
        if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            return _plain_webp(content)
    return None


def without_texts(content: bytes) -> bytes:
    """Return a PNG without the texts and large profiles that Pillow refuses to unpack.

    The content of any other file is returned as it is.
    """
    if content.startswith(PNG_START):
        with suppress(ValueError, struct.error, IndexError):
            return b"".join(_png_parts(content, also=(b"eXIf", b"acTL", b"fcTL", b"fdAT")))
    return content


# --- Decoding ---


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """Open a picture without decoding it. Metadata that Pillow would stumble over is left out.

    Raises TooManyPixels, Damaged for a JPEG that lacks pixels at its end, or one of UNREADABLE.
    """
    lacks_end = content.startswith(b"\xff\xd8") and not _has_jpeg_end(content)
    source = content.rstrip(b"\xff") + _JPEG_END if lacks_end else without_texts(content)
    with Image.open(io.BytesIO(source), formats=list(FORMATS)) as image:
        if image.width * image.height > settings.MEDIA_MAX_PIXELS:
            raise TooManyPixels(image.size)
        if lacks_end:
            with DECODE_SLOTS:
                if not _has_all_pixels(content):
                    raise Damaged
        yield image


@contextmanager
def _decoded(content: bytes) -> Iterator[tuple[Image.Image, str]]:
    """Decode the first frame of a picture. Yields the image, and the name of its format."""
    try:
        with _opened(content) as image, DECODE_SLOTS:
            image.load()  # fails for a truncated file
            yield image, "JPEG" if image.format == "MPO" else str(image.format)
    except (NotAnImage, Damaged, TooManyPixels, DoesNotFit):
        raise
    except UnidentifiedImageError:
        raise (Damaged if content[4:8] == b"ftyp" else NotAnImage) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels from None
    except UNREADABLE:
        raise Damaged from None


def _orientation(image: Image.Image) -> int:
    with suppress(*UNREADABLE):  # the pixels may be whole though the facts about them are not
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _has_all_pixels(content: bytes) -> bool:
    """Return True if only the end mark of a JPEG is missing.

    All scans must be there: a progressive picture without its last ones is blurred. And a decoder
    fills missing pixels by itself, so decode with different bytes after the end of the file: if
    pixels are missing, the results differ.
    """
    missing_bits = {}  # by component and coefficient: how many bits later scans have to bring
    for part in _jpeg_parts(content):
        if part[:1] == b"\xff" and part[1] in (0xC0, 0xC1, 0xC2):
            components = part[10 : 10 + 3 * part[9] : 3]
            missing_bits = dict.fromkeys(((each, index) for each in components for index in range(64)), 16)
        elif part[:2] == b"\xff\xda":
            count = part[4]
            first, last, precision = part[5 + 2 * count : 8 + 2 * count]
            for each in part[5 : 5 + 2 * count : 2]:
                missing_bits |= dict.fromkeys(((each, index) for index in range(first, last + 1)), precision & 15)
    if any(missing_bits.values()):
        return False
    body = content.rstrip(b"\xff")
    digests = set()
    for filling in (b"", b"\xaa" * 64, b"\x55" * 64):
        with Image.open(io.BytesIO(body + filling + _JPEG_END), formats=["JPEG"]) as image:
            digests.add(hashlib.sha256(image.tobytes()).digest())
    return len(digests) == 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return an image as L, LA, RGB or RGBA, in the colours of screens (sRGB)."""
    if image.mode.startswith(("I", "F")):
        low, high = cast(tuple[float, float], image.getextrema())
        scale = 255 / max(high - low, 1e-9)  # any other range is spread over all greys
        offset = -low * scale
        if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 0xFF < high <= 0xFFFF):
            scale, offset = 1 / 257, 0.0
        elif low >= 0 and high <= 0xFF:
            scale, offset = 255.0 if image.mode == "F" and high <= 1 else 1.0, 0.0
        return image.convert("F").point(lambda value: value * scale + offset).convert("L")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA") else "RGBA")
        alpha = image.getchannel("A")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode in ("1", "LA"):
        image = image.convert("L")
    if image.mode in ("RGB", "CMYK") and (profile := image.info.get("icc_profile")):
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            source, screen = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, source, screen, outputMode="RGB") or image
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if alpha is not None and cast(tuple[float, float], alpha.getextrema())[0] < 255:
        image = image.copy()
        image.putalpha(alpha)
    return image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image.convert("RGB")
    opaque = Image.new("RGBA", image.size, "white")
    opaque.alpha_composite(image.convert("RGBA"))
    return opaque.convert("RGB")


# --- Encoding ---


def _encoded(image: Image.Image, source: Format, limits: Limits) -> tuple[bytes, tuple[str, int, int]]:
    """Encode an image within limits. Return the content, and its (format, width, height).

    Transparent pictures stay so where the model takes PNG or WebP, and exact ones stay exact where
    they fit; all others become JPEG. Quality is reduced before the number of pixels is.
    """
    has_alpha = image.mode in ("LA", "RGBA")
    may_be_exact = has_alpha or (not source.is_lossy and image.width * image.height * 3 <= 4 * limits.max_bytes)
    order = ["PNG", "WEBP", "JPG"] if has_alpha else ["PNG", "JPG", "WEBP"] if may_be_exact else ["JPG", "WEBP", "PNG"]
    labels = [label for label in order if label in limits.formats]
    if has_alpha and len(labels) > 1:
        labels = [label for label in labels if label != "JPG"]  # smaller rather than without transparency
    if not labels:
        raise DoesNotFit
    if limits.max_side and max(image.size) > limits.max_side:
        image = _scaled(image, limits.max_side / max(image.size))
    while True:
        smallest = math.inf
        for label in labels:
            size = 0
            for quality in (0,) if label == "PNG" else _QUALITIES:
                if size > 2 * limits.max_bytes and quality != _QUALITIES[-1]:
                    continue  # a little less quality does not help
                options: dict[str, Any] = {"compress_level": 6}
                if quality:
                    options = {"quality": quality, "comment": b""} if label == "JPG" else {"quality": quality}
                buffer = io.BytesIO()
                drawn = _on_white(image) if has_alpha and label == "JPG" else image
                drawn.save(buffer, SENDABLE[label], **options)
                content = buffer.getvalue()
                size = len(content)
                if size <= limits.max_bytes:
                    return content, (label, *image.size)
                smallest = min(smallest, size)
        if max(image.size) <= SMALLEST_SIDE:
            raise DoesNotFit
        image = _scaled(image, min(0.95 * math.sqrt(limits.max_bytes / smallest), 0.9))


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    return image.resize(size, Image.Resampling.LANCZOS)


# --- Files as a list of parts ---


def _jpeg_parts(content: bytes) -> Iterator[bytes]:
    """Yield the parts of the first picture that a decoder needs. Raises ValueError."""
    yield content[:2]
    position = 2
    while True:
        while content[position] == 0xFF and content[position + 1] == 0xFF:
            position += 1  # fill bytes
        if content[position] != 0xFF:
            raise ValueError("A marker is missing.")
        marker = content[position + 1]
        if marker == 0xD9:
            yield _JPEG_END
            return
        (length,) = struct.unpack_from(">H", content, position + 2)
        end = position + 2 + length
        segment = content[position:end]
        if length < 2 or len(segment) < length + 2:
            raise ValueError("A part is cut off.")
        is_application = 0xE0 <= marker <= 0xEF
        is_needed = marker in (0xE0, 0xEE) or (marker == 0xE2 and segment[4:16] == b"ICC_PROFILE\0")
        if marker == 0xE0 and segment[4:9] != b"JFIF\0":
            is_needed = False  # JFXX: a thumbnail
        if marker != 0xFE and (is_needed or not is_application):
            yield segment
        position = end
        if marker == 0xDA:
            found = _JPEG_MARKER.search(content, position)
            if found is None:
                yield content[position:].rstrip(b"\xff") + _JPEG_END
                return
            yield content[position : found.start()]
            position = found.start()


def _has_jpeg_end(content: bytes) -> bool:
    """Return True if the first picture has its end mark, or if the file cannot be told apart."""
    with suppress(ValueError, struct.error, IndexError):
        *_, last = _jpeg_parts(content)
        return last == _JPEG_END
    return content.rstrip(b"\0").endswith(_JPEG_END)


def _png_parts(content: bytes, *, also: tuple[bytes, ...] = ()) -> Iterator[bytes]:
    """Yield the parts of a PNG that a decoder needs, and its end. Raises ValueError.

    Texts are never unpacked: a kilobyte of them may hold gigabytes.
    """
    yield content[:8]
    position = 8
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        chunk = content[position : position + 12 + length]
        position += 12 + length
        if len(chunk) < 12 + length and kind != b"IEND":
            raise ValueError("A part is cut off.")
        if kind == b"iCCP" and not _is_small_profile(chunk[8:-4]):
            continue
        if kind in _PNG_CHUNKS or kind in also:
            yield chunk
        elif kind != b"IEND" and not kind[0] & 0x20:
            raise ValueError("A part that must not be left out is unknown.")
        if kind == b"IEND":
            break
    yield b"\0\0\0\0IEND\xae\x42\x60\x82"


def _is_small_profile(body: bytes) -> bool:
    """Return True if a compressed colour profile unpacks to at most MAX_PROFILE_BYTES."""
    _name, _zero, packed = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        return len(unpacker.decompress(packed[1:], MAX_PROFILE_BYTES)) < MAX_PROFILE_BYTES
    except zlib.error:
        return False


def _plain_webp(content: bytes) -> bytes:
    """Return a WebP without metadata. Raises ValueError."""
    (size,) = struct.unpack_from("<I", content, 4)
    end = min(8 + size, len(content))
    parts = []
    position = 12
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", content, position)
        chunk = content[position : position + 8 + length + length % 2]
        position += len(chunk)
        if kind in (b"EXIF", b"XMP "):
            continue
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~0x0C]) + chunk[9:]  # announces neither
        parts.append(chunk)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
