"""Migrations of this version that the database lacks.

A program older than its database keeps working, because migrations are backward compatible
(tests/test_migrations.py).  A newer one has to wait for `migrate`.
"""

from __future__ import annotations

from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def missing_migrations() -> list[str]:
    """Return the migrations that are not applied, such as ``missions.0010_plural_names``.

    Raises DatabaseError.
    """
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def tell(missing: list[str]) -> str:
    """Return a sentence about them for an operator."""
    return f"The database lacks {len(missing)} migrations of this version, from {missing[0]} on: run manage.py migrate."
