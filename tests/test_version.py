"""Tests that every place that shows the version shows that of ``pyproject.toml``."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise

from django.contrib.auth.models import User
from django.test import Client

from providers.adapters.http import USER_AGENT
from tests.test_project import PROJECT, ROOT

VERSION = PROJECT["version"]


def test_changelog_begins_with_the_version():
    heading = r"^## \[(?:Unreleased\] – )?(\d+\.\d+\.\d+)"
    versions = re.findall(heading, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == VERSION
    numbers = [tuple(map(int, version.split("."))) for version in versions]
    assert all(newer > older for newer, older in pairwise(numbers))


def test_command_line_prints_the_version():
    for word in ("version", "--version"):
        command = [sys.executable, str(ROOT / "manage.py"), word]
        assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip() == VERSION


def test_openapi_has_the_version():
    assert Client().get("/api/v1/openapi.json").json()["info"]["version"] == VERSION


def test_pages_show_the_version(db, client):
    client.force_login(User.objects.create_user("mei"))
    assert f"RunningHub Batch {VERSION}" in client.get("/missions/", follow=True).content.decode()


def test_requests_to_providers_send_the_version():
    assert USER_AGENT.split("/") == ["runninghub-batch", VERSION]
