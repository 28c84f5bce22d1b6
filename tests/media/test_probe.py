"""Type, size and thumbnail of a result file, from its content."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from media.images import THUMBNAIL_PIXELS
from media.probe import Inspected, NotAResult, inspect
from tests.factories import picture


def inspected(folder: Path, content: bytes, *, claimed: str = "png") -> Inspected:
    path = folder / "result.part"
    path.write_bytes(content)
    return inspect(path, claimed=claimed)


def thumbnail_of(media: Inspected) -> Image.Image:
    assert media.thumbnail
    image = Image.open(io.BytesIO(media.thumbnail))
    assert image.format == "JPEG"
    return image


def clip(*, container: str = "mp4", codec: str = "libx264", size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            file.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", size, "teal"))))
        file.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind, extension, content_type",
    [
        ("PNG", "png", "image/png"),
        ("JPEG", "jpg", "image/jpeg"),
        ("WEBP", "webp", "image/webp"),
        ("GIF", "gif", "image/gif"),
    ],
)
@pytest.mark.parametrize("claimed", ["png", "mp4", "", "exe"])
def test_picture_type_is_detected_from_content(kind, extension, content_type, claimed, tmp_path):
    media = inspected(tmp_path, picture(kind, (800, 400)), claimed=claimed)
    assert (media.extension, media.content_type, media.width, media.height) == (extension, content_type, 800, 400)
    assert media.duration_seconds is None
    assert thumbnail_of(media).size == (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS // 2)


def test_a_photo_of_several_frames_is_a_photo(tmp_path):
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "MPO", save_all=True, append_images=frames[1:])
    media = inspected(tmp_path, buffer.getvalue(), claimed="jpg")
    assert (media.extension, media.content_type, media.width) == ("jpg", "image/jpeg", 60)


def test_a_picture_with_a_long_workflow_is_stored(tmp_path):
    workflow = PngInfo()
    workflow.add_text("workflow", "a node " * 300_000, zip=True)
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40)).save(buffer, "PNG", pnginfo=workflow)
    assert inspected(tmp_path, buffer.getvalue()).width == 60


def test_a_very_large_file_is_not_read_into_memory(tmp_path):
    path = tmp_path / "large"
    Image.new("RGB", (60, 40)).save(path, "PNG")
    with path.open("r+b") as file:
        file.truncate(300 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert inspect(path, claimed="png").width == 60
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16", "CMYK"])
def test_every_kind_of_colour_gets_a_thumbnail(mode, tmp_path):
    buffer = io.BytesIO()
    Image.new(mode, (600, 300)).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    media = inspected(tmp_path, buffer.getvalue())
    assert (media.width, media.height) == (600, 300)
    assert thumbnail_of(media).mode == "RGB"


def test_transparency_becomes_white(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(buffer, "PNG")
    colour = thumbnail_of(inspected(tmp_path, buffer.getvalue())).getpixel((25, 25))
    assert isinstance(colour, tuple)
    assert min(colour) > 250


def test_rotated_picture_gets_an_upright_thumbnail(tmp_path):
    image = Image.new("RGB", (80, 40))
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert thumbnail_of(inspected(tmp_path, buffer.getvalue())).size == (40, 80)


@pytest.mark.parametrize("container, codec, extension", [("mp4", "libx264", "mp4"), ("webm", "libvpx", "webm")])
def test_a_clip_is_measured_and_gets_a_poster(container, codec, extension, tmp_path):
    media = inspected(tmp_path, clip(container=container, codec=codec), claimed="png")
    assert (media.extension, media.content_type, media.width, media.height) == (
        extension,
        f"video/{extension}",
        64,
        48,
    )
    assert media.duration_seconds == pytest.approx(1.0, abs=0.2)
    assert thumbnail_of(media).size == (64, 48)


BROKEN = {
    "empty": b"",
    "page": b"<html><body>403 Forbidden</body></html>",
    "json": b'{"error": "expired"}',
    "half a picture": picture(size=(600, 600))[:400],
    "half a photo": picture("JPEG", (600, 600))[:2000],
    "head of a clip": clip()[:40],
    "beginning of a clip": clip()[:300],
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "program": b"MZ\x90\x00" + b"\x00" * 100,
    "text that claims": b"just text",
}


@pytest.mark.parametrize("claimed", ["png", "mp4", "zip", ""])
@pytest.mark.parametrize("what", BROKEN)
def test_invalid_content_is_refused(what, claimed, tmp_path):
    with pytest.raises(NotAResult):
        inspected(tmp_path, BROKEN[what], claimed=claimed)


@pytest.mark.parametrize("claimed, head", [("zip", b"PK\x03\x04"), ("glb", b"glTF"), ("wav", b"RIFF"), ("mp3", b"ID3")])
def test_other_types_must_match_their_content(claimed, head, tmp_path):
    assert inspected(tmp_path, head + b"\x00" * 50, claimed=claimed).extension == claimed
    with pytest.raises(NotAResult):
        inspected(tmp_path, head + b"\x00" * 50, claimed="png")


def test_a_picture_too_large_to_open_is_refused_and_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(NotAResult):
        inspected(tmp_path, picture(size=(20, 10)))


def test_a_clip_with_pictures_too_large_to_open_is_refused(tmp_path):
    """Decoding one frame of this 400 KB clip would take a gigabyte."""
    path = tmp_path / "wide.mov"
    with av.open(str(path), "w", format="mov") as container:
        stream = container.add_stream("png", rate=1, options={"compression_level": "1"})
        stream.width, stream.height, stream.pix_fmt = 12_000, 8_000, "gray"
        frame = av.VideoFrame(stream.width, stream.height, "gray")
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        container.mux([*stream.encode(frame), *stream.encode()])
    with pytest.raises(NotAResult):
        inspect(path, claimed="mp4")


def test_thumbnail_has_no_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Camera of Mei"
    exif.get_ifd(0x8825).update({1: "N", 2: (31.0, 14.0, 0.0), 3: "E", 4: (121.0, 28.0, 0.0)})
    buffer = io.BytesIO()
    more = {"comment": b"a note of Mei", "xmp": b"<x:xmpmeta>of Mei</x:xmpmeta>", "icc_profile": b"profile of Mei"}
    Image.new("RGB", (80, 40)).save(buffer, "JPEG", exif=exif, **more)
    assert buffer.getvalue().count(b"Mei") == 4
    media = inspected(tmp_path, buffer.getvalue())
    assert b"Mei" not in media.thumbnail
    assert not thumbnail_of(media).getexif().get_ifd(0x8825)
