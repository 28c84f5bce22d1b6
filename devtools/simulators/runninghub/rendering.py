"""Rendering of results: a real PNG with the prompt on it, or a real H.264 clip that moves.

Colours come from the request, so that a prompt keeps its looks; the task's id is printed, so that
two results differ.
"""

from __future__ import annotations

import colorsys
import functools
import io
import json
import math
import re
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont, ImageOps

from devtools.simulators.runninghub.faults import chance
from devtools.simulators.runninghub.tasks import Task

RATIO = re.compile(r"(?<!\d)(\d{1,6})\s{0,3}[:x*]\s{0,3}(\d{1,6})")
SHAPE_FIELDS = ("aspectRatio", "size", "ratio")
FRAMES_PER_SECOND = 12
WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "PingFang.ttc", "msyh.ttc")
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Sketch:
    """The content of a picture.  ``ratio`` is width over height, ``hue`` in [0, 1)."""

    text: str
    footer: str
    inputs: int
    ratio: float
    hue: float


def sketch(task: Task, index: int) -> Sketch:
    params = json.loads(task.params)
    prompt = str(params.get("prompt") or "").encode("utf-8", "replace").decode()
    inputs = params.get("imageUrls") or [url for url in [params.get("imageUrl")] if url]
    shape = next((str(params[name]) for name in SHAPE_FIELDS if params.get(name)), "")
    hue = (chance(task.request) + index / 7) % 1
    return Sketch(prompt, f"{task.endpoint} · {task.id} · {index + 1}", len(inputs), ratio_of(shape), hue)


def ratio_of(shape: str) -> float:
    """Return width over height of ``"16:9"`` or ``"1024*1536"``, 1:8 to 8:1, or 1.0."""
    match = RATIO.search(shape)
    if match is None or not int(match[1]) or not int(match[2]):
        return 1.0
    return min(8.0, max(0.125, int(match[1]) / int(match[2])))


def size_of(ratio: float, side: int, step: int = 1) -> tuple[int, int]:
    """Return width and height for a long side, both multiples of ``step``."""
    short = max(step, round(side * min(ratio, 1 / ratio) / step) * step)
    long = max(step, side // step * step)
    return (long, short) if ratio >= 1 else (short, long)


def png(sketch: Sketch, side: int) -> bytes:
    file = io.BytesIO()
    draw(sketch, size_of(sketch.ratio, side)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def mp4(sketch: Sketch, side: int, seconds: float) -> bytes:
    """Return a clip: H.264, yuv420p, with the index in front so that browsers start at once."""
    size = size_of(sketch.ratio, side, step=2)
    still, frames = draw(sketch, size), max(1, round(seconds * FRAMES_PER_SECOND))
    with tempfile.TemporaryDirectory() as folder:  # moving the index to the front needs a file that can be read back
        path = Path(folder, "clip.mp4")
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("h264", rate=FRAMES_PER_SECOND, options={"preset": "ultrafast", "crf": "30"})
            stream.width, stream.height, stream.pix_fmt, stream.thread_count = *size, "yuv420p", 1
            for step in range(frames):
                picture = av.VideoFrame.from_image(_moved(still, step / frames))  # type: ignore[no-untyped-call]
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        return path.read_bytes()


def draw(sketch: Sketch, size: tuple[int, int]) -> Image.Image:
    """Return the picture: a landscape, a card for each input image, the prompt, and the footer."""
    (width, height), hue, unit = size, sketch.hue, min(size) / 16
    gradient = Image.linear_gradient("L").resize(size, Image.Resampling.NEAREST)
    image = ImageOps.colorize(gradient, _rgb(hue, 0.65, 0.6), _rgb(hue - 0.15, 0.45, 0.72))
    pen = ImageDraw.Draw(image)

    # A sun and two rows of hills, placed by the hue.
    x, y, radius = width * (0.55 + 0.3 * (hue * 7 % 1)), height * 0.26, min(size) / 7
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), _rgb(hue + 0.45, 0.25, 1.0))
    for row in (1, 2):
        tops = [height * (0.6 + row / 10 + 0.06 * math.sin(hue * 40 + row * 2 + step / 3)) for step in range(21)]
        line = [(width * step / 20, top) for step, top in enumerate(tops)]
        pen.polygon([(0, height), *line, (width, height)], _rgb(hue - 0.05 * row, 0.7, 0.55 - 0.15 * row))

    for place in range(min(sketch.inputs, 6)):
        left = unit * (1 + 2 * place)
        pen.rounded_rectangle((left, unit, left + 1.6 * unit, 2.6 * unit), unit / 4, fill="white")
        middle = (left + 0.8 * unit, 1.8 * unit)
        pen.text(middle, str(place + 1), "black", _font(max(10, unit), False), anchor="mm")

    text = sketch.text or "(no prompt)"
    is_wide = any(ord(letter) > 0x2E7F for letter in text)
    line_height = max(10, unit * (1.2 if len(text) < 120 else 0.8))
    columns = max(6, int(width / line_height * (0.85 if is_wide else 1.7)))
    lines = textwrap.wrap(text, columns, max_lines=max(1, int(height / line_height / 2)), placeholder=" …")
    font, at = _font(line_height, is_wide), (unit, height / 2)
    pen.multiline_text(at, "\n".join(lines) or "…", "white", font, anchor="lm", spacing=line_height / 4)
    pen.text((unit, height - unit), sketch.footer, "white", _font(max(9, unit / 3), False), anchor="lb")
    return image


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(part * 255) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    return red, green, blue


@functools.lru_cache(maxsize=64)
def _font(height: float, is_wide: bool) -> Font:
    """Return Pillow's font, or for Chinese, Japanese and Korean the first wide one installed."""
    for name in WIDE_FONTS if is_wide else ():
        try:
            return ImageFont.truetype(name, round(height))
        except OSError:
            continue
    return ImageFont.load_default(round(height))


def _moved(still: Image.Image, progress: float) -> Image.Image:
    """Return the picture with a ball that moves from left to right and a bar that fills."""
    image = still.copy()
    pen, (width, height) = ImageDraw.Draw(image), still.size
    radius = min(still.size) / 12
    x, y = width * progress, height * (0.25 + 0.5 * abs(progress - 0.5))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill="white")
    pen.rectangle((0, height - radius / 4, width * progress, height), fill="white")
    return image
