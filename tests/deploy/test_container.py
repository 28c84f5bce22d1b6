"""The container files, as far as they can be read without Docker."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psutil
import pytest
import yaml
from django.conf import settings
from django.core.management import CommandError, call_command, get_commands

from workers.models import WorkerCluster

DEPLOY = Path(settings.BASE_DIR) / "deploy"


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_compose_starts_commands_that_exist(services):
    programs = {name: service for name, service in services.items() if name != "database"}
    assert set(programs) == {"migrate", "web", "workers"}
    for name, service in programs.items():
        assert service["command"].split()[0] in get_commands(), name
        assert service["build"]["dockerfile"] == "deploy/Dockerfile"
        assert service["environment"]["DATA_DIR"] == "/var/lib/runninghub-batch"
    for name in ("web", "workers"):
        assert services[name]["hostname"] == name  # workers are known by their host
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert services["workers"]["stop_grace_period"] == "30s"


def test_database_is_not_newer_than_pg_dump_of_the_image(services):
    """Or backups fail. Debian 12 has PostgreSQL 15."""
    assert "ARG BASE=debian:bookworm-slim" in (DEPLOY / "Dockerfile").read_text()
    assert services["database"]["image"] == "postgres:15"


def test_image_runs_without_root_and_without_secrets():
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["batch"]
    assert "STOPSIGNAL SIGTERM" in text
    assert "/api/v1/health" in text
    ignored = (Path(settings.BASE_DIR) / ".dockerignore").read_text().split()
    assert {".env", ".git", "var", ".venv"} <= set(ignored)


@pytest.mark.django_db
def test_check_finds_living_workers_of_this_host(capsys):
    with pytest.raises(CommandError, match="No workers"):
        call_command("workers", check=True)
    me = psutil.Process()
    cluster = WorkerCluster.objects.create(host="elsewhere", pid=me.pid, pid_started_at=me.create_time())
    with pytest.raises(CommandError, match="No workers"):
        call_command("workers", check=True)
    cluster.host = os.uname().nodename
    cluster.save()
    call_command("workers", check=True)
    assert "are alive" in capsys.readouterr().out
