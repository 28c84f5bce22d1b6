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
        self._deliveries: dict[str, asyncio.Task[None]] = {}

    async def work(self) -> None:
        while True:
            for task in self._sim.store.unreported(time.time()):
                if task.id not in self._deliveries:
                    self._deliveries[task.id] = asyncio.create_task(self.tell(task))
            await asyncio.sleep(LOOK_EVERY)

    async def tell(self, task: Task) -> None:
        """Deliver the webhook of a task that has ended, as often as its fault says."""
        sim = self._sim
        what = sim.meet("webhook", task.marks, task.id)
        try:
            if what == "late":
                await asyncio.sleep(sim.options.webhook_delay)
            for _ in range(0 if task.status(time.time()) == GONE else TIMES.get(what, 1)):
                body = json.dumps(envelopes.webhook(task, time.time())).encode()
                for turn in range(sim.options.webhook_tries):
                    await asyncio.sleep(sim.options.webhook_wait if turn else 0)
                    sim.counts["webhooks"] += 1
                    if 200 <= await post(task.webhook_url, body) < 300:
                        sim.counts["webhooks_delivered"] += 1
                        break
                else:
                    sim.counts["webhooks_failed"] += 1
        finally:
            sim.store.mark_reported(task.id)
            del self._deliveries[task.id]


async def post(url: str, body: bytes) -> int:
    """POST JSON and return the status, or 0 when there was no answer."""
    try:
        parts = urlsplit(url)
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE):
            port = parts.port or (443 if secure else 80)
            reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
            try:
                writer.write(head.encode() + body)
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
    except (OSError, ValueError, IndexError, TimeoutError):
        return 0
