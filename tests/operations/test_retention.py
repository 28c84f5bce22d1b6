"""Retention: what is deleted after a time, and what stays."""

from __future__ import annotations

import io
import os
import shutil
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import Schedule

from drafts import services as drafts
from media.models import MediaFile, MediaUse
from media.services import store_upload
from missions import services
from missions.models import Attempt, ItemEvent, Mission, Output, OutputUse
from operations import statistics
from operations.tasks import OperationsHooks
from templates_app.models import MissionTemplate
from tests.factories import make_media, make_mission, picture
from tests.result_factories import run

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

LONG_AGO = timedelta(days=40)


def cleanup(**options: bool) -> str:
    out = io.StringIO()
    call_command("cleanup", stdout=out, **options)
    return out.getvalue()


def age(*missions: Mission) -> None:
    """Let missions have ended long ago."""
    for mission in missions:
        Mission.objects.filter(pk=mission.pk).update(ended_at=timezone.now() - LONG_AGO)
        ItemEvent.objects.filter(mission=mission).update(at=timezone.now() - LONG_AGO)


def done(owner: User, **more: object) -> Mission:
    mission = make_mission(owner, 1, **more)
    run(mission, [picture()])
    age(mission)
    return mission


def path_of(output: Output) -> Path:
    return Path(django_settings.RESULTS_ROOT) / output.file


@pytest.fixture(autouse=True)
def _no_uploads() -> None:
    """Files that earlier tests left without their rows."""
    shutil.rmtree(django_settings.MEDIA_ROOT, ignore_errors=True)


@pytest.fixture
def thirty_days(settings):
    settings.RETENTION_RESULTS_DAYS = settings.RETENTION_EVENTS_DAYS = settings.RETENTION_MEDIA_DAYS = 30
    return settings


def test_old_results_are_deleted_and_marked(owner, account, thirty_days, api, client):
    mission = done(owner)
    output = Output.objects.get()
    path = path_of(output)
    assert "results: 1, " in cleanup()
    assert path.exists()  # only shown so far
    assert "results: 1, " in cleanup(apply=True)
    assert not path.exists()
    output.refresh_from_db()
    assert (output.status, output.file, output.thumbnail) == ("removed", "", "")
    assert output.sha256
    assert output.removed_at
    shown = api.data(f"/{mission.pk}/items/1")["outputs"][0]
    assert (shown["status"], shown["file_url"], bool(shown["removed_at"])) == ("removed", None, True)
    assert "limited time" in shown["error_message"]
    gone = api.get(f"/{mission.pk}/items/1/outputs/1")
    assert (gone.status_code, gone.json()["error"]) == (410, "gone")
    assert "limited time" in api.get(f"/{mission.pk}/results.csv").getvalue().decode()
    client.force_login(owner)
    assert "limited time" in client.get(f"/missions/{mission.pk}/items/1").content.decode()
    assert "There is nothing to delete." in cleanup()


def test_nothing_is_deleted_without_a_setting(owner, account):
    done(owner)
    ItemEvent.objects.update(at=timezone.now() - LONG_AGO)
    assert "There is nothing to delete." in cleanup(apply=True)
    assert path_of(Output.objects.get()).exists()


@pytest.mark.parametrize("reason", ["young", "starred", "unconfirmed", "open again"])
def test_protected_results_stay(reason, owner, account, thirty_days):
    mission = done(owner)
    changes: dict[str, dict[str, Any]] = {
        "young": {"ended_at": timezone.now()},
        "unconfirmed": {"unconfirmed_count": 1, "total_count": 2},
        "open again": {"status": "running", "ended_at": None},
        "starred": {},
    }
    Mission.objects.filter(pk=mission.pk).update(**changes[reason])
    if reason == "starred":
        services.star_results(mission_id=mission.pk, indexes=[1], is_starred=True)
    events = mission.events.count()
    cleanup(apply=True)
    assert path_of(Output.objects.get()).exists()
    assert mission.events.count() == (0 if reason == "starred" else events)


def test_preview_counts_nothing_twice(owner, account, thirty_days):
    """A mission's results and events go with it."""
    thirty_days.RETENTION_MISSIONS_DAYS = 50
    oldest, _old = done(owner), done(owner)
    Mission.objects.filter(pk=oldest.pk).update(ended_at=timezone.now() - 2 * LONG_AGO)
    preview, result = cleanup(), cleanup(apply=True)
    assert preview.partition("In total")[0] == result.partition("In total")[0]
    assert "missions: 1, " in preview
    assert "results: 1, " in preview


def test_old_missions_are_deleted_and_their_cost_stays(owner, account, settings):
    settings.RETENTION_MISSIONS_DAYS = 30
    old, needed, starred, young, open_, unsure = (done(owner, name=str(number)) for number in range(6))
    services.star_results(mission_id=starred.pk, indexes=[1], is_starred=True)
    Mission.objects.filter(pk=young.pk).update(ended_at=timezone.now())
    Mission.objects.filter(pk=open_.pk).update(status="paused", ended_at=None)
    Mission.objects.filter(pk=unsure.pk).update(unconfirmed_count=1, total_count=2)
    OutputUse.objects.create(mission=open_, output=Output.objects.get(item__mission=needed))
    Attempt.objects.filter(item__mission=old).update(cost=Decimal("0.05"))
    Mission.objects.filter(pk=old.pk).update(cost=Decimal("0.05"))
    path = path_of(Output.objects.get(item__mission=old))
    spent = sum(entry.amounts["days_30"] for entry in statistics.spend(now=timezone.now()))
    assert "missions: 1, " in cleanup()
    assert Mission.objects.count() == 6  # only shown so far
    assert "missions: 1, " in cleanup(apply=True)
    assert set(Mission.objects.values_list("pk", flat=True)) == {m.pk for m in (needed, starred, young, open_, unsure)}
    assert not path.exists()
    assert sum(entry.amounts["days_30"] for entry in statistics.spend(now=timezone.now())) == spent > 0
    assert "There is nothing to delete." in cleanup()


def test_old_unused_uploads_are_deleted(owner, account, thirty_days):

    media = {
        name: make_media(owner, content=picture(colour=name), name=name) for name in ("red", "green", "blue", "gold")
    }
    MediaFile.objects.update(created_at=timezone.now() - LONG_AGO)
    MediaUse.objects.create(mission=make_mission(owner, 1), media=media["green"])
    MediaUse.objects.create(mission=done(owner), media=media["red"])
    config = {"params": {"imageUrls": [media["blue"].reference]}}
    MissionTemplate.objects.create(owner=owner, name="t", task_type="image_to_image", config=config)
    assert "uploaded images: 2" in cleanup(apply=True)
    left = set(MediaFile.objects.values_list("name", flat=True))
    assert left == {"green", "blue"}


def test_uploads_that_are_named_stay(owner, stranger, account, thirty_days):
    names = ["by name.png", "by stem.png", "by address.png", "in lines.png", "in a cell.png", "unnamed.png"]
    media = {
        name: store_upload(
            owner=owner, file=io.BytesIO(picture(size=(9, number))), name=f"Photos/{name.replace(' ', '_')}"
        ).media
        for number, name in enumerate(names, start=1)
    }
    MediaFile.objects.update(created_at=timezone.now() - LONG_AGO)
    params = {
        "imageUrls": [
            "photos\\BY_NAME.PNG",
            "by_stem",
            f"https://batch.example.org/media/{media['by address.png'].key}",
        ]
    }
    MissionTemplate.objects.create(owner=owner, name="t", task_type="image_to_image", config={"params": params})
    MissionTemplate.objects.create(owner=stranger, name="t", task_type="text", config={"params": ["unnamed.png"]})
    draft = drafts.open_draft(owner=owner, key="")
    drafts.save_form(draft, {"images": "a.png\nin_lines.png | b.png"})
    drafts.save_table(draft, file_name="a.csv", table={"records": [[1, ["in ink", "x.png, in_a_cell.png"]]]})
    assert "uploaded images: 1" in cleanup(apply=True)
    assert set(MediaFile.objects.values_list("pk", flat=True)) == {media[name].pk for name in names[:-1]}


def test_old_files_without_a_row_are_deleted(owner, account):
    done(owner)
    make_media(owner)
    old = time.time() - 2 * 86400
    kept, strays = [path_of(Output.objects.get())], []
    for root, top in ((django_settings.RESULTS_ROOT, "missions/9"), (django_settings.MEDIA_ROOT, "media/2020/01")):
        folder = Path(root) / top
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "young.png").write_bytes(b"1234")
        (folder / "old.png").write_bytes(b"1234")
        kept.append(folder / "young.png")
        strays.append(folder / "old.png")
    part = Path(django_settings.DATA_DIR) / "tmp" / "x.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"1234")
    strays.append(part)
    for root in (django_settings.RESULTS_ROOT, django_settings.MEDIA_ROOT, part.parent):
        for path in Path(root).rglob("*"):
            if path.is_file() and path.name != "young.png":
                os.utime(path, (old, old))
    kept += list((Path(django_settings.MEDIA_ROOT) / "media").rglob("*/cat*.png"))
    report = cleanup(apply=True)
    assert "result files without a row: 1, 4\xa0bytes" in report
    assert [path for path in strays if path.exists()] == []
    assert all(path.exists() for path in kept)


def test_daily_cleanup_is_scheduled_with_retention(owner, account, thirty_days):
    OperationsHooks().on_start(is_alone=True)
    OperationsHooks().on_start(is_alone=True)
    done(owner)
    import_string(Schedule.objects.get(name="missions: cleanup").func)()
    assert Output.objects.get().status == "removed"
    thirty_days.RETENTION_RESULTS_DAYS = thirty_days.RETENTION_EVENTS_DAYS = thirty_days.RETENTION_MEDIA_DAYS = 0
    OperationsHooks().on_start(is_alone=True)
    assert [schedule.name for schedule in Schedule.objects.all()] == ["missions: tally"]
