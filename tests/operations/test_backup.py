"""``manage.py backup`` and ``restore``: complete, checked, and nothing is sent afterwards."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils import timezone

from media.models import MediaFile
from media.services import store_upload
from missions.models import ItemEvent, Mission, MissionStatus
from operations.models import Backup
from providers.models import ProviderAccount
from tests.factories import make_mission, picture
from tests.operations.test_doctor import doctor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]


@pytest.fixture
def own_database(db: None, tmp_path: Path) -> Iterator[None]:
    """Use a copy of the test database, because a restore replaces it."""
    usual = connection.settings_dict["NAME"]
    name = str(tmp_path / "site.sqlite3") if connection.vendor == "sqlite" else f"{usual}_site"
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [name])
        connections.close_all()
    else:
        connections.close_all()
        on_server(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} TEMPLATE {usual}")
    connection.settings_dict["NAME"] = name
    yield
    connections.close_all()
    connection.settings_dict["NAME"] = usual
    if connection.vendor == "postgresql":
        on_server(f"DROP DATABASE {name} WITH (FORCE)")


def on_server(*statements: str) -> None:
    with connection._nodb_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def site(own_database: None, settings: Any, tmp_path: Path) -> User:
    """Make a site with one mission of three items, one upload and one result file."""
    settings.DATA_DIR = tmp_path / "data"
    settings.MEDIA_ROOT, settings.RESULTS_ROOT = settings.DATA_DIR / "uploads", settings.DATA_DIR / "results"
    results = settings.STORAGES["results"]
    options = results["OPTIONS"] | {"location": settings.RESULTS_ROOT}
    settings.STORAGES = settings.STORAGES | {"results": results | {"OPTIONS": options}}
    owner = User.objects.create_user("mei")
    make_mission(owner, 3)
    store_upload(owner=owner, file=io.BytesIO(picture()), name="cat.png")
    storages["results"].save("missions/1/00001-1-1.png", ContentFile(b"a result"))
    return owner


def back_up(folder: Path) -> str:
    out = io.StringIO()
    call_command("backup", str(folder), stdout=out)
    return out.getvalue()


def restore(folder: Path, *options: str) -> str:
    out = io.StringIO()
    call_command("restore", str(folder), *options, stdout=out)
    return out.getvalue()


def test_round_trip(site: User, tmp_path: Path) -> None:
    folder = tmp_path / "copies" / "monday"
    last_event_at = timezone.now() - timedelta(hours=2)
    ItemEvent.objects.create(mission=Mission.objects.get(), to_status="paused", actor="user:1")
    ItemEvent.objects.update(at=last_event_at)
    assert "2 files" in back_up(folder)
    facts = json.loads((folder / "backup.json").read_text())
    assert facts["tables"]["missions_missionitem"] == 3
    assert doctor()[0]["backup"]["level"] == "ok"

    Mission.objects.all().delete()
    storages["results"].save("missions/1/00001-1-1.png", ContentFile(b"replaced"))
    storages["results"].save("missions/2/later.png", ContentFile(b"later"))
    with pytest.raises(CommandError, match=r"database, uploads, results.*--force"):
        restore(folder)
    assert not Mission.objects.exists()
    output = restore(folder, "--force")

    mission = Mission.objects.get()
    assert (mission.items.count(), mission.status) == (3, MissionStatus.PAUSED)
    assert all(ProviderAccount.objects.values_list("paused_at", flat=True))
    assert f"mission {mission.pk}: 3 items" in output
    assert f"Submissions after {last_event_at:%Y-%m-%d %H:%M:%S} UTC" in output  # not of the pause
    with storages["results"].open("missions/1/00001-1-1.png") as file:
        assert file.read() == b"a result"
    assert not storages["results"].exists("missions/2/later.png")
    with MediaFile.objects.get().file.open() as file:
        assert file.read() == picture()
    [aside] = django_settings.DATA_DIR.glob("results.before-restore-*")
    assert (aside / "missions/2/later.png").read_bytes() == b"later"
    assert Backup.objects.get().folder == str(folder)


def test_old_database_is_put_aside(site: User, tmp_path: Path) -> None:
    back_up(tmp_path / "copy")
    Mission.objects.update(name="newer than the copy")
    output = restore(tmp_path / "copy", "--force")
    if connection.vendor == "sqlite":
        [aside] = Path(connection.settings_dict["NAME"]).parent.glob("*.before-restore-*")
        assert str(aside) in output
        connection.close()
        shutil.copyfile(aside, connection.settings_dict["NAME"])
        assert Mission.objects.get().name == "newer than the copy"
        return
    [schema] = [word.rstrip(".") for word in output.split() if word.startswith("before_restore_")][:1]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT name FROM {schema}.missions_mission")  # noqa: S608
        assert cursor.fetchall() == [("newer than the copy",)]
    back_up(tmp_path / "next")  # without the tables that were put aside
    restore(tmp_path / "next", "--force")


def test_restore_into_an_empty_site(site: User, tmp_path: Path, settings: Any) -> None:
    back_up(tmp_path / "copy")
    if connection.vendor == "sqlite":
        connection.close()
        Path(connection.settings_dict["NAME"]).unlink()
    else:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    shutil.rmtree(settings.DATA_DIR)
    restore(tmp_path / "copy")
    assert Mission.objects.get().items.count() == 3
    assert storages["results"].exists("missions/1/00001-1-1.png")


def test_restore_into_a_new_installation(site: User, tmp_path: Path, settings: Any) -> None:
    """Its tables exist, and hold nothing that a person has made."""
    back_up(tmp_path / "copy")
    call_command("flush", interactive=False)
    shutil.rmtree(settings.DATA_DIR)
    assert "before" in restore(tmp_path / "copy")
    assert Mission.objects.get().items.count() == 3


def drop_facts(folder: Path) -> None:
    (folder / "backup.json").unlink()


def change_file(folder: Path) -> None:
    [result] = (folder / "results").rglob("*.png")
    result.unlink()
    result.write_bytes(b"A result")


def cut_database(folder: Path) -> None:
    [database] = folder.glob("database.*")
    database.write_bytes(database.read_bytes()[:-100])


def drop_a_line(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(lines[:-1]))


def change_facts(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "backup.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


DAMAGES = [
    (drop_facts, "not a complete backup"),
    (change_file, "was changed"),
    (cut_database, "was changed"),
    (drop_a_line, "was changed"),
    (change_facts(format=99), "cannot read"),
    (change_facts(vendor="oracle"), "holds a oracle database"),
    (change_facts(migrations=["missions.9999_future"]), "Install that version first"),
]


def test_unusable_backups_change_nothing(site: User, tmp_path: Path) -> None:
    back_up(tmp_path / "copy")
    for damage, message in DAMAGES:
        folder = tmp_path / "damaged"
        shutil.copytree(tmp_path / "copy", folder)
        damage(folder)
        with pytest.raises(CommandError, match=message):
            restore(folder, "--force")
        shutil.rmtree(folder)
        assert Mission.objects.get().status != MissionStatus.PAUSED, message
        assert storages["results"].exists("missions/1/00001-1-1.png"), message


def test_a_failed_backup_leaves_nothing(site: User, tmp_path: Path, settings: Any) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    with pytest.raises(CommandError, match=r"exists\. Name a new folder"):
        back_up(copies)
    with pytest.raises(CommandError, match="inside a folder that is backed up"):
        back_up(settings.RESULTS_ROOT / "copy")
    settings.MIN_FREE_DISK_MB = 10**9
    with pytest.raises(CommandError, match="MIN_FREE_DISK_MB"):
        back_up(copies / "full")
    settings.MIN_FREE_DISK_MB = 0
    (copies / ".half.partial").mkdir()
    with pytest.raises(CommandError, match="another backup"):
        back_up(copies / "half")
    (settings.RESULTS_ROOT / "dangling").symlink_to(settings.RESULTS_ROOT / "dangling")
    with pytest.raises(CommandError, match="Nothing is left"):
        back_up(copies / "broken")
    assert [path.name for path in copies.iterdir()] == [".half.partial"]
    assert not Backup.objects.exists()


def test_doctor_knows_the_last_backup(site: User, tmp_path: Path, settings: Any) -> None:
    assert (doctor()[0]["backup"]["level"], doctor()[0]["backup"]["message"]) == ("warn", "No backup was made.")
    back_up(tmp_path / "copy")
    assert "0 hours old" in doctor()[0]["backup"]["message"]
    made_at = Backup.objects.get().made_at
    Backup.objects.update(made_at=made_at - timedelta(days=365))
    finding = doctor()[0]["backup"]
    assert finding["level"] == "warn"
    assert "days old" in finding["message"]
    settings.BACKUP_MAX_AGE_DAYS = 0
    assert doctor()[0]["backup"]["level"] == "ok"
