"""Programs on this server as a ``Provider``: camera moves over pictures, by ffmpeg.

Each submission has a work folder named by its id. The folder proves whether the work was done, so a
worker that dies in the middle leaves no doubt: the item simply runs again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.reasons import define
from providers.adapters import http
from providers.adapters.base import (
    NO_UPDATES,
    Accepted,
    AccountStatus,
    Capabilities,
    Finished,
    Provider,
    ProviderSettings,
    RemoteOutput,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
)
from providers.adapters.errors import Rejected, Remedy, TaskFailed, TryAgainLater, Unavailable
from providers.adapters.local import ffmpeg
from providers.adapters.local.clips import BadPicture, Clip, Move, render

BAD_PICTURE = define("local.bad_picture", "The image cannot be used. Upload a file or give an http address.")
NO_PICTURE = define("local.no_picture", "The image could not be fetched.")
NO_CLIP = define("local.no_clip", "The video could not be made.")
WORKERS_STOPPED = define("local.workers_stopped", "The workers were stopped. It is made when they run again.")

ENDPOINT = "ken-burns"
FOLDER_LIFETIME_SECONDS = 24 * 60 * 60
SWEEP_INTERVAL_SECONDS = 60 * 60
PICTURE_MAX_BYTES = 64 * 1024 * 1024
WITHDRAWN = "withdrawn"  # a marker in a work folder: this submission must not end with a result
PROCESS = "process.json"
CLIP = "clip.mp4"
REMEDIES = {"render_failed": Remedy.ONE_MORE_TRY}


class Stopped(Exception):
    """Nobody wants the clip any more."""


class Local(Provider):
    """The programs of this server. Safe to use from several threads, and after a fork."""

    name = "local"
    label = "This server"
    account_name = "local"
    capabilities = Capabilities(
        needs_key=False, cancels=True, finds_by_our_id=True, reports_progress=True, finishes_in_submit=True
    )
    defaults = ProviderSettings(concurrency=os.cpu_count() or 1, submit_limit_seconds=15 * 60, options={"folder": ""})
    environment = {
        "concurrency": "LOCAL_CONCURRENCY",
        "submit_limit_seconds": "LOCAL_TIMEOUT_SECONDS",
        "folder": "LOCAL_FOLDER",
    }

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self._swept_at = -float(SWEEP_INTERVAL_SECONDS)

    def submit(self, request: SubmitRequest, updates: Updates = NO_UPDATES) -> Accepted | Finished:
        """Render a clip, which takes seconds to minutes. Costs nothing.

        Raises Rejected for parameters or a picture that cannot be used, and TryAgainLater when the
        server is not ready: then the item is tried again.
        """
        deadline = time.monotonic() + self.settings.submit_limit_seconds
        if request.endpoint != ENDPOINT:
            raise Rejected(f'This server has no model "{request.endpoint}". Use {ENDPOINT}.', code="unknown_model")
        clip = _clip(request.params)
        try:
            folder = self._folder(request.our_id)
            self._sweep()
            folder.mkdir(parents=True)
        except FileExistsError:
            raise TryAgainLater("This submission was withdrawn before it began.", code="withdrawn") from None
        except OSError as error:
            raise TryAgainLater(f"The work folder cannot be used: {error.strerror}.", code="no_folder") from error

        is_finished = False
        try:
            picture = self._picture(request, folder)
            state = self._render(request.our_id, picture, clip, folder, updates, deadline - time.monotonic())
            if (folder / WITHDRAWN).exists():
                raise TryAgainLater("This submission was withdrawn while it ran.", code="withdrawn")
            is_finished = state.status is RemoteStatus.SUCCEEDED
        except OSError as error:
            raise TryAgainLater(f"The clip could not be written: {error.strerror}.", code="no_folder") from error
        finally:
            if not is_finished:
                shutil.rmtree(folder, ignore_errors=True)
        return Finished(state)

    def find(self, our_id: str) -> RemoteState | None:
        """Look at the work folder of a submission whose worker died.

        A finished clip is returned. Else the folder is marked and its ffmpeg killed, so that the
        submission can never end with a result: None.
        """
        try:
            folder = self._folder(our_id)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / WITHDRAWN).touch()
        except OSError as error:
            raise Unavailable(f"The work folder cannot be used: {error.strerror}.", code="no_folder") from error
        if (folder / CLIP).exists():
            return _success(our_id, folder / CLIP, {})
        with suppress(OSError, ValueError, KeyError):
            process = json.loads((folder / PROCESS).read_text())
            if process["host"] == os.uname().nodename and ffmpeg.is_running(process["pid"]):
                ffmpeg.kill_group(process["pid"])
        return None

    def check_account(self) -> AccountStatus:
        """Return the limit of this server. Raises Unavailable without ffmpeg or a work folder."""
        try:
            ffmpeg.program()
            self._root().mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:
            raise Unavailable(f"This server cannot make clips: {error}.", code="not_ready") from error
        return AccountStatus(concurrency=os.cpu_count())

    @staticmethod
    def remedy_of(code: str) -> Remedy:
        return REMEDIES.get(code, Remedy.NONE)

    def _root(self) -> Path:
        if not self.settings.options.get("folder"):
            raise OSError(errno.ENOENT, "the setting LOCAL_FOLDER is empty")
        return Path(self.settings.options["folder"])

    def _folder(self, our_id: str) -> Path:
        if not our_id or not our_id.replace("-", "").isalnum():
            raise OSError(errno.EINVAL, "the submission has no id")
        return self._root() / our_id

    def _sweep(self) -> None:
        """Remove work folders that nobody can need any more; at most once an hour."""
        if time.monotonic() - self._swept_at < SWEEP_INTERVAL_SECONDS:
            return
        self._swept_at = time.monotonic()
        oldest = time.time() - FOLDER_LIFETIME_SECONDS
        for folder in self._root().glob("*/"):
            with suppress(OSError):
                if folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder)

    def _picture(self, request: SubmitRequest, folder: Path) -> Path:
        """Copy the picture into the work folder and return its path.

        It is an uploaded file or a result, in ``request.files``, or behind an http address.
        """
        name = str(request.params.get("image", ""))
        target = folder / "picture"
        if file := request.files.get(name):
            with file.open() as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            return target
        if not name.lower().startswith(("http://", "https://")):
            raise Rejected(BAD_PICTURE(), code="bad_picture")
        try:
            size = 0
            with http.download(name, allowed_hosts=self.settings.result_hosts) as source, target.open("wb") as copy:
                for chunk in source.chunks:
                    size += len(chunk)
                    if size > PICTURE_MAX_BYTES:
                        raise Rejected(
                            f"The picture is larger than {PICTURE_MAX_BYTES // 1024**2} MB.", code="bad_picture"
                        )
                    copy.write(chunk)
        except Unavailable as error:
            raise TryAgainLater(NO_PICTURE(hint=error.message), code="no_picture") from error
        return target

    def _render(
        self, our_id: str, picture: Path, clip: Clip, folder: Path, updates: Updates, seconds: float
    ) -> RemoteState:
        """Render into the work folder and return how that ended.

        Raises Rejected for an unusable picture, and TryAgainLater when the workers are stopped.
        """
        part = folder / "part.mp4"

        def check() -> None:
            if updates.stop_requested():
                raise Stopped
            if updates.interrupt_requested():
                raise TryAgainLater(WORKERS_STOPPED(), code="workers_stopped")

        def on_start(pid: int) -> None:
            (folder / PROCESS).write_text(json.dumps({"host": os.uname().nodename, "pid": pid}))
            check()

        def on_progress(share: float) -> None:
            updates.progress(share)
            check()

        started = time.monotonic()
        try:
            render(
                picture,
                clip,
                part,
                timeout_seconds=max(seconds, 1.0),
                on_start=on_start,
                on_progress=on_progress,
            )
        except BadPicture as error:
            raise Rejected(error.args[0], code="bad_picture") from error
        except Stopped:
            return RemoteState(our_id, RemoteStatus.CANCELLED, cost=Decimal(0))
        except ffmpeg.FfmpegFailed as error:
            code = "render_timeout" if error.is_timeout else "render_failed"
            failure = TaskFailed(NO_CLIP(hint=str(error)), code=code, remedy=self.remedy_of(code))
            return RemoteState(our_id, RemoteStatus.FAILED, cost=Decimal(0), error=failure)
        picture.unlink(missing_ok=True)
        part.replace(folder / CLIP)
        facts = {"frames": clip.frames, "fps": clip.fps, "render_seconds": round(time.monotonic() - started, 2)}
        return _success(our_id, folder / CLIP, facts)


def _success(our_id: str, path: Path, facts: Mapping[str, Any]) -> RemoteState:
    output = RemoteOutput(path=path, extension="mp4")
    return RemoteState(our_id, RemoteStatus.SUCCEEDED, outputs=(output,), cost=Decimal(0), raw=facts)


def _clip(params: Mapping[str, Any]) -> Clip:
    """Read the parameters; absent ones get the catalogue's defaults. Raises Rejected."""
    clip = Clip(Move.ZOOM_IN, 4.0)
    try:
        clip = replace(
            clip,
            move=Move(params.get("move", clip.move)),
            duration_seconds=float(params.get("duration", clip.duration_seconds)),
            ratio=params.get("ratio", clip.ratio),
            resolution=params.get("resolution", clip.resolution),
            fps=int(params.get("fps", clip.fps)),
            easing=params.get("easing", clip.easing),
            strength=float(params.get("strength", clip.strength)),
        )
        clip.check()
    except (TypeError, ValueError) as error:
        raise Rejected(f"The parameters of the clip are wrong: {error}", code="bad_params") from error
    return clip
