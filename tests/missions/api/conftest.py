"""A real server on the test database, for behaviour that needs a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.missions.api.event_reader import connections, wait_for
from tests.process_fixtures import Web


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Run the process. Tests use ``server``."""
    web = Web({"LOG_LEVEL": "WARNING"}, tmp_path_factory.mktemp("web") / "web.log")
    web.start()
    yield web
    web.stop()


@pytest.fixture
def server(web: Web, transactional_db: None) -> Iterator[Web]:
    """Return a server that sees what the test commits, and has no connection open when the rows are
    removed.
    """
    yield web
    wait_for(lambda: not connections(web))
