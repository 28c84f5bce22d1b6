"""Result files and uploads over plain links, like an object store: ranges, links that expire."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from devtools.simulators.http import Answer, Request
from devtools.simulators.runninghub.service import Simulator
from devtools.simulators.runninghub.tasks import SUCCESS, Task

RESULT = re.compile(r"/files/results/(\d+)/(\d+)\.(png|mp4)")
UPLOAD = re.compile(r"/files/uploads/([0-9a-f]{64}\.\w+)")
RANGE = re.compile(rb"bytes=(\d*)-(\d*)")
TYPES = {"png": "image/png", "mp4": "video/mp4"}
HTML = Answer(200, b"<!doctype html><title>Expired</title><p>This link has expired.</p>", "text/html")
# An empty archive under the name and the type of a picture.
ARCHIVE = b"PK\x05\x06" + bytes(18)
KEPT = 64


class Gallery:
    """Draws a file when it is first downloaded, in a small thread pool, and keeps the last few."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self.pool = ThreadPoolExecutor(2)

    async def picture(self, sim: Simulator, task: Task, index: int) -> bytes:
        name = f"{task.id}/{index}"
        if name not in self._files:
            self._keep(name, await asyncio.get_running_loop().run_in_executor(self.pool, _draw, sim, task, index))
        self._files.move_to_end(name)
        return self._files[name]

    def _keep(self, name: str, body: bytes) -> None:
        self._files[name] = body
        while len(self._files) > KEPT:
            self._files.popitem(last=False)


def _draw(sim: Simulator, task: Task, index: int) -> bytes:
    from devtools.simulators.runninghub import rendering  # Pillow and PyAV are heavy: only who draws pays

    sketch = rendering.sketch(task, index)
    if task.kind == "video":
        return rendering.mp4(sketch, sim.options.clip_side, sim.options.clip_seconds)
    return rendering.png(sketch, sim.options.image_side)


async def serve(sim: Simulator, gallery: Gallery, request: Request) -> Answer:
    sim.counts["downloads"] += 1
    if match := RESULT.fullmatch(request.path):
        return await _result(sim, gallery, request, match)
    if match := UPLOAD.fullmatch(request.path):
        return _upload(sim, request, match[1])
    return _error(404)


def _upload(sim: Simulator, request: Request, name: str) -> Answer:
    upload = sim.store.upload(name)
    return _ranged(request, upload[1], upload[0]) if upload else _error(404)


async def _result(sim: Simulator, gallery: Gallery, request: Request, match: re.Match[str]) -> Answer:
    task, index, now = sim.store.task(match[1]), int(match[2]), time.time()
    if task is None or task.status(now) != SUCCESS or index >= task.files:
        return _error(404)
    if now > task.ends_at + sim.options.url_seconds:
        return _error(403)
    what = sim.meet("file", task.marks, task.id)
    if what == "html":
        return HTML
    body = ARCHIVE if what == "zip" else await gallery.picture(sim, task, index)
    answer = _ranged(request, body[: len(body) // 2] if what == "short" else body, TYPES[match[3]])
    return sim.spoilt(answer, "" if what in ("short", "zip") else what, lambda code: {})


def _error(status: int) -> Answer:
    word = {403: "AccessDenied", 404: "NoSuchKey"}[status]
    return Answer(status, f"<Error><Code>{word}</Code></Error>".encode(), "application/xml")


def _ranged(request: Request, body: bytes, content_type: str) -> Answer:
    """Return the whole body, or the one requested range."""
    whole = Answer(200, body, content_type, {"accept-ranges": "bytes"})
    match = RANGE.fullmatch(request.headers.get(b"range", b""))
    if match is None or not (match[1] or match[2]):
        return whole
    start, stop = _limits(match, len(body))
    if start >= stop:
        return dataclasses.replace(whole, status=416, body=b"", headers={"content-range": f"bytes */{len(body)}"})
    headers = {**whole.headers, "content-range": f"bytes {start}-{stop - 1}/{len(body)}"}
    return dataclasses.replace(whole, status=206, body=body[start:stop], headers=headers)


def _limits(match: re.Match[bytes], size: int) -> tuple[int, int]:
    if not match[1]:
        return max(0, size - int(match[2])), size
    return int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
