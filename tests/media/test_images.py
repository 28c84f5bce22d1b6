"""Any picture is taken, and models get one that they can read; real damage is refused."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageCms

from media import images
from media.images import STANDARD, DoesNotFit, Limits, preview, render, without_metadata

CAMERA = "Camera of Mei"
JPG_AND_WEBP = Limits(frozenset({"JPG", "WEBP"}), 10 * 1024 * 1024)


def gradient(mode: str = "RGB", size: tuple[int, int] = (120, 80)) -> Image.Image:
    grey = Image.linear_gradient("L").resize(size)
    half = (size[0] // 2, size[1] // 2)
    noise = Image.frombytes("L", half, random.Random(1).randbytes(half[0] * half[1])).resize(size)
    image = Image.merge("RGB", (grey, noise, grey.rotate(180)))
    if mode == "RGBA":
        image.putalpha(grey)
        return image
    return image.quantize(16) if mode == "P" else image.convert(mode)


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or gradient()).save(buffer, kind, **options)
    return buffer.getvalue()


def extremes(image: Image.Image) -> tuple[int, int]:
    """Return the darkest and the brightest grey."""
    levels = [level for level, count in enumerate(image.convert("L").histogram()) if count]
    return levels[0], levels[-1]


def exif(orientation: int = 1) -> Image.Exif:
    """Return metadata with a camera, a place and an orientation."""
    values = Image.Exif()
    values[0x010F] = CAMERA
    values[0x0112] = orientation
    values.get_ifd(0x8825).update({1: "N", 2: (31.0, 13.0, 49.0), 3: "E", 4: (121.0, 28.0, 25.0)})
    return values


def grey16() -> Image.Image:
    image = Image.new("I;16", (256, 16))
    image.putdata([value * 257 for _row in range(16) for value in range(256)])
    return image


def floats() -> Image.Image:
    return grey16().convert("F").point(lambda value: value * (1 / 65535) + 0.0)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes) -> bytes:
    content = encoded("PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def large_text(kind: bytes = b"zTXt") -> bytes:
    packed = zlib.compress(b"a workflow " * 300_000)
    return chunk(kind, b"workflow\0\0" + packed if kind == b"zTXt" else b"workflow\0\1\0\0\0" + packed)


def mpo() -> bytes:
    return encoded("MPO", save_all=True, append_images=[gradient()], exif=exif())


def moving_photo() -> bytes:
    return encoded("JPEG") + b"\0\0\0\x18ftypmp42" + CAMERA.encode() * 100


FORMAT, FRAME, UPRIGHT, COLOURS, METADATA = "format", "first_frame", "upright", "colours", "metadata"
ANIMATION: dict[str, Any] = {"save_all": True, "append_images": [gradient("L"), gradient("L").rotate(90)]}


def test_every_picture_is_sent_as_models_take_it():
    jpeg, png = "image/jpeg", "image/png"
    cases: list[tuple[str, bytes, str, list[str]]] = [
        ("plain JPEG", encoded("JPEG"), jpeg, []),
        ("progressive JPEG", encoded("JPEG", progressive=True), jpeg, []),
        ("JPEG with a place", encoded("JPEG", exif=exif(), comment=CAMERA), jpeg, [METADATA]),
        ("JPEG on its side", encoded("JPEG", exif=exif(6)), jpeg, [UPRIGHT]),
        ("JPEG for print", encoded("JPEG", gradient("CMYK")), jpeg, [COLOURS]),
        ("grey JPEG", encoded("JPEG", gradient("L")), jpeg, []),
        ("JPEG with a second picture", mpo(), jpeg, [METADATA]),
        ("JPEG with a clip", moving_photo(), jpeg, [METADATA]),
        ("JPEG without its end", encoded("JPEG")[:-2], jpeg, []),
        ("JPEG without its last byte", encoded("JPEG")[:-1], jpeg, []),
        ("progressive JPEG without its end", encoded("JPEG", progressive=True)[:-2], jpeg, []),
        ("PNG", encoded("PNG"), png, []),
        ("PNG with a place", encoded("PNG", exif=exif()), png, [METADATA]),
        ("PNG on its side", encoded("PNG", exif=exif(8)), png, [UPRIGHT]),
        ("transparent PNG", encoded("PNG", gradient("RGBA")), png, []),
        ("PNG with a palette", encoded("PNG", gradient("P")), png, []),
        ("PNG of black and white", encoded("PNG", gradient("1")), png, []),
        ("PNG of 16-bit grey", encoded("PNG", grey16()), png, [COLOURS]),
        ("PNG with a large text", png_with(large_text()), png, [METADATA]),
        ("PNG with a large international text", png_with(large_text(b"iTXt")), png, [METADATA]),
        (
            "PNG with a large profile",
            png_with(chunk(b"iCCP", b"large\0\0" + zlib.compress(bytes(2 * 1024 * 1024)))),
            png,
            [METADATA],
        ),
        ("PNG without its end", encoded("PNG")[:-12], png, []),
        ("animated PNG", encoded("PNG", **ANIMATION), png, [FRAME]),
        ("GIF", encoded("GIF"), png, [FORMAT]),
        ("animated GIF", encoded("GIF", **ANIMATION), png, [FORMAT, FRAME]),
        ("WebP", encoded("WEBP"), jpeg, [FORMAT]),
        ("transparent WebP", encoded("WEBP", gradient("RGBA")), png, [FORMAT]),
        ("animated WebP", encoded("WEBP", **ANIMATION), jpeg, [FORMAT, FRAME]),
        ("BMP", encoded("BMP"), png, [FORMAT]),
        ("TIFF", encoded("TIFF"), png, [FORMAT]),
        ("packed TIFF", encoded("TIFF", compression="tiff_lzw"), png, [FORMAT]),
        ("TIFF for print", encoded("TIFF", gradient("CMYK")), png, [FORMAT, COLOURS]),
        ("TIFF of 16-bit grey", encoded("TIFF", grey16()), png, [FORMAT, COLOURS]),
        ("TIFF of 32-bit grey", encoded("TIFF", grey16().convert("I")), png, [FORMAT, COLOURS]),
        ("TIFF of floats", encoded("TIFF", floats()), png, [FORMAT, COLOURS]),
        ("TIFF of two pages", encoded("TIFF", save_all=True, append_images=[gradient()]), png, [FORMAT, FRAME]),
        ("AVIF", encoded("AVIF"), jpeg, [FORMAT]),
        ("AVIF on its side", encoded("AVIF", exif=exif(6)), jpeg, [FORMAT, UPRIGHT]),
        ("HEIC", encoded("HEIF", exif=exif()), jpeg, [FORMAT]),
        ("transparent HEIC", encoded("HEIF", gradient("RGBA")), png, [FORMAT]),
    ]
    for name, content, content_type, changes in cases:
        facts, sent = render(content, STANDARD)

        result = sent.content if sent.content is not None else without_metadata(content)
        assert (sent.content_type, list(sent.changes)) == (content_type, changes), name
        assert sent.size_bytes == len(result), name
        assert CAMERA.encode() not in result, name
        with Image.open(io.BytesIO(result)) as image:
            image.load()
            assert Image.MIME[image.format] == content_type, name
            assert image.size == (sent.width, sent.height), name
            assert image.mode in ("1", "L", "P", "RGB", "RGBA"), name
            assert not image.getexif(), name
            low, high = extremes(image)
            assert high - low > 60, name  # still a gradient, neither white nor black
        size = (sent.height, sent.width) if UPRIGHT in changes else (sent.width, sent.height)
        assert size == (facts.width, facts.height), name
        with Image.open(io.BytesIO(preview(content))) as small:
            assert (small.format, small.width) == ("JPEG", sent.width), name
            low, high = extremes(small)
            assert high - low > 40, name


def test_pixels_are_copied_where_nothing_has_to_change():
    for kind, limits in (("JPEG", STANDARD), ("PNG", STANDARD), ("WEBP", JPG_AND_WEBP)):
        content = encoded(kind, exif=exif())
        assert render(content, limits)[1].content is None
        with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(without_metadata(content))) as after:
            assert before.tobytes() == after.tobytes(), kind
            assert CAMERA.encode() not in without_metadata(content)


def test_colours_of_a_profile_become_those_of_screens():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = encoded("JPEG", exif=exif(6), icc_profile=profile)
    assert b"ICC_PROFILE" in without_metadata(encoded("JPEG", icc_profile=profile))
    assert b"ICC_PROFILE" not in render(content, STANDARD)[1].content


def test_too_large_picture_is_compressed_then_reduced():
    big = gradient(size=(400, 300))
    cases = [
        (encoded("JPEG", big, quality=98), Limits(STANDARD.formats, 65_000), "image/jpeg", (400, 300)),
        (encoded("PNG", big), Limits(STANDARD.formats, 65_000), "image/jpeg", (400, 300)),
        (encoded("JPEG", big), Limits(STANDARD.formats, 10_000), "image/jpeg", None),
        (encoded("PNG", gradient("RGBA", (400, 300))), Limits(STANDARD.formats, 30_000), "image/png", None),
        (encoded("PNG", gradient("RGBA", (400, 300))), Limits(frozenset({"JPG"}), 30_000), "image/jpeg", None),
        (encoded("PNG", gradient("RGBA", (400, 300))), Limits(frozenset({"PNG", "WEBP"}), 30_000), "image/webp", None),
        (encoded("JPEG", big), Limits(STANDARD.formats, 10**6, max_side=200), "image/jpeg", (200, 150)),
        (encoded("HEIF", big), Limits(frozenset({"WEBP"}), 10**6), "image/webp", (400, 300)),
    ]
    for content, limits, content_type, size in cases:
        sent = render(content, limits)[1]
        assert sent.content_type == content_type
        assert sent.size_bytes <= limits.max_bytes
        assert size is None or (sent.width, sent.height) == size
        assert abs(sent.width / sent.height - 4 / 3) < 0.05
    with pytest.raises(DoesNotFit):
        render(encoded("JPEG", big), Limits(STANDARD.formats, 300))


def test_real_damage_is_refused():
    progressive = encoded("JPEG", progressive=True)
    scans = [place for place in range(len(progressive)) if progressive[place : place + 2] == b"\xff\xda"]
    cases = [("progressive JPEG, last scan", progressive[: scans[-1]])]
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"):
        content = encoded(kind)
        cases += [(kind, content[: len(content) // 2]), (kind, content[:-40])]
    cases += [("JPEG, few bytes", encoded("JPEG")[:-8]), ("progressive JPEG, few bytes", progressive[:-12])]
    for name, content in cases:
        for read in (lambda content: render(content, STANDARD), preview):
            try:
                read(content)
            except images.UNREADABLE:
                continue
            pytest.fail(f"{name} was taken")
