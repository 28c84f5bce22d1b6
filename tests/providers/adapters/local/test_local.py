from __future__ import annotations

import hashlib
import io
import itertools
import os
import socket
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import av
import psutil
import pytest
from PIL import Image, ImageDraw

from providers.adapters.base import (
    Finished,
    InputFile,
    ProviderSettings,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
)
from providers.adapters.errors import ProviderError, Rejected, Remedy, TryAgainLater
from providers.adapters.local import adapter as local
from providers.adapters.local import ffmpeg
from providers.adapters.local.clips import EASINGS, SIZES, Clip, Move, render
from tests import http_servers

SHORT: dict[str, Any] = {"image": "media:1", "duration": 1.0, "easing": "linear", "ratio": "1:1"}


class Recorder(Updates):
    """Records what a submit reports; ``on_progress`` is called with each share."""

    def __init__(self, on_progress: Any = None, is_stopped: bool = False, is_interrupted: bool = False) -> None:
        self.shares: list[float] = []
        self._on_progress = on_progress
        self._is_stopped = is_stopped
        self._is_interrupted = is_interrupted

    def progress(self, share: float) -> None:
        self.shares.append(share)
        if self._on_progress:
            self._on_progress(share)

    def stop_requested(self) -> bool:
        return self._is_stopped

    def interrupt_requested(self) -> bool:
        return self._is_interrupted


def picture(width: int = 640, height: int = 360, mode: str = "RGB", form: str = "PNG") -> bytes:
    """Return a picture with one bright bar, so that a test can follow the move."""
    image = Image.new(mode, (width, height))
    ImageDraw.Draw(image).rectangle((width * 0.45, 0, width * 0.5, height), fill="white")
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def input_file(content: bytes) -> InputFile:
    return InputFile(
        "a.png", "image/png", len(content), hashlib.sha256(content).hexdigest(), lambda: io.BytesIO(content)
    )


@pytest.fixture(autouse=True)
def _usual_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render at the priority of the tests, so that a busy machine does not hold them up."""
    monkeypatch.setattr(ffmpeg, "LOW_PRIORITY", 0)


@pytest.fixture
def provider(tmp_path: Path) -> local.Local:
    return local.Local(ProviderSettings(submit_limit_seconds=600, options={"folder": str(tmp_path / "work")}))


def request(content: bytes | None = None, our_id: str = "", **params: Any) -> SubmitRequest:
    files = {"media:1": input_file(picture() if content is None else content)}
    return SubmitRequest("ken-burns", {**SHORT, **params}, our_id=our_id or str(uuid4()), files=files)


def submit(provider: local.Local, sent: SubmitRequest, updates: Updates | None = None) -> RemoteState:
    answer = provider.submit(sent, updates or Updates())
    assert isinstance(answer, Finished)
    return answer.state


def clip_of(state: RemoteState) -> Path:
    assert state.status is RemoteStatus.SUCCEEDED
    [output] = state.outputs
    assert output.path
    assert output.extension == "mp4"
    return output.path


def bar_positions(path: Path) -> list[float]:
    """Return the place of the bright bar in each frame, from 0 to 1."""
    positions = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            row = frame.to_image().convert("L").crop((0, frame.height // 2, frame.width, frame.height // 2 + 1))
            weights = [max(value - 40, 0) for value in row.tobytes()]
            positions.append(sum(place * weight for place, weight in enumerate(weights)) / sum(weights) / frame.width)
    return positions


def test_clip_is_a_real_h264_file(provider: local.Local):
    updates = Recorder()
    state = submit(provider, request(fps="30", ratio="9:16", duration=1.5), updates)
    path = clip_of(state)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        facts = (stream.codec_context.name, stream.codec_context.pix_fmt, stream.width, stream.height)
        assert facts == ("h264", "yuv420p", 720, 1280)
        assert stream.average_rate == 30
        assert sum(1 for _ in container.decode(stream)) == 45
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # faststart
    assert updates.shares == sorted(updates.shares)
    assert updates.shares[-1] == 1
    assert state.cost == Decimal(0)
    assert [file.name for file in path.parent.iterdir() if file.suffix != ".json"] == ["clip.mp4"]


def bar_positions_of(folder: Path, move: Move, easing: str = "linear") -> list[float]:
    """Render a clip of ten frames, and return the place of the bar in each."""
    source, target = folder / "picture.png", folder / "clip.mp4"
    source.write_bytes(picture())
    clip = Clip(move, 10 / 24, ratio="1:1", easing=easing, strength=0.3)
    render(source, clip, target, timeout_seconds=600)
    return bar_positions(target)


def test_moves_go_where_they_say(tmp_path: Path):
    # The bar stands a little to the left of the middle: the camera's move shifts it the other way.
    directions = {
        Move.PAN_LEFT: 1,
        Move.PAN_RIGHT: -1,
        Move.ZOOM_IN: -1,
        Move.ZOOM_OUT: 1,
        Move.STATIC: 0,
        Move.PAN_UP: 0,
        Move.PAN_DOWN: 0,
    }
    assert set(directions) == set(Move)
    for move, direction in directions.items():
        positions = bar_positions_of(tmp_path, move)
        steps = [after - before for before, after in itertools.pairwise(positions)]
        if direction:
            assert all(step * direction > 0 for step in steps), move  # no frame repeats or moves back
            assert max(map(abs, steps)) < 3 * min(map(abs, steps)), move
        else:
            assert max(map(abs, steps)) < 0.0005, move


def test_easings_start_and_end_alike(tmp_path: Path):
    ends = []
    for easing in EASINGS:
        positions = bar_positions_of(tmp_path, Move.PAN_LEFT, easing)
        ends.append((round(positions[0], 2), round(positions[-1], 2)))
    assert len(set(ends)) == 1


def test_same_request_gives_the_same_bytes(provider: local.Local):
    contents = {clip_of(submit(provider, request())).read_bytes() for _ in range(2)}
    assert len(contents) == 1


def test_every_size_and_kind_of_picture(tmp_path: Path):
    kinds = (("RGB", "JPEG"), ("RGBA", "PNG"), ("L", "PNG"), ("RGB", "WEBP"), ("P", "GIF"))
    for number, ((ratio, resolution), size) in enumerate(SIZES.items()):
        mode, form = kinds[number % len(kinds)]
        source = tmp_path / "picture"
        source.write_bytes(picture(300, 200, mode, form))
        target = tmp_path / "clip.mp4"
        render(source, Clip(Move.STATIC, 0.1, ratio=ratio, resolution=resolution), target, timeout_seconds=600)
        with av.open(str(target)) as container:
            assert (container.streams.video[0].width, container.streams.video[0].height) == size


def test_bad_requests_are_rejected(provider: local.Local):
    cases: list[tuple[SubmitRequest, str]] = [
        (request(content=b"<html>"), "bad_picture"),
        (request(content=picture()[:200]), "bad_picture"),
        (request(image="/etc/passwd"), "bad_picture"),
        (request(image="file:///etc/passwd"), "bad_picture"),
        (request(image="media:2"), "bad_picture"),
        (request(move="spin"), "bad_params"),
        (request(duration=16), "bad_params"),
        (request(duration="nan"), "bad_params"),
        (request(strength=0), "bad_params"),
        (request(ratio="4:3"), "bad_params"),
        (request(fps=60), "bad_params"),
        (SubmitRequest("other", SHORT, our_id=str(uuid4())), "unknown_model"),
    ]
    for sent, code in cases:
        with pytest.raises(Rejected) as caught:
            provider.submit(sent)
        assert caught.value.code == code, sent.params
        assert not (Path(provider.settings.options["folder"]) / sent.our_id).exists()


def test_picture_is_fetched_by_address(tmp_path: Path):
    def serve(connection: socket.socket) -> None:
        is_known = b"GET /a.png " in http_servers.read_request(connection)
        status, body = ("200 OK", picture()) if is_known else ("404 Not Found", b"")
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    options = {"folder": str(tmp_path / "work")}
    with http_servers.serving(serve) as server:
        allowed = local.Local(
            ProviderSettings(submit_limit_seconds=600, result_hosts=(f"127.0.0.1:{server.port}",), options=options)
        )
        clip_of(submit(allowed, request(image=f"{server.url}/a.png")))
        guarded = local.Local(ProviderSettings(submit_limit_seconds=600, options=options))
        for provider, path in ((guarded, "a.png"), (allowed, "missing.png")):
            with pytest.raises(TryAgainLater) as caught:
                provider.submit(request(image=f"{server.url}/{path}"))
            assert caught.value.code == "no_picture"


def test_stop_ends_the_render(provider: local.Local):
    state = submit(provider, request(duration=15), Recorder(is_stopped=True))
    assert state.status is RemoteStatus.CANCELLED
    assert not list(Path(provider.settings.options["folder"]).iterdir())


def test_interrupted_render_leaves_nothing(provider: local.Local, tmp_path: Path):
    with pytest.raises(TryAgainLater) as caught:
        submit(provider, request(), Recorder(is_interrupted=True))
    assert caught.value.code == "workers_stopped"
    assert list((tmp_path / "work").iterdir()) == []


def test_timeout_ends_the_render(tmp_path: Path):
    provider = local.Local(ProviderSettings(submit_limit_seconds=0, options={"folder": str(tmp_path / "work")}))
    children = set(psutil.Process().children())
    state = submit(provider, request(duration=15, resolution="1080p"))
    assert state.status is RemoteStatus.FAILED
    assert state.error
    assert (state.error.code, state.error.remedy) == ("render_timeout", Remedy.NONE)
    assert set(psutil.Process().children()) <= children


def test_failed_render_may_be_tried_once_more(provider: local.Local, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'no such filter' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    state = submit(provider, request())
    assert state.error
    assert (state.error.code, state.error.remedy) == ("render_failed", Remedy.ONE_MORE_TRY)
    assert "no such filter" in state.error.message


def test_find_returns_a_finished_clip(provider: local.Local):
    sent = request()
    path = clip_of(submit(provider, sent))
    state = provider.find(sent.our_id)
    assert state
    assert clip_of(state) == path


def test_find_proves_that_nothing_ran(provider: local.Local):
    sent = request()
    assert provider.find(sent.our_id) is None
    with pytest.raises(TryAgainLater) as caught:
        provider.submit(sent)
    assert caught.value.code == "withdrawn"


def test_find_stops_a_running_render(provider: local.Local):
    sent = request(duration=15, resolution="1080p")
    states: list[RemoteState | None] = []
    errors: list[ProviderError] = []
    begun = threading.Event()

    def run() -> None:
        try:
            provider.submit(sent, Recorder(on_progress=lambda share: begun.set()))
        except ProviderError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(600)
    states.append(provider.find(sent.our_id))
    thread.join(600)
    assert states == [None]
    assert [error.code for error in errors] == ["withdrawn"]


def test_old_work_folders_are_swept(provider: local.Local):
    root = Path(provider.settings.options["folder"])
    for name in ("old", "new"):
        (root / name).mkdir(parents=True)
    os.utime(root / "old", (0, 0))
    submit(provider, request())
    assert (root / "new").exists()
    assert not (root / "old").exists()


def test_account_needs_a_folder(tmp_path: Path):
    assert local.Local(ProviderSettings(options={"folder": str(tmp_path)})).check_account().concurrency
    for call in (lambda it: it.check_account(), lambda it: it.find("a")):
        with pytest.raises(ProviderError):
            call(local.Local(ProviderSettings()))
