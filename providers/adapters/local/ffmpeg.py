"""Run ffmpeg: bounded in time and memory, at low priority, with progress.

The program comes with the package imageio-ffmpeg, so nothing has to be installed on the server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence

import imageio_ffmpeg
import psutil

LOW_PRIORITY = 10
MEMORY_LIMIT_BYTES = 4 * 1024**3
ERROR_LENGTH = 300


class FfmpegFailed(Exception):
    """ffmpeg ended with an error, or was stopped by the time limit.

    ``is_timeout`` tells the two apart.  The message is the last line that ffmpeg wrote.
    """

    def __init__(self, message: str, *, is_timeout: bool = False) -> None:
        super().__init__(message)
        self.is_timeout = is_timeout


def program() -> str:
    """Return the path of ffmpeg. Raises RuntimeError if there is none for this system."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def run(
    arguments: Sequence[str],
    *,
    frames: int,
    timeout_seconds: float,
    on_start: Callable[[int], object] = lambda pid: None,
    on_progress: Callable[[float], object] = lambda progress: None,
) -> None:
    """Run ffmpeg with ``arguments`` until it ends.

    ``frames`` is how many frames it will write; ``on_progress`` gets the part that is done, 0 to 1.
    ``on_start`` gets the process id, which is also the id of its process group.
    Raises FfmpegFailed, and OSError when the program cannot be started.
    """
    command = [program(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    command += ["-progress", "pipe:1", "-nostats", *arguments]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, process_group=0, text=True
        ) as process,
    ):
        is_expired = threading.Event()

        def expire() -> None:
            is_expired.set()
            kill_group(process.pid)

        timer = threading.Timer(timeout_seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            _limit(process.pid)
            on_start(process.pid)
            for line in process.stdout or ():
                name, _, value = line.strip().partition("=")
                if name == "frame" and value.strip().isdecimal():
                    on_progress(min(int(value) / frames, 1.0))
            process.wait()
        except BaseException:
            kill_group(process.pid)
            raise
        finally:
            timer.cancel()
        if is_expired.is_set():
            raise FfmpegFailed(f"It took longer than {timeout_seconds:g} s.", is_timeout=True)
        if process.returncode:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise FfmpegFailed((lines or [f"Exit status {process.returncode}."])[-1][:ERROR_LENGTH])


def kill_group(process_group: int) -> None:
    """Kill every process of a group.  One that has ended already is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Return True if the process is ffmpeg and not another program that got the same id."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "ffmpeg" in process.name()
    return False


def _limit(pid: int) -> None:
    """Lower the priority of a new process and bound its memory, where the system can do it."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PGRP, pid, LOW_PRIORITY)
    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        psutil.Process(pid).rlimit(psutil.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
