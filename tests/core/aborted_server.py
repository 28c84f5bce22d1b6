"""The application in a process that kills itself before it answers a request with X-Die."""

from __future__ import annotations

import os
import signal
from typing import Any

from runninghub_batch import asgi

DIE = b"x-die"


async def application(scope: Any, receive: Any, send: Any) -> None:
    wanted = any(name == DIE for name, _ in scope.get("headers", []))

    async def last_words(event: Any) -> None:
        if wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        await send(event)

    await asgi.application(scope, receive, last_words)
