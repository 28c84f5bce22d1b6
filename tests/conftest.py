"""Fixtures for every test."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

from devtools.simulators.runninghub.process import SimulatorProcess
from missions.models import Mission
from providers import encryption, provider_accounts
from providers.models import ProviderAccount
from tests.api_client import caller
from tests.factories import Workers, bring_to_all, make_member, make_mission
from tests.missions.api.client import Api

TESTS = Path(__file__).parent

# The gate tries the same examples each time, so that no merge fails by luck. Elsewhere they are new
# ones each time, so that more is tried over the years; a failure prints how to repeat it.
hypothesis_settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.register_profile("ci", parent=hypothesis_settings.get_profile("default"), derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "default")


PROVEN = {"chaos", "machines", "processes", "upgrade"}  # folders of the long proofs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long proofs of ``make prove``: whole folders, and tests with worker processes."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in PROVEN or item.get_closest_marker("processes"):
            item.add_marker(pytest.mark.prove)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let Ctrl-C reach programs that tests start, also when the tests run in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _data_folder() -> Iterator[None]:
    """Delete the folder that tests.settings made when the run ends."""
    yield
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Use a SQLite file: in memory, locks differ and processes cannot share the database."""
    database: dict[str, Any] = settings.DATABASES["default"]
    if database["ENGINE"] == "core.db.sqlite":
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
    """Use an empty database as the default for this test and its processes."""
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


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(
        task_seconds=0.05,
        task_jitter=0,
        queued_share=0,
        slow_seconds=0.3,
        image_side=96,
        clip_side=96,
        clip_seconds=0.3,
        webhook_wait=0.05,
    ) as simulator:
        yield simulator


@pytest.fixture
def simulator(simulator_process: SimulatorProcess, settings: Settings) -> SimulatorProcess:
    """Reset the simulator and point the settings at it."""
    simulator_process.reset()
    settings.RUNNINGHUB_BASE_URL = simulator_process.url
    settings.RUNNINGHUB_API_KEY = "simulator"
    settings.RESULTS_ALLOWED_HOSTS = [simulator_process.url.removeprefix("http://")]
    settings.POLL_FLOOR_SECONDS = 0.05
    settings.PUBLIC_BASE_URL = ""
    return simulator_process


@pytest.fixture(autouse=True)
def _nothing_learned() -> None:
    """Forget durations learned from earlier tests' rows."""
    cache.clear()


@pytest.fixture(autouse=True)
def _no_results() -> None:
    """Delete result files of earlier tests: ids of rows repeat, and files are named by ids."""
    shutil.rmtree(settings.RESULTS_ROOT, ignore_errors=True)


@pytest.fixture
def account(db: None) -> ProviderAccount:
    return provider_accounts.environment_account()


@pytest.fixture
def history(db: None) -> None:
    """Thousands of items whose missions have ended, and some that wait."""
    call_command("make_history", items=3_000, verbosity=0)


@pytest.fixture
def encryption_key(settings: Settings) -> str:
    """Keys can be stored."""
    key = encryption.new_key()
    settings.ENCRYPTION_KEYS = [key]
    return key


@pytest.fixture
def workers(simulator: SimulatorProcess, account: ProviderAccount) -> Workers:
    return Workers(account)


@pytest.fixture
def api(owner: User) -> Api:
    return Api(caller(owner))


@pytest.fixture
def strange_api(stranger: User) -> Api:
    return Api(caller(stranger))


@pytest.fixture
def staff_api(db: None) -> Api:
    return Api(caller(make_member("Operators")))


@pytest.fixture
def mixed(owner: User, account: ProviderAccount) -> Mission:
    """Return a mission with items in every state, as ``bring_to_all`` makes them."""
    mission = make_mission(owner, 7)
    bring_to_all(mission, account)
    mission.refresh_from_db()
    return mission


@pytest.fixture
def viewer(db: None) -> Client:
    """Return a client of staff with view permissions only."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def web(owner: User) -> Client:
    client = Client(enforce_csrf_checks=False)
    client.force_login(owner)
    return client


@pytest.fixture
def strange_web(stranger: User) -> Client:
    client = Client()
    client.force_login(stranger)
    return client
