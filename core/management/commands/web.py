"""``manage.py web``: pages and API, with one process per core."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
import warnings
from typing import Any, NoReturn

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from django.utils.module_loading import import_string

from core.http import web_metrics

CONNECTIONS_AT_ONCE = 1000  # per process; an open mission's page is one. More are answered with 503.
STOP_SECONDS = 3  # then requests and event streams are cut off, so that a restart is quick
RESTART_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Serve pages and API with WEB_PROCESSES processes until SIGTERM or Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
        parser.add_argument("--application", default=settings.ASGI_APPLICATION, help="another ASGI application")

    def handle(self, *args: Any, host: str, port: int, application: str, **options: Any) -> None:
        # Our streams are made in threads (core.http.streaming), so Django's warning does not apply.
        logging.captureWarnings(True)
        warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume")
        config = uvicorn.Config(
            import_string(application.replace(":", ".")),
            host=host,
            port=port,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=bool(settings.FORWARDED_ALLOW_IPS),
            forwarded_allow_ips=settings.FORWARDED_ALLOW_IPS,
            limit_concurrency=CONNECTIONS_AT_ONCE,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        config.load()
        listener = config.bind_socket()
        if settings.WEB_PROCESSES <= 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            WebProcesses(config, listener, settings.WEB_PROCESSES).run()


class WebProcesses:
    """A parent that keeps ``count`` equal server processes running until it is stopped.

    They are forked after the program was loaded, so they share most of its memory. All accept
    connections from the same socket. A process that ends is replaced; if the parent is killed, the
    others end with it.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket, count: int) -> None:
        self.config = config
        self.listener = listener
        self.count = count
        self.started: dict[int, float] = {}  # monotonic time of the start, by process id
        self.parts: dict[int, int] = {}  # the part of the web metrics, by process id
        self.is_stopping = False
        self.lifeline = os.pipe()

    def run(self) -> None:
        """Start the processes and replace those that end, until all were stopped."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        connections.close_all()  # a connection must not be shared with a forked process
        gc.collect()
        gc.freeze()  # what is loaded by now stays shared
        for _ in range(self.count):
            self._start()
        while self.started:
            pid, status = os.wait()
            lifetime = time.monotonic() - self.started.pop(pid)
            del self.parts[pid]
            if self.is_stopping:
                continue
            log.error("A web process ended (status %d) and is replaced.", status)
            if lifetime < RESTART_SECONDS:
                time.sleep(RESTART_SECONDS)
            self._start()

    def _stop(self, *_: Any) -> None:
        self.is_stopping = True
        for pid in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _start(self) -> None:
        # A stop signal must meet the parent when it knows the child, or the child when it has
        # its own handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        if not self.is_stopping:
            part = next(number for number in range(self.count) if number not in self.parts.values())
            pid = os.fork()
            if pid == 0:
                web_metrics.use_part(part)
                self._serve()
            self.started[pid] = time.monotonic()
            self.parts[pid] = part
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _serve(self) -> NoReturn:
        """Serve, in the child, until it is stopped or its parent has ended."""
        code = 1
        try:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)  # uvicorn sets its own, and returns to these
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            os.close(self.lifeline[1])
            threading.Thread(target=self._stop_with_parent, name="lifeline", daemon=True).start()
            uvicorn.Server(self.config).run(sockets=[self.listener])
            code = 0
        except Exception:
            log.exception("A web process failed.")
        finally:
            os._exit(code)

    def _stop_with_parent(self) -> None:
        os.read(self.lifeline[0], 1)  # returns when the parent's end is closed, however it ended
        os.kill(os.getpid(), signal.SIGTERM)
