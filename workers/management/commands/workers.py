"""``manage.py workers``: the django-q2 cluster under a supervisor."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError

from workers import heartbeat
from workers.models import WorkerCluster
from workers.supervisor import Supervisor

log = logging.getLogger(__name__)


class Command(BaseCommand):
    requires_system_checks = []  # see _check
    help = "Run the worker processes (Q_WORKERS, 50 unless set) until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--skip-checks", action="store_true", help="skip the system checks")
        parser.add_argument("--tied", action="store_true", help="also stop when standard input closes")
        parser.add_argument(
            "--check", action="store_true", help="start nothing; exit with 0 if this host's workers are alive, else 1"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            clusters = WorkerCluster.objects.filter(host=os.uname().nodename, stopped_at=None)
            if not any(heartbeat.is_alive(cluster) for cluster in clusters):
                raise CommandError("No workers of this host are alive.")
            self.stdout.write("The workers of this host are alive.")
            return
        self._check(options["skip_checks"])
        logging.captureWarnings(True)
        supervisor = Supervisor()
        if options["tied"]:
            threading.Thread(target=self._stop_with_parent, args=[supervisor], daemon=True).start()

        def on_ready() -> None:
            log.info("%d workers are running.", settings.Q_WORKERS)
            if options["tied"]:  # the parent waits for this line
                self.stdout.write(f"{settings.Q_WORKERS} workers are running.")
                self.stdout.flush()

        supervisor.run(on_ready=on_ready)
        log.info("The workers have stopped.")

    def _check(self, is_skipped: bool) -> None:
        """Run the system checks in a process of their own, and exit with 1 if one fails.

        They load URLs, pages and the admin, which no worker needs: 15 MB that would stay in memory.
        """
        if is_skipped:
            return
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.check()
                code = 0
            except SystemCheckError as error:
                self.stderr.write(str(error))
            finally:
                self.stderr.flush()
                os._exit(code)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(1)

    def _stop_with_parent(self, supervisor: Supervisor) -> None:
        # Not through sys.stdin: a forked worker closes it, and would wait for ever for this lock.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        supervisor.stop()
