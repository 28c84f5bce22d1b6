"""Missions of the providers beside RunningHub, from their submission to their stored results."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import av
import pytest
from django.core.files.storage import storages
from django.test import Client

from devtools.simulators.openai.process import ChatSimulatorProcess
from drafts.services import new_key
from missions.models import Attempt, AttemptStatus, ItemEvent, ItemStatus, Mission, Output
from providers.adapters.local import ffmpeg
from tests.api_client import caller
from tests.factories import check_mission
from tests.process_fixtures import Cluster, Stage, is_over
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

CLIP = {"move": "zoom_in", "duration": 1.0}
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "mission.webp"


@pytest.fixture
def chat() -> Iterator[ChatSimulatorProcess]:
    with ChatSimulatorProcess() as simulator:
        yield simulator


def start_chat_workers(stage: Stage, chat: ChatSimulatorProcess, **env: Any) -> Cluster:
    return stage.start_workers(
        4,
        OPENAI_BASE_URL=chat.url,
        CHAT_MODEL="simulated-chat",
        CHAT_INPUT_PRICE="1",
        CHAT_OUTPUT_PRICE="2",
        **env,
    )


def clips(stage: Stage, rows: list[str], **params: object) -> Mission:
    return stage.mission(0, task_type="image_to_video", model="ken-burns", rows=rows, params={**CLIP, **params})


def chats(stage: Stage, rows: list[str]) -> Mission:
    return stage.mission(0, task_type="text", model="chat/completions", rows=rows, params={})


def outputs_of(mission: Mission) -> list[Output]:
    return list(Output.objects.filter(item__mission=mission).order_by("item__index", "index"))


def upload(stage: Stage) -> str:
    """Upload a picture through the API and return its reference."""
    with PICTURE.open("rb") as file:
        answer = caller(stage.owner).post("/api/v1/media/upload", {"file": file})
    assert answer.status_code in (200, 201), answer.content
    return f"media:{answer.json()['data']['id']}"


def test_results_of_a_mission_are_animated(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.3)
    stage.start_workers(4)
    pictures = stage.finish(stage.mission(3))
    assert pictures.completed_count == 3

    items = list(pictures.items.order_by("index"))
    mission = stage.finish(clips(stage, [f"output:{item.pk}/1" for item in items]), 120)

    assert mission.completed_count == 3
    assert mission.cost == Decimal(0)
    for output in outputs_of(mission):
        assert (output.extension, output.width, output.height) == ("mp4", 1280, 720)
        assert output.duration_seconds == pytest.approx(1.0, abs=0.1)
        assert output.thumbnail
        with storages["results"].open(output.file) as file, av.open(file) as container:
            assert container.streams.video[0].codec_context.name == "h264"
    assert stage.failures() == []


def test_killed_render_runs_again(open_stage: OpenStage) -> None:
    stage = open_stage()
    cluster = stage.start_workers(2, LOCAL_CONCURRENCY="2")
    mission = clips(stage, [upload(stage)] * 2, duration=8.0, resolution="1080p")
    rendering = Attempt.objects.filter(item__mission=mission, status=AttemptStatus.SENDING, progress__gt=0)
    stage.wait(rendering.exists, 60)

    cluster.kill()
    cluster.start()
    stage.finish(mission, 240)

    assert mission.completed_count == 2
    assert mission.unconfirmed_count == 0
    assert len(outputs_of(mission)) == 2
    assert Attempt.objects.filter(item__mission=mission).count() > 2  # what was killed, and its repetition
    assert Attempt.objects.filter(item__mission=mission, status=AttemptStatus.SUCCEEDED).count() == 2


def test_stop_returns_renders_to_pending(open_stage: OpenStage) -> None:
    stage = open_stage()
    cluster = stage.start_workers(2, LOCAL_CONCURRENCY="2")
    mission = clips(stage, [upload(stage)] * 2, duration=15.0, resolution="1080p")
    rendering = Attempt.objects.filter(item__mission=mission, status=AttemptStatus.SENDING, progress__gt=0)
    stage.wait(rendering.exists, 60)
    children = [child for worker in cluster.group() for child in worker.children()]
    programs = [child.pid for child in children if ffmpeg.is_running(child.pid)]
    assert programs

    cluster.stop()
    mission.refresh_from_db()
    assert not any(map(ffmpeg.is_running, programs))
    assert (mission.pending_count, mission.unconfirmed_count) == (2, 0)
    check_mission(mission.pk)


def test_text_is_streamed_stored_and_downloaded(
    open_stage: OpenStage, chat: ChatSimulatorProcess, client: Client
) -> None:
    stage = open_stage()
    chat.set(token_seconds=0.1)
    start_chat_workers(stage, chat)
    mission = chats(stage, ["Tell a story.", "=1+1 is a sum."])
    pieces = ItemEvent.objects.filter(item__mission=mission).exclude(text="")
    stage.wait(pieces.exists, 60, every=0.05)
    stage.finish(mission)

    outputs = outputs_of(mission)
    assert [len(output.text.split()) for output in outputs] == [20, 20]
    assert mission.cost == Decimal("0.000087")  # 3 + 4 tokens in, 20 + 20 out
    assert chat.paid()["prompts"] == {"Tell a story.": 1, "=1+1 is a sum.": 1}

    client.force_login(stage.owner)
    archive = caller(stage.owner).get(f"/api/v1/missions/{mission.pk}/download")
    with zipfile.ZipFile(io.BytesIO(archive.getvalue())) as content:
        names = [name for name in content.namelist() if name.endswith(".txt")]
        assert [content.read(name).decode() for name in names] == [output.text for output in outputs]
        [table] = [name for name in content.namelist() if name.endswith(".csv")]
        rows = list(csv.DictReader(io.StringIO(content.read(table).decode("utf-8-sig"))))
    assert [row["file"] for row in rows] == names
    item = mission.items.order_by("index").first()
    assert item
    assert outputs[0].text in client.get(f"/missions/{mission.pk}/items/{item.index}").content.decode()
    shown = caller(stage.owner).get(f"/api/v1/missions/{mission.pk}/items/{item.index}").json()["data"]
    assert outputs[0].text in json.dumps(shown, ensure_ascii=False)


def test_stop_waits_for_a_chat(open_stage: OpenStage, chat: ChatSimulatorProcess) -> None:
    stage = open_stage()
    chat.set(token_seconds=0.15)
    cluster = start_chat_workers(stage, chat)
    mission = chats(stage, ["Tell a story."])
    stage.wait(lambda: chat.stats()["paid"] == 1, 60, every=0.05)

    cluster.stop()
    mission.refresh_from_db()
    assert (mission.completed_count, chat.stats()["paid"]) == (1, 1)
    check_mission(mission.pk)


def test_killed_chat_is_unconfirmed_and_paid_once(open_stage: OpenStage, chat: ChatSimulatorProcess) -> None:
    stage = open_stage()
    chat.set(token_seconds=30)
    cluster = start_chat_workers(stage, chat)
    mission = chats(stage, ["Tell a story."])
    stage.wait(lambda: chat.stats()["paid"] == 1, 60)

    cluster.kill()
    chat.set(token_seconds=0)
    cluster.start()
    stage.wait(lambda: mission.items.filter(status=ItemStatus.UNCONFIRMED).exists(), 120)
    other = stage.finish(chats(stage, ["Tell another one."]))

    assert other.completed_count == 1
    assert chat.paid()["prompts"] == {"Tell a story.": 1, "Tell another one.": 1}


def test_faults_of_a_chat_server_end_well(open_stage: OpenStage, chat: ChatSimulatorProcess) -> None:
    stage = open_stage()
    start_chat_workers(stage, chat)
    cases = {
        "[[sim:submit-once:429]] a": (ItemStatus.COMPLETED, 1),
        "[[sim:submit:404]] b": (ItemStatus.FAILED, 0),
        "[[sim:paid-once:half]] c": (ItemStatus.COMPLETED, 2),
        "[[sim:paid:filter]] d": (ItemStatus.FAILED, 1),
        "[[sim:paid:drop]] e": (ItemStatus.UNCONFIRMED, 1),
        "[[sim:paid:whole]] f": (ItemStatus.COMPLETED, 1),
    }
    mission = chats(stage, list(cases))
    stage.drain(mission, 120)
    paid = chat.paid()["prompts"]
    results = {item.params["prompt"]: (item.status, paid.get(item.params["prompt"], 0)) for item in mission.items.all()}
    assert results == cases


def test_page_and_api_start_missions(open_stage: OpenStage, chat: ChatSimulatorProcess, client: Client) -> None:
    stage = open_stage()
    start_chat_workers(stage, chat)
    client.force_login(stage.owner)
    body = {
        "name": "Clips",
        "task_type": "image_to_video",
        "model": "local:ken-burns",
        "config": {"batch_input": [upload(stage)], **CLIP},
    }
    answer = caller(stage.owner).post("/api/v1/missions", body, content_type="application/json")
    assert answer.status_code == 202, answer.content
    form = {"draft": new_key(), "task_type": "text", "name": "Chat", "prompts": "Tell a story.\nTell another one."}
    preview = client.post("/missions/new", {**form, "action": "redraw"}).context["preview"]
    answer = client.post("/missions/new", {**form, "action": "submit", "quoted_total": preview.quoted_total})
    assert answer.status_code == 302, answer.content.decode()[:2000]
    stage.wait(lambda: Mission.objects.count() == 2 and all(map(is_over, Mission.objects.all())), 120)
    for mission in Mission.objects.all():
        stage.finish(mission)
        assert mission.completed_count == mission.total_count
