"""One place says the version, and all that tell it agree."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise

import pytest
from django.contrib.auth.models import User
from django.test import Client

from providers.adapters.http import USER_AGENT
from tests.test_project import PROJECT, ROOT

VERSION = PROJECT["version"]
NAMED = re.findall(r"^## \[(?:Unreleased\] – )?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_changelog_begins_with_this_version():
    assert NAMED[0] == VERSION
    numbers = [tuple(map(int, name.split("."))) for name in NAMED]
    assert all(newer > older for newer, older in pairwise(numbers))


@pytest.mark.parametrize("word", ["version", "--version"])
def test_the_command_line_tells_it(word):
    told = subprocess.run([sys.executable, ROOT / "manage.py", word], capture_output=True, text=True, timeout=60)
    assert told.stdout.strip() == VERSION


def test_the_api_describes_itself_with_it():
    assert Client().get("/api/v1/openapi.json").json()["info"]["version"] == VERSION


def test_every_page_tells_it(db, client):
    client.force_login(User.objects.create_user("mei"))
    assert f"RunningHub Batch {VERSION}" in client.get("/missions/", follow=True).content.decode()


def test_the_provider_is_told_it():
    assert USER_AGENT.split("/") == ["runninghub-batch", VERSION]
