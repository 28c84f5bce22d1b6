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
CACHED_FILES = 64


class Gallery:
    """Draws a file when it is first downloaded, in a small thread pool, and keeps the last few."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self.pool = ThreadPoolExecutor(2)

    async def picture(self, sim: Simulator, task: Task, index: int) -> bytes:
        name = f"{task.id}/{index}"
        if name not in self._files:
            self._files[name] = await asyncio.get_running_loop().run_in_executor(self.pool, draw, sim, task, index)
        self._files.move_to_end(name)
        body = self._files[name]
        while len(self._files) > CACHED_FILES:
            self._files.popitem(last=False)
        return body


def draw(sim: Simulator, task: Task, index: int) -> bytes:
    """Return a result file of a task."""
    from devtools.simulators.runninghub import rendering  # Pillow and PyAV are heavy: only who draws pays

    sketch = rendering.sketch(task, index)
    if task.kind == "video":
        return rendering.mp4(sketch, sim.options.clip_side, sim.options.clip_seconds)
    return rendering.png(sketch, sim.options.image_side)


async def serve(sim: Simulator, gallery: Gallery, request: Request) -> Answer:
    """Answer a request for a result or an upload."""
    sim.counts["downloads"] += 1
    if match := UPLOAD.fullmatch(request.path):
        upload = sim.store.upload(match[1])
        return _ranged(request, upload[1], upload[0]) if upload else _error(404)
    match = RESULT.fullmatch(request.path)
    task = sim.store.task(match[1]) if match else None
    now = time.time()
    if match is None or task is None or task.status(now) != SUCCESS or int(match[2]) >= task.files:
        return _error(404)
    if now > task.ends_at + sim.options.url_seconds:
        return _error(403)
    what = sim.meet("file", task.marks, task.id)
    if what == "html":
        return HTML
    body = ARCHIVE if what == "zip" else await gallery.picture(sim, task, int(match[2]))
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
    size = len(body)
    if match[1]:
        start, stop = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    else:
        start, stop = max(0, size - int(match[2])), size
    if start >= stop:
        return dataclasses.replace(whole, status=416, body=b"", headers={"content-range": f"bytes */{size}"})
    headers = {**whole.headers, "content-range": f"bytes {start}-{stop - 1}/{size}"}
    return dataclasses.replace(whole, status=206, body=body[start:stop], headers=headers)
