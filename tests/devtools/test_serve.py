"""``manage.py serve``: which processes it runs, with what settings, and how it ends."""

from __future__ import annotations

import io
import os
import signal
import socket
from collections.abc import Iterator

import honcho.manager
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from devtools.management.commands import serve as serve_command
from providers.adapters.base import SIMULATOR_KEY
from tests.ports import free_port

pytestmark = pytest.mark.django_db


class Manager:
    """Stands in for honcho: notes the processes instead of running them."""

    processes: dict[str, str] = {}
    environment: dict[str, str] = {}
    returncode = 130  # after Ctrl-C

    def __init__(self) -> None:
        self.processes.clear()

    def add_process(self, name: str, command: str, *, env: dict[str, str], cwd: str) -> None:
        self.processes[name] = command
        self.environment.update(env)

    def loop(self) -> None:
        pass


@pytest.fixture(autouse=True)
def manager(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[type[Manager]]:
    monkeypatch.setattr(honcho.manager, "Manager", Manager)
    monkeypatch.setattr(Manager, "environment", {})
    settings.RUNNINGHUB_API_KEY = ""
    before = signal.getsignal(signal.SIGHUP)
    yield Manager
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of Django's commands that ``serve`` calls; they are not carried out."""
    called: list[str] = []
    monkeypatch.setattr(serve_command, "call_command", lambda name, **options: called.append(name))
    return called


@pytest.fixture
def port() -> int:
    return free_port()


def serve(port: int, **options: str) -> str:
    out = io.StringIO()
    call_command("serve", port=port, simulator_port=0, stdout=out, **options)
    return out.getvalue()


def test_without_a_key_the_simulator_runs(manager, port):
    shown = serve(port)
    assert set(manager.processes) == {"web", "workers", "simulator"}
    assert manager.environment["RUNNINGHUB_API_KEY"] == SIMULATOR_KEY
    assert manager.environment["RUNNINGHUB_BASE_URL"].startswith("http://127.0.0.1:")
    assert manager.environment["PORT"] == str(port)
    assert f"http://127.0.0.1:{port}/" in shown
    assert "cost nothing" in shown
    assert "All processes have stopped." in shown


def test_with_a_key_missions_are_real(manager, port, settings):
    settings.RUNNINGHUB_API_KEY = "real"
    assert "cost money" in serve(port)
    assert set(manager.processes) == {"web", "workers"}
    assert "RUNNINGHUB_BASE_URL" not in manager.environment.keys() - os.environ.keys()


def test_other_devices_find_the_site(manager, port, monkeypatch):
    monkeypatch.setattr(serve_command, "own_address", lambda: "192.168.1.5")
    shown = serve(port, host="0.0.0.0")  # noqa: S104  nothing listens: no process is started
    assert f"http://192.168.1.5:{port}/" in shown
    assert "Scan it with a phone" in shown
    assert manager.environment["HOST"] == "0.0.0.0"  # noqa: S104
    assert "192.168.1.5" in manager.environment["ALLOWED_HOSTS"].split(",")
    serve(port)
    assert "192.168.1.5" not in manager.environment["ALLOWED_HOSTS"].split(",")


def test_first_administrator_is_created_once(port):
    password = serve(port).partition("password: ")[2].split()[0]
    assert User.objects.get(username="admin", is_superuser=True).check_password(password)
    assert "password" not in serve(port)


def test_static_files_of_another_user_are_left(port, commands, settings, monkeypatch, tmp_path):
    """``deploy/install`` has collected them as root."""
    cases = [
        (tmp_path, True, ["migrate", "collectstatic"]),
        (tmp_path / "missing", False, ["migrate", "collectstatic"]),
        (tmp_path, False, ["migrate"]),
    ]
    for folder, is_writable, expected in cases:
        commands.clear()
        settings.STATIC_ROOT = folder
        monkeypatch.setattr(os, "access", lambda path, mode, answer=is_writable: answer)  # root may write everywhere
        serve(port)
        assert commands == expected, (folder, is_writable)


def test_problems_are_named(manager, port, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(CommandError, match=rf"Port {port} is in use.*--port {port + 1}"):
            serve(port)
    monkeypatch.setattr(manager, "returncode", 3)
    with pytest.raises(CommandError, match="ended unexpectedly") as caught:
        serve(port)
    assert caught.value.returncode == 3
