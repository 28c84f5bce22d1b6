"""Ken Burns clips: a still picture with a camera move over it, as H.264 video.

The same picture and move give the same bytes: one thread, no dates, no random numbers.

The move is smooth because the crop is not rounded to whole pixels: ffmpeg's ``perspective`` filter
samples a rectangle with fractional corners from a picture that is larger than the clip.
(``zoompan`` rounds, and the picture trembles.)
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from core.reasons import define
from providers.adapters.local import ffmpeg

UNREADABLE = define("local.unreadable_picture", "The image cannot be opened. Use a PNG, JPEG, WebP or GIF file.")

MAX_PIXELS = 80_000_000
SUPERSAMPLING = 1.5
FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]
SIZES = {
    ("16:9", "720p"): (1280, 720),
    ("16:9", "1080p"): (1920, 1080),
    ("9:16", "720p"): (720, 1280),
    ("9:16", "1080p"): (1080, 1920),
    ("1:1", "720p"): (720, 720),
    ("1:1", "1080p"): (1080, 1080),
}


class Move(enum.StrEnum):
    """The camera's move in a clip."""

    ZOOM_IN = "zoom_in"
    ZOOM_OUT = "zoom_out"
    PAN_LEFT = "pan_left"
    PAN_RIGHT = "pan_right"
    PAN_UP = "pan_up"
    PAN_DOWN = "pan_down"
    STATIC = "static"


# p is the part of the clip that has passed, 0 to 1.
EASINGS = {
    "linear": "p",
    "ease_in": "p*p",
    "ease_out": "p*(2-p)",
    "ease_in_out": "p*p*(3-2*p)",
}


class BadPicture(Exception):
    """The picture cannot be opened.  The message is for people."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip.  ``strength`` is how far the camera goes: 0.2 is a fifth of the picture."""

    move: Move
    duration_seconds: float
    ratio: str = "16:9"
    resolution: str = "720p"
    fps: int = 24
    easing: str = "ease_in_out"
    strength: float = 0.2

    def check(self) -> None:
        """Raise ValueError if a value is outside of what can be rendered."""
        if not 1 <= self.duration_seconds <= 15:
            raise ValueError("duration must be from 1 to 15 seconds.")
        if not 0 < self.strength <= 1:
            raise ValueError("strength must be above 0 and at most 1.")
        if (self.ratio, self.resolution) not in SIZES:
            raise ValueError(f"there is no size for {self.ratio} and {self.resolution}.")
        if self.fps not in (24, 30) or self.easing not in EASINGS:
            raise ValueError("fps must be 24 or 30, and easing one of " + ", ".join(EASINGS) + ".")

    @property
    def size(self) -> tuple[int, int]:
        return SIZES[self.ratio, self.resolution]

    @property
    def frames(self) -> int:
        return max(round(self.duration_seconds * self.fps), 1)


def render(
    picture: Path,
    clip: Clip,
    target: Path,
    *,
    timeout_seconds: float,
    on_start: Callable[[int], object] = lambda pid: None,
    on_progress: Callable[[float], object] = lambda progress: None,
) -> None:
    """Write ``clip`` of ``picture`` to ``target``, an mp4 file.

    Raises BadPicture, ffmpeg.FfmpegFailed or OSError. The canvas, a temporary file, lies beside
    ``target``.
    """
    canvas = target.with_suffix(".ppm")
    _draw_canvas(picture, canvas, clip.size)
    try:
        ffmpeg.run(
            [
                *("-threads", "1", "-filter_threads", "1", "-f", "image2", "-framerate", str(clip.fps)),
                *("-i", str(canvas)),
                *("-vf", _filters(clip), "-frames:v", str(clip.frames), "-an"),
                *("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-threads", "1"),
                *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
                *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
                *("-movflags", "+faststart", "-f", "mp4", str(target)),
            ],
            frames=clip.frames,
            timeout_seconds=timeout_seconds,
            on_start=on_start,
            on_progress=on_progress,
        )
    finally:
        canvas.unlink(missing_ok=True)


def _draw_canvas(picture: Path, canvas: Path, size: tuple[int, int]) -> None:
    """Draw the picture over the whole shape of the clip, enlarged for sampling.

    The parts that do not fit are cut off evenly. Raises BadPicture.
    """
    try:
        with Image.open(picture, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadPicture(f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels.")
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                layer = upright.convert("RGBA")
                upright = Image.new("RGBA", layer.size, "black")
                upright.alpha_composite(layer)
            width, height = (round(side * SUPERSAMPLING) for side in size)
            fitted = ImageOps.fit(upright.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPicture(UNREADABLE()) from error
    fitted.save(canvas, format="PPM")


def _filters(clip: Clip) -> str:
    """Return the filter graph: repeat one still, sample it along the move, scale it to the clip."""
    width, height = clip.size
    still = (
        f"scale=out_color_matrix=bt709:out_range=tv,format=yuv444p,loop=loop={clip.frames - 1}:size=1:start=0,setpts=N"
    )
    fit = f"scale={width}:{height}:flags=bicubic,format=yuv420p"
    if clip.move is Move.STATIC or clip.frames == 1:
        return f"{still},{fit}"

    passed = f"(on-1)/{clip.frames - 1}"  # ffmpeg counts frames from 1
    progress = f"({EASINGS[clip.easing].replace('p', 'ld(0)')})"
    zoom = 1 + clip.strength
    room = 1 - 1 / zoom  # of the width and height, that a rectangle of full zoom has to move in
    left = top = f"{room / 2:.9f}"
    side = f"{1 / zoom:.9f}"
    match clip.move:
        case Move.ZOOM_IN | Move.ZOOM_OUT:
            # Equal factors in equal times: equal differences would look faster at the end.
            exponent = progress if clip.move is Move.ZOOM_IN else f"(1-{progress})"
            side = f"pow({zoom:.9f},-{exponent})"
            left = top = f"((1-{side})/2)"
        case Move.PAN_LEFT:
            left = f"({room:.9f}*(1-{progress}))"
        case Move.PAN_RIGHT:
            left = f"({room:.9f}*{progress})"
        case Move.PAN_UP:
            top = f"({room:.9f}*(1-{progress}))"
        case Move.PAN_DOWN:
            top = f"({room:.9f}*{progress})"
    corners = (
        (left, top),
        (f"({left}+{side})", top),
        (left, f"({top}+{side})"),
        (f"({left}+{side})", f"({top}+{side})"),
    )
    points = ":".join(
        f"x{index}='st(0,{passed});W*{x}':y{index}='st(0,{passed});H*{y}'" for index, (x, y) in enumerate(corners)
    )
    return f"{still},perspective={points}:interpolation=linear:sense=source:eval=frame,{fit}"
