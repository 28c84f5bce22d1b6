"""``docs/api.md``: its commands run, its error words exist, its table has every operation."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from core.api.openapi import error_words
from missions.models import Mission
from runninghub_batch.api import api
from tests.processes.conftest import OpenStage

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_the_commands_lead_from_a_token_to_a_zip(open_stage: OpenStage, tmp_path: Path) -> None:
    stage = open_stage(task_seconds=0.3)
    web = stage.start_web()
    workers = stage.start_workers(4)
    User.objects.create_superuser("admin")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    for name in ("manage.py", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    script = "set -euo pipefail\n" + "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    env = {**workers.env, "API": f"{web.url}/api/v1"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=90)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr + stage.logs()
    with zipfile.ZipFile(tmp_path / "results" / "results.zip") as archive:
        assert archive.namelist() == ["0001_blue.png", "0002_青花瓷.png", "manifest.csv"]
    assert len((tmp_path / "results" / "results.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "results" / "first.png").read_bytes().startswith(b"\x89PNG")
    assert stage.simulator.stats()["accepted"] == 2
    assert not Mission.objects.exists()


def test_every_word_of_an_error_is_explained() -> None:
    explained = re.findall(r"^\| \d+ \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(explained) == error_words()


def test_every_operation_is_in_the_table() -> None:
    documented = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in api.get_openapi_schema()["paths"].items()
        for method in operations
    }
    rows = re.findall(r"^\| ([A-Z, ]+) \| (`/[^|]+`) \|", PAGE, re.MULTILINE)
    listed = {
        (method, path)
        for methods, paths in rows
        for method in methods.split(", ")
        for path in re.findall(r"`(.*?)`", paths)
    }
    assert listed == documented
