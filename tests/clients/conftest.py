"""A real server, and a token for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from runninghub_batch_client import Client

from tests.api_client import new_token
from tests.missions.api.conftest import server, web
from tests.process_fixtures import Web

__all__ = ["server", "web"]


@pytest.fixture
def token(server: Web, owner: User) -> str:
    return new_token(owner)


@pytest.fixture
def client(server: Web, token: str) -> Iterator[Client]:
    with Client(server.url, token) as client:
        yield client
