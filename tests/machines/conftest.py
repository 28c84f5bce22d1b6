"""A site on several machines: one PostgreSQL, simulator and bucket, a worker cluster on each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import environ
import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from tests import postgres_server
from tests.machines import network as networks
from tests.machines.network import Machine, Network
from tests.object_storage import ObjectStorage
from tests.postgres_server import PostgresServer
from tests.process_fixtures import Cluster, Stage
from tests.processes.conftest import open_stage as open_stage

StartOn = Callable[..., Cluster]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder; skip without network namespaces, fail in CI."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = _missing() if ours else ""
    for item in ours:
        for mark in (pytest.mark.processes, pytest.mark.prove, pytest.mark.timeout(400)):
            item.add_marker(mark)
        if reason and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=reason))


def _missing() -> str:
    return networks.missing() or postgres_server.missing()


@pytest.fixture(scope="package")
def switch() -> Iterator[Network]:
    assert not _missing(), _missing()
    with Network() as network:
        yield network


@pytest.fixture
def network(switch: Network) -> Iterator[Network]:
    yield switch
    switch.remove_machines()


@pytest.fixture(scope="package")
def server(switch: Network, django_db_blocker: DjangoDbBlocker) -> Iterator[PostgresServer]:
    """Start a server with a migrated database to copy."""
    with PostgresServer(switch.address) as server:
        _execute(server, "CREATE DATABASE migrated")
        with django_db_blocker.unblock(), _default_database(server.url("migrated")):
            call_command("migrate", verbosity=0)
        yield server


@pytest.fixture
def transactional_db(server: PostgresServer, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Replace pytest-django's fixture: use a new database on that server."""
    _execute(server, "DROP DATABASE IF EXISTS site WITH (FORCE)")
    _execute(server, "CREATE DATABASE site TEMPLATE migrated")
    with django_db_blocker.unblock(), _default_database(server.url("site")):
        yield


def _execute(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)


@contextlib.contextmanager
def _default_database(url: str) -> Iterator[None]:
    """Inside, Django's default database is the one at ``url``."""
    before = connections.settings["default"]
    _connect_to(connections.configure_settings({"default": environ.Env.db_url_config(url)})["default"])
    yield
    _connect_to(before)


def _connect_to(database: dict[str, object]) -> None:
    connections.close_all()
    connections.settings["default"] = database
    connections["default"] = connections.create_connection("default")


@pytest.fixture
def bucket(switch: Network, settings: Settings) -> Iterator[ObjectStorage]:
    with ObjectStorage(switch.address) as bucket:
        bucket.lead_here(settings)
        yield bucket


@pytest.fixture
def start_on(bucket: ObjectStorage, tmp_path: Path) -> StartOn:
    """Return a function that starts workers on a machine with its own data folder."""

    def start(stage: Stage, machine: Machine, **more: str) -> Cluster:
        environment = {"DATA_DIR": str(tmp_path / machine.name), **bucket.environment(), **more}
        cluster = stage.cluster(6, cap=20, **environment)
        cluster.prefix = machine.prefix
        cluster.start()
        return cluster

    return start
