"""``manage.py run_mission`` in its own process, with real workers and a simulator."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from PIL import Image

from devtools import progress
from devtools.simulators.openai.process import ChatSimulatorProcess
from devtools.simulators.runninghub.process import SimulatorProcess
from missions import services
from missions.results import names
from providers import provider_accounts
from tests.factories import make_mission
from workers import heartbeat
from workers.models import WorkerCluster

ROOT = settings.BASE_DIR
ENVIRONMENT_NAMES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty working folder, with the program's data beside it."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ENVIRONMENT_NAMES if name in os.environ},
        "DATA_DIR": str(folder.parent / "data"),
        "DATABASE_URL": f"sqlite:///{folder.parent / 'data' / 'db.sqlite3'}",
        "SECRET_KEY": "tests",
        "RUNNINGHUB_API_KEY": "",
        "Q_WORKERS": "4",
        "POLL_FLOOR_SECONDS": "0.2",
        "COLUMNS": "200",
        **more,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), "run_mission", *arguments]


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that use this test's data."""
    mine = str(folder.parent)
    found = []
    for process in psutil.process_iter():
        try:
            found += [process] if mine in process.environ().get("DATA_DIR", "") else []
        except psutil.Error:
            continue
    return found


@pytest.fixture(autouse=True)
def _nothing_stays(folder: Path) -> Iterator[None]:
    yield
    left = processes_of(folder)
    for process in left:
        process.kill()
    assert not left


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.processes
def test_prompts_file_becomes_a_folder_of_images(folder: Path) -> None:
    (folder / "prompts.csv").write_bytes("custom_id,prompt\n=1+1,一只狐狸\n,A blue door\n".encode("gb18030"))

    done = run(
        folder, "prompts.csv", "--type", "text_to_image", "--param", "aspectRatio=1:1", "--simulate", "--out", "out"
    )

    assert done.returncode == 0, done.stderr
    assert "Nothing can be spent" in done.stdout
    assert "Read prompts.csv: 2 rows · column names in line 1 · columns: Custom ID, Prompt" in done.stdout
    assert "2 items: 2 completed" in done.stdout
    assert "cost: 0.10 CNY" in done.stdout
    first, second = manifest(folder / "out")
    assert (first["custom_id"], first["status"], first["cost"]) == ("'=1+1", "completed", "0.050000")
    assert second["file"] == "2_A-blue-door.png"
    for row in (first, second):
        content = (folder / "out" / row["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        with Image.open(folder / "out" / row["file"]) as image:
            assert image.format == "PNG"
            assert image.width == image.height


@pytest.mark.processes
def test_local_images_are_uploaded_failures_explained(folder: Path) -> None:
    Image.new("RGB", (32, 32), "teal").save(folder / "in.png")
    (folder / "edit.jsonl").write_text(
        '{"imageUrls": ["in.png"], "prompt": "make it red"}\n{"imageUrls": "in.png", "prompt": "no [[sim:1501]]"}\n'
    )

    done = run(folder, "edit.jsonl", "--type", "image_to_image", "--simulate", "--out", "out")

    assert done.returncode == 1, done.stderr
    assert "1 failed, item 2: Blocked by content moderation." in done.stdout
    assert [row["status"] for row in manifest(folder / "out")] == ["completed", "failed"]
    assert "content moderation" in manifest(folder / "out")[1]["error"]


@pytest.mark.processes
def test_ctrl_c_pauses_and_resume_pays_nothing_twice(folder: Path) -> None:
    seconds = [10, 10, 1, 1, 1, 1]  # the first two are in flight when it is stopped
    (folder / "many.txt").write_text(
        "".join(f"number {place} [[sim:slow:{each}]]\n" for place, each in enumerate(seconds))
    )
    begun = subprocess.Popen(
        command("many.txt", "--type", "text_to_image", "--simulate", "--out", "out"),
        cwd=folder,
        env=environment(folder, RUNNINGHUB_CONCURRENCY="2"),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert begun.stdout is not None
    for line in begun.stdout:
        if "2 in flight" in line:
            break
    os.killpg(begun.pid, signal.SIGINT)
    output, _ = begun.communicate(timeout=60)

    assert begun.returncode == 130, output
    assert "2 in flight, 4 pending" in output
    assert "run_mission --resume 1 --out out --simulate" in output
    assert not processes_of(folder)

    done = run(folder, "--resume", "1", "--simulate", "--out", "out")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "cost: 0.30 CNY" in done.stdout
    assert len(manifest(folder / "out")) == 6


@pytest.mark.processes
def test_real_key_needs_confirmation(folder: Path) -> None:
    (folder / "one.txt").write_text("a fox\n")
    with SimulatorProcess(task_seconds=0.2) as server:
        key = {"RUNNINGHUB_API_KEY": "a-key", "RUNNINGHUB_BASE_URL": server.url}
        asked = run(folder, "one.txt", "--type", "text_to_image", **key)
        assert (asked.returncode, server.stats()["accepted"]) == (2, 0)
        assert "add --yes" in asked.stderr

        host = server.url.removeprefix("http://")
        done = run(folder, "one.txt", "--type", "text_to_image", "--yes", **key, RESULTS_ALLOWED_HOSTS=host)
        assert (done.returncode, server.stats()["accepted"]) == (0, 1), done.stderr


@pytest.mark.processes
def test_wrong_key_spends_nothing(folder: Path) -> None:
    (folder / "one.txt").write_text("a fox\n")
    with SimulatorProcess() as server:
        key = {"RUNNINGHUB_API_KEY": "bad-key", "RUNNINGHUB_BASE_URL": server.url}
        done = run(folder, "one.txt", "--type", "text_to_image", "--yes", **key)

        assert done.returncode == 2
        assert "The API key cannot be used" in done.stderr
        assert "bad-key" not in done.stdout + done.stderr
        assert server.stats()["submits"] == 0


@pytest.mark.processes
def test_simulation_reaches_no_other_provider(folder: Path) -> None:
    (folder / "one.txt").write_text("a fox\n")
    with ChatSimulatorProcess() as server:
        chat = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "a-key", "CHAT_MODEL": "simulated-chat"}
        done = run(folder, "one.txt", "--type", "text", "--model", "chat/completions", "--simulate", **chat)

        assert done.returncode == 2, done.stdout
        assert "Nothing was sent" in done.stderr
        assert server.stats()["paid"] == 0


@pytest.mark.processes
@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ("a\n", [], "No API key is set"),
        ("prompt,aspectRatio\na fox,1:1\nan owl,7:1\n", ["--simulate"], "line 3: aspectRatio: Must be one of"),
        ("prompt\na fox\n", ["--simulate", "--param", "ratio=1:1"], "--param ratio: Unknown parameter"),
        ("prompt\na fox\n", ["--simulate", "--param", "ratio"], "use the form name=value"),
        ("prompt\na fox\n", ["--simulate", "--model", "some/other"], "not in the catalogue"),
        ("prompt\n", ["--simulate"], "no rows"),
        ("prompt\na fox\n", ["--simulate", "--user", "nobody"], "There is no user nobody"),
        ("prompt\na fox\n", ["--simulate", "--out", "."], "is not empty"),
    ],
)
def test_bad_input_is_reported_before_the_start(folder: Path, content: str, arguments: list[str], words: str) -> None:
    (folder / "rows.csv").write_text(content)

    done = run(folder, "rows.csv", "--type", "text_to_image", *arguments)

    assert done.returncode == 2
    assert words in done.stderr
    assert "workers started" not in done.stdout


@pytest.mark.processes
def test_other_providers_need_no_runninghub_key(folder: Path) -> None:
    (folder / "questions.txt").write_text("Tell a story.\n")
    Image.new("RGB", (64, 36), "teal").save(folder / "a.png")
    (folder / "clips.csv").write_text("image,move,duration\na.png,pan_left,1\n")
    with ChatSimulatorProcess() as server:
        chat = {"OPENAI_BASE_URL": server.url, "CHAT_MODEL": "simulated-chat", "Q_WORKERS": "2"}
        texts = run(folder, "questions.txt", "--type", "text", "--yes", "--out", "texts", **chat)
        assert texts.returncode == 0, texts.stderr
        assert server.paid()["prompts"] == {"Tell a story.": 1}
    clips = run(
        folder, "clips.csv", "--type", "image_to_video", "--model", "ken-burns", "--out", "clips", Q_WORKERS="2"
    )

    assert clips.returncode == 0, clips.stderr
    assert "Server: this machine" in clips.stdout
    assert "Estimated price: free" in clips.stdout
    assert [path.suffix for path in sorted((folder / "texts").iterdir())] == [".txt", ".csv"]
    assert [path.suffix for path in sorted((folder / "clips").iterdir())] == [".mp4", ".csv"]


# --- The parts ---


def test_files_are_named_by_index_and_prompt(owner: User) -> None:
    rows: list[str | dict[str, str]] = [
        "../../A fox, in *snow*!",
        "一只猫 在窗台",
        "…",
        {"prompt": "x", "custom_id": "Red Fox"},
        "word " * 60,
    ]
    mission = services.submit_mission(owner=owner, name="m", task_type="text_to_image", rows=rows)

    stems = [names.stem_of(item) for item in mission.items.order_by("index")]

    assert stems == ["1_A-fox-in-snow", "2_一只猫-在窗台", "3", "Red Fox", f"5_{'word-' * 8}".rstrip("-")]


def test_workers_live_as_long_as_their_supervisor(db: None) -> None:
    me = psutil.Process()
    row = WorkerCluster.objects.create(host=os.uname().nodename, pid=me.pid, pid_started_at=me.create_time())
    assert heartbeat.is_any_alive()

    row.pid_started_at -= 100  # the number was given to another process since
    row.save()
    assert not heartbeat.is_any_alive()

    row.host, row.beat_at = "elsewhere", timezone.now()
    row.save()
    assert heartbeat.is_any_alive()

    row.beat_at -= heartbeat.SILENT_AFTER * 2
    row.save()
    assert not heartbeat.is_any_alive()


def test_workers_may_have_a_key_that_this_process_lacks(owner, account, settings):
    settings.RUNNINGHUB_API_KEY = ""
    me = psutil.Process()
    WorkerCluster.objects.create(host=os.uname().nodename, pid=me.pid, pid_started_at=me.create_time())
    states = progress.mission_states([make_mission(owner, 1).pk])
    with pytest.raises(progress.Halted, match="without a key"):
        progress._Watchdog(sees_keys=True).check(states)
    progress._Watchdog(sees_keys=False).check(states)
    provider_accounts.block(account.pk, reason="The wallet is empty.")
    with pytest.raises(progress.Halted, match="The wallet is empty"):
        progress._Watchdog(sees_keys=False).check(states)
