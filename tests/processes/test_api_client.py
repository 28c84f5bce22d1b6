"""``examples/client.py`` as an integrator runs it, against a real server and workers."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from missions.models import ItemEvent, Mission
from tests.api_client import new_token
from tests.process_fixtures import Stage, Web
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).parents[2]


class Integrator:
    """An integrator's folder with a CSV, its images and the client."""

    def __init__(self, folder: Path, web: Web, token: str) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "examples" / "images", folder / "images")
        shutil.copy(ROOT / "examples" / "image_to_image.csv", folder)
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        self.env = kept | {"BATCH_URL": web.url, "BATCH_TOKEN": token, "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "examples" / "client.py"), *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output = process.communicate(timeout=60)[0]
        return process.returncode, output


@pytest.fixture
def stage(open_stage: OpenStage) -> Stage:
    stage = open_stage(task_seconds=1.0, cap=2)
    stage.start_web()
    stage.start_workers(4, cap=2)
    return stage


@pytest.fixture
def integrator(stage: Stage, tmp_path: Path) -> Integrator:
    assert stage.web is not None
    (tmp_path / "integrator").mkdir()
    return Integrator(tmp_path / "integrator", stage.web, new_token(stage.owner))


def test_client_survives_a_restart_and_pays_once(stage: Stage, integrator: Integrator) -> None:
    assert stage.web is not None
    client = integrator.start("image_to_image.csv", "--type", "image_to_image")
    stage.wait(lambda: ItemEvent.objects.filter(to_status="completed").count() >= 1, 30)
    stage.web.kill()
    stage.web.start()
    output = client.communicate(timeout=60)[0]
    assert client.returncode == 0, output + stage.logs()
    assert "trying again" in output
    with zipfile.ZipFile(integrator.folder / "image_to_image_results.zip") as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode("utf-8-sig"))))
        assert [row["custom_id"] for row in rows][:2] == ["mountain-ink", "mountain-night"]
        assert {row["file"] for row in rows} | {"manifest.csv"} == set(archive.namelist())

    code, output = integrator.run("image_to_image.csv", "--type", "image_to_image", "--out", "again.zip")
    assert code == 0, output
    assert Mission.objects.count() == 1
    assert (integrator.folder / "again.zip").is_file()
    stage.check_none_paid_twice()


def test_mistakes_are_reported_before_anything_is_made(integrator: Integrator) -> None:
    code, output = integrator.run("image_to_image.csv", "--type", "image_to_image", "--param", "aspectRatio=round")
    integrator.env["BATCH_TOKEN"] = "rhb_wrong"
    refused = integrator.run("image_to_image.csv", "--type", "image_to_image")
    assert code == 1
    assert "config.batch_input.5.aspectRatio" in output or "config.aspectRatio" in output
    assert refused[0] == 1
    assert "unauthenticated" in refused[1]
    assert not Mission.objects.exists()


def test_help_says_how_it_is_used() -> None:
    command = [sys.executable, str(ROOT / "examples" / "client.py"), "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "BATCH_TOKEN" in output
    assert "--type" in output
