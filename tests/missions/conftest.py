"""A real simulator over HTTP, an account that points at it, and somebody who plays the workers' part."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest_django import Settings

from missions import provider_accounts, sealing, selectors
from missions.models import Mission, ProviderAccount
from missions.providers.simulator.control import SimulatorProcess
from tests.callers import caller
from tests.missions.api.calling import Api
from tests.missions.world import Workers, bring_to_all, make_mission


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
    """A simulator that has forgotten everything, and settings that point at it."""
    simulator_process.reset()
    settings.RUNNINGHUB_BASE_URL = simulator_process.url
    settings.RUNNINGHUB_API_KEY = "simulator"
    settings.RESULTS_ALLOWED_HOSTS = [simulator_process.url.removeprefix("http://")]
    settings.POLL_FLOOR_SECONDS = 0.05
    settings.PUBLIC_BASE_URL = ""
    return simulator_process


@pytest.fixture(autouse=True)
def _nothing_learned() -> None:
    """What this process remembers of earlier tests' rows."""
    selectors._expectations.clear()


@pytest.fixture(autouse=True)
def _no_results() -> None:
    """Result files of earlier tests: rows get the same ids again, and files go by ids."""
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
    key = sealing.new_key()
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
    return Api(caller(User.objects.create_user("boss", is_staff=True)))


@pytest.fixture
def mixed(owner: User, account: ProviderAccount) -> Mission:
    """Items 1 and 2 failed for one reason, 3 for another; 4 succeeded; 5 is unconfirmed; 6 runs; 7 waits."""
    mission = make_mission(owner, 7)
    bring_to_all(mission, account)
    mission.refresh_from_db()
    return mission
