from collections.abc import Iterator

import pytest

from devtools.simulators.runninghub.process import SimulatorProcess
from tests.devtools.simulator.caller import Caller


@pytest.fixture(scope="session")
def running() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(task_seconds=0.05, task_jitter=0, webhook_wait=0.05, retry_after=7) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: SimulatorProcess) -> SimulatorProcess:
    running.reset()
    return running


@pytest.fixture
def caller(simulator: SimulatorProcess) -> Iterator[Caller]:
    with Caller(simulator.url) as caller:
        yield caller
