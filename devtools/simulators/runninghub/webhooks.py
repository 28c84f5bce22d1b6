"""Webhooks to callers about ended tasks: one sender looks for those that were not reported.

It reads the state file, so webhooks are also sent after a restart. One may then be sent twice, as
by the real service.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from urllib.parse import urlsplit

from devtools.simulators.runninghub import envelopes
from devtools.simulators.runninghub.service import Simulator
from devtools.simulators.runninghub.tasks import GONE, Task

LOOK_EVERY = 0.05
PATIENCE = 10.0
TIMES = {"lost": 0, "double": 2}


class WebhookSender:
    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._rounds: dict[str, asyncio.Task[None]] = {}

    async def work(self) -> None:
        while True:
            for task in self._sim.store.unreported(time.time()):
                if task.id not in self._rounds:
                    self._rounds[task.id] = asyncio.create_task(self._tell(task))
            await asyncio.sleep(LOOK_EVERY)

    async def _tell(self, task: Task) -> None:
        what = self._sim.meet("webhook", task.marks, task.id)
        try:
            if what == "late":
                await asyncio.sleep(self._sim.options.webhook_delay)
            for _ in range(0 if task.status(time.time()) == GONE else TIMES.get(what, 1)):
                await self._deliver(task)
        finally:
            self._sim.store.mark_reported(task.id)
            del self._rounds[task.id]

    async def _deliver(self, task: Task) -> None:
        body = json.dumps(envelopes.webhook(task, time.time())).encode()
        for turn in range(self._sim.options.webhook_tries):
            await asyncio.sleep(self._sim.options.webhook_wait if turn else 0)
            self._sim.counts["webhooks"] += 1
            if 200 <= await post(task.webhook_url, body) < 300:
                self._sim.counts["webhooks_delivered"] += 1
                return
        self._sim.counts["webhooks_failed"] += 1


async def post(url: str, body: bytes) -> int:
    """POST JSON and return the status, or 0 when there was no answer."""
    try:
        return await asyncio.wait_for(_post(url, body), PATIENCE)
    except (OSError, ValueError, IndexError, TimeoutError):
        return 0


async def _post(url: str, body: bytes) -> int:
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=secure)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
