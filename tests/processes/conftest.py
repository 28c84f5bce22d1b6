"""A stage for tests with real processes on a real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connections
from pytest_django import Settings

from tests.process_fixtures import Stage, deadlocks

OpenStage = Callable[..., Stage]


@pytest.fixture
def open_stage(transactional_db: None, settings: Settings, tmp_path: Path) -> Iterator[OpenStage]:
    """Return a function that opens a stage whose simulator has the given options."""
    cache.clear()
    opened: list[Stage] = []
    deadlocks_before = deadlocks()

    def open_(**options: Any) -> Stage:
        owner = User.objects.create_user(f"owner{len(opened)}")
        stage = Stage(tmp_path, owner, **options)
        opened.append(stage)
        settings.RUNNINGHUB_BASE_URL = stage.simulator.url
        settings.RUNNINGHUB_API_KEY = "simulator"
        settings.RESULTS_ALLOWED_HOSTS = [stage.simulator.url.removeprefix("http://")]
        return stage

    yield open_
    for stage in opened:
        stage.close()
    connections.close_all()
    assert deadlocks() == deadlocks_before, "PostgreSQL had to end a deadlock"
