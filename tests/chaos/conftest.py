"""A simulator, an account and workers in this process, as the tests of the engine have them."""

from tests.missions.conftest import _no_results, account, simulator, simulator_process, workers

__all__ = ["_no_results", "account", "simulator", "simulator_process", "workers"]
