"""Two releases share the database during a rolling upgrade: migrations are backward compatible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

# Up to here nothing older ran beside them: this is the first release.
FIRST_RELEASE = {
    "accounts": 6,
    "audit": 0,
    "billing": 0,
    "core": 0,
    "drafts": 1,
    "media": 3,
    "missions": 12,
    "operations": 0,
    "providers": 0,
    "sharing": 0,
    "notifications": 0,
    "templates_app": 2,
    "workers": 0,
}
# Locks on several tables in one transaction may deadlock with workers that lock in another order.
MANY_TABLES = "A migration for each table:"
ALWAYS_SAFE = (
    operations.AddIndex,
    operations.AlterModelManagers,
    operations.AlterModelOptions,
    operations.CreateModel,
    operations.RunPython,
    operations.SeparateDatabaseAndState,  # moves of models between apps: the database stays as it is
)


def later_migrations() -> Iterator[Migration]:
    loader = MigrationLoader(None)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app in FIRST_RELEASE and int(name[:4]) > FIRST_RELEASE[app]:
            yield migration


def problems(migration: Migration, state: ProjectState) -> list[str]:
    """Return the operations that would break a program of the release before, with ``state``.

    A migration that is safe for another reason gives it as ``safe_because``.
    """
    if getattr(migration, "safe_because", ""):
        return []
    found, new_models, changed = [], set(), set()
    for operation in migration.operations:
        if isinstance(operation, operations.CreateModel):
            new_models.add(operation.name_lower)
        model = getattr(operation, "model_name", "").lower()
        if model not in new_models and not _is_safe(operation, migration.app_label, state):
            found.append(operation.describe())
        if model and model not in new_models:
            changed.add(model)
        operation.state_forwards(migration.app_label, state)
    if len(changed) > 1:
        found.append(f"{MANY_TABLES} {', '.join(sorted(changed))}")
    return found


def _is_safe(operation: Operation, app: str, state: ProjectState) -> bool:
    if isinstance(operation, operations.AddField):
        return _is_filled_by_the_database(operation.field)
    if isinstance(operation, operations.AlterField):
        before = state.models[app, operation.model_name_lower].fields[operation.name]
        return _column(before) == _column(operation.field)
    return isinstance(operation, ALWAYS_SAFE)


def _is_filled_by_the_database(field: models.Field[Any, Any]) -> bool:
    """Return True if a program that does not know the field can insert rows."""
    return field.null or field.many_to_many or field.has_db_default()


def _column(field: models.Field[Any, Any]) -> tuple[object, ...]:
    """Return the database's part of a field's definition."""
    _, path, arguments, options = field.deconstruct()
    return path, arguments, {name: value for name, value in options.items() if name not in field.non_db_attrs}


def test_migrations_are_backward_compatible():
    loader = MigrationLoader(None)
    for migration in later_migrations():
        before = loader.project_state((migration.app_label, migration.name), at_end=False)
        assert problems(migration, before) == [], (
            f"{migration} breaks programs that run beside it: take away in the next release what this one stops using "
            "(CONTRIBUTING.md, Change the tables)"
        )


def test_every_app_with_migrations_is_looked_at():
    ours = {config.label for config in apps.get_app_configs() if (config.path and "site-packages" not in config.path)}
    assert set(FIRST_RELEASE) == ours & MigrationLoader(None).migrated_apps


GOOD = [
    operations.AddField("mission", "colour", models.TextField(null=True)),
    operations.AddField("mission", "rank", models.IntegerField(db_default=0)),
    operations.AddIndex("mission", models.Index(fields=["name"], name="by_name")),
    operations.AlterField("mission", "name", models.CharField(max_length=200, help_text="Another text.")),
    operations.CreateModel("Colour", [("id", models.BigAutoField(primary_key=True))]),
]
BAD = [
    operations.AddField("mission", "rank", models.IntegerField(default=0)),
    operations.AddConstraint("mission", models.UniqueConstraint(fields=["name"], name="one_name")),
    operations.AlterField("mission", "name", models.CharField(max_length=20)),
    operations.DeleteModel("Output"),
    operations.RemoveField("mission", "metadata"),
    operations.RenameField("mission", "name", "title"),
    operations.RunSQL("DROP TABLE missions_output"),
]


def problems_of(*changes: Operation, **attributes: str) -> list[str]:
    migration = type("Change", (Migration,), {"operations": changes, **attributes})("9999_change", "missions")
    return problems(migration, MigrationLoader(None).project_state())


@pytest.mark.parametrize("operation", GOOD, ids=lambda operation: operation.describe())
def test_what_an_older_program_does_not_notice_is_allowed(operation: Operation):
    assert problems_of(operation) == []


@pytest.mark.parametrize("operation", BAD, ids=lambda operation: operation.describe())
def test_incompatible_operation_needs_a_reason(operation: Operation):
    assert problems_of(operation) == [operation.describe()]
    assert problems_of(operation, safe_because="The release before stopped using it.") == []


def test_a_migration_that_locks_several_tables_is_refused():
    changes = [operations.AddField(model, "mood", models.TextField(null=True)) for model in ("mission", "attempt")]
    assert problems_of(*changes) == ["A migration for each table: attempt, mission"]
    assert problems_of(changes[0], operations.AddIndex("mission", models.Index(fields=["name"], name="by_name"))) == []


def test_a_new_table_may_have_what_it_likes():
    made = operations.CreateModel("Colour", [("id", models.BigAutoField(primary_key=True))])
    assert problems_of(made, operations.AddField("colour", "rank", models.IntegerField(default=0))) == []
