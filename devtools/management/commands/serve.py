"""``manage.py serve``: pages, workers and, without an API key, the simulator on one machine.

Runs the processes of ``Procfile`` and shows their output. Ctrl-C, SIGTERM, or the end of any of
them stops them all.
"""

from __future__ import annotations

import io
import os
import secrets
import signal
import socket
from collections.abc import Mapping
from typing import Any

import honcho.manager
import psutil
import segno
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.http.local_address import own_address
from devtools.local_stack import procfile, procfile_environment, simulator_environment
from providers import provider_accounts
from providers.adapters.registry import PROVIDERS
from workers.supervisor import STOP_SECONDS

KILL_AFTER_SECONDS = STOP_SECONDS + 1  # the supervisor needs time to stop its workers
STOPPED_BY_SIGNAL = (130, 143)  # SIGINT, SIGTERM
ADMIN = "admin"
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  what a person may ask for


class Command(BaseCommand):
    help = "Start web pages, workers and, when no API key is set, the simulator. Ctrl-C stops all of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--host", default=os.environ.get("HOST", "127.0.0.1"), help="address of the pages (127.0.0.1)"
        )
        parser.add_argument(
            "--port", type=int, default=int(os.environ.get("PORT", "8000")), help="port of the pages (8000)"
        )
        parser.add_argument(
            "--simulator-port", type=int, default=9100, help="port of the simulator, if it is free (9100)"
        )

    def handle(self, *args: Any, host: str, port: int, simulator_port: int, **options: Any) -> None:
        if not _is_free(host, port):
            raise CommandError(
                f"Port {port} is in use. Stop the program that uses it, or run `make serve ARGS='--port {port + 1}'`."
            )
        call_command("migrate", verbosity=0)
        if os.access(settings.STATIC_ROOT, os.W_OK) or not settings.STATIC_ROOT.exists():
            call_command("collectstatic", interactive=False, verbosity=0)
        # else deploy/install has collected them as root
        processes = procfile()
        reachable = own_address() if host in EVERY_ADDRESS else host
        environment = {
            **os.environ,
            "ALLOWED_HOSTS": ",".join(dict.fromkeys([*settings.ALLOWED_HOSTS, reachable])),
            **procfile_environment(host, port),
            "PYTHONUNBUFFERED": "1",
            "LOG_FORMAT": os.environ.get("LOG_FORMAT", "text"),  # the processes see a pipe, but write to this terminal
        }
        if provider_accounts.has_keys("runninghub"):
            del processes["simulator"]
            self.stdout.write(
                "A key is set: missions run at the provider and cost money. `manage.py provider_accounts` lists the accounts."
            )
        else:
            if not _is_free("127.0.0.1", simulator_port):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    simulator_port = probe.getsockname()[1]
            environment |= {
                "SIMULATOR_PORT": str(simulator_port),
                "SIMULATOR_STATE": str(settings.DATA_DIR / "simulator.sqlite3"),
                **simulator_environment(f"http://127.0.0.1:{simulator_port}"),
            }
            self.stdout.write(
                "No RUNNINGHUB_API_KEY is set: RunningHub's missions run on the simulator and cost nothing."
            )
            others = [kind for kind in PROVIDERS.values() if kind.name != "runninghub"]
            real = [kind.label for kind in others if provider_accounts.has_address_or_key(kind)]
            if real:
                self.stdout.write(f"Missions of these providers are real and may cost money: {', '.join(real)}.")
        self.stdout.write(f"\n    http://{reachable}:{port}/\n")
        if reachable != "127.0.0.1":
            picture = io.StringIO()
            segno.make(f"http://{reachable}:{port}/").terminal(picture, compact=True)
            self.stdout.write(f"{picture.getvalue()}\n    Scan it with a phone in the same network.\n")
        if password := _create_first_admin():
            self.stdout.write(
                f"    user: {ADMIN}   password: {password}   (shown only now; change it after signing in)"
            )
        self.stdout.write("    Ctrl-C stops everything.\n\n")
        self.stdout.flush()
        code = _run(processes, environment)
        if code:
            raise CommandError("A process ended unexpectedly; its last lines above show the reason.", returncode=code)
        self.stdout.write("All processes have stopped.")


def _create_first_admin() -> str:
    """Create a superuser if there is none, and return its password; else ""."""
    if User.objects.filter(is_superuser=True).exists():
        return ""
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser(ADMIN, password=password)
    return password


def _run(processes: Mapping[str, str], environment: Mapping[str, str]) -> int:
    """Run until one process ends or a signal comes.

    Returns 0 after a signal, else the exit code of the process that ended first.
    """
    honcho.manager.KILL_WAIT = KILL_AFTER_SECONDS
    manager = honcho.manager.Manager()
    for name, command in processes.items():
        manager.add_process(name, command, env=dict(environment), cwd=str(settings.BASE_DIR))
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # the terminal was closed
    try:
        manager.loop()
    finally:
        # Only left if honcho failed: a signal in its first moments, or a terminal that is gone.
        children = [child for keeper in psutil.Process().children() for child in keeper.children()]
        for child in children:
            child.terminate()
        for child in psutil.wait_procs(children, timeout=KILL_AFTER_SECONDS)[1]:
            child.kill()
    return 0 if manager.returncode in STOPPED_BY_SIGNAL else manager.returncode


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
