"""From the schema of the first release, with data, to the newest, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps as newest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from pytest_django import Settings

from accounts.audit import services as audit
from accounts.audit.models import AuditEntry, Verb
from accounts.services import authenticate
from media import services as media_services
from media.models import MediaFile
from missions import services
from missions.maintenance import reconcile_counts
from missions.models import Attempt, Mission, MissionItem
from providers.adapters.base import ProviderSettings
from providers.adapters.runninghub.adapter import RunningHub
from tests.factories import check_mission, make_mission
from tests.process_fixtures import Stage
from tests.upgrade.releases import (
    FIRST,
    OURS,
    RELEASES,
    TOKEN,
    FormerSite,
    fingerprint,
    go_to,
    rows,
    schema_of,
    start_task,
)

FINGERPRINT = "0123456789abcdef"


@pytest.fixture(params=RELEASES)
def site(empty_database: None, request: pytest.FixtureRequest) -> FormerSite:
    """Create a site of a former release with data."""
    return FormerSite(go_to(schema_of(request.param)), request.param, key_fingerprint=FINGERPRINT, running_task="77")


def upgrade() -> None:
    call_command("migrate", verbosity=0, interactive=False)


# --- What is stored ---


def test_former_site_has_rows_of_its_models(site):
    if site.release == "0.1.0":
        assert all(rows(site.apps).values())
    assert rows(site.apps)["missions_mission"]


def test_stored_rows_stay_the_same(site):
    before = rows(site.apps)
    upgrade()
    after = rows(newest)
    for label, stored in before.items():
        assert {pk: {name: after[label][pk][name] for name in row} for pk, row in stored.items()} == stored


def test_counts_and_sums_are_right_afterwards(site):
    upgrade()
    assert not list(reconcile_counts.differences())
    for mission in Mission.objects.all():
        check_mission(mission.pk)
    connection.check_constraints()


def test_constraints_hold_afterwards(site):
    upgrade()
    live = Attempt.objects.get(status="running")
    for wrong in (
        lambda: Attempt.objects.create(item=live.item, number=2, account=live.account, model="m"),
        lambda: Attempt.objects.filter(status="failed").update(remote_task_id=live.remote_task_id),
        lambda: Mission.objects.update(total_count=99),
        lambda: MissionItem.objects.filter(mission=live.item.mission).update(index=1),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            wrong()


def test_file_of_a_former_mission_cannot_be_deleted(site):
    upgrade()
    media = MediaFile.objects.get()
    with pytest.raises(media_services.MediaInUse):
        media_services.delete_media(media=media)
    services.cancel_mission(mission_id=site.with_files.pk, actor="user:1")
    media_services.delete_media(media=media)


def test_tokens_and_templates_still_work(site):
    upgrade()
    owner = User.objects.get()
    assert authenticate(TOKEN).user == owner
    again = make_mission(owner, 2, template_id=site.template.pk)
    assert again.params == {"aspectRatio": "1:1"}


# --- Work that was in the middle ---


@pytest.fixture
def stage(empty_database: None, settings: Settings, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, None, task_seconds=1)
    settings.RUNNINGHUB_BASE_URL = stage.simulator.url
    settings.RUNNINGHUB_API_KEY = "simulator"
    settings.RESULTS_ALLOWED_HOSTS = [stage.simulator.url.removeprefix("http://")]
    yield stage
    stage.close()


@pytest.mark.processes
@pytest.mark.parametrize("release", RELEASES)
def test_workers_continue_the_work_of_a_former_release(stage, release):
    opened = ProviderSettings(base_url=stage.simulator.url, api_key="simulator")
    task = start_task(RunningHub(opened), "At work: running")
    site = FormerSite(go_to(schema_of(release)), release, key_fingerprint=fingerprint(opened), running_task=task)
    upgrade()
    mission = Mission.objects.get(pk=site.at_work.pk)
    stage.start_workers(4)
    stage.drain(mission)

    statuses = dict(mission.items.values_list("params__prompt", "status"))
    assert {prompt.removeprefix("At work: "): status for prompt, status in statuses.items()} == {
        "waits": "completed",
        "prepared": "completed",
        "sending": "unconfirmed",
        "running": "completed",
        "unconfirmed": "unconfirmed",
        "completed": "completed",
        "failed": "failed",
        "refused": "failed",
    }
    paid = stage.simulator.paid()["prompts"]
    assert paid == {f"At work: {word}": 1 for word in ("waits", "prepared", "running")}
    assert not stage.failures()
    assert set(Mission.objects.exclude(pk=mission.pk).values_list("status", flat=True)) == {
        "cancelled",
        "paused",
        "scheduled",
    }


# --- The way back ---


def test_way_back_keeps_former_rows(site):
    before = rows(site.apps)
    upgrade()
    make_mission(User.objects.get(), 3)
    audit.record(Verb.SIGN_OUT)
    again = rows(go_to(schema_of(site.release)))
    for label, stored in before.items():
        assert {pk: again[label][pk] for pk in stored} == stored
    upgrade()
    assert AuditEntry.objects.filter(verb=Verb.SIGN_OUT).count() == 1  # the log stays, as the guide says
    assert Mission.objects.count() == len(before["missions_mission"]) + 1
    assert not list(reconcile_counts.differences())


def test_guide_leads_back_to_the_first_release():
    guide = (settings.BASE_DIR / "docs" / "operator-guide.md").read_text()
    targets = dict(re.findall(r"^ *\.venv/bin/python manage\.py migrate (\w+) (\w+)$", guide, re.MULTILINE))
    assert targets == FIRST | {app: "zero" for app in OURS if app not in FIRST}
    folders = {app.label: settings.BASE_DIR / app.name.replace(".", "/") for app in newest.get_app_configs()}
    with_tables = {label for label, folder in folders.items() if (folder / "migrations").is_dir()}
    assert with_tables == {*targets, "audit"}, "the guide must lead back from every table, or say that it stays"


def test_every_migration_is_reversible_or_says_why(empty_database):
    """Unapply every migration and apply it again, unless it gives a reason in ``irreversible``."""
    upgrade()
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan([(app, None) for app in OURS])
    assert {migration.app_label for migration, _ in plan} == set(OURS)
    stays = [migration for migration, _ in plan if not all(step.reversible for step in migration.operations)]
    for migration, _ in plan:
        assert bool(getattr(migration, "irreversible", "")) == (migration in stays), f"{migration}: why can it not go?"
    if stays:
        return
    executor.migrate([(app, None) for app in OURS])
    left = set(connection.introspection.table_names())
    assert not [table for table in left if table.startswith(tuple(f"{app}_" for app in OURS if app != "core"))]
    upgrade()
