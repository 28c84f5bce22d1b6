"""Rolling upgrades: older programs run on the newer database, newer ones wait for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader

from core.db import pending_migrations
from tests.processes.conftest import OpenStage
from tests.test_migrations import problems

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

WAITING = "The workers wait for that."


# What migrations may do while programs of the release before them run; each changes one table.
CHANGES = [
    operations.AddField("mission", "rank", models.IntegerField(db_default=0)),
    operations.AddField("missionitem", "mood", models.TextField(null=True)),
    operations.AddField("attempt", "rank", models.IntegerField(db_default=7)),
    operations.AddField("output", "mood", models.CharField(max_length=20, db_default="")),
    operations.AddIndex("attempt", models.Index(fields=["rank"], name="attempt_rank")),
    operations.CreateModel("Mood", [("id", models.BigAutoField(primary_key=True))]),
]


class NextRelease:
    """The migrations of a release to come."""

    def __init__(self) -> None:
        self.states = [MigrationLoader(connection).project_state()]  # before each, and after the last
        self.migrations = []
        for number, change in enumerate(CHANGES, 9000):
            migration = type("Change", (Migration,), {"operations": [change]})(f"{number}_change", "missions")
            assert problems(migration, self.states[-1].clone()) == []
            self.migrations.append(migration)
            self.states.append(migration.mutate_state(self.states[-1]))
        for state in self.states:
            assert state.apps.ready  # made now, because it takes seconds, and workers go on meanwhile

    def apply(self) -> None:
        for migration, before in zip(self.migrations, self.states, strict=False):
            with connection.schema_editor() as editor:
                migration.apply(before.clone(), editor)

    def unapply(self) -> None:
        for migration, before in reversed(list(zip(self.migrations, self.states, strict=False))):
            with connection.schema_editor() as editor:
                migration.unapply(before.clone(), editor)


@pytest.fixture
def next_release() -> Iterator[NextRelease]:
    release = NextRelease()
    yield release
    release.unapply()


@contextmanager
def without_last_migration() -> Iterator[str]:
    """Unapply the last migration of missions, and apply it again afterwards. Yield its name."""
    ((app, last),) = MigrationLoader(connection).graph.leaf_nodes("missions")
    migration = MigrationLoader(connection).disk_migrations[app, last]
    before = next(name for label, name in migration.dependencies if label == app)
    call_command("migrate", app, before, verbosity=0)
    try:
        yield f"{app}.{last}"
    finally:
        call_command("migrate", verbosity=0)


def test_workers_run_during_migrations_of_the_next_release(open_stage: OpenStage, next_release: NextRelease) -> None:
    stage = open_stage(task_seconds=0.5, cap=10)
    cluster = stage.start_workers(6, cap=10)
    mission = stage.mission(80)
    stage.wait(lambda: stage.simulator.stats()["accepted"] >= 20, 30)
    next_release.apply()
    assert stage.simulator.stats()["accepted"] < 80, "the mission was over before anything changed"

    stage.finish(mission)
    assert mission.completed_count == 80
    stage.check_paid_once(mission)
    assert (stage.failures(), cluster.row.restart_count) == ([], 0)
    cluster.stop()
    cluster.start()  # as when it is restarted for another reason, before its turn to be upgraded
    again = stage.finish(stage.mission(5, rows=[f"another {number}" for number in range(5)]))
    stage.check_paid_once(again)


def test_newer_programs_wait_for_migrations(open_stage: OpenStage) -> None:
    stage = open_stage(task_seconds=0.2, cap=10)
    mission = stage.mission(6)
    with without_last_migration() as last_migration:
        web = stage.start_web()
        cluster = stage.cluster(4, cap=10)
        assert pending_migrations.missing_migrations() == [last_migration]

        cluster.launch()
        stage.wait(lambda: WAITING in cluster.log.read_text(), 30)
        assert last_migration in cluster.log.read_text()
        answer = requests.get(f"{web.url}/api/v1/health", timeout=10)
        assert (answer.status_code, last_migration in answer.text) == (503, True)
        time.sleep(3)
        assert stage.asked() == 0

    cluster.wait_until_ready()
    stage.finish(mission, 30)
    stage.check_paid_once(mission)
    assert requests.get(f"{web.url}/api/v1/health", timeout=10).status_code == 200


def test_waiting_workers_stop_on_sigterm(open_stage: OpenStage) -> None:
    stage = open_stage()
    with without_last_migration():
        cluster = stage.cluster(4)
        cluster.launch()
        stage.wait(lambda: WAITING in cluster.log.read_text(), 30)
        cluster.stop()
        assert not cluster.is_running
