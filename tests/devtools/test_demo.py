"""``manage.py demo``: it checks its results, and touches none of the user's own data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.devtools.test_run_mission import ENVIRONMENT_NAMES, ROOT

WORKERS = 8
PACKAGES = {init.parent.name for init in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
COPIED = (*PACKAGES, "examples", "manage.py", "pyproject.toml")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the program with a hostile .env, so that the demo has a folder of its
    own.
    """
    for name in COPIED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, tmp_path / name)
    (tmp_path / ".env").write_text(
        "RUNNINGHUB_API_KEY=a-real-key\nRUNNINGHUB_BASE_URL=https://www.runninghub.cn\n"
        "PUBLIC_BASE_URL=https://batch.example.com\nDEFAULT_MODEL_TEXT_TO_IMAGE=no/such-model\n"
    )
    return tmp_path


@pytest.mark.processes
def test_demo_checks_itself_and_touches_nothing_else(checkout: Path) -> None:
    environment = {name: os.environ[name] for name in ENVIRONMENT_NAMES if name in os.environ}
    done = subprocess.run(
        [sys.executable, "manage.py", "demo"],
        cwd=checkout,
        env={**environment, "Q_WORKERS": str(WORKERS)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 of 24 completed" in done.stdout
    assert "3.00 CNY, simulated" in done.stdout
    assert "was retried automatically and completed" in done.stdout
    assert "All well." in done.stdout
    assert "a-real-key" not in done.stdout + done.stderr
    results = [path for path in (checkout / "var/demo/results").rglob("*") if path.suffix in (".png", ".mp4")]
    assert len(results) == 24
    assert not (checkout / "var/db.sqlite3").exists()
    assert not [process for process in psutil.process_iter() if _works_in(process, checkout)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return str(folder) in process.cwd()
    except psutil.Error:
        return False
