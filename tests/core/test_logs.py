"""Log lines: with ids, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextvars import Context

import pytest

from core.logging import request_ids
from core.logging.context import about
from core.logging.formatters import JsonLines, PlainLines
from missions import execution
from missions.models import Attempt
from tests.factories import make_mission

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
