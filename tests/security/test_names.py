"""Hostile names in headers, archives, file systems and tables."""

from __future__ import annotations

import csv
import io
import ntpath
import posixpath
import re
import zipfile
from typing import Any
from urllib.parse import unquote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core.csv_files import FORMULA_STARTS
from drafts.services import new_key
from media.models import MediaFile
from missions.models import Mission, Output
from tests.api_client import caller
from tests.factories import bring_to, claim, make_mission
from tests.security.conftest import browser_of

pytestmark = pytest.mark.django_db

NAMES = [
    "../../../etc/cron.d/x",
    "..\\..\\windows\\system32\\x",
    "/etc/passwd",
    "C:\\boot.ini",
    "a\r\nSet-Cookie: sessionid=planted",
    'a"; filename="evil.html',
    "a; filename*=utf-8''evil.html",
    "..",
    "CON",
    "invoice\u202egnp.exe",
    "猫" * 60,
    "=HYPERLINK(\"https://evil.example\",\"x\")",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "-2+3",
    "\t=1+1",
]  # fmt: skip


@pytest.fixture(params=NAMES, ids=range(len(NAMES)))
def mission(request, owner, account) -> Mission:
    """Return a mission with the hostile name on itself, its item and its output."""
    name = request.param
    mission = make_mission(owner, [{"prompt": name, "custom_id": name}], name=name)
    bring_to("succeeded", claim(mission, account)[0])
    Output.objects.update(status="stored", text=name, extension="txt", content_type="text/plain")
    return mission


def fetch(client: Client, path: str) -> Any:
    answer = client.get(f"/api/v1/missions/{path}")
    assert answer.status_code == 200
    return answer, b"".join(answer) if answer.streaming else answer.content


@pytest.mark.parametrize("what", ["download", "results.csv", "results.jsonl", "items/1/outputs/1"])
def test_download_name_has_no_path(mission, owner, what):
    answer, _content = fetch(caller(owner), f"{mission.pk}/{what}")
    assert "Set-Cookie" not in answer.headers
    disposition = answer["Content-Disposition"]
    assert disposition.isprintable()
    assert disposition.isascii()
    parts = re.fullmatch(r'attachment; filename="([^"]+)"(?:; filename\*=utf-8\'\'([^;]+))?', disposition)
    assert parts, disposition
    for name in filter(None, parts.groups()):
        assert not set(unquote(name)) & set('"\\/:')
        assert len(unquote(name).encode()) <= 255


def test_zip_entries_stay_in_the_folder(mission, owner):
    _answer, content = fetch(caller(owner), f"{mission.pk}/download")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert len(names) == 2
        for name in names:
            assert name == posixpath.basename(name) == ntpath.basename(name)
            assert name.isprintable()
            assert not name.startswith(".")


@pytest.mark.parametrize("table", ["results.csv", "manifest.csv"])
def test_table_cells_are_no_formulas(mission, owner, table):
    if table == "manifest.csv":
        with zipfile.ZipFile(io.BytesIO(fetch(caller(owner), f"{mission.pk}/download")[1])) as archive:
            content = archive.read(table)
    else:
        content = fetch(caller(owner), f"{mission.pk}/{table}")[1]
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert len(rows) == 2
    assert [cell for row in rows for cell in row if cell.startswith(FORMULA_STARTS)] == []


@pytest.mark.parametrize("path", ["/etc/passwd", "file:///etc/passwd", "../../.env", "~/.ssh/id_rsa", "media:../1"])
def test_server_path_is_no_image(owner, path):
    body = {
        "name": "x",
        "task_type": "image_to_video",
        "config": {"batch_input": [{"imageUrls": [path], "prompt": "a fox in the snow"}]},
    }
    answer = caller(owner).post("/api/v1/missions", body, content_type="application/json")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["config.batch_input.0.imageUrls"]
    table = SimpleUploadedFile("rows.csv", f"imageUrls,prompt\n{path},a fox in the snow\n".encode())
    form = {"draft": new_key(), "task_type": "image_to_video", "action": "import", "file": table}
    page = browser_of(owner).post("/missions/new", form)
    assert page.status_code == 200
    assert "root:" not in page.content.decode()
    assert not MediaFile.objects.exists()
