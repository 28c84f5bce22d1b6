"""A nearly full disk: nothing more is submitted, everybody is warned, results can be downloaded.

The threshold is above what any disk has free.
"""

from __future__ import annotations

import errno
import io
import logging
import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test import Client

from core.api.errors import as_domain_error
from core.storage import disk
from media.models import MediaFile
from operations import notices
from operations.tasks import OperationsHooks
from tests.api_client import caller
from tests.factories import Workers, check_mission, make_mission, picture
from tests.operations.test_doctor import doctor
from tests.result_factories import run
from workers import queue
from workers.models import WorkerCluster

pytestmark = pytest.mark.django_db

ABOVE_ANY_DISK = 10**9  # megabytes


@pytest.fixture
def full(settings: Any) -> None:
    settings.MIN_FREE_DISK_MB = ABOVE_ANY_DISK


def test_nothing_is_submitted_until_there_is_room(owner: User, workers: Workers, simulator: Any, settings: Any) -> None:
    mission = make_mission(owner, 3)
    settings.MIN_FREE_DISK_MB = ABOVE_ANY_DISK
    workers.run(lambda: [name for name, _ in workers.played].count("reap") > 1)
    assert simulator.stats()["submits"] == 0
    mission.refresh_from_db()
    assert (mission.status, mission.pending_count) == ("queued", 3)
    settings.MIN_FREE_DISK_MB = 0
    workers.finish(mission)
    check_mission(mission.pk)


def test_ready_doctor_and_notices_report_it(full: None, owner: User, client: Client, account: Any) -> None:
    answer = client.get("/api/v1/ready")
    assert answer.status_code == 503
    assert "disk" in [error["field"] for error in answer.json()["errors"]]
    findings, code = doctor()
    assert (findings["disk"]["level"], code) == ("fail", 1)
    assert "MIN_FREE_DISK_MB" in findings["disk"]["message"]
    [notice] = [notice for notice in notices.current(owner) if notice.name == "disk"]
    assert "Tell an operator" in notice.text
    [notice] = [notice for notice in notices.current(User(is_staff=True)) if notice.name == "disk"]
    assert "manage.py cleanup" in notice.text


def test_a_full_disk_of_other_workers_is_reported(client: Client, account: Any, owner: User, settings: Any) -> None:
    settings.MIN_FREE_DISK_MB = 1
    cluster = WorkerCluster.objects.create(host="elsewhere", pid=1, pid_started_at=0, free_disk_bytes=disk.MEGABYTE - 1)
    assert "disk" in [error["field"] for error in client.get("/api/v1/ready").json()["errors"]]
    assert doctor()[0]["disk of elsewhere"]["level"] == "fail"
    assert "disk" in [notice.name for notice in notices.current(owner)]
    cluster.free_disk_bytes = disk.MEGABYTE
    cluster.save()
    assert "disk of elsewhere" not in doctor()[0]
    assert "disk" not in [notice.name for notice in notices.current(owner)]


def test_supervisor_logs_once_a_minute(full: None, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    cluster = WorkerCluster.objects.create(host="here", pid=1, pid_started_at=0)
    monkeypatch.setattr(queue, "_cluster_id", cluster.pk)
    hooks = OperationsHooks()
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            hooks.on_beat()
    lines = [record for record in caplog.records if "nothing more is submitted" in record.getMessage()]
    assert [line.levelname for line in lines] == ["ERROR"]
    cluster.refresh_from_db()
    assert cluster.free_disk_bytes


def test_uploads_are_answered_507(full: None, api: Any, web: Client, settings: Any) -> None:
    files = {"file": SimpleUploadedFile("cat.png", picture(), "image/png")}
    answer = api.client.post("/api/v1/media/upload", files)
    assert (answer.status_code, answer.json()["error"]) == (507, "insufficient_storage")
    page = web.post("/media/upload", {"file": SimpleUploadedFile("cat.png", picture(), "image/png")}, follow=True)
    assert "nearly full" in page.content.decode()
    assert not MediaFile.objects.exists()


def test_errors_for_lack_of_space_are_507() -> None:
    wrapper = RuntimeError("wrapped")
    wrapper.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    for error in (OSError(errno.EDQUOT, "quota"), wrapper, OperationalError("database or disk is full")):
        assert as_domain_error(error).status == 507, error
    assert as_domain_error(OSError(errno.EACCES, "denied")).status == 500


def test_results_can_be_downloaded(full: None, owner: User, web: Client, tmp_path: Any, settings: Any) -> None:
    mission = make_mission(owner, 2)
    settings.MIN_FREE_DISK_MB = 0
    run(mission, [picture()], [picture()])
    settings.MIN_FREE_DISK_MB = ABOVE_ANY_DISK
    settings.DATA_DIR = tmp_path
    disk.temporary_folder().write_text("a file: nothing can be written here")
    answer: Any = web.get(f"/api/v1/missions/{mission.pk}/download")
    content = b"".join(answer.streaming_content)
    assert int(answer["Content-Length"]) == len(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3
        assert len(archive.read("manifest.csv").splitlines()) == 3


def test_tokens_work_while_nothing_can_be_written(owner: User) -> None:
    """Each use of a token is recorded, which a full disk prevents."""

    def refuse(execute: Any, sql: str, *more: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            raise OperationalError("database or disk is full")
        return execute(sql, *more)

    client = caller(owner)
    with connection.execute_wrapper(refuse):
        assert client.get("/api/v1/missions").status_code == 200
