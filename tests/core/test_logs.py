"""Log lines: with ids, without secrets."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from contextvars import Context
from typing import Any

import pytest
from django.core.signing import BadSignature
from django.db import OperationalError
from django.test import Client
from django_q.signing import SignedPackage

from core.logging import filters, request_ids
from core.logging.context import about
from core.logging.formatters import JsonLines, PlainLines
from missions import execution
from missions.models import Attempt, Mission, Output
from tests.factories import make_media, make_mission

KEY = "simulator-4f1d9c27b8e05a63"
PROMPT = "a marked teapot nobody else has"


@pytest.fixture(autouse=True)
def _no_request() -> None:
    """Reset the request id of earlier tests in this thread."""
    request_ids._current.set("")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Return what is logged from INFO on, formatted as in production."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def test_mission_logs_neither_key_nor_prompt(owner, workers, lines, settings, monkeypatch):
    settings.RUNNINGHUB_API_KEY = KEY
    monkeypatch.setenv("RUNNINGHUB_API_KEY", KEY)
    mission = make_mission(owner, [PROMPT, f"{PROMPT} [[sim:lose:drop]]", f"{PROMPT} [[sim:1501]]"])
    execution.dispatch(workers.account.pk)
    workers.play()
    workers.run(lambda: not Attempt.objects.filter(status__in=["prepared", "sending", "running"]).exists())
    logging.getLogger("tests").error("The provider said: %s", KEY)
    told = lines.getvalue()
    assert KEY not in told
    assert PROMPT not in told
    read = [json.loads(line) for line in told.splitlines()]
    lost = next(line for line in read if "unconfirmed" in line["message"])
    attempt = Attempt.objects.get(status="unconfirmed")
    assert (lost["account"], lost["mission"]) == (attempt.account_id, mission.pk)
    assert (lost["item"], lost["attempt"], lost["level"]) == (attempt.item_id, attempt.pk, "WARNING")


def test_traceback_is_part_of_the_json_line(lines):
    try:
        raise ValueError("of a request with Authorization: Bearer abc.def")
    except ValueError:
        logging.getLogger("tests").exception("It failed\nfor a reason.")
    [line] = lines.getvalue().splitlines()
    read = json.loads(line)
    assert read["message"] == "It failed\nfor a reason."
    assert "ValueError: of a request with Authorization: Bearer ***" in read["exception"]


def test_text_lines_name_the_rows():
    record = logging.LogRecord("engine", logging.INFO, "", 0, "Sent.", (), None)
    lines = PlainLines("{name}{tags} {message}", style="{")

    def told() -> list[str]:
        with about(mission=7), about(attempt=9):
            inside = lines.format(record)
        return [inside, lines.format(record)]

    # In its own context: an earlier test may have set a request id in this one.
    assert Context().run(told) == ["engine [mission=7 attempt=9] Sent.", "engine Sent."]


# --- The access log ---


def read(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_each_request_has_one_line_with_person_and_address(lines, web, owner, api):
    page = web.get("/missions", REMOTE_ADDR="10.0.0.7")
    api.client.get("/api/v1/missions?page=1", REMOTE_ADDR="2001:db8::7")
    Client().get("/nothing/here")
    entries = [line for line in read(lines) if line["logger"] == "access"]
    assert [line["message"].rpartition(" in ")[0] for line in entries] == [
        "GET /missions 200",
        "GET /api/v1/missions 200",
        "GET /nothing/here 404",
    ]
    assert (entries[0]["user"], entries[0]["address"]) == (owner.pk, "10.0.0.7")
    assert entries[0]["request_id"] == page["X-Request-Id"]
    assert (entries[1]["user"], entries[1]["address"]) == (owner.pk, "2001:db8::7")
    assert "user" not in entries[2]


def test_secret_paths_are_hidden(lines, client, owner):
    media = make_media(owner)
    client.get(f"/media/{media.key}")
    client.get(f"/media/{media.key}/preview")
    client.post(f"/hooks/runninghub/{media.key}")
    assert media.key not in lines.getvalue()
    assert [line["message"].split()[1] for line in read(lines)] == [
        "/media/***",
        "/media/***/preview",
        "/hooks/runninghub/***",
    ]


def test_forbidden_host_is_one_warning(lines, client):
    assert client.get("/missions", headers={"Host": "scanner.example"}).status_code == 400
    assert [line["level"] for line in read(lines)] == ["WARNING", "INFO"]
    assert "exception" not in lines.getvalue()
    assert "ALLOWED_HOSTS" in lines.getvalue()


def test_uvicorn_has_no_access_log_of_its_own():
    logger = logging.getLogger("uvicorn.access")
    assert not logger.isEnabledFor(logging.INFO)
    assert not logger.propagate


def test_an_answer_that_is_meant_is_no_error(lines, client, db):
    assert client.get("/api/v1/ready").status_code == 503
    assert [line["level"] for line in read(lines)] == ["INFO"]


# --- Workers ---


def test_a_message_of_an_earlier_secret_key_is_one_warning(lines):
    try:
        SignedPackage.loads("forged:signature")
    except BadSignature:
        logging.getLogger("django-q").exception("Failed to push task to queue")
    [line] = read(lines)
    assert (line["level"], "SECRET_KEY" in line["message"], "exception" in line) == ("WARNING", True, False)


def test_replaced_processes_are_reported_in_plain_words(lines, monkeypatch):
    monkeypatch.setattr(filters, "_outages", bytearray(filters._STATE.size))
    log = logging.getLogger("django-q")
    table = [
        ("reincarnated pusher Process-7 after sudden death", "The process that fetches messages ended"),
        ("reincarnated worker Process-7 after death", "A worker process ended unexpectedly"),
        ("reincarnated worker Process-7 after timeout", "A worker process took too long"),
    ]
    for text, message in table:
        log.critical(text)
        line = read(lines)[-1]
        assert (line["level"], line["message"].startswith(message)) == ("WARNING", True), text
    filters._STATE.pack_into(filters._outages, 0, time.monotonic() + filters.OUTAGE_SECONDS, 0)
    log.critical(table[0][0])  # the outage has a line of its own
    assert len(read(lines)) == len(table)


def test_workers_log_failures_downloads_and_ends(owner, workers, lines):
    mission = make_mission(owner, ["good", "bad [[sim:1501]]", "[[sim:file:html]]"])
    workers.run(lambda: Mission.objects.filter(pk=mission.pk, ended_at__isnull=False).exists())
    workers.run(lambda: Output.objects.filter(try_count__gt=1).exists())
    entries = read(lines)
    [failed] = [line for line in entries if line["message"].startswith("An attempt ended as failed")]
    assert (failed["mission"], failed["level"]) == (mission.pk, "INFO")
    assert "1501" in failed["message"]
    [ended] = [line for line in entries if line["message"].startswith("A mission has ended")]
    assert (ended["message"], ended["mission"]) == ("A mission has ended: 2 completed, 1 failed", mission.pk)
    later = [line for line in entries if line["message"].startswith("A result is not stored yet")]
    assert later
    assert {"mission", "item", "output"} <= later[0].keys()


def test_an_outage_of_the_database_is_one_line_a_minute(lines, monkeypatch):
    monkeypatch.setattr(filters, "_outages", bytearray(filters._STATE.size))
    lines_filter = filters.DatabaseOutages()
    handler = next(handler for handler in logging.getLogger().handlers if getattr(handler, "stream", None) is lines)
    handler.addFilter(lines_filter)
    trace = (
        "database is locked : Traceback (most recent call last):\ndjango.db.utils.OperationalError: database is locked"
    )
    for _ in range(3):
        try:
            raise RuntimeError("a tick") from OperationalError("database is locked")
        except RuntimeError:
            logging.getLogger("workers").exception("The tick failed.")
        logging.getLogger("django-q").error("Failed 'missions.tasks.tick' (name) - %s", trace)
    logging.getLogger("workers").error("Another error.")
    entries = read(lines)
    assert [line["message"].partition(":")[0] for line in entries] == [
        "The database does not answer, and everything is tried again",
        "Another error.",
    ]
    assert "exception" not in entries[0]
    filters._STATE.pack_into(filters._outages, 0, 0.0, 5)  # a minute later
    logging.getLogger("django-q").error("Failed 'missions.tasks.tick' (name) - %s", trace)
    assert "5 more errors" in read(lines)[-1]["message"]
