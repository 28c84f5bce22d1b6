"""A client generated from our OpenAPI description is complete and works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api_client import new_token
from tests.processes.conftest import OpenStage

ROOT = Path(__file__).parents[2]


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_generated_client_walks_through_the_docs(open_stage: OpenStage, tmp_path: Path) -> None:
    stage = open_stage(task_seconds=0.3)
    web = stage.start_web()
    stage.start_workers(4)
    programs = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path / "made"),
    }
    command = [str(programs / "openapi-python-client"), "generate", "--url", f"{web.url}/api/v1/openapi.json"]
    generation = subprocess.run(
        [*command, "--output-path", str(tmp_path / "made"), "--fail-on-warning"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert generation.returncode == 0, generation.stdout + generation.stderr
    steps = [sys.executable, str(ROOT / "tests" / "processes" / "generated_client.py"), web.url, new_token(stage.owner)]
    run = subprocess.run(
        [*steps, str(ROOT / "examples" / "images" / "teapot.png")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr + stage.logs()
