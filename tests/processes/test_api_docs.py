"""The commands of ``docs/api.md`` run."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from missions.models import Mission
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
        names = archive.namelist()
        assert (len(names), names[1:]) == (3, ["2_青花瓷.png", "manifest.csv"])
    assert len((tmp_path / "results" / "results.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "results" / "first.png").read_bytes().startswith(b"\x89PNG")
    assert stage.simulator.stats()["accepted"] == 4  # two items, and two versions of the first
    assert not Mission.objects.exists()
