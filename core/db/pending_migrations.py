"""Whether the database has every table and column that this program uses.

A program older than the database goes on: a migration takes nothing away that the release before it still uses
(tests/test_migrations.py).
A newer one has to wait for `migrate`.
"""

from __future__ import annotations

from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def missing_migrations() -> list[str]:
    """The migrations of this program that are not applied, such as ``missions.0010_plural_names``.  Raises DatabaseError."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def tell(missing: list[str]) -> str:
    """A sentence about them for an operator."""
    return f"The database lacks {len(missing)} migrations of this version, from {missing[0]} on: run manage.py migrate."
