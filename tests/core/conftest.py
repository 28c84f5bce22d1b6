"""A real web server on the test's database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections

from tests.process_fixtures import Web

OpenServer = Callable[..., Web]


@pytest.fixture
def open_server(transactional_db: None, tmp_path: Path) -> Iterator[OpenServer]:
    """Return a function that starts servers; all are stopped at the end of the test.

    Its arguments are another application and more environment variables.
    """
    opened: list[Web] = []

    def open_(application: str = Web.APPLICATION, **env: str) -> Web:
        log = tmp_path / f"web-{len(opened)}.log"
        web = Web({"LOG_LEVEL": "INFO", "READ_DOT_ENV": "0", **env}, log, application)
        opened.append(web)
        web.start()
        return web

    yield open_
    for web in opened:
        web.stop()
    connections.close_all()
