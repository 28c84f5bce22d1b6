"""``manage.py workers``: the django-q2 cluster under a supervisor."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from missions.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run the worker processes (Q_WORKERS, 50 unless set) until SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor = Supervisor()
        supervisor.run(on_ready=lambda: self.stdout.write(f"{settings.Q_WORKERS} workers are running."))
        self.stdout.write("The workers have stopped.")
