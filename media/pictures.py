"""Reading images that may be large or damaged, and making small ones of them."""

from __future__ import annotations

import io
import struct
import threading
import zlib

from PIL import Image, ImageOps

THUMBNAIL_PIXELS = 384
AT_ONCE = threading.BoundedSemaphore(2)  # uploads decoded at a time in this process: a large one takes 320 MB
# What Pillow raises for a file that is damaged, or larger than anybody means.
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
    """Shrink an image in place to a JPEG, upright, transparency on white, without what a camera wrote into it.

    WebP would save a tenth of the bytes for thirty times the CPU.
    """
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BILINEAR, reducing_gap=1.0)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode != "RGB":
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82, comment=b"")  # else that of the image goes along
    return buffer.getvalue()
