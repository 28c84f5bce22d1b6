"""What every test may use."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, connections
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses no database is the same on any; what takes long comes first."""
    for item in items:
        names = {"db", "transactional_db", "live_server"} & set(getattr(item, "fixturenames", []))
        if not names and not item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.any_database)
    items.sort(key=lambda item: item.get_closest_marker("begun_first") is None)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C reaches the programs that tests start, also when a script runs the tests in the background: there it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _data_folder() -> Iterator[None]:
    """The folder that tests.settings made for this run goes when the run ends."""
    yield
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """SQLite in a file: in memory it has other locks, and neither a thread nor a process can share it as they do in life."""
    database: dict[str, Any] = settings.DATABASES["default"]
    if database["ENGINE"] == "runninghub_batch.sqlite":
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


@pytest.fixture
def empty_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """The default database, for this test and the processes that it starts, is one without a table."""
    usual = connection.settings_dict["NAME"]
    connections.close_all()
    if connection.vendor == "sqlite":
        connection.settings_dict["NAME"] = tmp_path / "empty.sqlite3"
        yield
        connections.close_all()
        connection.settings_dict["NAME"] = usual
        return
    name = f"{usual}_empty"
    _on_server(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    connection.settings_dict["NAME"] = name
    yield
    connections.close_all()
    connection.settings_dict["NAME"] = usual
    _on_server(f"DROP DATABASE {name} WITH (FORCE)")


def _on_server(*statements: str) -> None:
    with connection._nodb_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
