"""``manage.py workers``: the django-q2 cluster under a supervisor."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from workers.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run the worker processes (Q_WORKERS, 50 unless set) until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tied", action="store_true", help="stop when standard input closes, too")

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor = Supervisor()
        if options["tied"]:
            threading.Thread(target=self._stop_with_parent, args=[supervisor], daemon=True).start()
        supervisor.run(on_ready=lambda: self._say(f"{settings.Q_WORKERS} workers are running."))
        self._say("The workers have stopped.")

    def _stop_with_parent(self, supervisor: Supervisor) -> None:
        # Not through sys.stdin: a forked worker closes that one, and would wait for ever for this thread's lock on it.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        supervisor.stop()

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
