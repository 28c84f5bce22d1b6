"""A database of its own that begins empty, and is brought to one schema and to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, connections


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
