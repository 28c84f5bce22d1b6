"""Work beside a worker's tasks: it is counted, and a worker that ends waits for it."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from workers import background, supervisor


def test_worker_ends_after_its_background_work(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, release = threading.Event(), threading.Event()
    monkeypatch.setattr(background, "_stop", stop)
    codes: list[tuple[int, int]] = []
    pauses: list[float] = []

    real_sleep, this_thread = time.sleep, threading.current_thread()

    def sleep(seconds: float) -> None:
        """Let the work end in the third pause of this thread, and wait for that."""
        if threading.current_thread() is not this_thread:
            real_sleep(seconds)
            return
        pauses.append(seconds)
        if len(pauses) == 3:
            release.set()
            work.join()

    monkeypatch.setattr("workers.supervisor.time.sleep", sleep)
    monkeypatch.setattr("workers.supervisor.os._exit", lambda code: codes.append((code, background.count())))
    background.run(release.wait, name="work")  # type: ignore[arg-type]
    work = next(thread for thread in threading.enumerate() if thread.name == "work")

    cluster = supervisor.Supervisor()
    with contextlib.closing(cluster.slots._lock_file):
        cluster._leave()

    assert codes == [(0, 0)]
    assert len(pauses) == 3
    assert background.stop_requested()


def test_failed_work_is_logged_and_counted_down(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def work() -> None:
        done.wait()
        raise ValueError("no luck")

    background.run(work, name="unlucky")
    assert background.count() == 1
    thread = next(thread for thread in threading.enumerate() if thread.name == "unlucky")
    done.set()
    thread.join()
    assert background.count() == 0
    assert "unlucky was interrupted" in caplog.text
