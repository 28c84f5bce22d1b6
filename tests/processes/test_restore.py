"""A restored database does not know later submissions and repeats none of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from missions import services
from missions.models import Mission, MissionStatus
from providers import provider_accounts
from providers.models import ProviderAccount
from tests.process_fixtures import statuses
from tests.processes.conftest import OpenStage

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def own_database(empty_database: None) -> None:
    """Restore a copy over a SQLite file that no process has open."""
    call_command("migrate", verbosity=0)


def back_up(copy: Path) -> None:
    """As docs/operator-guide.md says."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as database:
        database.execute("VACUUM INTO ?", [str(copy)])


def restore(copy: Path) -> None:
    connections.close_all()
    name = Path(connection.settings_dict["NAME"])
    for ending in ("", "-wal", "-shm"):
        Path(f"{name}{ending}").unlink(missing_ok=True)
    name.write_bytes(copy.read_bytes())


@pytest.mark.skipif(connection.vendor != "sqlite", reason="copies the file of a SQLite database")
def test_nothing_that_was_sent_since_the_copy_is_sent_again(
    own_database: None, open_stage: OpenStage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = open_stage(task_seconds=0.3)
    sent, untouched = stage.mission(5), stage.mission(2, name="untouched", rows=["a", "b"])
    services.pause_mission(mission_id=untouched.pk, actor="user:1")
    back_up(tmp_path / "copy.sqlite3")
    with stage.cluster(4):
        stage.finish(sent)
    restore(tmp_path / "copy.sqlite3")
    assert statuses(sent) == {"pending": 5}

    call_command("after_restore")
    assert f"mission {sent.pk}: 5 items" in capsys.readouterr().out
    assert set(Mission.objects.values_list("status", "pause_reason_code")) == {(MissionStatus.PAUSED, "restored")}
    stage.start_workers(4)
    account = ProviderAccount.objects.get(provider="runninghub")
    assert account.paused_at
    provider_accounts.resume(account.pk)  # the missions stay paused even so
    seen = account.tick_number
    stage.wait(lambda: ProviderAccount.objects.get(provider="runninghub").tick_number > seen + 5, 20)
    assert statuses(sent) == {"pending": 5}
    stage.check_none_paid_twice()

    services.cancel_mission(mission_id=sent.pk, actor="user:1")
    services.resume_mission(mission_id=untouched.pk, actor="user:1")
    stage.finish(untouched)
    assert set(stage.simulator.paid()["prompts"].values()) == {1}


def test_it_refuses_while_workers_run(open_stage: OpenStage) -> None:
    stage = open_stage()
    stage.mission(1)
    stage.start_workers(2)
    with pytest.raises(CommandError, match="Workers are running"):
        call_command("after_restore")
