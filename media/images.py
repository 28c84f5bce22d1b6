"""Decode images that may be large or damaged, and make small JPEGs of them."""

from __future__ import annotations

import io
import struct
import threading
import zlib

from PIL import Image, ImageOps

THUMBNAIL_PIXELS = 384
FORMATS = ["JPEG", "PNG", "GIF", "WEBP"]
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
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def small_jpeg(image: Image.Image) -> bytes:
    """Return a JPEG of ``image``, shrunk in place to at most 384 pixels a side.

    The result is upright, has a white background instead of transparency, and carries no metadata.
    (WebP would save a tenth of the bytes for thirty times the CPU.)
    """
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BILINEAR, reducing_gap=1.0)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode != "RGB":
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82, comment=b"")  # without comment=, the original's comment is copied
    return buffer.getvalue()
