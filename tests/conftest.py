"""What every test may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

hypothesis_settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "ci", parent=hypothesis_settings.get_profile("default"), derandomize=True, print_blob=True
)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session", autouse=True)
def _data_folder() -> Iterator[None]:
    """The folder that tests.settings made for this run goes when the run ends."""
    settings.STATIC_ROOT = Path(settings.DATA_DIR) / "static"  # WhiteNoise warns of one that does not exist
    settings.STATIC_ROOT.mkdir(parents=True)
    yield
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """SQLite in a file: in memory it has other locks, and neither a thread nor a process can share it as they do in life."""
    database: dict[str, Any] = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"]["NAME"] = Path(settings.DATA_DIR) / "test.sqlite3"


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("mei", password="a long enough password")


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("stranger")
