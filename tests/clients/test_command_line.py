"""``rhb``: submit, follow and download."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from runninghub_batch_client import cli

from missions.models import Mission
from tests import result_factories
from tests.factories import picture


@pytest.fixture
def rhb(server, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the program and returns its exit code, output and errors."""
    monkeypatch.setenv("RHB_URL", server.url)
    monkeypatch.setenv("RHB_TOKEN", token)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(list(map(str, arguments)))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_submit_follow_download(rhb: Any, tmp_path: Path):
    prompts = tmp_path / "foxes.txt"
    prompts.write_text("a red fox\n\n青花瓷\n", encoding="utf-8")
    command = ("submit", prompts, "--type", "text_to_image", "--param", "aspectRatio=1:1", "--limit", "5")
    code, out, _err = rhb(*command, "--check")
    assert (code, out.splitlines()[-1]) == (0, "2 items, about 0.10 CNY")
    assert out.startswith("2 lines · 1 blank line")
    assert not Mission.objects.exists()
    code, out, _err = rhb(*command)
    mission = Mission.objects.get()
    assert (code, out.splitlines()[-1]) == (0, f"Mission {mission.pk}")
    assert (mission.name, mission.total_count, str(mission.spending_limit)) == ("foxes", 2, "5.000000")
    assert "submitted before" in rhb(*command)[1]
    assert Mission.objects.count() == 1

    result_factories.run(mission, [picture()])
    mission.items.filter(index=2).update(status="failed")
    Mission.objects.update(status="completed", pending_count=0, failed_count=1)
    code, out, _err = rhb("follow", mission.pk)
    assert (code, "1 completed, 1 failed" in out) == (1, True)
    code, out, _err = rhb("download", mission.pk, "--out", tmp_path / "foxes.zip")
    assert (code, out.strip()) == (1, str(tmp_path / "foxes.zip"))
    with zipfile.ZipFile(tmp_path / "foxes.zip") as archive:
        assert archive.namelist() == ["1_a-red-fox.png", "manifest.csv"]


def test_tables_and_requests(rhb: Any, tmp_path: Path):
    images = tmp_path / "images"
    images.mkdir()
    (images / "fox.png").write_bytes(picture())
    request = {"name": "a", "task_type": "text_to_image", "config": {"batch_input": ["x"]}}
    rows = {
        "a.csv": "imageUrls,prompt,custom_id\nfox.png,in winter,A\n",
        "a.jsonl": '{"imageUrls": ["fox.png"], "prompt": "in winter", "custom_id": "A"}\n',
        "a.json": json.dumps(request),
    }
    for name, content in rows.items():
        (tmp_path / name).write_text(content)
        code, out, err = rhb("submit", tmp_path / name, "--type", "image_to_image", "--images", images, "--check")
        assert (code, out.splitlines()[-1][:7]) == (0, "1 items"), (name, out, err)
    assert rhb("submit", tmp_path / "a.csv", "--type", "image_to_image")[0] == 0
    mission = Mission.objects.get()
    item = mission.items.get()
    assert item.custom_id == "A"
    assert (mission.params | item.params)["imageUrls"][0].startswith("media:")
    assert rhb("submit", tmp_path / "a.json")[0] == 0
    assert Mission.objects.count() == 2


def test_guessed_column_needs_a_word(rhb: Any, tmp_path: Path):
    table = tmp_path / "a.csv"
    table.write_text("text,number\na fox in the snow,1\nan owl at night,2\n")
    command = ("submit", table, "--type", "text_to_image")
    code, out, err = rhb(*command)
    assert (code, "--column text=prompt" in err) == (2, True), (out, err)
    assert not Mission.objects.exists()
    assert rhb(*command, "--column", "text=prompt")[0] == 2
    assert rhb(*command, "--column", "text=prompt", "--column", "number=custom_id")[0] == 0
    assert rhb(*command, "--yes", "--again")[0] == 0
    assert [mission.total_count for mission in Mission.objects.all()] == [2, 2]


def test_mistakes_are_explained(rhb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = {"a.csv": "prompt,x\na,b,c\n", "b.txt": "a fox\n", "c.xlsx": "", "d.json": "[]"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    kind = ("--type", "text_to_image")
    table: list[tuple[tuple[object, ...], str]] = [
        (("submit", tmp_path / "b.txt"), "Give --type"),
        (("submit", tmp_path / "b.txt", *kind, "--param", "x"), "give NAME=VALUE"),
        (("submit", tmp_path / "b.txt", *kind, "--param", "aspectRatoi=1:1"), "config.aspectRatoi: "),
        (("submit", tmp_path / "b.txt", *kind, "--column", "x"), "give NAME=VALUE"),
        (("submit", tmp_path / "b.txt", *kind, "--limit", "x"), "give an amount"),
        (("submit", tmp_path / "c.xlsx", *kind), "file: "),
        (("submit", tmp_path / "d.json"), "is no request"),
        (("submit", tmp_path / "missing.txt", *kind), "missing.txt"),
        (("download", 999), "not_found"),
        (("follow", 999), "not_found"),
    ]
    for arguments, words in table:
        code, _out, err = rhb(*arguments)
        assert (code, words in err) == (2, True), (arguments, err)
    assert not Mission.objects.exists()
    monkeypatch.setenv("RHB_TOKEN", "")
    assert rhb("follow", 1)[::2] == (2, "Set RHB_TOKEN to a token: create one on the page of your account.\n")
